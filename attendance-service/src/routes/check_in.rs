use std::convert::Infallible;

use axum::{
    extract::{FromRequestParts, State},
    http::{HeaderMap, header::CONTENT_TYPE, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use shared_auth::{AuthUser, openapi::Unauthorized};
use shared_http::{
    ApiError, ValidJson,
    error::{ErrorBody, FieldError, Input, InvalidBody, Location},
    json::{Field, Schema, no_nul},
    openapi::{AnyRoute, JsonBody},
};
use utoipa::ToSchema;
use validator::Validate;

use crate::{
    AppState,
    record::{EventId, IdempotencyKey, Record, Scan, TicketId},
    store::CheckIn,
};

/// A ticket to check in.
#[derive(Deserialize, ToSchema, Validate)]
pub(super) struct CheckInRequest {
    /// The event, at least 1 character.
    #[validate(length(min = 1), custom(function = "no_nul"))]
    #[schema(value_type = String, min_length = 1, pattern = "^[^\\u0000]*$", example = "evt1")]
    event_id: EventId,
    /// The ticket, at least 1 character.
    #[validate(length(min = 1), custom(function = "no_nul"))]
    #[schema(value_type = String, min_length = 1, pattern = "^[^\\u0000]*$", example = "TICKET123")]
    ticket_id: TicketId,
}

impl Schema for CheckInRequest {
    const FIELDS: &'static [Field] = &[Field::required("event_id"), Field::required("ticket_id")];
}

/// The ticket is in.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what is written; nobody builds it as a whole")]
struct CheckedIn {
    /// Always `checked_in`.
    #[schema(example = "checked_in")]
    status: String,
    /// What was recorded.
    record: Record,
}

/// What cannot be checked in.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes what `ApiError` answers; nobody builds it")]
enum Refused {
    /// The body or the key breaks the schema.
    Invalid(InvalidBody),
    /// The key was used for another ticket.
    Conflicting(ErrorBody),
}

/// Check a ticket in, exactly once
#[utoipa::path(
    post,
    path = "/checkins",
    tag = "gate",
    security(("bearer" = [])),
    params((
        "Idempotency-Key" = Option<String>,
        Header,
        pattern = "^[!-~]{1,128}$",
        description = "1 to 128 visible ASCII characters that name this attempt. Asked again with the same key, the \
                       service gives the same answer instead of refusing the ticket."
    )),
    request_body = CheckInRequest,
    responses(
        (
            status = 200,
            description = "The ticket is in.",
            body = CheckedIn,
            headers(("Idempotency-Replayed" = Option<String>, description = "`true`: it was in before, by this attempt."))
        ),
        (
            status = 400,
            description = "The ticket was checked in to that event before, or the body is not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "Ticket sudah pernah check-in"})
        ),
        Unauthorized,
        JsonBody,
        AnyRoute,
        (
            status = 422,
            description = "The body is no JSON, or breaks the schema: every failing field at once. Or the \
                           `Idempotency-Key` is not well-formed, or was used for another ticket.",
            body = Refused,
            example = json!({"detail": "Idempotency-Key sudah dipakai untuk ticket lain"})
        )
    )
)]
pub(super) async fn check_in(
    State(state): State<AppState>,
    AuthUser(claims): AuthUser,
    IdempotencyKeyHeader(idempotency_key): IdempotencyKeyHeader,
    ValidJson(request): ValidJson<CheckInRequest>,
) -> Result<Response, ApiError> {
    let CheckInRequest { event_id, ticket_id } = request;
    let idempotency_key = idempotency_key?;
    let scan = Scan { event_id, ticket_id, checked_in_by: claims.sub.clone(), idempotency_key };
    let outcome = state.check_ins.check_in(scan).await;
    state.metrics.count(&outcome);
    match outcome? {
        CheckIn::Accepted(record) => Ok(checked_in(&record)),
        CheckIn::Replayed(record) => {
            Ok(([("idempotency-replayed", "true")], checked_in(&record)).into_response())
        }
        CheckIn::Duplicate => Err(ApiError::BadRequest("Ticket sudah pernah check-in".into())),
        CheckIn::KeyReused => Err(ApiError::Conflicting("Idempotency-Key sudah dipakai untuk ticket lain")),
    }
}

fn checked_in(record: &[u8]) -> Response {
    let body = [br#"{"status":"checked_in","record":"#, record, b"}"].concat();
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

/// The `Idempotency-Key` header. A malformed key is reported only after the body was read.
// An extractor of its own, because a `HeaderMap` in the handler would be a copy of all headers.
pub(super) struct IdempotencyKeyHeader(Result<Option<IdempotencyKey>, ApiError>);

impl<S: Sync> FromRequestParts<S> for IdempotencyKeyHeader {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(idempotency_key(&parts.headers)))
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, ApiError> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = IdempotencyKey::new(value.as_bytes()).filter(|_| values.next().is_none());
    key.map(Some).ok_or_else(|| {
        ApiError::Invalid(vec![FieldError {
            kind: "string_pattern_mismatch",
            loc: vec![Location::Name("header"), Location::Name("idempotency-key")],
            msg: format!("String should match pattern '{KEY_PATTERN}'"),
            input: Input::new(&String::from_utf8_lossy(value.as_bytes())),
            ctx: Some(json!({ "pattern": KEY_PATTERN })),
        }])
    })
}

const KEY_PATTERN: &str = "^[!-~]{1,128}$";
