//! The HTML pages: the landing page, Swagger UI and ReDoc, with the OpenAPI document that both show. All files come
//! from the binary, because a gate may have no internet.

use std::{
    io::Read,
    sync::{Arc, OnceLock},
};

use axum::{
    Router,
    http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE},
    response::Html,
    routing::{MethodRouter, get},
};
use bytes::Bytes;
use flate2::read::GzDecoder;
use utoipa::openapi::OpenApi;

use crate::{error::ApiError, openapi};

const LANDING: &str = include_str!("../assets/landing.html");
const LANDING_STYLE: &str = include_str!("../assets/landing.css");
const PAGES: &str = include_str!("../assets/pages.html");
const DOCS: &str = include_str!("../assets/docs.html");
const DOCS_STYLE: &str = include_str!("../assets/docs.css");
const REDOC: &str = include_str!("../assets/redoc.html");
const REDOC_STYLE: &str = include_str!("../assets/redoc.css");
const SWAGGER_INITIALIZER: &str = include_str!("../assets/swagger-initializer.js");

// Compressed by the build.
const REDOC_SCRIPT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/redoc.standalone.js.gz"));
const SWAGGER_SCRIPT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui-bundle.js.gz"));
const SWAGGER_STYLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui.css.gz"));

/// A Content-Security-Policy (CSP Level 3) that lets a page do what is named and nothing else. Scripts and
/// styles are files, so that nothing inside a page needs an exception.
macro_rules! allow_only {
    ($($allowed:literal),+) => {
        concat!("default-src 'none'; ", $($allowed, "; ",)+ "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
    };
}

const LANDING_POLICY: &str = allow_only!("style-src 'self'", "img-src data:");

/// "Try it out" asks this service.
const DOCS_POLICY: &str =
    allow_only!("script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'");

/// ReDoc searches in a worker that it creates from a blob, and adds two styles by script: one that is empty at first,
/// and that of its scroll bars. These are the hashes of both. The browser test fails if they change.
const REDOC_POLICY: &str = allow_only!(
    "script-src 'self'",
    "style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' \
     'sha256-DLDPR1ic47WIdK2WyeLkblb/tm2mQH+Jt/NNhZWu1k0='",
    "img-src data:",
    "connect-src 'self'",
    "worker-src blob:"
);

/// What the pages say about a service.
pub struct About {
    /// The name of the service, as everybody calls it.
    pub service: &'static str,
    /// What it is for, in a sentence of each language.
    pub indonesian: &'static str,
    /// The same in English.
    pub english: &'static str,
    /// The origin of the gate and the desk, empty if this service has them. `None` if it is not known.
    pub pages: Option<String>,
    /// More for the landing page, as HTML.
    pub notice: &'static str,
}

/// The routes `/`, `/docs`, `/redoc`, `/openapi.json` and the files that the pages load.
pub fn pages(about: &About, document: fn() -> OpenApi) -> Router {
    let pages = about.pages.as_deref().map_or(String::new(), |origin| PAGES.replace("{{origin}}", origin));
    let fill = |template: &str, policy: &'static str| {
        let page = template
            .replace("{{service}}", about.service)
            .replace("{{indonesian}}", about.indonesian)
            .replace("{{english}}", about.english)
            .replace("{{pages}}", &pages)
            .replace("{{notice}}", about.notice);
        let page = Bytes::from(page);
        get(async move || ([(CONTENT_SECURITY_POLICY, policy)], Html(page)))
    };
    Router::new()
        .route("/", fill(LANDING, LANDING_POLICY))
        .route("/landing.css", text("text/css", LANDING_STYLE))
        .route("/openapi.json", on_demand("application/json", move || openapi_json(document)))
        .route("/docs", fill(DOCS, DOCS_POLICY))
        .route("/docs/docs.css", text("text/css", DOCS_STYLE))
        .route("/docs/swagger-ui.css", on_demand("text/css", || inflate(SWAGGER_STYLE)))
        .route("/docs/swagger-ui-bundle.js", on_demand("text/javascript", || inflate(SWAGGER_SCRIPT)))
        .route("/docs/swagger-initializer.js", text("text/javascript", SWAGGER_INITIALIZER))
        .route("/redoc", fill(REDOC, REDOC_POLICY))
        .route("/redoc/redoc.css", text("text/css", REDOC_STYLE))
        .route("/redoc/redoc.standalone.js", on_demand("text/javascript", || inflate(REDOC_SCRIPT)))
}

fn text(content_type: &'static str, text: &'static str) -> MethodRouter {
    get(async move || ([(CONTENT_TYPE, content_type)], text))
}

/// A file of up to a megabyte that few clients ask for. It is made for the first of them, and kept for the others.
fn on_demand(
    content_type: &'static str,
    make: impl Fn() -> Result<Vec<u8>, ApiError> + Clone + Send + Sync + 'static,
) -> MethodRouter {
    let made = Arc::new(OnceLock::<Bytes>::new());
    get(async move || {
        let bytes = match made.get() {
            Some(bytes) => bytes.clone(),
            None => {
                let bytes = make()?;
                made.get_or_init(|| bytes.into()).clone()
            }
        };
        Ok::<_, ApiError>(([(CONTENT_TYPE, content_type)], bytes))
    })
}

fn openapi_json(document: fn() -> OpenApi) -> Result<Vec<u8>, ApiError> {
    let mut document = document();
    openapi::add_request_ids(&mut document);
    serde_json::to_vec(&document).map_err(ApiError::internal)
}

fn inflate(gzip: &[u8]) -> Result<Vec<u8>, ApiError> {
    let mut text = Vec::new();
    GzDecoder::new(gzip).read_to_end(&mut text).map_err(ApiError::internal)?;
    // It is kept for good.
    text.shrink_to_fit();
    Ok(text)
}
