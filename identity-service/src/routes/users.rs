use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    response::IntoResponse,
};
use chrono::DateTime;
use serde::Serialize;
use shared_auth::{Role, User};
use shared_http::{
    ApiError, ValidJson,
    client::ClientAddr,
    describe_body,
    error::ErrorBody,
    json::{Field as _, Fields, Schema, boolean, text},
    openapi::{AnyRoute, JsonBody},
};
use utoipa::ToSchema;

use super::{NO_STORE, parse_role};
use crate::{
    AppState,
    clock::Micros,
    password::Password,
    store::{Changed, StoredUser, UserChange, Username},
};

/// A user, as admins see it.
#[derive(Serialize, ToSchema)]
pub(super) struct PersonBody {
    /// The user's name.
    #[schema(value_type = String, example = "panitia1")]
    username: Username,
    /// What the user may do.
    role: Role,
    /// Whether the user may log in.
    active: bool,
    /// When the user was registered, in UTC.
    #[schema(example = "2026-11-24T09:14:10.564266Z")]
    created_at: String,
}

impl From<StoredUser> for PersonBody {
    fn from(StoredUser { user, active, created_at, .. }: StoredUser) -> Self {
        let Micros(created_at) = created_at;
        let created_at = DateTime::from_timestamp_micros(created_at).unwrap_or_default();
        let created_at = created_at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
        Self { username: user.username, role: user.role, active, created_at }
    }
}

/// List all users
///
/// In order of name, demo users among them.
#[utoipa::path(
    get,
    path = "/users",
    tag = "users",
    responses((status = 200, description = "All users.", body = Vec<PersonBody>), AnyRoute)
)]
pub(super) async fn list(State(state): State<AppState>) -> Result<impl IntoResponse, ApiError> {
    let users: Vec<_> = state.people.list().await?.into_iter().map(PersonBody::from).collect();
    Ok((NO_STORE, Json(users)))
}

/// What an admin changes of a user.
pub(super) struct ChangeRequest {
    role: Option<String>,
    active: Option<bool>,
    password: Option<String>,
}

impl Schema for ChangeRequest {
    const DESCRIPTION: &'static str =
        "What an admin changes of a user. What is left out, or `null`, stays as it is.";

    fn read(fields: &mut Fields<'_>) -> Self {
        let role = text("role").about("`committee` or `admin`, in any case.").example("admin");
        let active = boolean("active").about("Whether the user may log in.");
        let password = text("password")
            .min(4)
            .max(200)
            .no_nul()
            .about("4 to 200 characters, and at most 72 bytes of UTF-8.")
            .example("rahasia-gerbang-timur");
        Self {
            role: fields.get(role.optional()),
            active: fields.get(active.optional()),
            password: fields.get(password.optional()),
        }
    }
}

describe_body!(ChangeRequest);

/// Change a user
///
/// A new password, a new role and deactivation end all sessions of the user. Access tokens stay good until they expire.
#[utoipa::path(
    patch,
    path = "/users/{username}",
    tag = "users",
    params(("username" = String, Path, description = "The user, percent-encoded.", example = "panitia1")),
    request_body = ChangeRequest,
    responses(
        (status = 200, description = "The user, as it is now.", body = PersonBody),
        (
            status = 400,
            description = "The password is over 72 bytes, the role is unknown, or the body or the path is not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "Invalid role (use 'committee' or 'admin')"})
        ),
        (
            status = 404,
            description = "Nobody has the name.",
            body = ErrorBody,
            example = json!({"detail": "User tidak ditemukan"})
        ),
        (
            status = 409,
            description = "No active admin would be left.",
            body = ErrorBody,
            example = json!({"detail": "Harus ada minimal satu admin aktif"})
        ),
        JsonBody,
        AnyRoute
    )
)]
pub(super) async fn change(
    State(state): State<AppState>,
    admin: User,
    username: Result<Path<Username>, PathRejection>,
    client: Option<ClientAddr>,
    ValidJson(request): ValidJson<ChangeRequest>,
) -> Result<impl IntoResponse, ApiError> {
    let username = username_in(username)?;
    let password = request.password.map(Password::new).transpose()?;
    let role = request.role.as_deref().map(parse_role).transpose()?;
    let password = match password {
        Some(password) => {
            // Before bcrypt works for nobody.
            state.users.find(&username).await?.ok_or(UNKNOWN)?;
            let client = client.map(|ClientAddr(address)| address);
            let permit = state.passwords.acquire_permit(client, &admin.name).await?;
            Some(state.passwords.hash_with(permit, password).await?)
        }
        None => None,
    };
    let is_reset = password.is_some();
    let change = UserChange { role, active: request.active, password };
    let (before, after) = done(state.people.change(&username, change).await?)?;
    log_change(&admin.name, &before, &after, is_reset);
    Ok((NO_STORE, Json(PersonBody::from(after))))
}

fn log_change(admin: &str, before: &StoredUser, after: &StoredUser, is_reset: bool) {
    let subject = &*after.user.username.0;
    if before.user.role != after.user.role {
        let (from, to) = (before.user.role.as_str(), after.user.role.as_str());
        tracing::info!(user = admin, subject, from, to, "role changed");
    }
    match (before.active, after.active) {
        (true, false) => tracing::info!(user = admin, subject, "user deactivated"),
        (false, true) => tracing::info!(user = admin, subject, "user activated"),
        (true, true) | (false, false) => {}
    }
    if is_reset {
        tracing::info!(user = admin, subject, "password reset");
    }
}

/// The user is gone.
#[derive(Serialize, ToSchema)]
pub(super) struct DeletedBody {
    /// Always `deleted`.
    #[schema(example = "deleted")]
    status: &'static str,
    /// Who it was.
    #[schema(value_type = String, example = "panitia1")]
    username: Username,
}

/// Delete a user
///
/// Ends all sessions of the user. Access tokens stay good until they expire. The name is free again.
#[utoipa::path(
    delete,
    path = "/users/{username}",
    tag = "users",
    params(("username" = String, Path, description = "The user, percent-encoded.", example = "panitia1")),
    responses(
        (status = 200, description = "The user is gone.", body = DeletedBody),
        (
            status = 400,
            description = "The path is not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "username in the path must be percent-encoded UTF-8"})
        ),
        (
            status = 404,
            description = "Nobody has the name.",
            body = ErrorBody,
            example = json!({"detail": "User tidak ditemukan"})
        ),
        (
            status = 409,
            description = "No active admin would be left.",
            body = ErrorBody,
            example = json!({"detail": "Harus ada minimal satu admin aktif"})
        ),
        AnyRoute
    )
)]
pub(super) async fn remove(
    State(state): State<AppState>,
    admin: User,
    username: Result<Path<Username>, PathRejection>,
) -> Result<Json<DeletedBody>, ApiError> {
    let username = username_in(username)?;
    done(state.people.remove(&username).await?)?;
    tracing::info!(user = &*admin.name, subject = &*username.0, "user deleted");
    Ok(Json(DeletedBody { status: "deleted", username }))
}

const UNKNOWN: ApiError = ApiError::Absent("User tidak ditemukan");

fn done<T>(changed: Changed<T>) -> Result<T, ApiError> {
    match changed {
        Changed::Done(done) => Ok(done),
        Changed::Unknown => Err(UNKNOWN),
        Changed::LastAdmin => Err(ApiError::Conflict("Harus ada minimal satu admin aktif")),
    }
}

fn username_in(path: Result<Path<Username>, PathRejection>) -> Result<Username, ApiError> {
    let Path(username) =
        path.map_err(|_| ApiError::BadRequest("username in the path must be percent-encoded UTF-8".into()))?;
    Ok(username)
}
