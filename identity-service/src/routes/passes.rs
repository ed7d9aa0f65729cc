use std::time::Duration;

use axum::{Json, extract::State, response::IntoResponse};
use chrono::DateTime;
use serde::Serialize;
use shared_auth::User;
use shared_http::{
    ApiError, ValidJson, describe_body,
    error::ErrorBody,
    json::{Field as _, Fields, Schema, integer, text},
    openapi::{AnyRoute, JsonBody},
};
use utoipa::ToSchema;

use super::NO_STORE;
use crate::AppState;

/// A gate that wants a pass.
pub(super) struct PassRequest {
    name: String,
    event_id: String,
    hours: i64,
}

impl Schema for PassRequest {
    const DESCRIPTION: &'static str = "A gate that wants a pass.";

    fn read(fields: &mut Fields<'_>) -> Self {
        let name = text("name").min(1).max(50).no_nul();
        let name = name.about("The gate: what check-ins name. 1 to 50 characters.").example("gerbang-timur");
        let event = text("event_id").min(1).no_nul().about("The event that it is good for.").example("evt1");
        let hours = integer("hours").min(1).max(72).about("How long it is good.");
        Self { name: fields.get(name), event_id: fields.get(event), hours: fields.get(hours.or(12)) }
    }
}

describe_body!(PassRequest);

/// A gate pass.
#[derive(Serialize, ToSchema)]
pub(super) struct PassBody {
    /// Goes into the header `Authorization: Bearer …` of what the gate asks of attendance-service.
    #[schema(example = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJnZXJiYW5nIn0.c2lnbmF0dXJl")]
    access_token: String,
    /// Always `bearer`.
    #[schema(example = "bearer")]
    token_type: &'static str,
    /// From when on it is no longer good, in UTC.
    #[schema(example = "2026-11-24T09:14:10Z")]
    expires_at: String,
}

/// Make a gate pass
///
/// A token that is good for one event only, and there for what a gate does. It cannot be taken back, and there is nothing
/// to log in with: give it to the gate as it is.
#[utoipa::path(
    post,
    path = "/auth/passes",
    tag = "auth",
    request_body = PassRequest,
    responses(
        (status = 200, description = "The pass.", body = PassBody),
        (
            status = 400,
            description = "The body is not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "There was an error parsing the body"})
        ),
        JsonBody,
        AnyRoute
    )
)]
pub(super) async fn make_pass(
    State(state): State<AppState>,
    admin: User,
    ValidJson(PassRequest { name, event_id, hours }): ValidJson<PassRequest>,
) -> Result<impl IntoResponse, ApiError> {
    let lifetime = Duration::from_secs(hours.unsigned_abs() * 3600);
    let (access_token, exp) =
        state.issuer.issue_pass(&name, &event_id, lifetime).map_err(ApiError::internal)?;
    let expires_at = DateTime::from_timestamp(exp, 0).unwrap_or(DateTime::<chrono::Utc>::MAX_UTC);
    tracing::info!(user = &*admin.name, subject = name, event = event_id, hours, "gate pass made");
    let expires_at = expires_at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    Ok((NO_STORE, Json(PassBody { access_token, token_type: "bearer", expires_at })))
}
