//! What a browser is shown: the landing page, Swagger UI, ReDoc and the OpenAPI document behind both.
//! All of it comes from the binary, for a gate may have no internet.

use std::sync::{Arc, OnceLock};

use aide::{redoc::Redoc, swagger::Swagger};
use axum::{
    Router,
    http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE},
    response::Html,
    routing::{MethodRouter, get},
};
use bytes::Bytes;
use utoipa::openapi::OpenApi;

use crate::openapi;

const LANDING: &str = include_str!("../assets/landing.html");
const DOCS: &str = include_str!("../assets/docs.html");
const REDOC: &str = include_str!("../assets/redoc.html");
const SWAGGER_INITIALIZER: &str = include_str!("../assets/swagger-initializer.js");

/// Nothing from elsewhere, and no script inside a page. ReDoc searches in a worker of its own making.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     worker-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/// What the pages say of a service.
pub struct About {
    /// The name of the service, as everybody calls it.
    pub service: &'static str,
    /// What it is for, in a sentence.
    pub tagline: &'static str,
    /// More for the landing page, as HTML.
    pub notice: &'static str,
}

/// The routes `/`, `/docs`, `/redoc`, `/openapi.json` and the files that the pages load.
///
/// # Errors
///
/// The document cannot be written as JSON.
pub fn pages(about: &About, mut openapi: OpenApi) -> Result<Router, serde_json::Error> {
    let fill = |template: &str| {
        let page = template
            .replace("{{service}}", about.service)
            .replace("{{tagline}}", about.tagline)
            .replace("{{notice}}", about.notice);
        let page = Bytes::from(page);
        get(async move || ([(CONTENT_SECURITY_POLICY, POLICY)], Html(page)))
    };
    openapi::add_request_ids(&mut openapi);
    let document = Bytes::from(serde_json::to_vec(&openapi)?);
    Ok(Router::new()
        .route("/", fill(LANDING))
        .route("/openapi.json", get(async move || ([(CONTENT_TYPE, "application/json")], document)))
        .route("/docs", fill(DOCS))
        .route("/docs/swagger-ui.css", file("text/css", swagger_style))
        .route("/docs/swagger-ui-bundle.js", file("text/javascript", swagger_script))
        .route("/docs/swagger-initializer.js", file("text/javascript", || SWAGGER_INITIALIZER.into()))
        .route("/redoc", fill(REDOC))
        .route("/redoc/redoc.standalone.js", file("text/javascript", redoc_script)))
}

/// A megabyte that few ever ask for, made once for those who do.
fn file<S: Clone + Send + Sync + 'static>(
    content_type: &'static str,
    make: fn() -> Bytes,
) -> MethodRouter<S> {
    let made = Arc::new(OnceLock::<Bytes>::new());
    get(async move || ([(CONTENT_TYPE, content_type)], made.get_or_init(make).clone()))
}

// The scripts and the style out of the pages that aide has for them: as files of their own they need no
// exception from `POLICY`. Empty, should aide's pages ever look different; the browser test would tell.

fn redoc_script() -> Bytes {
    between(&Redoc::new("").html(), "<script>", "Redoc.init(")
}

fn swagger_script() -> Bytes {
    between(&Swagger::new("").html(), "<script>", "</script>\n<!--")
}

fn swagger_style() -> Bytes {
    between(&Swagger::new("").html(), "<style>", "</style>")
}

fn between(page: &str, beginning: &str, end: &str) -> Bytes {
    let part = page.split_once(beginning).and_then(|(_, rest)| rest.rsplit_once(end));
    part.map_or_else(Bytes::new, |(part, _)| Bytes::copy_from_slice(part.as_bytes()))
}
