use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header::CACHE_CONTROL},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use shared_auth::{AuthUser, access::ADMIN_ONLY};
use shared_http::{
    ApiError, ValidQuery,
    error::{ErrorBody, InvalidBody},
    json::{Field as _, Fields, Schema, integer, text},
    openapi::AnyRoute,
    text::printable,
};
use utoipa::ToSchema;

use super::{
    accept::{FormatQuery, wants_csv},
    check_in::UNREGISTERED,
    events::NO_EVENT,
    path::{EventPath, TicketPath},
    ticket_csv,
};
use crate::{
    AppState,
    record::{EventId, TicketId},
    ticket::{Ticket, TicketSearch},
};

/// What is looked for.
pub(super) struct Words {
    q: String,
}

impl Schema for Words {
    const DESCRIPTION: &'static str = "What is looked for.";

    fn read(fields: &mut Fields<'_>) -> Self {
        Self { q: fields.get(text("q").or(String::new())) }
    }
}

/// Which tickets are asked for.
pub(super) struct Page {
    q: String,
    after: String,
    limit: i64,
}

impl Schema for Page {
    const DESCRIPTION: &'static str = "Which tickets are asked for.";

    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            q: fields.get(text("q").no_nul().or(String::new())),
            after: fields.get(text("after").no_nul().or(String::new())),
            limit: fields.get(integer("limit").min(1).max(1000).or(100)),
        }
    }
}

/// Tickets of an event.
#[derive(Serialize, ToSchema)]
pub(super) struct Tickets {
    /// The event.
    #[schema(value_type = String)]
    event_id: EventId,
    /// How many are found in all, on this page and on others.
    #[schema(example = 1)]
    total: u64,
    /// Those of this page, in order of id.
    tickets: Vec<Ticket>,
}

/// The list of tickets of an event, or what is found on it
///
/// Whoever is no admin asks with `q`. With `Accept: text/csv` or `format=csv` an admin gets the whole list as CSV.
#[utoipa::path(
    get,
    path = "/events/{event_id}/tickets",
    tag = "tickets",
    params(
        ("event_id" = String, Path, description = "The id of the event."),
        ("q" = Option<String>, Query, description = "What the id or the name contains, in any case."),
        ("after" = Option<String>, Query, description = "Only tickets whose id comes after this one."),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 1000, description = "How many at most; 100 unless given."),
        ("format" = Option<String>, Query, description = "`csv` for the whole list as CSV.")
    ),
    responses(
        (
            status = 200,
            description = "The tickets.",
            content((Tickets = "application/json"), (String = "text/csv"))
        ),
        (
            status = 400,
            description = "The event in the path is not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "event_id in the path must be percent-encoded UTF-8"})
        ),
        (
            status = 403,
            description = "Without `q`, and as CSV, not an admin: `Admin only`.",
            body = ErrorBody,
            example = json!({"detail": "Admin only"})
        ),
        (
            status = 404,
            description = "There is no such event.",
            body = ErrorBody,
            example = json!({"detail": "Event not found"})
        ),
        (
            status = 422,
            description = "A parameter is wrong.",
            body = InvalidBody,
            example = json!({"detail": [{
                "type": "less_than_equal", "loc": ["query", "limit"],
                "msg": "Input should be less than or equal to 1000", "input": "5000", "ctx": {"le": 1000}
            }]})
        ),
        AnyRoute
    )
)]
pub(super) async fn list(
    State(state): State<AppState>,
    EventPath(event_id): EventPath,
    AuthUser(claims): AuthUser,
    ValidQuery(words): ValidQuery<Words>,
    ValidQuery(format): ValidQuery<FormatQuery>,
    page: Result<ValidQuery<Page>, ApiError>,
    request: HeaderMap,
) -> Result<Response, ApiError> {
    let is_csv = wants_csv(&request, &format);
    if !claims.is_admin() && (is_csv || words.q.is_empty()) {
        return Err(ApiError::Forbidden(ADMIN_ONLY));
    }
    let ValidQuery(Page { q, after, limit }) = page?;
    if is_csv {
        return ticket_csv::answer(&state, event_id).await;
    }
    let search = TicketSearch { text: q.to_lowercase(), after, limit: limit as usize };
    let page = state.events.tickets(&event_id, &search).await?.ok_or(NO_EVENT)?;
    let tickets = Json(Tickets { event_id, total: page.total, tickets: page.tickets });
    Ok(([(CACHE_CONTROL, "no-store")], tickets).into_response())
}

/// A ticket is good no more.
#[derive(Serialize, ToSchema)]
pub(super) struct Revoked {
    /// Always `revoked`.
    #[schema(example = "revoked")]
    status: &'static str,
    /// The id of the ticket.
    #[schema(value_type = String)]
    ticket_id: TicketId,
}

/// Revoke a ticket: it is good no more
///
/// It stays on the list. What was checked in with it before stays too.
#[utoipa::path(
    delete,
    path = "/events/{event_id}/tickets/{ticket_id}",
    tag = "tickets",
    params(
        ("event_id" = String, Path, description = "The id of the event."),
        ("ticket_id" = String, Path, description = "The ticket, percent-encoded, `/` included.", example = "A-001")
    ),
    responses(
        (status = 200, description = "The ticket is revoked.", body = Revoked),
        (
            status = 400,
            description = "The path is not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "event_id and ticket_id in the path must be percent-encoded UTF-8"})
        ),
        (
            status = 404,
            description = "The ticket is not on the list, or there is no such event (`Event not found`).",
            body = ErrorBody,
            example = json!({"detail": "Ticket tidak terdaftar"})
        ),
        AnyRoute
    )
)]
pub(super) async fn revoke(
    State(state): State<AppState>,
    TicketPath(event_id, ticket_id): TicketPath,
    AuthUser(claims): AuthUser,
) -> Result<Json<Revoked>, ApiError> {
    if !state.events.revoke_ticket(&event_id, &ticket_id).await?.ok_or(NO_EVENT)? {
        return Err(ApiError::Absent(UNREGISTERED));
    }
    tracing::info!(
        user = %printable(&claims.sub),
        event = %event_id.0,
        ticket = %printable(&ticket_id.0),
        "a ticket was revoked"
    );
    Ok(Json(Revoked { status: "revoked", ticket_id }))
}
