use axum::{extract::State, http::HeaderMap, response::Response};
use serde::Serialize;
use sha2::{Digest, Sha256};
use shared_http::{ApiError, ValidQuery, openapi::AnyRoute};
use utoipa::ToSchema;

use super::{
    accept::FormatQuery,
    attendance::{Around, AttendanceBody, list, list_or_csv},
    events::NO_EVENT,
    path::{EventPath, NoSuchEvent},
};
use crate::{AppState, event::Event};

/// Who came to an event
///
/// As `GET /attendance/{event_id}`, where there is such an event.
#[utoipa::path(
    get,
    path = "/events/{event_id}/attendance",
    tag = "events",
    params(
        ("event_id" = String, Path, description = "The id of the event."),
        ("format" = Option<String>, Query, description = "`csv` for CSV, whatever `Accept` says.", example = "json"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the list that the client has.")
    ),
    responses(
        (
            status = 200,
            description = "The list.",
            content((AttendanceBody = "application/json"), (String = "text/csv")),
            headers(("ETag" = Option<String>, description = "Changes whenever the list does. Not with CSV."))
        ),
        (status = 304, description = "The list is still the one that the client has."),
        NoSuchEvent,
        AnyRoute
    )
)]
pub(super) async fn attendance(
    State(state): State<AppState>,
    EventPath(event_id): EventPath,
    ValidQuery(query): ValidQuery<FormatQuery>,
    request: HeaderMap,
) -> Result<Response, ApiError> {
    state.events.event(&event_id).await?.ok_or(NO_EVENT)?;
    list_or_csv(&state, event_id, &request, &query).await
}

/// An event and who came.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
struct Summary {
    /// The event.
    event: Event,
    /// Who came.
    attendance: AttendanceBody,
}

/// An event and who came
#[utoipa::path(
    get,
    path = "/events/{event_id}/summary",
    tag = "events",
    params(
        ("event_id" = String, Path, description = "The id of the event."),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the summary that the client has.")
    ),
    responses(
        (
            status = 200,
            description = "The summary.",
            body = Summary,
            headers(("ETag" = String, description = "Changes whenever the summary does."))
        ),
        (status = 304, description = "The summary is still the one that the client has."),
        NoSuchEvent,
        AnyRoute
    )
)]
pub(super) async fn summary(
    State(state): State<AppState>,
    EventPath(event_id): EventPath,
    request: HeaderMap,
) -> Result<Response, ApiError> {
    let event = state.events.event(&event_id).await?.ok_or(NO_EVENT)?;
    let around = around(&event).map_err(ApiError::internal)?;
    list(&state, &event_id, &request, around).await
}

/// What stands around the list in the summary of `event`.
fn around(event: &Event) -> serde_json::Result<Around> {
    #[derive(Serialize)]
    struct Beginning<'a> {
        event: &'a Event,
        attendance: (),
    }
    let mut beginning = serde_json::to_vec(&Beginning { event, attendance: () })?;
    // The event can change while nobody checks in.
    let digest = Sha256::digest(&beginning);
    let version = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
    beginning.truncate(beginning.len() - "null}".len());
    Ok(Around { beginning, end: b"]}}", version: format!("-{version}") })
}
