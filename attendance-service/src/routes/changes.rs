use axum::{Json, extract::State, http::header::CACHE_CONTROL, response::IntoResponse};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;
use shared_http::{
    ApiError, ValidQuery,
    error::{ErrorBody, InvalidBody},
    json::{Field, Fields, Schema, integer},
    openapi::AnyRoute,
};
use utoipa::ToSchema;

use super::path::EventPath;
use crate::{
    AppState,
    digest::Salt,
    history::{Change, Changes, EntryKind},
};

/// Which changes of an event are wanted.
pub(super) struct ChangesQuery {
    after: i64,
    limit: i64,
}

impl Schema for ChangesQuery {
    const DESCRIPTION: &'static str = "Which changes of an event are wanted.";

    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            after: fields.get(integer("after").min(0).or(0)),
            limit: fields.get(integer("limit").min(1).max(1000).or(100)),
        }
    }
}

/// The entries of an event after a known one.
#[derive(Serialize, ToSchema)]
struct ChangesBody {
    /// The number of the last entry of the event; 0 if it has none.
    #[schema(example = 17)]
    version: u64,
    /// The next entries, in order.
    changes: Vec<ChangeBody>,
}

/// An entry of an event.
#[derive(Serialize, ToSchema)]
struct ChangeBody {
    /// Its number.
    #[schema(example = 17)]
    seq: u64,
    /// What happened.
    kind: EntryKind,
    /// Stands for the ticket, as in the list for phones.
    #[schema(example = "vGvR4zYx8cE")]
    digest: String,
}

/// What happened since
///
/// Whoever asks on after the last entry of each answer, until that is `version`, misses none.
#[utoipa::path(
    get,
    path = "/attendance/{event_id}/changes",
    tag = "gate",
    params(
        ("event_id" = String, Path, description = "The event, percent-encoded, `/` included.", example = "evt1"),
        ("after" = Option<u64>, Query, minimum = 0, description = "The number of the last entry that is known; 0 for none."),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "How many entries at most; 100 unless given.")
    ),
    responses(
        (status = 200, description = "The next entries.", body = ChangesBody),
        (
            status = 400,
            description = "The event in the path is not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "event_id in the path must be percent-encoded UTF-8"})
        ),
        (status = 422, description = "`after` or `limit` is not what it may be.", body = InvalidBody),
        AnyRoute
    )
)]
pub(super) async fn changes(
    State(state): State<AppState>,
    EventPath(event_id): EventPath,
    ValidQuery(ChangesQuery { after, limit }): ValidQuery<ChangesQuery>,
) -> Result<impl IntoResponse, ApiError> {
    let (after, limit) = (after.unsigned_abs(), limit as usize);
    let Changes { version, changes } = state.check_ins.changes(&event_id, after, limit).await?;
    let salt = Salt::of(&event_id);
    let body = |Change { seq, kind, ticket_id }: Change| ChangeBody {
        seq,
        kind,
        digest: BASE64_URL_SAFE_NO_PAD.encode(salt.digest(&ticket_id.0)),
    };
    let changes = changes.into_iter().map(body).collect();
    Ok(([(CACHE_CONTROL, "no-store")], Json(ChangesBody { version, changes })))
}
