//! The gate and the desk, as a browser loads them.

use std::{collections::BTreeSet, io::Read};

use axum::http::{
    HeaderName,
    header::{
        ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
        IF_NONE_MATCH, VARY,
    },
};
use flate2::read::GzDecoder;
use shared_http::testing::get;
use shared_service::testing::Store;

use super::{app, app_with};

const FILES: [(&str, &str); 6] = [
    ("/gate", "text/html; charset=utf-8"),
    ("/desk", "text/html; charset=utf-8"),
    ("/web/shared/base.css", "text/css; charset=utf-8"),
    ("/web/shared/session.js", "text/javascript; charset=utf-8"),
    ("/web/gate/service-worker.js", "text/javascript; charset=utf-8"),
    ("/web/icon.svg", "image/svg+xml"),
];

#[tokio::test]
async fn a_page_and_its_files_are_sent_compressed_and_only_if_they_have_changed() {
    let app = app(Store::Memory).await;
    for (path, content_type) in FILES {
        let plain = get(&app, path).send().await;
        assert_eq!((plain.status.as_u16(), plain.header(CONTENT_TYPE)), (200, content_type), "{path}");
        assert_eq!(
            (plain.header(CACHE_CONTROL), plain.header(VARY)),
            ("no-cache", "accept-encoding"),
            "{path}"
        );

        let gzip = get(&app, path).header(ACCEPT_ENCODING, "gzip, br").send().await;
        assert_eq!(gzip.header(CONTENT_ENCODING), "gzip", "{path}");
        let mut text = String::new();
        GzDecoder::new(&*gzip.body).read_to_string(&mut text).expect("gzip");
        assert_eq!(text, plain.text().1, "{path}");

        let etag = plain.header(ETAG);
        let unchanged = get(&app, path).header(IF_NONE_MATCH, etag).send().await;
        assert_eq!((unchanged.text(), unchanged.header(ETAG)), ((304, ""), etag), "{path}");
        assert_eq!(get(&app, path).header(IF_NONE_MATCH, "W/\"0\"").send().await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn the_pages_may_ask_both_services_and_nobody_else() {
    for (url, allowed) in
        [("https://id.example.org/", "https://id.example.org"), ("", "http://localhost:18081")]
    {
        let app = app_with(Store::Memory, &[("identity-url", url)]).await;
        for path in ["/gate", "/desk"] {
            let answer = get(&app, path).send().await;
            let policy: BTreeSet<_> = answer.header(CONTENT_SECURITY_POLICY).split("; ").collect();
            for directive in
                ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"]
            {
                assert!(policy.contains(directive), "{path}: {policy:?}");
            }
            assert!(policy.contains(&*format!("connect-src 'self' {allowed}")), "{path}: {policy:?}");
            let (_, page) = answer.text();
            assert!(page.contains(&format!(r#"<meta name="identity-url" content="{allowed}">"#)), "{page}");
            for inline in ["<script>", "<style", " style=", " onload=", " onclick=", "javascript:"] {
                assert!(!page.contains(inline), "{path}: {inline} needs an exception from the policy");
            }
        }
    }
}

#[tokio::test]
async fn in_production_no_identity_service_is_assumed() {
    let app = app_with(
        Store::Memory,
        &[("app-env", "production"), ("jwt-secret", "0c31e1a0b8a44f14bb7c0b4e2a7c55d1")],
    )
    .await;
    let answer = get(&app, "/gate").send().await;
    assert!(answer.header(CONTENT_SECURITY_POLICY).contains("connect-src 'self' ;"), "{answer:?}");
    assert!(answer.text().1.contains(r#"<meta name="identity-url" content="">"#), "{answer:?}");
}

#[tokio::test]
async fn the_service_worker_may_keep_the_gate_and_is_another_for_another_version() {
    let allowed = HeaderName::from_static("service-worker-allowed");
    let mut versions = BTreeSet::new();
    for url in ["https://id.example.org", "https://id2.example.org"] {
        let app = app_with(Store::Memory, &[("identity-url", url)]).await;
        let answer = get(&app, "/web/gate/service-worker.js").send().await;
        assert_eq!(answer.header(allowed.clone()), "/gate");
        assert!(!answer.text().1.contains("{{"), "{answer:?}");
        versions.insert(answer.text().1.to_owned());
    }
    assert_eq!(versions.len(), 2, "the page that it keeps names identity-service");
}

#[tokio::test]
async fn a_file_that_is_not_there_is_not_found() {
    let app = app(Store::Memory).await;
    for path in
        ["/web/none.js", "/web/package.json", "/web/gate.html", "/web/gate", "/web/../Cargo.toml", "/web/%FF"]
    {
        assert_eq!(get(&app, path).send().await.text(), (404, r#"{"detail":"Not Found"}"#), "{path}");
    }
}
