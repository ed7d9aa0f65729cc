//! What a browser is shown: the landing page, Swagger UI, ReDoc and the OpenAPI document behind both.
//! All of it comes from the binary, for a gate may have no internet.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use aide::redoc::Redoc;
use axum::{
    Router,
    extract::{Path, rejection::PathRejection},
    http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::Config;

use crate::{ApiError, openapi};

const LANDING: &str = include_str!("../assets/landing.html");
const DOCS: &str = include_str!("../assets/docs.html");
const REDOC: &str = include_str!("../assets/redoc.html");

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
    let config = Config::from("/openapi.json").try_it_out_enabled(true).persist_authorization(true);
    let config = Arc::new(config);
    let script = Arc::new(OnceLock::<Bytes>::new());
    Ok(Router::new()
        .route("/", fill(LANDING))
        .route("/openapi.json", get(async move || ([(CONTENT_TYPE, "application/json")], document)))
        .route("/docs", fill(DOCS))
        .route(
            "/docs/{file}",
            get(async move |file: Result<Path<String>, PathRejection>| swagger_file(file, config)),
        )
        .route("/redoc", fill(REDOC))
        .route(
            "/redoc/redoc.standalone.js",
            get(async move || {
                // A megabyte that few ever ask for, shared by those who do.
                ([(CONTENT_TYPE, "text/javascript")], script.get_or_init(redoc_script).clone())
            }),
        ))
}

fn swagger_file(
    file: Result<Path<String>, PathRejection>,
    config: Arc<Config<'static>>,
) -> Result<Response, ApiError> {
    let Path(file) = file.map_err(|_| ApiError::NotFound)?;
    match utoipa_swagger_ui::serve(&file, config) {
        Ok(Some(found)) => {
            let bytes = match found.bytes {
                Cow::Borrowed(bytes) => Bytes::from_static(bytes),
                Cow::Owned(bytes) => bytes.into(),
            };
            Ok(([(CONTENT_TYPE, found.content_type)], bytes).into_response())
        }
        Ok(None) => Err(ApiError::NotFound),
        Err(error) => Err(ApiError::internal(error.to_string())),
    }
}

/// The script out of the page that aide has for it: as a file of its own it needs no exception from
/// [`POLICY`]. Nothing, should aide's page ever look different; the browser test would tell.
fn redoc_script() -> Bytes {
    let page = Redoc::new("").html();
    let script = page.split_once("<script>").and_then(|(_, rest)| rest.rsplit_once("Redoc.init("));
    script.map_or_else(Bytes::new, |(script, _)| Bytes::copy_from_slice(script.as_bytes()))
}
