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
const LANDING_STYLE: &str = include_str!("../assets/landing.css");
const DOCS: &str = include_str!("../assets/docs.html");
const DOCS_STYLE: &str = include_str!("../assets/docs.css");
const REDOC: &str = include_str!("../assets/redoc.html");
const REDOC_STYLE: &str = include_str!("../assets/redoc.css");
const SWAGGER_INITIALIZER: &str = include_str!("../assets/swagger-initializer.js");

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

/// ReDoc searches in a worker of its own making, and adds two styles by script: one that is empty at first,
/// and that of its scroll bars. These are their hashes; the browser test tells should they change.
const REDOC_POLICY: &str = allow_only!(
    "script-src 'self'",
    "style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' \
     'sha256-DLDPR1ic47WIdK2WyeLkblb/tm2mQH+Jt/NNhZWu1k0='",
    "img-src data:",
    "connect-src 'self'",
    "worker-src blob:"
);

/// ReDoc's logo is the one thing that it would fetch from elsewhere; in its place comes an empty picture.
const REDOC_LOGO: &str = "https://cdn.redoc.ly/redoc/logo-mini.svg";
const NO_LOGO: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='1' height='1'/%3E";

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
    let fill = |template: &str, policy: &'static str| {
        let page = template
            .replace("{{service}}", about.service)
            .replace("{{tagline}}", about.tagline)
            .replace("{{notice}}", about.notice);
        let page = Bytes::from(page);
        get(async move || ([(CONTENT_SECURITY_POLICY, policy)], Html(page)))
    };
    openapi::add_request_ids(&mut openapi);
    let document = Bytes::from(serde_json::to_vec(&openapi)?);
    Ok(Router::new()
        .route("/", fill(LANDING, LANDING_POLICY))
        .route("/landing.css", file("text/css", || LANDING_STYLE.into()))
        .route("/openapi.json", get(async move || ([(CONTENT_TYPE, "application/json")], document)))
        .route("/docs", fill(DOCS, DOCS_POLICY))
        .route("/docs/docs.css", file("text/css", || DOCS_STYLE.into()))
        .route("/docs/swagger-ui.css", file("text/css", swagger_style))
        .route("/docs/swagger-ui-bundle.js", file("text/javascript", swagger_script))
        .route("/docs/swagger-initializer.js", file("text/javascript", || SWAGGER_INITIALIZER.into()))
        .route("/redoc", fill(REDOC, REDOC_POLICY))
        .route("/redoc/redoc.css", file("text/css", || REDOC_STYLE.into()))
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
// exception from a policy. Empty, should aide's pages ever look different; the browser test would tell.

fn redoc_script() -> Bytes {
    let page = Redoc::new("").html().replace(REDOC_LOGO, NO_LOGO);
    between(&page, "<script>", "Redoc.init(")
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
