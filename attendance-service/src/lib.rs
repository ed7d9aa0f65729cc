//! attendance-service: checks every ticket in exactly once, and says who came.

pub mod config;
pub mod deflate;
pub mod gzip;
pub mod metrics;
pub mod record;
pub mod routes;
pub mod service;
pub mod store;

use std::sync::Arc;

use axum::{Router, extract::FromRef};
use shared_auth::TokenVerifier;
use shared_http::{metrics::Registry, middleware, pages, telemetry::Telemetry};
use shared_service::{ATTENDANCE, health};
use shared_store::{CommitMetrics, Location, OpenError};

use crate::{
    config::Config,
    gzip::Compressor,
    metrics::{CheckInMetrics, register_memory_usage},
    store::{
        CheckInStore, memory::MemoryCheckInStore, postgres::PostgresCheckInStore, sqlite::SqliteCheckInStore,
    },
};

/// What the handlers share.
#[derive(Clone)]
pub struct AppState {
    /// The store of all check-ins.
    pub check_ins: Arc<dyn CheckInStore>,
    /// Verifies tokens.
    pub verifier: Arc<TokenVerifier>,
    /// Compresses lists.
    pub compressor: Arc<Compressor>,
    /// Counts check-ins.
    pub metrics: Arc<CheckInMetrics>,
}

impl AppState {
    /// The state that `config` asks for, whose metrics go to `registry`.
    ///
    /// # Errors
    ///
    /// The store cannot be opened.
    pub async fn open(config: &Config, registry: &mut Registry) -> Result<Self, OpenError> {
        let commits = CommitMetrics::new(registry);
        let check_ins: Arc<dyn CheckInStore> = match &config.location {
            Location::Memory => Arc::new(MemoryCheckInStore::new(config.max_store_bytes)),
            Location::Sqlite { path, is_expected } => {
                let limit = config.max_store_bytes;
                Arc::new(SqliteCheckInStore::open(path, *is_expected, limit, commits).await?)
            }
            Location::Postgres(url) => Arc::new(PostgresCheckInStore::open(url, commits).await?),
        };
        register_memory_usage(registry, &check_ins);
        Ok(Self {
            check_ins,
            verifier: Arc::new(TokenVerifier::new(&config.secrets)),
            compressor: Arc::default(),
            metrics: Arc::new(CheckInMetrics::new(registry)),
        })
    }
}

impl FromRef<AppState> for Arc<TokenVerifier> {
    fn from_ref(state: &AppState) -> Self {
        state.verifier.clone()
    }
}

/// The whole service, without a socket.
pub fn app(state: AppState, config: &Config, telemetry: Telemetry) -> Router {
    let pages = pages::pages(&routes::about(), routes::document);
    let health = health::router(&ATTENDANCE, Arc::new(state.clone()));
    let router = routes::router().with_state(state).merge(health).merge(pages);
    middleware::stack(router, config.http.stack(telemetry))
}
