use axum::{
    Json,
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use shared_auth::AuthUser;
use shared_http::{
    ApiError, ValidJson, describe_body,
    error::ErrorBody,
    json::{Field, Fields, Moment, Schema, moment, text},
    openapi::{AnyRoute, JsonBody},
};
use tracing::field;
use utoipa::ToSchema;

use super::path::{EventPath, TicketPath};
use crate::{
    AppState,
    history::{BulkUndo, CheckInFilter, Undo},
    record::{Record, Timestamp},
    store::UndoOutcome,
};

/// The check-in is undone.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
struct Undone {
    /// Always `undone`.
    #[schema(example = "undone")]
    status: String,
    /// The record that stood until now.
    record: Record,
}

/// Undo a check-in
///
/// The ticket can be checked in again then. Who checked it in may undo that for 120 seconds, and an admin for ever.
#[utoipa::path(
    delete,
    path = "/attendance/{event_id}/tickets/{ticket_id}",
    tag = "gate",
    params(
        ("event_id" = String, Path, description = "The event, percent-encoded, `/` included.", example = "evt1"),
        ("ticket_id" = String, Path, description = "The ticket, percent-encoded, `/` included.", example = "TICKET123")
    ),
    responses(
        (status = 200, description = "The check-in is undone.", body = Undone),
        (
            status = 400,
            description = "The path is not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "event_id and ticket_id in the path must be percent-encoded UTF-8"})
        ),
        (
            status = 403,
            description = "Somebody else checked the ticket in, or more than 120 seconds ago.",
            body = ErrorBody,
            example = json!({"detail": "Check-in ini hanya dapat dibatalkan oleh admin"})
        ),
        (
            status = 404,
            description = "The ticket is not checked in to that event.",
            body = ErrorBody,
            example = json!({"detail": "Ticket belum check-in"})
        ),
        AnyRoute
    )
)]
pub(super) async fn undo(
    State(state): State<AppState>,
    AuthUser(claims): AuthUser,
    TicketPath(event_id, ticket_id): TicketPath,
) -> Result<Response, ApiError> {
    let (by, is_admin) = (claims.sub.clone(), claims.is_admin());
    let undo = Undo { event_id: event_id.clone(), ticket_id: ticket_id.clone(), by, is_admin };
    match state.check_ins.undo(undo).await? {
        UndoOutcome::Undone(record) => {
            state.metrics.count_undone(1);
            tracing::info!(
                user = logged(&claims.sub),
                event = logged(&event_id.0),
                ticket = logged(&ticket_id.0),
                "check-in undone"
            );
            let body = [br#"{"status":"undone","record":"#, &record[..], b"}"].concat();
            Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
        }
        UndoOutcome::NotCheckedIn => Err(ApiError::Absent("Ticket belum check-in")),
        UndoOutcome::NotAllowed => Err(ApiError::Forbidden("Check-in ini hanya dapat dibatalkan oleh admin")),
    }
}

/// The beginning of a name or an id. The log quotes and escapes it.
fn logged(text: &str) -> &str {
    text.char_indices().nth(64).map_or(text, |(end, _)| &text[..end])
}

/// Which check-ins to undo.
pub(super) struct UndoRequest {
    by: Option<String>,
    after: Option<Moment>,
    before: Option<Moment>,
}

impl Schema for UndoRequest {
    const DESCRIPTION: &'static str =
        "Which check-ins to undo: those that fulfil every condition. At least one is needed.";

    fn read(fields: &mut Fields<'_>) -> Self {
        let by = text("by").no_nul().about("Checked in by this user.").example("panitia1");
        let after = moment("after").about("At this moment or later; UTC unless it has an offset.");
        let before = moment("before").about("Before this moment; UTC unless it has an offset.");
        let request = Self {
            by: fields.get(by.optional()),
            after: fields.get(after.optional()),
            before: fields.get(before.optional()),
        };
        let Self { by, after, before } = &request;
        fields.require(
            by.is_some() || after.is_some() || before.is_some(),
            "at least one of by, after and before is needed",
        );
        request
    }
}

describe_body!(UndoRequest);

impl UndoRequest {
    fn filter(self) -> Result<CheckInFilter, ApiError> {
        // A moment that was left out for being out of range would undo more than was asked for.
        let timestamp = |moment: Option<Moment>| {
            let timestamp = |moment: Moment| {
                Timestamp::from_micros(moment.micros()).ok_or_else(|| ApiError::internal("no such moment"))
            };
            moment.map(timestamp).transpose()
        };
        Ok(CheckInFilter { by: self.by, after: timestamp(self.after)?, before: timestamp(self.before)? })
    }
}

/// How many check-ins were undone.
#[derive(Serialize, ToSchema)]
pub(super) struct UndoneCount {
    /// How many.
    #[schema(example = 17)]
    undone: u64,
}

/// Undo all check-ins of a user, or of a time
///
/// Such as those of a volunteer who scanned at the wrong event. All are undone, or none.
#[utoipa::path(
    post,
    path = "/attendance/{event_id}/undo",
    tag = "gate",
    params(("event_id" = String, Path, description = "The event, percent-encoded, `/` included.", example = "evt1")),
    request_body = UndoRequest,
    responses(
        (status = 200, description = "They are undone.", body = UndoneCount),
        (
            status = 400,
            description = "The event in the path, or the body, is not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "event_id in the path must be percent-encoded UTF-8"})
        ),
        JsonBody,
        AnyRoute
    )
)]
pub(super) async fn undo_all(
    State(state): State<AppState>,
    AuthUser(claims): AuthUser,
    EventPath(event_id): EventPath,
    ValidJson(request): ValidJson<UndoRequest>,
) -> Result<Json<UndoneCount>, ApiError> {
    let filter = request.filter()?;
    let undo = BulkUndo { event_id: event_id.clone(), by: claims.sub.clone(), filter: filter.clone() };
    let undone = state.check_ins.undo_all(undo).await?;
    state.metrics.count_undone(undone);
    tracing::info!(
        user = logged(&claims.sub),
        event = logged(&event_id.0),
        count = undone,
        by = filter.by.as_deref().map(logged),
        after = filter.after.map(field::display),
        before = filter.before.map(field::display),
        "check-ins undone"
    );
    Ok(Json(UndoneCount { undone }))
}
