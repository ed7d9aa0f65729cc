use axum::{Json, extract::State};
use serde::Serialize;
use shared_http::{
    ApiError, ValidJson,
    error::ErrorBody,
    openapi::{AnyRoute, JsonBody},
};
use utoipa::ToSchema;

use super::refresh::RefreshRequest;
use crate::{AppState, session::RefreshToken};

/// There is no session, or none any more.
#[derive(Serialize, ToSchema)]
pub(super) struct LoggedOutBody {
    /// Always `logged_out`.
    #[schema(example = "logged_out")]
    status: &'static str,
}

/// Log out
///
/// Ends the session of a refresh token, used or not. Access tokens stay good until they expire.
#[utoipa::path(
    post,
    path = "/auth/logout",
    tag = "auth",
    request_body = RefreshRequest,
    responses(
        (status = 200, description = "There is no such session any more, whatever was sent.", body = LoggedOutBody),
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
pub(super) async fn log_out(
    State(state): State<AppState>,
    ValidJson(request): ValidJson<RefreshRequest>,
) -> Result<Json<LoggedOutBody>, ApiError> {
    if let Some(token) = RefreshToken::parse(&request.refresh_token) {
        let ended = state.people.end_session(&token).await.map_err(ApiError::from);
        if state.sessions.count_errors(ended)? {
            state.sessions.logged_out.inc();
        }
    }
    Ok(Json(LoggedOutBody { status: "logged_out" }))
}
