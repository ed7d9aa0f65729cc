use std::time::Instant;

use axum::{Json, extract::State, response::IntoResponse};
use serde::Serialize;
use shared_http::{
    ApiError, ValidJson,
    client::ClientAddr,
    describe_body,
    error::ErrorBody,
    json::{Fields, Schema, text},
    openapi::{AnyRoute, JsonBody},
};
use utoipa::ToSchema;

use super::{NO_STORE, too_many_logins};
use crate::{
    AppState,
    session::{Continued, Ended, RefreshToken},
    store::{Refreshed, StoreError, User},
};

/// A refresh token.
pub(super) struct RefreshRequest {
    pub(super) refresh_token: String,
}

impl Schema for RefreshRequest {
    const DESCRIPTION: &'static str = "A refresh token.";

    fn read(fields: &mut Fields<'_>) -> Self {
        let token = text("refresh_token")
            .about("The newest that the client has.")
            .example("8nTgbiO9wMhIyLJGDwnTcGc1CSULpSJ8qvGGLTlzqCQ");
        Self { refresh_token: fields.get(token) }
    }
}

describe_body!(RefreshRequest);

/// A token, and the refresh token for the next time.
#[derive(Serialize, ToSchema)]
pub(super) struct RefreshedBody {
    /// Goes into the header `Authorization: Bearer …` of the other requests. It has the role that the user has now.
    #[schema(example = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJwYW5pdGlhMSJ9.c2lnbmF0dXJl")]
    access_token: String,
    /// Always `bearer`.
    #[schema(example = "bearer")]
    token_type: &'static str,
    /// Takes the place of the one that was sent.
    #[schema(example = "8nTgbiO9wMhIyLJGDwnTcHK_yqKrx4xNGL1qdNwlsiY")]
    refresh_token: String,
}

/// Go on without the password
///
/// The refresh token is replaced. For 30 seconds the old one still gives the new one: ask again if no answer came. After
/// that its use ends the session. 30 days without use end it too.
#[utoipa::path(
    post,
    path = "/auth/refresh",
    tag = "auth",
    request_body = RefreshRequest,
    responses(
        (status = 200, description = "The session goes on.", body = RefreshedBody),
        (
            status = 400,
            description = "The body is not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "There was an error parsing the body"})
        ),
        (
            status = 401,
            description = "The session has ended, or never was.",
            body = ErrorBody,
            headers(("WWW-Authenticate" = String, description = "Always `Bearer`.")),
            example = json!({"detail": "Sesi berakhir, silakan login lagi"})
        ),
        (
            status = 429,
            description = "The client has failed, or refreshed, too often.",
            body = ErrorBody,
            headers(("Retry-After" = u32, description = "Seconds to wait before trying again.")),
            example = json!({"detail": "Terlalu banyak percobaan login, coba lagi dalam 8 detik"})
        ),
        JsonBody,
        AnyRoute
    )
)]
pub(super) async fn refresh(
    State(state): State<AppState>,
    client: Option<ClientAddr>,
    ValidJson(request): ValidJson<RefreshRequest>,
) -> Result<impl IntoResponse, ApiError> {
    let refreshed = refresh_guarded(&state, client, &request).await;
    let (user, refresh_token) = state.sessions.count_errors(refreshed)?;
    let access_token = state.issuer.issue(&user.username.0, user.role).map_err(ApiError::internal)?;
    let refresh_token = refresh_token.to_text();
    Ok((NO_STORE, Json(RefreshedBody { access_token, token_type: "bearer", refresh_token })))
}

/// The user of the session and its newest token, unless the client comes too often.
async fn refresh_guarded(
    state: &AppState,
    client: Option<ClientAddr>,
    request: &RefreshRequest,
) -> Result<(User, RefreshToken), ApiError> {
    let attempt = match &state.login_guard {
        Some(guard) => {
            let client = client.map(|ClientAddr(address)| address);
            Some(guard.begin_refresh(client).await.map_err(too_many_logins)?)
        }
        None => None,
    };
    let refreshed = match RefreshToken::parse(&request.refresh_token) {
        Some(token) => state.people.refresh(token, state.clock.now()).await,
        None => Ok(Refreshed::Unknown),
    };
    if let Some(attempt) = attempt {
        match &refreshed {
            Ok(Refreshed::Continued(..)) => attempt.succeeded(Instant::now()),
            Ok(_) => attempt.failed(Instant::now()),
            Err(_) => attempt.cancel(),
        }
    }
    settle(state, refreshed)
}

/// Counts the outcome.
fn settle(
    state: &AppState,
    refreshed: Result<Refreshed, StoreError>,
) -> Result<(User, RefreshToken), ApiError> {
    let sessions = &state.sessions;
    let counter = match refreshed? {
        Refreshed::Continued(user, Continued { token, is_repeated }) => {
            if is_repeated { &sessions.repeated } else { &sessions.refreshed }.inc();
            return Ok((user, token));
        }
        Refreshed::Ended(user, Ended::Reused) => {
            // The user and somebody with a copy may both have it, so neither goes on.
            tracing::warn!(user = &*user.0, "a used refresh token came again; its session is ended");
            &sessions.reused
        }
        Refreshed::Ended(_, Ended::Unused) => &sessions.expired,
        Refreshed::Ended(_, Ended::ByUser) | Refreshed::Unknown => &sessions.unknown,
    };
    counter.inc();
    Err(ApiError::Unauthorized("Sesi berakhir, silakan login lagi"))
}
