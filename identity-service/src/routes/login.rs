use std::{net::IpAddr, time::Instant};

use axum::{Json, extract::State, response::IntoResponse};
use serde::Serialize;
use shared_http::{
    ApiError, ValidJson,
    client::ClientAddr,
    describe_body,
    error::ErrorBody,
    json::{Field as _, Fields, Schema, boolean, text},
    openapi::{AnyRoute, JsonBody},
};
use utoipa::ToSchema;

use super::{NO_STORE, too_many_logins};
use crate::{
    AppState,
    bcrypt_queue::Permit,
    login_guard::LoginAttempt,
    password::{Password, Verification},
    store::{Opening, StoredUser, Username},
};

/// Somebody who wants a token.
pub(super) struct LoginRequest {
    username: Username,
    password: String,
    remember: bool,
}

impl Schema for LoginRequest {
    const DESCRIPTION: &'static str = "Somebody who wants a token.";

    fn read(fields: &mut Fields<'_>) -> Self {
        let username = text("username").about("The name.").example("panitia1");
        let password =
            text("password").about("The password, of at most 72 bytes of UTF-8.").example("secret");
        let remember = boolean("remember").about("Whether a refresh token is wanted. Left out it is not.");
        Self {
            username: Username(fields.get(username)),
            password: fields.get(password),
            remember: fields.get(remember.optional().or(Some(false))).unwrap_or_default(),
        }
    }
}

describe_body!(LoginRequest);

/// A token, and how to send it.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenBody {
    /// Goes into the header `Authorization: Bearer …` of the other requests.
    #[schema(example = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJwYW5pdGlhMSJ9.c2lnbmF0dXJl")]
    access_token: String,
    /// Always `bearer`.
    #[schema(example = "bearer")]
    token_type: &'static str,
    /// For `POST /auth/refresh`. Only with `remember`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "8nTgbiO9wMhIyLJGDwnTcGc1CSULpSJ8qvGGLTlzqCQ")]
    refresh_token: Option<String>,
}

/// Log in
#[utoipa::path(
    post,
    path = "/auth/login",
    tag = "auth",
    request_body = LoginRequest,
    responses(
        (status = 200, description = "The password is right.", body = TokenBody),
        (
            status = 400,
            description = "The user is unknown or the password wrong, and it is not told which; or the password is over \
                           72 bytes, or the body is not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "Username atau password salah"})
        ),
        (
            status = 429,
            description = "The account or the client has failed, or logged in, too often.",
            body = ErrorBody,
            headers(("Retry-After" = u32, description = "Seconds to wait before trying again.")),
            example = json!({"detail": "Terlalu banyak percobaan login, coba lagi dalam 8 detik"})
        ),
        JsonBody,
        AnyRoute
    )
)]
pub(super) async fn login(
    State(state): State<AppState>,
    client: Option<ClientAddr>,
    ValidJson(request): ValidJson<LoginRequest>,
) -> Result<impl IntoResponse, ApiError> {
    state.logins.count(log_in(&state, client, request).await)
}

async fn log_in(
    state: &AppState,
    client: Option<ClientAddr>,
    request: LoginRequest,
) -> Result<impl IntoResponse + use<>, ApiError> {
    let LoginRequest { username, password, remember } = request;
    let password = Password::new(password)?;
    let Candidate { user, permit, attempt } =
        Candidate::of(state, client.map(|ClientAddr(address)| address), &username).await?;
    let hash = user.as_ref().map(|user| user.user.password.clone());
    let verification = state.passwords.verify(permit, password, hash, settle(attempt)).await?;
    let (Some(user), Verification::Match { rehashed }) = (user, verification) else { return Err(wrong()) };
    if let Some(rehashed) = rehashed {
        // This login does not depend on it. The store logs a failure, and the next login tries again.
        let _ = state.users.rehash(&user.user, rehashed).await;
    }
    let refresh_token = if remember { Some(open_session(state, &user).await?) } else { None };
    let access_token =
        state.issuer.issue(&user.user.username.0, user.user.role).map_err(ApiError::internal)?;
    Ok((NO_STORE, Json(TokenBody { access_token, token_type: "bearer", refresh_token })))
}

/// Somebody whose password is about to be checked.
pub(super) struct Candidate {
    /// `None` if the user is unknown or inactive: both are refused alike, and in the same time.
    pub(super) user: Option<StoredUser>,
    pub(super) permit: Permit,
    pub(super) attempt: Option<LoginAttempt>,
}

impl Candidate {
    /// Waits for a permit of the bcrypt queue, and for the login guard.
    pub(super) async fn of(
        state: &AppState,
        client: Option<IpAddr>,
        username: &Username,
    ) -> Result<Self, ApiError> {
        let guard = state.login_guard.as_ref();
        if let Some(guard) = guard {
            guard.check(&username.0, client).map_err(too_many_logins)?;
        }
        let user = state.users.find(username).await?.filter(|user| user.active);
        let permit = state.passwords.acquire_permit(client, &username.0).await?;
        let attempt = match guard {
            Some(guard) => Some(guard.begin(&username.0, client).await.map_err(too_many_logins)?),
            None => None,
        };
        Ok(Self { user, permit, attempt })
    }
}

/// Tells the login guard whether the password was right. Called on bcrypt's thread, so that the attempt counts even if
/// the client disconnects meanwhile.
pub(super) fn settle(attempt: Option<LoginAttempt>) -> impl FnOnce(bool) + Send + 'static {
    move |matches| match attempt {
        Some(attempt) if matches => attempt.succeeded(Instant::now()),
        Some(attempt) => attempt.failed(Instant::now()),
        None => {}
    }
}

async fn open_session(state: &AppState, user: &StoredUser) -> Result<String, ApiError> {
    let opened = state.people.open_session(user, state.clock.now()).await.map_err(ApiError::from);
    match state.sessions.count_errors(opened)? {
        Opening::Opened(token) => {
            state.sessions.opened.inc();
            Ok(token.to_text())
        }
        // The password is no longer right, or the user is inactive or gone.
        Opening::UserChanged => Err(wrong()),
    }
}

fn wrong() -> ApiError {
    ApiError::BadRequest("Username atau password salah".into())
}
