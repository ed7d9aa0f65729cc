//! Requests that hyper cannot parse. hyper responds to them itself, with a status and no body. That response is
//! dropped, and the middleware makes one like all others.

use std::{io::Write, sync::Arc};

use axum::{
    Router,
    body::Body,
    http::{
        HeaderValue, Method, Request, Uri,
        header::{CONNECTION, CONTENT_LENGTH, DATE},
    },
};
use chrono::Utc;
use http_body_util::BodyExt;
use tower::Service;

use super::connection::Connection;
use crate::error::ApiError;

/// Why a request cannot be parsed. The middleware finds it in the extensions of a substitute request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rejected {
    Malformed,
    HeadTooLarge,
}

impl From<Rejected> for ApiError {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Malformed => Self::BadRequest("The request is not valid HTTP/1.1.".into()),
            Rejected::HeadTooLarge => Self::HeadTooLarge,
        }
    }
}

/// The whole response, as it is sent.
pub(super) async fn response(
    app: &mut Router,
    connection: &Arc<Connection>,
    error: &hyper::Error,
) -> Vec<u8> {
    let rejected = if error.is_parse_too_large() { Rejected::HeadTooLarge } else { Rejected::Malformed };
    let mut request = Request::new(Body::empty());
    // The substitute request is counted with the method `other` and the route `none`.
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = Uri::from_static("*");
    request.extensions_mut().insert(connection.clone());
    request.extensions_mut().insert(rejected);
    let Ok(response) = app.call(request).await;

    let (mut head, body) = response.into_parts();
    // Reading it does not fail: the body of an error is in memory.
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    head.headers.insert(CONTENT_LENGTH, body.len().into());
    head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    if let Ok(now) = Utc::now().format("%a, %d %b %Y %H:%M:%S GMT").to_string().parse() {
        head.headers.insert(DATE, now);
    }
    let mut bytes = Vec::new();
    // Writing to memory does not fail.
    let _ = write!(bytes, "HTTP/1.1 {}\r\n", head.status);
    for (name, value) in &head.headers {
        let _ = write!(bytes, "{name}: ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&body);
    bytes
}
