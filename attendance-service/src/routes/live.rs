use axum::{
    body::Body,
    extract::State,
    http::{
        HeaderName,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use shared_http::{ApiError, error::ErrorBody, openapi::AnyRoute, server::Endless};

use super::path::EventPath;
use crate::{AppState, live::LiveState};

/// Tells nginx, and whoever understands it, to pass each event on at once.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What an event looks like, as it changes
///
/// Server-sent events: `event: state` with the state as `data`, at once, and then whenever it has changed, but at most
/// once a second. The stream ends after 10 minutes, and the client comes again. An event has at most 64 subscribers.
#[utoipa::path(
    get,
    path = "/attendance/{event_id}/live",
    tag = "gate",
    params(("event_id" = String, Path, description = "The event, percent-encoded, `/` included.", example = "evt1")),
    responses(
        (
            status = 200,
            description = "The stream.",
            body = LiveState,
            content_type = "text/event-stream",
            headers(
                ("X-Accel-Buffering" = String, description = "Always `no`."),
                ("Cache-Control" = String, description = "Always `no-store`.")
            )
        ),
        (
            status = 400,
            description = "The event in the path is not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "event_id in the path must be percent-encoded UTF-8"})
        ),
        AnyRoute
    )
)]
pub(super) async fn live(
    State(state): State<AppState>,
    EventPath(event_id): EventPath,
) -> Result<Response, ApiError> {
    let mut subscription = state.live.subscribe(&event_id).ok_or(ApiError::Busy)?;
    // Without a state to begin with, the client is told why at once.
    let first = subscription.first().await?;
    let headers =
        [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store"), (X_ACCEL_BUFFERING, "no")];
    let mut response = (headers, Body::from_stream(subscription.events(first))).into_response();
    response.extensions_mut().insert(Endless);
    Ok(response)
}
