use std::{collections::HashSet, sync::Arc};

use axum::{Json, extract::State, http::header::CACHE_CONTROL, response::IntoResponse};
use serde::Serialize;
use shared_auth::AuthUser;
use shared_http::{
    ApiError, ValidJson, describe_body,
    error::ErrorBody,
    json::{Field as _, Fields, Schema, integer},
    openapi::{AnyRoute, JsonBody},
    text::printable,
};
use utoipa::ToSchema;

use super::{events::NO_EVENT, path::EventPath};
use crate::{
    AppState,
    import::{kind, non_empty},
    record::{EventId, TicketId},
    store::{EventStore, StoreError},
    ticket::{NewTicket, Ticket},
    ticket_code,
};

/// How many tickets are made at once at most.
const MAX_COUNT: i64 = 10_000;

/// Tickets to make.
pub(super) struct GenerateRequest {
    count: i64,
    kind: Option<String>,
}

impl Schema for GenerateRequest {
    const DESCRIPTION: &'static str = "Tickets to make.";

    fn read(fields: &mut Fields<'_>) -> Self {
        let count = integer("count").min(1).max(MAX_COUNT).about("How many, 1 to 10,000.");
        Self {
            count: fields.get(count),
            kind: fields
                .get(kind().about("The class of all of them.").optional())
                .and_then(|kind| non_empty(Some(kind))),
        }
    }
}

describe_body!(GenerateRequest);

/// New tickets.
#[derive(Serialize, ToSchema)]
pub(super) struct Generated {
    /// The tickets.
    tickets: Vec<Ticket>,
}

/// Make tickets whose ids nobody can guess
#[utoipa::path(
    post,
    path = "/events/{event_id}/tickets/generate",
    tag = "tickets",
    params(("event_id" = String, Path, description = "The id of the event.")),
    request_body = GenerateRequest,
    responses(
        (status = 200, description = "The tickets. They are on the list of the event.", body = Generated),
        (
            status = 400,
            description = "The body or the path is not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "There was an error parsing the body"})
        ),
        (
            status = 404,
            description = "There is no such event.",
            body = ErrorBody,
            example = json!({"detail": "Event not found"})
        ),
        JsonBody,
        AnyRoute
    )
)]
pub(super) async fn generate(
    State(state): State<AppState>,
    EventPath(event_id): EventPath,
    AuthUser(claims): AuthUser,
    ValidJson(GenerateRequest { count, kind }): ValidJson<GenerateRequest>,
) -> Result<impl IntoResponse, ApiError> {
    let _turn = Arc::clone(&state.imports).acquire_owned().await.map_err(ApiError::internal)?;
    let ids = new_ids(state.events.as_ref(), &event_id, count as usize).await?;
    let new = |ticket_id: &TicketId| NewTicket {
        ticket_id: ticket_id.clone(),
        name: Some(None),
        kind: Some(kind.clone()),
    };
    state.events.put_tickets(&event_id, ids.iter().map(new).collect()).await?.ok_or(NO_EVENT)?;
    tracing::info!(user = %printable(&claims.sub), event = %event_id.0, count, "tickets were generated");
    let ticket = |ticket_id| Ticket {
        ticket_id,
        name: None,
        kind: kind.clone(),
        revoked: false,
        checked_in_at: None,
        checked_in_by: None,
    };
    let tickets = ids.into_iter().map(ticket).collect();
    Ok(([(CACHE_CONTROL, "no-store")], Json(Generated { tickets })))
}

/// Ids that differ from each other and from all on the list of `event`.
async fn new_ids(store: &dyn EventStore, event: &EventId, count: usize) -> Result<Vec<TicketId>, ApiError> {
    let mut ids = Vec::with_capacity(count);
    let mut drawn = HashSet::new();
    while ids.len() < count {
        let mut more = ticket_code::draw(count - ids.len()).map_err(random_failed)?;
        more.retain(|id| drawn.insert(id.clone()));
        let known = store.ticket_infos(event, &more).await?;
        ids.extend(more.into_iter().zip(known).filter(|(_, known)| known.is_none()).map(|(id, _)| id));
    }
    Ok(ids)
}

fn random_failed(error: getrandom::Error) -> StoreError {
    StoreError::Internal(Arc::new(error))
}
