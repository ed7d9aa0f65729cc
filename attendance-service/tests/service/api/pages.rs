use std::collections::BTreeSet;

use axum::{
    Router,
    http::{Method, header::CONTENT_SECURITY_POLICY},
};
use serde_json::Value;
use shared_http::testing::{call, get};

use super::app;
use shared_service::testing::Store;

const NAME: &str = "attendance-service";

async fn page(app: &Router, path: &str) -> String {
    let answer = get(app, path).send().await;
    assert_eq!(answer.status, 200, "{path}");
    assert!(answer.headers["content-type"].to_str().expect("ASCII").starts_with("text/html"), "{path}");
    answer.text().1.to_owned()
}

async fn document(app: &Router) -> Value {
    let answer = get(app, "/openapi.json").send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/json");
    answer.json()
}

#[tokio::test]
async fn the_landing_page_names_the_service_and_leads_on() {
    let page = page(&app(Store::Memory).await, "/").await;
    assert!(page.contains(NAME), "{page}");
    for link in ["/docs", "/redoc", "/health"] {
        assert!(page.contains(&format!(r#"href="{link}""#)), "{link}: {page}");
    }
}

#[tokio::test]
async fn swagger_ui_and_redoc_show_the_document_of_this_service() {
    let app = app(Store::Memory).await;
    let docs = page(&app, "/docs").await;
    assert!(docs.contains(NAME) && docs.contains("swagger-ui"), "{docs}");
    let initializer = get(&app, "/docs/swagger-initializer.js").send().await;
    assert!(initializer.text().1.contains("/openapi.json"), "{initializer:?}");
    let redoc = page(&app, "/redoc").await;
    assert!(redoc.contains(NAME) && redoc.contains("/openapi.json"), "{redoc}");
}

/// A gate may have no internet.
#[tokio::test]
async fn all_that_a_page_loads_comes_from_the_service() {
    let app = app(Store::Memory).await;
    for path in ["/", "/docs", "/redoc"] {
        let html = page(&app, path).await;
        for url in urls(&html) {
            if url.starts_with("data:") {
                continue;
            }
            assert!(url.starts_with('/') && !url.starts_with("//"), "{path}: {url}");
            let answer = get(&app, url).send().await;
            assert_eq!(answer.status, 200, "{path}: {url}");
            assert!(!answer.text().1.is_empty(), "{path}: {url}");
            let content_type = answer.headers["content-type"].to_str().expect("ASCII");
            if content_type.starts_with("text/css") {
                let css = answer.text().1;
                for external in ["url(http", "url(\"http", "url('http", "url(//", "@import"] {
                    assert!(!css.contains(external), "{url}: {external}");
                }
            }
        }

        for inline in ["<script>", "<style", " style=", " onload=", " onclick=", "javascript:"] {
            assert!(!html.contains(inline), "{path}: {inline} needs an exception from the policy");
        }

        // What a script loads shows at run time only, so the browser has to be told.
        let answer = get(&app, path).send().await;
        let policy: BTreeSet<_> = answer.header(CONTENT_SECURITY_POLICY).split("; ").collect();
        for directive in
            ["default-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]
        {
            assert!(policy.contains(directive), "{path}: {policy:?}");
        }
        for exception in ["http", "*", "unsafe"] {
            assert!(!policy.iter().any(|directive| directive.contains(exception)), "{path}: {policy:?}");
        }
    }
}

/// What stands in `src` and `href`, and in the `spec-url` of ReDoc.
fn urls(html: &str) -> Vec<&str> {
    let attributes = [r#" src=""#, r#" href=""#, r#" spec-url=""#];
    let found = attributes.into_iter().flat_map(|attribute| html.split(attribute).skip(1));
    let urls: Vec<_> = found.filter_map(|rest| rest.split('"').next()).collect();
    assert!(!urls.is_empty(), "{html}");
    urls
}

#[tokio::test]
async fn the_document_is_openapi_3_1_and_tells_how_to_authorize() {
    let document = document(&app(Store::Memory).await).await;
    assert!(document["openapi"].as_str().expect("a version").starts_with("3.1."), "{document}");
    assert!(document["info"]["title"].as_str().expect("a title").contains(NAME));
    let scheme = &document["components"]["securitySchemes"]["bearer"];
    assert_eq!((&scheme["type"], &scheme["scheme"]), (&"http".into(), &"bearer".into()));
}

#[tokio::test]
async fn the_document_lists_every_route_with_every_status() {
    let document = document(&app(Store::Memory).await).await;
    let rows: [(&str, &str, bool, &[&str]); 5] = [
        ("/health", "get", false, &["200", "500", "503"]),
        ("/ready", "get", false, &["200", "500", "503"]),
        ("/checkins", "post", true, &["200", "400", "401", "408", "413", "422", "500", "503"]),
        ("/attendance/{event_id}", "get", true, &["200", "304", "400", "401", "500", "503"]),
        (
            "/attendance/{event_id}/tickets/{ticket_id}",
            "get",
            true,
            &["200", "400", "401", "404", "500", "503"],
        ),
    ];
    let paths = document["paths"].as_object().expect("paths");
    let listed: BTreeSet<_> = paths.keys().map(String::as_str).collect();
    assert_eq!(listed, rows.iter().map(|row| row.0).collect());
    for (path, method, protected, statuses) in rows {
        let operations = paths[path].as_object().expect("operations");
        assert_eq!(operations.keys().collect::<Vec<_>>(), [method], "{path}");
        let operation = &operations[method];
        let responses = operation["responses"].as_object().expect("responses");
        let listed: BTreeSet<_> = responses.keys().map(String::as_str).collect();
        assert_eq!(listed, statuses.iter().copied().collect(), "{path}");
        let security = operation["security"].as_array().is_some_and(|all| all[0]["bearer"].is_array());
        assert_eq!(security, protected, "{path}");
        assert_eq!(operation["requestBody"].is_object(), method == "post", "{path}");

        let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
        let status = call(&app(Store::Memory).await, method, &path.replace(['{', '}'], ""))
            .send()
            .await
            .status
            .as_u16();
        assert!(statuses.contains(&status.to_string().as_str()), "{path} {status}");
    }
}

#[tokio::test]
async fn every_reference_inside_the_document_leads_somewhere() {
    let document = document(&app(Store::Memory).await).await;
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("a reference inside the document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn collect<'a>(value: &'a Value, references: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            references.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| collect(value, references));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}

/// Whoever changes what clients read sees it in the diff.
#[tokio::test]
async fn the_document_is_the_one_that_was_agreed_on() {
    const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/service/api/openapi.json");
    let mut document =
        serde_json::to_string_pretty(&document(&app(Store::Memory).await).await).expect("JSON");
    document.push('\n');
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(PATH, &document).expect("a snapshot that can be written");
    }
    let agreed = std::fs::read_to_string(PATH).expect("a snapshot");
    let changed = agreed.lines().zip(document.lines()).position(|(agreed, now)| agreed != now);
    assert!(
        agreed == document,
        "/openapi.json differs from tests/service/api/openapi.json, from line {} on; if that is meant, run the tests \
         once with UPDATE_SNAPSHOTS=1 and review the diff",
        changed.map_or_else(|| agreed.lines().count().min(document.lines().count()) + 1, |line| line + 1)
    );
}

#[tokio::test]
async fn a_file_that_no_page_has_is_not_found() {
    for path in ["/docs/none.js", "/docs/%FF", "/docs/..%2FCargo.toml", "/docs/none/", "/redoc/none.js"] {
        let answer = get(&app(Store::Memory).await, path).send().await;
        assert_eq!(answer.text(), (404, r#"{"detail":"Not Found"}"#), "{path}");
    }
}
