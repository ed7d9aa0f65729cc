use axum::{Json, extract::State};
use shared_http::{ApiError, error::ErrorBody, health::Health, openapi::AnyRoute};

use crate::{AppState, store::StoreError};

/// Whether tickets can be checked in
#[utoipa::path(
    get,
    path = "/ready",
    tag = "service",
    responses(
        (status = 200, description = "They can.", body = Health),
        AnyRoute,
        (
            status = 503,
            description = "They cannot, for the reason in `detail`.",
            body = ErrorBody,
            headers(("Retry-After" = u32, description = "Seconds to wait.")),
            example = json!({"detail": "disk I/O error"})
        )
    )
)]
pub(super) async fn ready(State(state): State<AppState>) -> Result<Json<Health>, ApiError> {
    match state.check_ins.ready().await {
        Ok(()) => Ok(Json(Health { status: "ready", service: "attendance" })),
        Err(StoreError::Unavailable(reason)) => Err(ApiError::NotReady(reason.as_ref().to_owned())),
        Err(error @ StoreError::Full) => Err(ApiError::Full(error.to_string().into())),
        Err(error) => Err(error.into()),
    }
}
