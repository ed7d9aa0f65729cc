//! Redirects for paths with surplus slashes at the end.

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{Method, StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};
use percent_encoding::{CONTROLS, utf8_percent_encode};
use tower::ServiceExt;

use crate::error::ApiError;

/// Responds to a path without a route: 307 to the path without the slashes at its end, if that has a route, as FastAPI
/// does, else 404. An encoded slash belongs to an id, and `//` is not `/` with one too many.
pub(super) async fn redirect_without_slashes(known_paths: Router, request: Request) -> Response {
    let path = request.uri().path();
    let wanted = path.trim_end_matches('/');
    // A redirect to a path that begins with two slashes would lead to another host.
    if wanted.len() == path.len() || wanted.starts_with("//") {
        return ApiError::NotFound.into_response();
    }
    let mut location = utf8_percent_encode(wanted, CONTROLS).to_string();
    // No route takes TRACE. So a route with this path responds 405 and does nothing.
    let mut probe = Request::new(Body::empty());
    *probe.method_mut() = Method::TRACE;
    let Ok(uri) = location.parse() else { return ApiError::NotFound.into_response() };
    *probe.uri_mut() = uri;
    let Ok(found) = known_paths.oneshot(probe).await;
    if found.status() == StatusCode::NOT_FOUND {
        return ApiError::NotFound.into_response();
    }
    if let Some(query) = request.uri().query() {
        location.push('?');
        location.extend(utf8_percent_encode(query, CONTROLS));
    }
    (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, location)]).into_response()
}
