//! The routes: request, response, OpenAPI and handler of each together.

mod attendance;
mod check_in;
mod health;
mod ready;
mod ticket;

use shared_auth::openapi::BearerScheme;
use shared_http::{
    ApiError,
    error::{ErrorBody, InvalidBody},
    pages::About,
};
use utoipa::OpenApi;

use crate::{AppState, store::StoreError};

const TAGLINE: &str = "Checks every ticket in exactly once, and tells who came.";

/// What the pages say of this service.
pub(crate) const ABOUT: About = About { service: "attendance-service", tagline: TAGLINE, notice: "" };

#[derive(OpenApi)]
#[openapi(
    info(title = "TixGo attendance-service", description = TAGLINE),
    components(schemas(ErrorBody, InvalidBody)),
    modifiers(&BearerScheme)
)]
struct Description;

shared_http::routes! {
    AppState, Description:
    get "/health" => health::health,
    get "/ready" => ready::ready,
    post "/checkins" => check_in::check_in,
    get "/attendance/{event_id}/tickets/{ticket_id}" => ticket::ticket,
    get "/attendance/{event_id}" => attendance::attendance,
}

/// What a gate is told when no more can be held.
const FULL: &str = "Penyimpanan check-in penuh (MAX_STORE_MB), hubungi pengelola";

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            // The store logs an outage once, not once a request.
            StoreError::Unavailable(_) => Self::StorageUnavailable,
            StoreError::Full => Self::Full(FULL.into()),
            StoreError::Internal(cause) => Self::Internal(cause),
        }
    }
}
