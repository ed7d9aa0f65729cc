use axum::{Json, extract::State};
use serde::Deserialize;
use shared_auth::Role;
use shared_http::{
    ApiError, ValidJson,
    error::ErrorBody,
    json::{Field, Schema, no_nul},
    openapi::{AnyRoute, JsonBody},
};
use utoipa::ToSchema;
use validator::Validate;

use super::UserBody;
use crate::{
    AppState,
    password::Password,
    store::{Registration, User, Username},
};

/// Somebody who wants to join.
#[derive(Deserialize, ToSchema, Validate)]
pub(super) struct RegisterRequest {
    /// 3 to 50 characters.
    #[validate(length(min = 3, max = 50), custom(function = "no_nul"))]
    #[schema(value_type = String, min_length = 3, max_length = 50, example = "panitia2")]
    username: Username,
    /// 4 to 200 characters, and at most 72 bytes of UTF-8.
    #[validate(length(min = 4, max = 200), custom(function = "no_nul"))]
    #[schema(min_length = 4, max_length = 200, example = "rahasia-gerbang-timur")]
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

/// Register a user
#[utoipa::path(
    post,
    path = "/auth/register",
    tag = "auth",
    request_body = RegisterRequest,
    responses(
        (status = 200, description = "Registered.", body = UserBody),
        (
            status = 400,
            description = "The name is taken, the password is over 72 bytes, the role is unknown, or the body is not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "User panitia2 sudah terdaftar"})
        ),
        JsonBody,
        AnyRoute
    )
)]
pub(super) async fn register(
    State(state): State<AppState>,
    ValidJson(request): ValidJson<RegisterRequest>,
) -> Result<Json<UserBody>, ApiError> {
    let username = request.username;
    if state.users.find(&username).await?.is_some() {
        return Err(taken(&username));
    }
    let password = Password::new(request.password)?;
    let role = parse_role(&request.role)?;

    let password = state.passwords.hash(password).await?;
    match state.users.register(User { username: username.clone(), role, password }).await? {
        Registration::Accepted => Ok(Json(UserBody { username, role })),
        Registration::Taken => Err(taken(&username)),
    }
}

fn taken(username: &Username) -> ApiError {
    ApiError::BadRequest(format!("User {} sudah terdaftar", username.0).into())
}

fn parse_role(role: &str) -> Result<Role, ApiError> {
    match role.trim().to_lowercase().as_str() {
        "committee" => Ok(Role::Committee),
        "admin" => Ok(Role::Admin),
        _ => Err(ApiError::BadRequest("Invalid role (use 'committee' or 'admin')".into())),
    }
}
