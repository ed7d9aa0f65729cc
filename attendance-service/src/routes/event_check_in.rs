use std::sync::Arc;

use axum::{extract::State, response::Response};
use shared_auth::AuthUser;
use shared_http::{
    ApiError, ValidJson, describe_body,
    error::ErrorBody,
    json::{Fields, Schema, text},
    openapi::{AnyRoute, JsonBody},
};

use super::{
    check_in::{CheckedIn, IdempotencyKeyHeader, Refused, scan_ticket},
    events::NO_EVENT,
    path::EventPath,
};
use crate::{
    AppState,
    record::{Scan, TicketId},
};

/// A ticket to check in to the event in the path.
pub(super) struct EventCheckIn {
    ticket_id: TicketId,
}

impl Schema for EventCheckIn {
    const DESCRIPTION: &'static str = "A ticket to check in to the event in the path.";

    fn read(fields: &mut Fields<'_>) -> Self {
        let ticket_id = text("ticket_id").min(1).no_nul();
        let ticket_id = ticket_id.about("The ticket, at least 1 character.").example("TICKET123");
        Self { ticket_id: TicketId(fields.get(ticket_id)) }
    }
}

describe_body!(EventCheckIn);

/// Check a ticket in to an event, exactly once
///
/// As `POST /checkins`, where there is such an event.
#[utoipa::path(
    post,
    path = "/events/{event_id}/checkins",
    tag = "events",
    params(
        ("event_id" = String, Path, description = "The id of the event."),
        (
            "Idempotency-Key" = Option<String>,
            Header,
            pattern = "^[!-~]{1,128}$",
            description = "1 to 128 visible ASCII characters that name this attempt. Asked again with the same key, \
                           the service gives the same answer instead of refusing the ticket."
        )
    ),
    request_body = EventCheckIn,
    responses(
        (
            status = 200,
            description = "The ticket is in.",
            body = CheckedIn,
            headers(("Idempotency-Replayed" = Option<String>, description = "`true`: it was in before, by this attempt."))
        ),
        (
            status = 400,
            description = "The ticket was checked in to that event before, is not on its list \
                           (`Ticket tidak terdaftar`) or was revoked (`Ticket dibatalkan`). Or the body or the path is \
                           not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "Ticket sudah pernah check-in"})
        ),
        (
            status = 404,
            description = "There is no such event.",
            body = ErrorBody,
            example = json!({"detail": "Event not found"})
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
    EventPath(event_id): EventPath,
    AuthUser(claims): AuthUser,
    IdempotencyKeyHeader(idempotency_key): IdempotencyKeyHeader,
    ValidJson(EventCheckIn { ticket_id }): ValidJson<EventCheckIn>,
) -> Result<Response, ApiError> {
    let idempotency_key = idempotency_key?;
    state.events.event(&event_id).await?.ok_or(NO_EVENT)?;
    let scan = Scan::new(event_id, ticket_id, Arc::clone(&claims.sub));
    scan_ticket(&state, Scan { idempotency_key, ..scan }).await
}
