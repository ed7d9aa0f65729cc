use std::time::{Duration, Instant};

use axum::{Json, extract::State, http::header::CACHE_CONTROL, response::IntoResponse};
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

use super::whole_seconds;
use crate::{
    AppState,
    password::{Password, Verification},
    store::Username,
};

/// Somebody who wants a token.
pub(super) struct LoginRequest {
    username: Username,
    password: String,
}

impl Schema for LoginRequest {
    const DESCRIPTION: &'static str = "Somebody who wants a token.";

    fn read(fields: &mut Fields<'_>) -> Self {
        let username = text("username").about("The name.").example("panitia1");
        let password =
            text("password").about("The password, of at most 72 bytes of UTF-8.").example("secret");
        Self { username: Username(fields.get(username)), password: fields.get(password) }
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
    let password = Password::new(request.password)?;
    let client = client.map(|ClientAddr(address)| address);
    let guard = state.login_guard.as_ref();
    let username = &request.username.0;
    if let Some(guard) = guard {
        guard.check(username, client).map_err(too_many)?;
    }
    let user = state.users.find(&request.username).await?;
    let permit = state.passwords.acquire_permit(client, username).await?;
    let attempt = match guard {
        Some(guard) => Some(guard.begin(username, client).await.map_err(too_many)?),
        None => None,
    };
    let hash = user.as_ref().map(|user| user.password.clone());
    // Called on bcrypt's thread, so that the attempt counts even if the client disconnects now.
    let on_result = move |matches| match attempt {
        Some(attempt) if matches => attempt.succeeded(Instant::now()),
        Some(attempt) => attempt.failed(Instant::now()),
        None => {}
    };
    let verification = state.passwords.verify(permit, password, hash, on_result).await?;
    let (Some(user), Verification::Match { rehashed }) = (user, verification) else {
        return Err(ApiError::BadRequest("Username atau password salah".into()));
    };
    if let Some(rehashed) = rehashed {
        // This login does not depend on it. The store logs a failure, and the next login tries again.
        let _ = state.users.rehash(&user, rehashed).await;
    }
    let access_token = state.issuer.issue(&user.username.0, user.role).map_err(ApiError::internal)?;
    Ok(([(CACHE_CONTROL, "no-store")], Json(TokenBody { access_token, token_type: "bearer" })))
}

fn too_many(wait: Duration) -> ApiError {
    let seconds = whole_seconds(wait);
    ApiError::TooMany {
        detail: format!("Terlalu banyak percobaan login, coba lagi dalam {seconds} detik"),
        seconds,
    }
}
