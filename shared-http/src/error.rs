//! Every error response: its status is chosen here, and its body is `{"detail": …}`.

mod input;

use std::{borrow::Cow, error::Error, sync::Arc};

use axum::{
    Json,
    http::{
        HeaderValue, StatusCode,
        header::{RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

pub use self::input::Input;
use crate::body::shown;

/// `Retry-After` in seconds if the service is overloaded.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// `Retry-After` in seconds if an operator has to make room first.
const RETRY_AFTER_FULL_SECONDS: HeaderValue = HeaderValue::from_static("60");

/// Every error response that a client can get.
#[derive(Debug)]
pub enum ApiError {
    /// 400: refused, with a sentence that says why.
    BadRequest(Cow<'static, str>),
    /// 401 with `WWW-Authenticate: Bearer`.
    Unauthorized(&'static str),
    /// 403: this user may not do that.
    Forbidden(&'static str),
    /// 404: no such path.
    NotFound,
    /// 404: the path has a route, but what it names does not exist.
    Absent(&'static str),
    /// 405: the path has a route, but not for this method. The router adds `Allow`.
    MethodNotAllowed,
    /// 408: the client did not send its whole request in time.
    RequestTimeout,
    /// 409: what is there does not allow it.
    Conflict(&'static str),
    /// 413: the body is over so many bytes.
    BodyTooLarge(usize),
    /// 431: the head is longer than the buffer of a connection.
    HeadTooLarge,
    /// 422: the body breaks the schema, in these places.
    Invalid(Vec<FieldError>),
    /// 422: well-formed, and in conflict with an earlier request.
    Conflicting(&'static str),
    /// 429 with `Retry-After`: too many requests of this client, or for this account.
    TooMany {
        /// A sentence that says what there were too many of.
        detail: String,
        /// How long to wait, in whole seconds.
        seconds: u64,
    },
    /// 500: a defect of the service. The cause is logged with the id of the request, and not sent.
    Internal(Arc<dyn Error + Send + Sync>),
    /// 503 with `Retry-After`: the service is overloaded.
    Busy,
    /// 503 with `Retry-After`: the response was not ready in time.
    Overdue,
    /// 503 with `Retry-After`: the storage is not available.
    StorageUnavailable,
    /// 503 with `Retry-After`: not ready, for this reason.
    NotReady(String),
    /// 503 with a long `Retry-After`: the store is full until an operator makes room.
    Full(Cow<'static, str>),
}

/// The cause of a 500, carried from [`ApiError`] to the middleware, which alone logs it.
#[derive(Clone, Debug)]
pub(crate) struct Cause(pub(crate) Arc<dyn Error + Send + Sync>);

/// The body of every error but 422.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// What went wrong, in a sentence for a person.
    pub detail: Cow<'static, str>,
}

/// The body of a 422.
#[derive(Debug, Serialize, ToSchema)]
pub struct InvalidBody {
    /// One entry a failing field, in the order in which the schema declares them.
    pub detail: Vec<FieldError>,
}

/// One reason why a body was refused.
// In FastAPI's words: docs/api.md.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub struct FieldError {
    /// The kind of failure.
    #[serde(rename = "type")]
    #[schema(example = "missing")]
    pub kind: &'static str,
    /// Where: `body`, then the field, or the offset of the character at which the JSON breaks.
    #[schema(example = json!(["body"]))]
    pub loc: Vec<Location>,
    /// The failure in a sentence.
    #[schema(example = "Field required")]
    pub msg: String,
    /// What was found there; of JSON longer than 8,192 bytes only the first 256 characters, as a string.
    #[schema(value_type = Value)]
    pub input: Input,
    /// The limit that was broken, or what the JSON parser says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, example = json!({"min_length": 1}))]
    pub ctx: Option<serde_json::Value>,
}

/// One step of the way to a failure inside a request.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Location {
    /// A part of the request or a field.
    Name(&'static str),
    /// A character of the body, or an item of a list, from 0 on.
    Index(usize),
}

impl ApiError {
    /// Hides `cause` behind a 500 and keeps it for the log.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Internal(Arc::from(cause.into()))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            Self::BadRequest(detail) => answer(StatusCode::BAD_REQUEST, detail),
            Self::Unauthorized(detail) => with_header(
                answer(StatusCode::UNAUTHORIZED, detail),
                (WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            ),
            Self::Forbidden(detail) => answer(StatusCode::FORBIDDEN, detail),
            Self::NotFound => answer(StatusCode::NOT_FOUND, "Not Found"),
            Self::Absent(detail) => answer(StatusCode::NOT_FOUND, detail),
            Self::MethodNotAllowed => answer(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"),
            Self::RequestTimeout => answer(
                StatusCode::REQUEST_TIMEOUT,
                "The request did not arrive in time. Please send it again.",
            ),
            Self::Conflict(detail) => answer(StatusCode::CONFLICT, detail),
            Self::BodyTooLarge(limit) => answer(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("The request body is too large (at most {}).", shown(limit)),
            ),
            Self::HeadTooLarge => answer(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "The request's path and headers are too large (at most 16 KiB).",
            ),
            Self::Invalid(detail) => {
                (StatusCode::UNPROCESSABLE_ENTITY, Json(InvalidBody { detail })).into_response()
            }
            Self::Conflicting(detail) => answer(StatusCode::UNPROCESSABLE_ENTITY, detail),
            Self::TooMany { detail, seconds } => {
                with_header(answer(StatusCode::TOO_MANY_REQUESTS, detail), (RETRY_AFTER, seconds.into()))
            }
            Self::Internal(cause) => {
                let mut response = answer(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
                response.extensions_mut().insert(Cause(cause));
                response
            }
            Self::Busy => try_again("The service is busy. Please try again."),
            Self::Overdue => try_again("The service could not answer in time. Please try again."),
            Self::StorageUnavailable => try_again("Penyimpanan tidak tersedia, coba lagi"),
            Self::NotReady(reason) => try_again(reason),
            Self::Full(detail) => with_header(
                answer(StatusCode::SERVICE_UNAVAILABLE, detail),
                (RETRY_AFTER, RETRY_AFTER_FULL_SECONDS),
            ),
        }
    }
}

fn answer(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Response {
    let detail = detail.into();
    (status, Json(ErrorBody { detail })).into_response()
}

fn try_again(detail: impl Into<Cow<'static, str>>) -> Response {
    with_header(answer(StatusCode::SERVICE_UNAVAILABLE, detail), (RETRY_AFTER, RETRY_AFTER_SECONDS))
}

fn with_header(mut response: Response, (name, value): (axum::http::HeaderName, HeaderValue)) -> Response {
    response.headers_mut().insert(name, value);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_status_and_the_header_that_belongs_to_it() {
        let too_many = ApiError::TooMany { detail: String::new(), seconds: 36 };
        for (error, status, header) in [
            (ApiError::BadRequest("".into()), 400, None),
            (ApiError::Unauthorized(""), 401, Some((WWW_AUTHENTICATE, "Bearer"))),
            (ApiError::Forbidden(""), 403, None),
            (ApiError::NotFound, 404, None),
            (ApiError::Absent(""), 404, None),
            (ApiError::MethodNotAllowed, 405, None),
            (ApiError::RequestTimeout, 408, None),
            (ApiError::Conflict(""), 409, None),
            (ApiError::BodyTooLarge(1), 413, None),
            (ApiError::HeadTooLarge, 431, None),
            (ApiError::Invalid(Vec::new()), 422, None),
            (ApiError::Conflicting(""), 422, None),
            (too_many, 429, Some((RETRY_AFTER, "36"))),
            (ApiError::internal("a cause"), 500, None),
            (ApiError::Busy, 503, Some((RETRY_AFTER, "1"))),
            (ApiError::Overdue, 503, Some((RETRY_AFTER, "1"))),
            (ApiError::StorageUnavailable, 503, Some((RETRY_AFTER, "1"))),
            (ApiError::NotReady(String::new()), 503, Some((RETRY_AFTER, "1"))),
            (ApiError::Full("".into()), 503, Some((RETRY_AFTER, "60"))),
        ] {
            let name = format!("{error:?}");
            let response = error.into_response();
            assert_eq!(response.status(), status, "{name}");
            for other in [RETRY_AFTER, WWW_AUTHENTICATE] {
                let expected = header.as_ref().filter(|(name, _)| *name == other).map(|(_, value)| *value);
                let value = response.headers().get(&other).map(|value| value.to_str().unwrap());
                assert_eq!(value, expected, "{name} {other}");
            }
        }
    }
}
