//! The pages of a service and its OpenAPI document. Each function is a check that both services make.

use std::{collections::BTreeSet, env, fs};

use axum::{
    Router,
    http::{
        Method,
        header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE},
    },
};
use serde_json::Value;
use shared_http::testing::{call, get};

/// An operation of a document: path, method, whether it needs a token, and every status that it may answer.
pub type Operation = (&'static str, &'static str, bool, &'static [&'static str]);

/// The HTML at `path`.
pub async fn page(app: &Router, path: &str) -> String {
    let answer = get(app, path).send().await;
    assert_eq!(answer.status, 200, "{path}");
    assert!(answer.header(CONTENT_TYPE).starts_with("text/html"), "{path}");
    answer.text().1.to_owned()
}

async fn document(app: &Router) -> Value {
    let answer = get(app, "/openapi.json").send().await;
    assert_eq!((answer.status.as_u16(), answer.header(CONTENT_TYPE)), (200, "application/json"));
    answer.json()
}

/// The landing page names the service and leads to the others, and those show the document.
pub async fn each_page_names_the_service_and_leads_on(app: &Router, service: &str) {
    for (path, words) in [
        ("/", &[r#"href="/docs""#, r#"href="/redoc""#, r#"href="/health""#][..]),
        ("/docs", &["swagger-ui"]),
        ("/redoc", &["/openapi.json"]),
    ] {
        let page = page(app, path).await;
        for word in words.iter().chain([&service]) {
            assert!(page.contains(word), "{path}: {word}: {page}");
        }
    }
    let initializer = get(app, "/docs/swagger-initializer.js").send().await;
    assert!(initializer.text().1.contains("/openapi.json"), "{initializer:?}");
}

/// A gate may have no internet.
pub async fn all_that_a_page_loads_comes_from_the_service(app: &Router) {
    for path in ["/", "/docs", "/redoc"] {
        let html = page(app, path).await;
        for url in urls(&html) {
            assert!(url.starts_with('/') && !url.starts_with("//"), "{path}: {url}");
            let answer = get(app, url).send().await;
            let (status, text) = answer.text();
            assert!(status == 200 && !text.is_empty(), "{path}: {url}: {status}");
            if answer.header(CONTENT_TYPE).starts_with("text/css") {
                for external in ["url(http", "url(\"http", "url('http", "url(//", "@import"] {
                    assert!(!text.contains(external), "{url}: {external}");
                }
            }
        }
        for inline in ["<script>", "<style", " style=", " onload=", " onclick=", "javascript:"] {
            assert!(!html.contains(inline), "{path}: {inline} needs an exception from the policy");
        }

        // What a script loads shows at run time only, so the browser has to be told.
        let answer = get(app, path).send().await;
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

/// What stands in `src` and `href`, and in the `spec-url` of ReDoc, but for data.
fn urls(html: &str) -> Vec<&str> {
    let attributes = [r#" src=""#, r#" href=""#, r#" spec-url=""#];
    let found = attributes.into_iter().flat_map(|attribute| html.split(attribute).skip(1));
    let urls = found.filter_map(|rest| rest.split('"').next()).filter(|url| !url.starts_with("data:"));
    let urls: Vec<_> = urls.collect();
    assert!(!urls.is_empty(), "{html}");
    urls
}

/// Looks at what no list of operations shows: version, title, how to authorize, and every reference.
pub async fn the_document_is_openapi_3_1_and_tells_how_to_authorize(app: &Router, service: &str) {
    let document = document(app).await;
    assert!(document["openapi"].as_str().expect("a version").starts_with("3.1."), "{document}");
    assert!(document["info"]["title"].as_str().expect("a title").contains(service));
    let scheme = &document["components"]["securitySchemes"]["bearer"];
    assert_eq!((&scheme["type"], &scheme["scheme"]), (&"http".into(), &"bearer".into()));
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("a reference inside the document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn collect_references<'a>(value: &'a Value, references: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            references.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| collect_references(value, references));
        }
        Value::Array(items) => items.iter().for_each(|value| collect_references(value, references)),
        _ => {}
    }
}

/// The document has these operations, `/health` and `/ready`, and no others. A protected one asks for a token indeed.
pub async fn the_document_lists_every_route_with_every_status(app: &Router, own: &[Operation]) {
    let common = ["/health", "/ready"].map(|path| (path, "get", false, &["200", "500", "503"][..]));
    let operations = [&common[..], own].concat();
    let document = document(app).await;
    let paths = document["paths"].as_object().expect("paths");
    let methods = |path: &'_ str| paths[path].as_object().expect("operations").keys().map(String::as_str);
    let listed: BTreeSet<_> =
        paths.keys().flat_map(|path| methods(path).map(move |method| (path.as_str(), method))).collect();
    assert_eq!(listed, operations.iter().map(|(path, method, ..)| (*path, *method)).collect());
    for (path, method, is_protected, statuses) in operations {
        let described = &paths[path][method];
        let responses = described["responses"].as_object().expect("responses");
        let listed: BTreeSet<_> = responses.keys().map(String::as_str).collect();
        assert_eq!(listed, statuses.iter().copied().collect(), "{path}");
        let asks_for_token = described["security"].as_array().is_some_and(|all| all[0]["bearer"].is_array());
        assert_eq!(asks_for_token, is_protected, "{path}");
        let has_body = matches!(method, "post" | "put" | "patch");
        assert_eq!(described["requestBody"].is_object(), has_body, "{path}");

        let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
        let path = path.replace(['{', '}'], "");
        for token in ["", "x"] {
            let call = call(app, method.clone(), &path);
            let call = if token.is_empty() { call } else { call.bearer(token) };
            let status = call.send().await.status.as_u16();
            assert!(statuses.contains(&status.to_string().as_str()), "{path} {status}");
            assert_eq!(status == 401, is_protected, "{path} {token}");
        }
    }
}

/// Whoever changes what clients read sees it in the diff of the file at `snapshot`.
pub async fn the_document_is_the_one_that_was_agreed_on(app: &Router, snapshot: &str) {
    let mut document = serde_json::to_string_pretty(&document(app).await).expect("JSON");
    document.push('\n');
    if env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(snapshot, &document).expect("a snapshot that can be written");
    }
    let agreed = fs::read_to_string(snapshot).expect("a snapshot");
    let changed = agreed.lines().zip(document.lines()).position(|(agreed, now)| agreed != now);
    assert!(
        agreed == document,
        "/openapi.json differs from {snapshot}, from line {} on; if that is meant, run the tests once with \
         UPDATE_SNAPSHOTS=1 and review the diff",
        changed.map_or_else(|| agreed.lines().count().min(document.lines().count()) + 1, |line| line + 1)
    );
}

/// Whatever the path of a file that is not there looks like.
pub async fn a_file_that_no_page_has_is_not_found(app: &Router) {
    for path in ["/docs/none.js", "/docs/%FF", "/docs/..%2FCargo.toml", "/docs/none/", "/redoc/none.js"] {
        let answer = get(app, path).send().await;
        assert_eq!(answer.text(), (404, r#"{"detail":"Not Found"}"#), "{path}");
    }
}
