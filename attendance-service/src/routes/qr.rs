use axum::{
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use shared_http::{
    ApiError, ValidJson, ValidQuery, describe_body,
    error::{ErrorBody, InvalidBody},
    json::{Fields, Schema, text},
    openapi::{AnyRoute, JsonBody},
};

use crate::qr_code;

/// What a QR code says.
pub(super) struct QrQuery {
    text: String,
}

impl Schema for QrQuery {
    const DESCRIPTION: &'static str = "What a QR code says.";

    fn read(fields: &mut Fields<'_>) -> Self {
        Self { text: fields.get(text("text").min(1).max_bytes(200)) }
    }
}

/// A text as a QR code
#[utoipa::path(
    get,
    path = "/qr",
    tag = "tickets",
    params(("text" = String, Query, min_length = 1, max_length = 200, description = "1 to 200 bytes of UTF-8.", example = "7K2M-9QXT-4RBN")),
    responses(
        (
            status = 200,
            description = "The code, with error correction M and a quiet zone of 4 modules.",
            content_type = "image/svg+xml",
            body = String
        ),
        (
            status = 422,
            description = "The text is missing, empty or too long.",
            body = InvalidBody,
            example = json!({"detail": [{"type": "missing", "loc": ["query", "text"], "msg": "Field required", "input": null}]})
        ),
        AnyRoute
    )
)]
pub(super) async fn qr(ValidQuery(QrQuery { text }): ValidQuery<QrQuery>) -> Result<Response, ApiError> {
    // It is a ticket, so no shared cache may keep it.
    svg(&text, "private, max-age=86400")
}

/// A longer text for a QR code.
pub(super) struct QrBody {
    text: String,
}

impl Schema for QrBody {
    const DESCRIPTION: &'static str = "What a QR code says.";

    fn read(fields: &mut Fields<'_>) -> Self {
        let text = text("text").min(1).max_bytes(1000).about("1 to 1,000 bytes of UTF-8.");
        Self {
            text: fields.get(text.example("https://attendance.example.org/gate#pass=eyJhbGciOiJIUzI1NiJ9")),
        }
    }
}

describe_body!(QrBody);

/// A text as a QR code, which nothing logs
///
/// For longer texts, and for those that are secret, such as the link of a gate pass: a body is in no log and no history.
#[utoipa::path(
    post,
    path = "/qr",
    tag = "tickets",
    request_body = QrBody,
    responses(
        (
            status = 200,
            description = "The code, with error correction M and a quiet zone of 4 modules.",
            content_type = "image/svg+xml",
            body = String
        ),
        (
            status = 400,
            description = "The body is not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "There was an error parsing the body"})
        ),
        JsonBody,
        AnyRoute
    )
)]
pub(super) async fn qr_of_body(ValidJson(QrBody { text }): ValidJson<QrBody>) -> Result<Response, ApiError> {
    svg(&text, "no-store")
}

fn svg(text: &str, caching: &'static str) -> Result<Response, ApiError> {
    let svg = qr_code::svg(text).ok_or_else(|| ApiError::internal("the text fits into no QR code"))?;
    let headers = [(CONTENT_TYPE, "image/svg+xml"), (CACHE_CONTROL, caching)];
    Ok((headers, svg).into_response())
}
