use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::{FromRequestParts, State},
    http::{HeaderMap, header::CONTENT_TYPE, request::Parts},
    response::{IntoResponse, Response},
};
use serde_json::json;
use shared_auth::AuthUser;
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
pub(super) struct CheckedIn {
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
pub(super) enum Refused {
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
            description = "The ticket was checked in to that event before. Or the event has a list of tickets, and this one is \
                           not on it (`Ticket tidak terdaftar`) or was revoked (`Ticket dibatalkan`). Or the body is \
                           not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "Ticket sudah pernah check-in"})
        ),
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
    let scan = Scan::new(event_id, ticket_id, Arc::clone(&claims.sub));
    scan_ticket(&state, Scan { idempotency_key: idempotency_key?, ..scan }).await
}

/// Checks a ticket in, and says to the client what happened.
pub(super) async fn scan_ticket(state: &AppState, scan: Scan) -> Result<Response, ApiError> {
    let outcome = state.check_ins.check_in(scan).await;
    state.metrics.count(&outcome);
    match outcome? {
        CheckIn::Accepted(record) => Ok(checked_in(&record)),
        CheckIn::Replayed { record, .. } => {
            Ok(([("idempotency-replayed", "true")], checked_in(&record)).into_response())
        }
        CheckIn::Duplicate(_) | CheckIn::Conflict(_) => Err(ApiError::BadRequest(DUPLICATE.into())),
        CheckIn::Unregistered => Err(ApiError::BadRequest(UNREGISTERED.into())),
        CheckIn::Revoked => Err(ApiError::BadRequest(REVOKED.into())),
        CheckIn::KeyReused => Err(ApiError::Conflicting("Idempotency-Key sudah dipakai untuk ticket lain")),
    }
}

/// The `detail` for a ticket that was used.
const DUPLICATE: &str = "Ticket sudah pernah check-in";
/// The `detail` for a ticket that is not on the list of its event.
pub(super) const UNREGISTERED: &str = "Ticket tidak terdaftar";
/// The `detail` for a ticket that is good no more.
const REVOKED: &str = "Ticket dibatalkan";

fn checked_in(record: &[u8]) -> Response {
    let body = [br#"{"status":"checked_in","record":"#, record, b"}"].concat();
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

/// The `Idempotency-Key` header. Extracting it never fails: a malformed key is reported after the body was checked.
// Its own extractor, because a `HeaderMap` argument of the handler would copy all headers.
pub(super) struct IdempotencyKeyHeader(pub(super) Result<Option<IdempotencyKey>, ApiError>);

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

/// What an idempotency key may be: [`IdempotencyKey::new`].
pub(super) const KEY_PATTERN: &str = "^[!-~]{1,128}$";
