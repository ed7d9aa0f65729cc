use std::time::{Duration, Instant};

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::request::Parts,
};
use serde::Deserialize;
use shared_auth::{AuthUser, Role, openapi::Unauthorized};
use shared_http::{
    ApiError, ValidJson,
    client::ClientAddr,
    error::ErrorBody,
    json::{Field, Schema, no_nul},
    openapi::{AnyRoute, JsonBody},
};
use utoipa::ToSchema;
use validator::Validate;

use super::{UserBody, whole_seconds};
use crate::{
    AppState,
    config::RegistrationPolicy,
    password::Password,
    store::{Registration, User, Username},
};

/// Somebody who wants to join.
#[derive(Deserialize, ToSchema, Validate)]
pub(super) struct RegisterRequest {
    /// 3 to 50 characters.
    #[validate(length(min = 3, max = 50), custom(function = "no_nul"))]
    #[schema(value_type = String, min_length = 3, max_length = 50, pattern = "^[^\\u0000]*$", example = "panitia2")]
    username: Username,
    /// 4 to 200 characters, and at most 72 bytes of UTF-8.
    #[validate(length(min = 4, max = 200), custom(function = "no_nul"))]
    #[schema(min_length = 4, max_length = 200, pattern = "^[^\\u0000]*$", example = "rahasia-gerbang-timur")]
    password: String,
    /// `committee` or `admin`, in any case.
    #[serde(default = "committee")]
    #[schema(default = "committee", example = "committee")]
    role: String,
}

impl Schema for RegisterRequest {
    const FIELDS: &'static [Field] =
        &[Field::required("username"), Field::required("password"), Field::optional("role")];
}

fn committee() -> String {
    "committee".to_owned()
}

/// Whoever asks, and may. Found out before the body is read.
pub(super) struct Registrar {
    /// With the token of an admin. Where registration is open anybody can have one, so it counts for nothing.
    is_admin: bool,
}

impl FromRequestParts<AppState> for Registrar {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let user = AuthUser::from_request_parts(parts, state).await;
        let is_admin = user.as_ref().is_ok_and(|AuthUser(claims)| claims.role == Role::Admin);
        let refusal = match (state.registration, user) {
            (RegistrationPolicy::Open, _) => return Ok(Self { is_admin: false }),
            (RegistrationPolicy::Committee, _) => return Ok(Self { is_admin }),
            (RegistrationPolicy::Admin, Ok(_)) if is_admin => return Ok(Self { is_admin }),
            (RegistrationPolicy::Admin, Ok(_)) => {
                ApiError::Forbidden("Hanya admin yang dapat mendaftarkan user")
            }
            (RegistrationPolicy::Admin, Err(refusal)) => refusal,
            (RegistrationPolicy::Closed, _) => ApiError::Forbidden("Pendaftaran user ditutup"),
        };
        state.registrations.count(Err(refusal))
    }
}

/// Register a user
#[utoipa::path(
    post,
    path = "/auth/register",
    tag = "auth",
    security((), ("bearer" = [])),
    request_body = RegisterRequest,
    responses(
        (status = 200, description = "Registered.", body = UserBody),
        (
            status = 400,
            description = "The name is taken, the password is over 72 bytes, the role is unknown, or the body is not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "User panitia2 sudah terdaftar"})
        ),
        (
            status = 403,
            description = "Not everybody may register here: `REGISTRATION` is `committee` and the role `admin`, or \
                           `REGISTRATION` is `admin`, and there is no token of an admin; or it is `closed`.",
            body = ErrorBody,
            example = json!({"detail": "Hanya admin yang dapat mendaftarkan admin"})
        ),
        (
            status = 429,
            description = "The client has registered too many in an hour.",
            body = ErrorBody,
            headers(("Retry-After" = u32, description = "Seconds to wait before trying again.")),
            example = json!({"detail": "Terlalu banyak pendaftaran, coba lagi dalam 36 detik"})
        ),
        Unauthorized,
        JsonBody,
        AnyRoute
    )
)]
pub(super) async fn register(
    State(state): State<AppState>,
    registrar: Registrar,
    client: Option<ClientAddr>,
    ValidJson(request): ValidJson<RegisterRequest>,
) -> Result<Json<UserBody>, ApiError> {
    state.registrations.count(add(&state, &registrar, client, request).await)
}

async fn add(
    state: &AppState,
    registrar: &Registrar,
    client: Option<ClientAddr>,
    request: RegisterRequest,
) -> Result<Json<UserBody>, ApiError> {
    let username = request.username;
    if state.users.find(&username).await?.is_some() {
        return Err(taken(&username));
    }
    let password = Password::new(request.password)?;
    let role = parse_role(&request.role)?;
    if role == Role::Admin && state.registration == RegistrationPolicy::Committee && !registrar.is_admin {
        return Err(ApiError::Forbidden("Hanya admin yang dapat mendaftarkan admin"));
    }

    let place = match (&state.quota, client) {
        (Some(quota), Some(ClientAddr(client))) if !registrar.is_admin => {
            Some(quota.take(client, Instant::now()).map_err(too_many)?)
        }
        _ => None,
    };
    let password = state.passwords.hash(password).await?;
    match state.users.register(User { username: username.clone(), role, password }).await? {
        Registration::Accepted => {
            if let Some(place) = place {
                place.keep();
            }
            Ok(Json(UserBody { username, role }))
        }
        Registration::Taken => Err(taken(&username)),
    }
}

fn taken(username: &Username) -> ApiError {
    ApiError::BadRequest(format!("User {} sudah terdaftar", username.0).into())
}

fn too_many(wait: Duration) -> ApiError {
    let seconds = whole_seconds(wait);
    ApiError::TooMany {
        detail: format!("Terlalu banyak pendaftaran, coba lagi dalam {seconds} detik"),
        seconds,
    }
}

fn parse_role(role: &str) -> Result<Role, ApiError> {
    match role.trim().to_lowercase().as_str() {
        "committee" => Ok(Role::Committee),
        "admin" => Ok(Role::Admin),
        _ => Err(ApiError::BadRequest("Invalid role (use 'committee' or 'admin')".into())),
    }
}
