use axum::{Json, extract::State, http::header::CACHE_CONTROL, response::IntoResponse};
use serde::Serialize;
use shared_http::{ApiError, error::ErrorBody, openapi::AnyRoute};
use utoipa::ToSchema;

use super::path::TicketPath;
use crate::{AppState, history::HistoryEntry};

/// What happened to a ticket.
#[derive(Serialize, ToSchema)]
struct History {
    /// Everything that did, in order.
    entries: Vec<HistoryEntry>,
}

/// What happened to a ticket, when, where and by whom
#[utoipa::path(
    get,
    path = "/attendance/{event_id}/tickets/{ticket_id}/history",
    tag = "gate",
    params(
        ("event_id" = String, Path, description = "The event, percent-encoded, `/` included.", example = "evt1"),
        ("ticket_id" = String, Path, description = "The ticket, percent-encoded, `/` included.", example = "TICKET123")
    ),
    responses(
        (status = 200, description = "The history; no entries if nothing happened.", body = History),
        (
            status = 400,
            description = "The path is not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "event_id and ticket_id in the path must be percent-encoded UTF-8"})
        ),
        AnyRoute
    )
)]
pub(super) async fn history(
    State(state): State<AppState>,
    TicketPath(event_id, ticket_id): TicketPath,
) -> Result<impl IntoResponse, ApiError> {
    let entries = state.check_ins.history(&event_id, &ticket_id).await?;
    Ok(([(CACHE_CONTROL, "no-store")], Json(History { entries })))
}
