//! The routes. Each module has the request, the response, the OpenAPI description and the handler of one route.

mod change_password;
mod login;
mod logout;
mod me;
mod passes;
mod ready;
mod refresh;
mod register;
mod users;

use std::time::Duration;

use axum::http::{HeaderName, header::CACHE_CONTROL};
use serde::Serialize;
use shared_auth::{Role, openapi::BearerScheme};
use shared_http::{
    ApiError,
    config::Origin,
    error::{ErrorBody, InvalidBody},
    pages::About,
};
use shared_service::health::{self, ReadySummary};
use utoipa::{OpenApi, ToSchema};

use crate::{
    AppState,
    config::Config,
    password::{PasswordError, TooLong},
    store::{StoreError, Username},
};

const READY_SUMMARY: ReadySummary = ReadySummary("Whether users can be registered");

#[derive(OpenApi)]
#[openapi(
    info(
        title = "TixGo identity-service",
        description = "Registers the people of an event committee, logs them in, and tells who a token belongs to."
    ),
    paths(health::health, health::ready),
    components(schemas(ErrorBody, InvalidBody)),
    modifiers(&BearerScheme, &READY_SUMMARY)
)]
struct Description;

shared_auth::routes! {
    AppState, Description:
    Public post "/auth/register" => register::register,
    Public post "/auth/login" => login::login,
    Any get "/auth/me" => me::me,
    Any post "/auth/password" => change_password::change_password,
    Public post "/auth/refresh" => refresh::refresh,
    Public post "/auth/logout" => logout::log_out,
    Admin post "/auth/passes" => passes::make_pass,
    Admin get "/users" => users::list,
    Admin patch "/users/{username}" => users::change,
    Admin delete "/users/{username}" => users::remove,
}

pub(crate) fn about(config: &Config) -> About {
    About {
        service: "identity-service",
        indonesian: "Akun panitia: siapa yang boleh masuk, dan sebagai apa.",
        english: "Registers the people of an event committee, logs them in, and tells who a token belongs to.",
        pages: config.attendance_url.as_ref().map(Origin::to_string),
        notice: if config.demo_users { include_str!("../assets/demo-users.html") } else { "" },
    }
}

/// `wait` in the whole seconds of `Retry-After`, rounded up: a client that waits that long is not refused again.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// For answers that nobody may keep: with a token, or with who somebody is.
const NO_STORE: [(HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];

/// The role that a client names.
fn parse_role(role: &str) -> Result<Role, ApiError> {
    let role = role.trim().to_lowercase().parse();
    role.map_err(|_| ApiError::BadRequest("Invalid role (use 'committee' or 'admin')".into()))
}

/// The refusal of a login, or of what is as good as one, that comes too often.
fn too_many_logins(wait: Duration) -> ApiError {
    let seconds = whole_seconds(wait);
    ApiError::TooMany {
        detail: format!("Terlalu banyak percobaan login, coba lagi dalam {seconds} detik"),
        seconds,
    }
}

/// Who somebody is.
#[derive(Serialize, ToSchema)]
struct UserBody {
    /// The user's name.
    #[schema(value_type = String, example = "panitia1")]
    username: Username,
    /// What the user may do.
    role: Role,
}

impl From<TooLong> for ApiError {
    fn from(_: TooLong) -> Self {
        Self::BadRequest("Password terlalu panjang (maks 72 bytes). Gunakan password lebih pendek.".into())
    }
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::Busy,
            PasswordError::Failed(_) => Self::internal(error),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            // The store logs an outage when it begins, so it is not logged again for each request.
            StoreError::Unavailable(_) => Self::StorageUnavailable,
            StoreError::Internal(cause) => Self::Internal(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_rounded_up_to_whole_seconds() {
        for (milliseconds, seconds) in [(1, 1), (999, 1), (1000, 1), (1001, 2), (59_500, 60)] {
            assert_eq!(whole_seconds(Duration::from_millis(milliseconds)), seconds, "{milliseconds}");
        }
    }
}
