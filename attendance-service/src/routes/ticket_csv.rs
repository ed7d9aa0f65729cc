//! The list of tickets as CSV.

use std::sync::Arc;

use axum::{
    body::Body,
    http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, VARY},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use shared_http::ApiError;

use super::events::NO_EVENT;
use crate::{
    AppState,
    csv_writer::{BOM, push_row},
    record::EventId,
    store::{EventStore, StoreError},
    ticket::{Ticket, TicketSearch},
};

/// How many tickets are read at once.
const PAGE: usize = 1000;

/// The whole list of an event. It is read page by page, as the client takes it.
pub(super) async fn answer(state: &AppState, event: EventId) -> Result<Response, ApiError> {
    let events = Arc::clone(&state.events);
    // The first page is read before the answer begins, for there may be no such event, or no storage.
    let first = page(events.as_ref(), &event, String::new()).await?.ok_or(NO_EVENT)?;
    let mut beginning = BOM.to_vec();
    push_row(&mut beginning, &["ticket_id", "name", "kind", "revoked", "checked_in_at", "checked_in_by"]);
    let pages = stream::try_unfold(Some((beginning, first)), move |state| {
        let (events, event) = (Arc::clone(&events), event.clone());
        async move {
            let Some((mut csv, tickets)) = state else { return Ok::<_, StoreError>(None) };
            tickets.iter().for_each(|ticket| push_ticket(&mut csv, ticket));
            let next = match tickets.last() {
                Some(last) if tickets.len() == PAGE => {
                    page(events.as_ref(), &event, last.ticket_id.0.clone()).await?
                }
                _ => None,
            };
            Ok(Some((Bytes::from(csv), next.map(|tickets| (Vec::new(), tickets)))))
        }
    });
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8"),
        (CONTENT_DISPOSITION, "attachment; filename=\"tickets.csv\""),
        (CACHE_CONTROL, "no-store"),
        (VARY, "accept"),
    ];
    Ok((headers, Body::from_stream(pages.boxed())).into_response())
}

async fn page(
    events: &dyn EventStore,
    event: &EventId,
    after: String,
) -> Result<Option<Vec<Ticket>>, StoreError> {
    let search = TicketSearch { text: String::new(), after, limit: PAGE };
    Ok(events.tickets(event, &search).await?.map(|page| page.tickets))
}

fn push_ticket(csv: &mut Vec<u8>, ticket: &Ticket) {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let at = ticket.checked_in_at.map(|at| at.to_string()).unwrap_or_default();
    push_row(
        csv,
        &[
            &ticket.ticket_id.0,
            &text(&ticket.name),
            &text(&ticket.kind),
            if ticket.revoked { "true" } else { "false" },
            &at,
            ticket.checked_in_by.as_deref().unwrap_or_default(),
        ],
    );
}
