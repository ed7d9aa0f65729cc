use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Serialize;
use shared_auth::AuthUser;
use shared_http::{
    ApiError, RawBody,
    error::ErrorBody,
    openapi::{AnyRoute, JsonBody},
    text::printable,
};
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::{events::NO_EVENT, path::EventPath};
use crate::{
    AppState,
    import::{ImportRequest, MAX_BYTES, read},
    record::EventId,
};

/// What an import did.
#[derive(Serialize, ToSchema)]
pub(super) struct Imported {
    /// The event.
    #[schema(value_type = String)]
    event_id: EventId,
    /// Tickets that are new on the list.
    #[schema(example = 480)]
    added: u64,
    /// Tickets whose name or kind is another now.
    #[schema(example = 15)]
    updated: u64,
    /// Tickets that were on the list as they are.
    #[schema(example = 5)]
    unchanged: u64,
    /// All tickets on the list.
    #[schema(example = 500)]
    total: u64,
}

/// Put tickets on the list of an event
///
/// Adds and changes tickets, all or none, and takes none away. A list in CSV begins with a header line that names the
/// column `ticket_id`, and `name` and `kind` where they are wanted, in any order. Between cells stands a comma, a
/// semicolon or a tab. At most 50,000 tickets at once.
#[utoipa::path(
    put,
    path = "/events/{event_id}/tickets",
    tag = "tickets",
    params(("event_id" = String, Path, description = "The id of the event.")),
    request_body(
        content(
            (ImportRequest = "application/json"),
            (String = "text/csv", example = "ticket_id,name,kind\r\nA-001,Siti Rahayu,VIP\r\n")
        )
    ),
    responses(
        (status = 200, description = "What happened.", body = Imported),
        (
            status = 400,
            description = "The body is JSON that is not UTF-8, or the path is not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "There was an error parsing the body"})
        ),
        (
            status = 404,
            description = "There is no such event.",
            body = ErrorBody,
            example = json!({"detail": "Event not found"})
        ),
        JsonBody<ImportRequest>,
        AnyRoute
    )
)]
pub(super) async fn import(
    State(state): State<AppState>,
    EventPath(event_id): EventPath,
    AuthUser(claims): AuthUser,
    RawBody { headers, bytes }: RawBody<MAX_BYTES>,
) -> Result<Json<Imported>, ApiError> {
    // Whoever waits too long is told so by the deadline of the request.
    let turn = Arc::clone(&state.imports).acquire_owned().await.map_err(ApiError::internal)?;
    // The thread keeps the turn if the client goes away meanwhile.
    let reading = spawn_blocking(move || (read(&headers, &bytes), turn));
    let (tickets, _turn) = reading.await.map_err(ApiError::internal)?;
    let counts = state.events.put_tickets(&event_id, tickets?).await?.ok_or(NO_EVENT)?;
    tracing::info!(
        user = %printable(&claims.sub),
        event = %event_id.0,
        added = counts.added,
        updated = counts.updated,
        total = counts.total,
        "tickets were imported"
    );
    let (added, updated) = (counts.added, counts.updated);
    Ok(Json(Imported { event_id, added, updated, unchanged: counts.unchanged, total: counts.total }))
}
