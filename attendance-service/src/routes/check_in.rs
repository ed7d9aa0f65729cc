use axum::{
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use shared_auth::{AuthUser, openapi::Unauthorized};
use shared_http::{
    ApiError, ValidJson,
    error::ErrorBody,
    json::{Field, Schema, no_nul},
    openapi::{AnyRoute, JsonBody},
};
use utoipa::ToSchema;
use validator::Validate;

use crate::{
    AppState,
    record::{EventId, Record, Scan, TicketId},
    store::CheckIn,
};

/// A ticket to check in.
#[derive(Deserialize, ToSchema, Validate)]
pub(super) struct CheckInRequest {
    /// The event, at least 1 character.
    #[validate(length(min = 1), custom(function = "no_nul"))]
    #[schema(value_type = String, min_length = 1, example = "evt1")]
    event_id: EventId,
    /// The ticket, at least 1 character.
    #[validate(length(min = 1), custom(function = "no_nul"))]
    #[schema(value_type = String, min_length = 1, example = "TICKET123")]
    ticket_id: TicketId,
}

impl Schema for CheckInRequest {
    const FIELDS: &'static [Field] = &[Field::required("event_id"), Field::required("ticket_id")];
}

/// The ticket is in.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what is written; nobody builds it as a whole")]
struct CheckedIn {
    /// Always `checked_in`.
    #[schema(example = "checked_in")]
    status: String,
    /// What was recorded.
    record: Record,
}

/// Check a ticket in, exactly once
#[utoipa::path(
    post,
    path = "/checkins",
    tag = "gate",
    security(("bearer" = [])),
    request_body = CheckInRequest,
    responses(
        (status = 200, description = "The ticket is in.", body = CheckedIn),
        (
            status = 400,
            description = "The ticket was checked in to that event before, or the body is not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "Ticket sudah pernah check-in"})
        ),
        Unauthorized,
        JsonBody,
        AnyRoute
    )
)]
pub(super) async fn check_in(
    State(state): State<AppState>,
    AuthUser(claims): AuthUser,
    ValidJson(request): ValidJson<CheckInRequest>,
) -> Result<Response, ApiError> {
    let CheckInRequest { event_id, ticket_id } = request;
    let scan = Scan { event_id, ticket_id, checked_in_by: claims.sub.clone() };
    match state.check_ins.check_in(scan).await? {
        CheckIn::Accepted(record) => {
            let body = [br#"{"status":"checked_in","record":"#, &record[..], b"}"].concat();
            Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
        }
        CheckIn::Duplicate => Err(ApiError::BadRequest("Ticket sudah pernah check-in".into())),
    }
}
