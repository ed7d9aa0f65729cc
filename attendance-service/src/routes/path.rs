//! The ids in paths, percent-decoded once.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use shared_http::{
    ApiError,
    openapi::{Responses, error},
};
use utoipa::IntoResponses;

use crate::record::{EventId, TicketId};

/// The event of a path `/attendance/{event_id}…`.
pub(super) struct EventPath(pub(super) EventId);

impl<S: Sync> FromRequestParts<S> for EventPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let path = Path::from_request_parts(parts, &()).await;
        path.map(|Path(event)| Self(event))
            .map_err(|_| ApiError::BadRequest("event_id in the path must be percent-encoded UTF-8".into()))
    }
}

/// How a route refuses an event in its path that was never created: 400, 404.
pub(super) struct NoSuchEvent;

impl IntoResponses for NoSuchEvent {
    fn responses() -> Responses {
        let not_utf8 = error(
            "The event in the path is not UTF-8.",
            "event_id in the path must be percent-encoded UTF-8",
        );
        let absent = error("There is no such event.", "Event not found");
        Responses::from([
            ("400".to_owned(), not_utf8.build().into()),
            ("404".to_owned(), absent.build().into()),
        ])
    }
}

/// The event and the ticket of a path `/attendance/{event_id}/tickets/{ticket_id}…`.
pub(super) struct TicketPath(pub(super) EventId, pub(super) TicketId);

impl<S: Sync> FromRequestParts<S> for TicketPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let path = Path::from_request_parts(parts, &()).await;
        path.map(|Path((event, ticket))| Self(event, ticket)).map_err(|_| {
            ApiError::BadRequest("event_id and ticket_id in the path must be percent-encoded UTF-8".into())
        })
    }
}
