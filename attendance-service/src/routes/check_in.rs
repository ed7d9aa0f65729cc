use std::convert::Infallible;

use axum::{
    extract::{FromRequestParts, State},
    http::{HeaderMap, header::CONTENT_TYPE, request::Parts},
    response::{IntoResponse, Response},
};
use serde_json::json;
use shared_auth::{AuthUser, openapi::Unauthorized};
use shared_http::{
    ApiError, ValidJson, describe_body,
    error::{ErrorBody, FieldError, Input, InvalidBody, Location},
    json::{Fields, Schema, text},
    openapi::{AnyRoute, JsonBody},
};
use utoipa::ToSchema;

use crate::{
    AppState,
    record::{EventId, IdempotencyKey, Record, Scan, TicketId},
    store::CheckIn,
};

/// A ticket to check in.
pub(super) struct CheckInRequest {
    event_id: EventId,
    ticket_id: TicketId,
}

impl Schema for CheckInRequest {
    const DESCRIPTION: &'static str = "A ticket to check in.";

    fn read(fields: &mut Fields<'_>) -> Self {
        let id = |name| text(name).min(1).no_nul();
        let event_id = id("event_id").about("The event, at least 1 character.").example("evt1");
        let ticket_id = id("ticket_id").about("The ticket, at least 1 character.").example("TICKET123");
        Self { event_id: EventId(fields.get(event_id)), ticket_id: TicketId(fields.get(ticket_id)) }
    }
}

describe_body!(CheckInRequest);

/// The ticket is in.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
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
#[expect(dead_code, reason = "for the OpenAPI document only")]
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

/// The `Idempotency-Key` header. Extracting it never fails: a malformed key is reported after the body was checked.
// Its own extractor, because a `HeaderMap` argument of the handler would copy all headers.
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
