//! Who came: checks every ticket in exactly once, and tells who was there.

pub mod config;
pub mod record;
pub mod routes;
pub mod store;

use std::sync::Arc;

use axum::{Router, extract::FromRef};
use shared_auth::TokenVerifier;
use shared_http::{middleware, pages};
use shared_store::{Location, OpenError};

use crate::{
    config::Config,
    store::{
        CheckInStore, memory::MemoryCheckInStore, postgres::PostgresCheckInStore, sqlite::SqliteCheckInStore,
    },
};

/// What the handlers share.
#[derive(Clone)]
pub struct AppState {
    /// Every ticket that was checked in.
    pub check_ins: Arc<dyn CheckInStore>,
    /// Verifies tokens.
    pub verifier: Arc<TokenVerifier>,
}

impl AppState {
    /// The state that `config` asks for.
    ///
    /// # Errors
    ///
    /// The place where check-ins are kept cannot be used.
    pub async fn open(config: &Config) -> Result<Self, OpenError> {
        let check_ins: Arc<dyn CheckInStore> = match &config.location {
            Location::Memory => Arc::new(MemoryCheckInStore::default()),
            Location::Sqlite(path) => Arc::new(SqliteCheckInStore::open(path).await?),
            Location::Postgres(url) => Arc::new(PostgresCheckInStore::open(url).await?),
        };
        Ok(Self { check_ins, verifier: Arc::new(TokenVerifier::new(&config.secret)) })
    }
}

impl FromRef<AppState> for Arc<TokenVerifier> {
    fn from_ref(state: &AppState) -> Self {
        state.verifier.clone()
    }
}

/// The whole service, without a socket.
///
/// # Errors
///
/// The OpenAPI document cannot be written.
pub fn app(state: AppState, config: &Config) -> Result<Router, serde_json::Error> {
    let (api, openapi) = routes::api().split_for_parts();
    let pages = pages::pages(&routes::ABOUT, openapi)?;
    let router = api.with_state(state).merge(pages);
    Ok(middleware::stack(router, config.http.stack()))
}
