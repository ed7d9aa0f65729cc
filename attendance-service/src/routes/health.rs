use axum::Json;
use shared_http::{health::Health, openapi::AnyRoute};

/// Whether the process is up
#[utoipa::path(
    get,
    path = "/health",
    tag = "service",
    responses((status = 200, description = "It is.", body = Health), AnyRoute)
)]
pub(super) async fn health() -> Json<Health> {
    Json(Health { status: "ok", service: "attendance" })
}
