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
    extract::{FromRequest, Request},
    http::{HeaderMap, header::CONTENT_TYPE},
};
use serde_json::{Map, json};

pub(crate) use self::schema::read_query;
use self::{
    cpython::Fault,
    document::Document,
    schema::{missing, not_an_object, read_flat},
};
pub use self::{
    field::{
        BooleanField, Clearable, Field, IntegerField, ListField, Moment, MomentField, Omittable, Optional,
        Or, TextField, boolean, integer, list_of, moment, text,
    },
    schema::{Failure, Fields, Schema, describe},
};
use crate::{
    body,
    error::{ApiError, FieldError, Input, Location},
};

/// The longest body that is read where the [`Schema`] names no other, in bytes.
pub const BODY_LIMIT: usize = 64 * 1024;

/// The body of a request, known to keep to the schema of `T`.
///
/// Refusals: 413 over [`Schema::BODY_LIMIT`], 400 where the body is not UTF-8, 422 with every failing
/// field at once.
pub struct ValidJson<T>(pub T);

impl<S: Send + Sync, T: Schema> FromRequest<S> for ValidJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let is_json = is_json(request.headers());
        let body = body::read(request.into_body(), T::BODY_LIMIT).await?;
        parse(&body, is_json).map(Self)
    }
}

/// The body of a request, whose content type [`is_json`] or not.
///
/// # Errors
///
/// 400 where it is not UTF-8, 422 with every failing field.
pub fn parse<T: Schema>(body: &[u8], is_json: bool) -> Result<T, ApiError> {
    let text = std::str::from_utf8(body).map_err(|_| unreadable())?;
    let flat = if is_json { read_flat(text) } else { None };
    flat.map_or_else(|| parse_like_fastapi(text, is_json), Ok)
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
pub fn is_json(headers: &HeaderMap) -> bool {
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

/// The 400 for a body that is not UTF-8.
pub(crate) fn unreadable() -> ApiError {
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
        Fault::TooDeep | Fault::TooMany => unreadable(),
    })
}
