//! attendance-service: checks every ticket in exactly once, and says who came.

pub mod attendance_csv;
pub mod config;
pub mod csv_writer;
pub mod deflate;
pub mod digest;
pub mod event;
pub mod gzip;
pub mod history;
pub mod import;
pub mod live;
pub mod metrics;
pub mod offline_list;
pub mod qr_code;
pub mod record;
pub mod routes;
pub mod service;
pub mod store;
pub mod ticket;
pub mod ticket_code;
pub mod web;

use std::{io, ops::Deref, sync::Arc};

use axum::{Router, extract::FromRef};
use shared_auth::TokenVerifier;
use shared_http::{metrics::Registry, middleware, pages, telemetry::Telemetry};
use shared_service::{ATTENDANCE, health};
use shared_store::{CommitMetrics, Location, OpenError};
use tokio::sync::Semaphore;

use crate::{
    config::Config,
    gzip::Compressor,
    live::{Live, Stores},
    metrics::{CheckInMetrics, register_memory_usage, register_subscribers},
    offline_list::OfflineLists,
    store::{
        CheckInStore, EventStore, memory::MemoryCheckInStore, postgres::PostgresCheckInStore,
        sqlite::SqliteCheckInStore,
    },
};

/// At most one of so many connections may belong to subscribers of live states, and no more than this: with a token it would be
/// easy to take all of them.
const SUBSCRIBERS_DIVISOR: usize = 4;
const MAX_SUBSCRIBERS: usize = 256;

/// What the handlers share. It is cloned several times a request, so it is one pointer.
#[derive(Clone)]
pub struct AppState(Arc<Services>);

/// What is behind an [`AppState`].
pub struct Services {
    /// The store of all check-ins.
    pub check_ins: Arc<dyn CheckInStore>,
    /// The same store, of events and their tickets.
    pub events: Arc<dyn EventStore>,
    /// Verifies tokens.
    pub verifier: Arc<TokenVerifier>,
    /// Compresses lists.
    pub compressor: Arc<Compressor>,
    /// Counts check-ins.
    pub metrics: Arc<CheckInMetrics>,
    /// What phones need without a network.
    pub offline_lists: Arc<OfflineLists>,
    /// Held during an import, so that there is one at a time: it can take 60 MiB.
    pub imports: Arc<Semaphore>,
    /// The live states of events, and their subscribers.
    pub live: Arc<Live>,
}

impl Deref for AppState {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.0
    }
}

impl AppState {
    /// The state that `config` asks for, whose metrics go to `registry`.
    ///
    /// # Errors
    ///
    /// The store cannot be opened.
    pub async fn open(config: &Config, registry: &mut Registry) -> Result<Self, OpenError> {
        let commits = CommitMetrics::new(registry);
        let (check_ins, events) = match &config.location {
            Location::Memory => both(MemoryCheckInStore::new(config.max_store_bytes)),
            Location::Sqlite { path, is_expected } => {
                let limit = config.max_store_bytes;
                both(SqliteCheckInStore::open(path, *is_expected, limit, commits).await?)
            }
            Location::Postgres(url) => both(PostgresCheckInStore::open(url, commits).await?),
        };
        register_memory_usage(registry, &check_ins);
        let max_subscribers = config.http.limits.max_connections / SUBSCRIBERS_DIVISOR;
        let live = Live::new(
            Stores { check_ins: Arc::clone(&check_ins), events: Arc::clone(&events) },
            max_subscribers.clamp(1, MAX_SUBSCRIBERS),
        );
        let live = Arc::new(live);
        register_subscribers(registry, &live);
        Ok(Self(Arc::new(Services {
            check_ins,
            events,
            verifier: Arc::new(TokenVerifier::new(&config.secrets)),
            compressor: Arc::default(),
            metrics: Arc::new(CheckInMetrics::new(registry)),
            offline_lists: Arc::default(),
            imports: Arc::new(Semaphore::new(1)),
            live,
        })))
    }
}

/// A store, as a store of check-ins and as one of events.
fn both<S: CheckInStore + EventStore + 'static>(store: S) -> (Arc<dyn CheckInStore>, Arc<dyn EventStore>) {
    let store = Arc::new(store);
    (store.clone(), store)
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
/// The files of the gate and the desk cannot be prepared.
pub fn app(state: AppState, config: &Config, telemetry: Telemetry) -> io::Result<Router> {
    let pages = pages::pages(&routes::about(), routes::document);
    let web = web::router(config.identity_url.as_ref())?;
    let health = health::router(&ATTENDANCE, Arc::new(state.clone()));
    let router = routes::router().with_state(state).merge(health).merge(pages).merge(web);
    Ok(middleware::stack(router, config.http.stack(telemetry)))
}
