//! The routes. Each module has the request, the response, the OpenAPI description and the handler of one route.

mod login;
mod me;
mod ready;
mod register;

use std::time::Duration;

use serde::Serialize;
use shared_auth::{Role, openapi::BearerScheme};
use shared_http::{
    ApiError,
    error::{ErrorBody, InvalidBody},
    pages::About,
};
use shared_service::health::{self, ReadySummary};
use utoipa::{OpenApi, ToSchema};

use crate::{
    AppState,
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

shared_http::routes! {
    AppState, Description:
    post "/auth/register" => register::register,
    post "/auth/login" => login::login,
    get "/auth/me" => me::me,
}

pub(crate) fn about(demo_users: bool) -> About {
    About {
        service: "identity-service",
        tagline: "Registers the people of an event committee, logs them in, and tells who a token belongs to.",
        notice: if demo_users { include_str!("../assets/demo-users.html") } else { "" },
    }
}

/// `wait` in the whole seconds of `Retry-After`, rounded up: a client that waits that long is not refused again.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
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
