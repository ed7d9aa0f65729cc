use axum::{
    extract::State,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use shared_http::{ApiError, error::ErrorBody, openapi::AnyRoute};

use super::path::TicketPath;
use crate::{AppState, record::Record};

/// When a ticket was checked in, and by whom
#[utoipa::path(
    get,
    path = "/attendance/{event_id}/tickets/{ticket_id}",
    tag = "gate",
    params(
        ("event_id" = String, Path, description = "The event, percent-encoded, `/` included.", example = "evt1"),
        ("ticket_id" = String, Path, description = "The ticket, percent-encoded, `/` included.", example = "TICKET123")
    ),
    responses(
        (status = 200, description = "The record.", body = Record),
        (
            status = 400,
            description = "The path is not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "event_id and ticket_id in the path must be percent-encoded UTF-8"})
        ),
        (
            status = 404,
            description = "The ticket was not checked in to that event.",
            body = ErrorBody,
            example = json!({"detail": "Ticket belum check-in"})
        ),
        AnyRoute
    )
)]
pub(super) async fn ticket(
    State(state): State<AppState>,
    TicketPath(event_id, ticket_id): TicketPath,
) -> Result<Response, ApiError> {
    match state.check_ins.record(&event_id, &ticket_id).await? {
        Some(record) => {
            let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
            Ok((headers, record).into_response())
        }
        None => Err(ApiError::Absent("Ticket belum check-in")),
    }
}
