//! `GET /health` and `GET /ready`.

use std::sync::Arc;

use async_trait::async_trait;
use axum::{Json, Router, extract::State, routing::get};
use serde::Serialize;
use shared_http::{ApiError, error::ErrorBody, openapi::AnyRoute};
use utoipa::{Modify, ToSchema, openapi::OpenApi};

use crate::service::ServiceInfo;

/// Whether a service can do its work.
#[async_trait]
pub trait Readiness: Send + Sync {
    /// What `/ready` reports.
    ///
    /// # Errors
    ///
    /// What `/ready` answers instead, [`ApiError::NotReady`] with the reason as a rule.
    async fn ready(&self) -> Result<(), ApiError>;
}

/// The answer of `GET /health`: the process is up.
#[derive(Serialize, ToSchema)]
pub struct Health {
    /// Always `ok`.
    #[schema(example = "ok")]
    pub status: &'static str,
    /// Which service answers.
    pub service: &'static str,
}

#[derive(Clone)]
struct HealthState {
    service: &'static str,
    readiness: Arc<dyn Readiness>,
}

/// The routes `/health` and `/ready` of `service`.
pub fn router(service: &ServiceInfo, readiness: Arc<dyn Readiness>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .with_state(HealthState { service: service.health_name, readiness })
}

/// Whether the process is up
#[utoipa::path(
    get,
    path = "/health",
    tag = "service",
    responses((status = 200, description = "It is.", body = Health), AnyRoute)
)]
async fn health(State(state): State<HealthState>) -> Json<Health> {
    Json(Health { status: "ok", service: state.service })
}

/// Whether the service can do its work
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
async fn ready(State(state): State<HealthState>) -> Result<Json<Health>, ApiError> {
    state.readiness.ready().await?;
    Ok(Json(Health { status: "ready", service: state.service }))
}

/// Sets the summary of `/ready` in the OpenAPI document: what this service can do when it is ready.
pub struct ReadySummary(pub &'static str);

impl Modify for ReadySummary {
    fn modify(&self, openapi: &mut OpenApi) {
        let operation = openapi.paths.paths.get_mut("/ready").and_then(|path| path.get.as_mut());
        if let Some(operation) = operation {
            operation.summary = Some(self.0.to_owned());
        }
    }
}
