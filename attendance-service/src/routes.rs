//! The routes: request, response, OpenAPI and handler of each together.

mod attendance;
mod check_in;
mod health;
mod ready;
mod ticket;

use axum::middleware::map_request;
use shared_auth::openapi::BearerScheme;
use shared_http::{
    ApiError,
    error::{ErrorBody, InvalidBody},
    pages::About,
};
use tower_http::{CompressionLevel, compression::CompressionLayer};
use utoipa::OpenApi;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt},
    routes,
};

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

pub(crate) fn api() -> OpenApiRouter<AppState> {
    // The box has slow cores and the list compresses well whatever the level.
    let gzip = CompressionLayer::new().gzip(true).quality(CompressionLevel::Fastest);
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(health::health))
        .routes(routes!(ready::ready))
        .routes(routes!(check_in::check_in))
        .routes(routes!(ticket::ticket))
        .routes(
            routes!(attendance::attendance)
                .layer(gzip)
                .layer(map_request(attendance::overlook_refused_encodings)),
        )
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            // The store logs an outage once, not once a request.
            StoreError::Unavailable(_) => Self::StorageUnavailable,
            StoreError::Internal(cause) => Self::Internal(cause),
        }
    }
}
