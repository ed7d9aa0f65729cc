//! The routes. Each module has the request, the response, the OpenAPI description and the handler of one route.

mod attendance;
mod check_in;
mod ready;
mod ticket;

use shared_auth::openapi::BearerScheme;
use shared_http::{
    ApiError,
    error::{ErrorBody, InvalidBody},
    pages::About,
};
use shared_service::health::{self, ReadySummary};
use utoipa::OpenApi;

use crate::{AppState, store::StoreError};

const TAGLINE: &str = "Checks every ticket in exactly once, and tells who came.";

/// What the HTML pages say about this service.
pub(crate) fn about() -> About {
    About {
        service: "attendance-service",
        indonesian: "Setiap tiket masuk tepat satu kali, dan panitia tahu siapa yang datang.",
        english: TAGLINE,
        pages: None,
        notice: "",
    }
}

const READY_SUMMARY: ReadySummary = ReadySummary("Whether tickets can be checked in");

#[derive(OpenApi)]
#[openapi(
    info(title = "TixGo attendance-service", description = TAGLINE),
    paths(health::health, health::ready),
    components(schemas(ErrorBody, InvalidBody)),
    modifiers(&BearerScheme, &READY_SUMMARY)
)]
struct Description;

shared_auth::routes! {
    AppState, Description:
    Any post "/checkins" => check_in::check_in,
    Any get "/attendance/{event_id}/tickets/{ticket_id}" => ticket::ticket,
    Any get "/attendance/{event_id}" => attendance::attendance,
}

/// The `detail` of the 503 for a check-in when the store is full.
const FULL: &str = "Penyimpanan check-in penuh (MAX_STORE_MB), hubungi pengelola";

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            // The store logs an outage when it begins, so it is not logged again for each request.
            StoreError::Unavailable(_) => Self::StorageUnavailable,
            StoreError::Full => Self::Full(FULL.into()),
            StoreError::Internal(cause) => Self::Internal(cause),
        }
    }
}
