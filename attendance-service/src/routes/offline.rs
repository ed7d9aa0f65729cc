use axum::{
    extract::State,
    http::{
        HeaderMap, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, ETAG},
    },
    response::{IntoResponse, Response},
};
use shared_http::{ApiError, openapi::AnyRoute};
use utoipa::ToSchema;

use super::{
    attendance::is_unchanged,
    events::NO_EVENT,
    path::{EventPath, NoSuchEvent},
};
use crate::AppState;

/// What a phone needs to decide about tickets without a network.
///
/// A digest is the first 8 bytes of SHA-256 over the 16 bytes of the salt and the UTF-8 of the id. Lists of digests are
/// sorted, one behind the other, in base64url without padding.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
struct OfflineBody {
    /// The event.
    event_id: String,
    /// The number of the last entry of the event.
    version: u64,
    /// The salt of the event, the same for good, in base64url.
    #[schema(example = "jD0ZrW1GxZ0vQ2l1Z0b8Yg")]
    salt: String,
    /// Digests of all tickets on the list; `null` if the event has none.
    tickets: Option<String>,
    /// Digests of the revoked ones.
    revoked: String,
    /// Digests of the tickets that are checked in.
    used: String,
}

/// What a phone needs to decide about tickets without a network
///
/// It tells neither names nor ids, so a lost phone gives none away.
#[utoipa::path(
    get,
    path = "/events/{event_id}/offline",
    tag = "tickets",
    params(
        ("event_id" = String, Path, description = "The id of the event."),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of what the client has.")
    ),
    responses(
        (
            status = 200,
            description = "The digests.",
            body = OfflineBody,
            headers(("ETag" = String, description = "Changes whenever the digests do."))
        ),
        (status = 304, description = "Nothing has changed since the client asked."),
        NoSuchEvent,
        AnyRoute
    )
)]
pub(super) async fn offline(
    State(state): State<AppState>,
    EventPath(event_id): EventPath,
    request: HeaderMap,
) -> Result<Response, ApiError> {
    let tag = state.events.offline_tag(&event_id).await?.ok_or(NO_EVENT)?;
    let caching = (CACHE_CONTROL, "private, no-cache");
    let etag = |tag: &str| format!("W/\"{tag}\"");
    if is_unchanged(&request, &etag(&tag)) {
        return Ok((StatusCode::NOT_MODIFIED, [caching], [(ETAG, etag(&tag))]).into_response());
    }
    let list = state.offline_lists.get(state.events.as_ref(), &event_id, tag).await?.ok_or(NO_EVENT)?;
    let headers = [caching, (CONTENT_TYPE, "application/json")];
    Ok((headers, [(ETAG, etag(&list.tag))], list.json).into_response())
}
