//! Request bodies: read, parsed and checked, or refused in FastAPI's words: docs/api.md.

mod cpython;
mod document;
mod field;
mod flat;
mod schema;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{HeaderMap, header::CONTENT_TYPE},
};
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::BodyExt;
use serde_json::{Map, json};

use self::{
    cpython::Fault,
    document::Document,
    schema::{Failure, missing, not_an_object, read_flat},
};
pub use self::{
    field::{
        Field, IntegerField, ListField, Moment, MomentField, Optional, Or, TextField, integer, list_of,
        moment, text,
    },
    schema::{Fields, Schema, describe},
};
use crate::{
    error::{ApiError, FieldError, Input, Location},
    server::OverBudget,
};

/// The longest body that is read, in bytes.
pub const BODY_LIMIT: usize = 64 * 1024;

/// The body of a request, known to keep to the schema of `T`.
///
/// Refusals: 413 over [`BODY_LIMIT`], 400 where the body is not UTF-8, 422 with every failing
/// field at once.
pub struct ValidJson<T>(pub T);

impl<S: Send + Sync, T: Schema> FromRequest<S> for ValidJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let is_json = is_json(request.headers());
        let body = read(request.into_body()).await?;
        let text = std::str::from_utf8(&body).map_err(|_| unreadable())?;
        let flat = if is_json { read_flat(text) } else { None };
        flat.map_or_else(|| parse_like_fastapi(text, is_json), Ok).map(Self)
    }
}

/// Parses every body that [`read_flat`] does not read: as CPython parses JSON, with the error messages of FastAPI.
fn parse_like_fastapi<T: Schema>(text: &str, is_json: bool) -> Result<T, ApiError> {
    let body_error = |failure: Failure, input| Err(ApiError::Invalid(vec![failure.at_body(input)]));
    if text.is_empty() {
        return body_error(missing(), Input::new(&()));
    }
    if !is_json {
        return body_error(not_an_object(), Input::new(text));
    }
    let document = parse_document(text)?;
    let body = document.root();
    if body.is_null() {
        body_error(missing(), Input::new(&()))
    } else {
        schema::read(body).map_err(ApiError::Invalid)
    }
}

/// FastAPI's rule: `application/json` or `application/…+json`, and no content type counts as JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return true };
    let Ok(value) = value.to_str() else { return false };
    if value == "application/json" || value.is_empty() {
        return true;
    }
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.strip_prefix("application/") {
        Some(subtype) => !subtype.contains('/') && (subtype == "json" || subtype.ends_with("+json")),
        None => false,
    }
}

async fn read(mut body: Body) -> Result<Bytes, ApiError> {
    // A `Content-Length` over the limit is refused at once. A client that waits for `100 Continue` then sends no body.
    if body.size_hint().lower() > BODY_LIMIT as u64 {
        return Err(ApiError::BodyTooLarge);
    }
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(interrupted)?.into_data() else { continue };
        if read.len() + data.len() > BODY_LIMIT {
            return Err(ApiError::BodyTooLarge);
        }
        if read.is_empty() && body.is_end_stream() {
            return Ok(data);
        }
        // Copied, because a slice would keep the whole buffer of the server, 8 KiB, in memory.
        read.extend_from_slice(&data);
    }
    Ok(read.into())
}

fn interrupted(error: axum::Error) -> ApiError {
    if error.into_inner().is::<OverBudget>() { ApiError::Busy } else { unreadable() }
}

fn unreadable() -> ApiError {
    ApiError::BadRequest(Cow::Borrowed("There was an error parsing the body"))
}

fn parse_document(text: &str) -> Result<Document<'_>, ApiError> {
    Document::parse(text.strip_prefix('\u{feff}').unwrap_or(text)).map_err(|fault| match fault {
        Fault::Syntax { offset, message } => ApiError::Invalid(vec![FieldError {
            kind: "json_invalid",
            loc: vec![Location::Name("body"), Location::Index(offset)],
            msg: "JSON decode error".to_owned(),
            input: Input::new(&Map::new()),
            ctx: Some(json!({ "error": message })),
        }]),
        Fault::TooDeep => unreadable(),
    })
}
