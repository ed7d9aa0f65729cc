//! The metrics of logins, registrations, bcrypt and the user store.

use std::sync::Arc;

use prometheus_client::metrics::{
    counter::Counter,
    gauge::Gauge,
    histogram::{Histogram, exponential_buckets},
};
use shared_http::{
    ApiError,
    metrics::{Registry, register_gauge},
};
use shared_service::metrics::outcome_counters;

use crate::store::UserStore;

/// Counts logins, or registrations, by outcome.
#[derive(Clone, Debug)]
pub struct OutcomeMetrics {
    accepted: Counter,
    refused: Counter,
    throttled: Counter,
    busy: Counter,
    failed: Counter,
}

impl OutcomeMetrics {
    /// Registers the counter `name`, with every outcome at 0.
    pub fn new(registry: &mut Registry, name: &'static str, help: &'static str) -> Self {
        let counter = outcome_counters(registry, name, help);
        Self {
            accepted: counter("accepted"),
            refused: counter("refused"),
            throttled: counter("throttled"),
            busy: counter("busy"),
            failed: counter("failed"),
        }
    }

    /// Counts the outcome of a request, and returns it.
    pub fn count<T>(&self, outcome: Result<T, ApiError>) -> Result<T, ApiError> {
        let counter = match &outcome {
            Ok(_) => &self.accepted,
            Err(ApiError::TooMany { .. }) => &self.throttled,
            Err(ApiError::Busy) => &self.busy,
            Err(ApiError::Internal(_) | ApiError::StorageUnavailable) => &self.failed,
            Err(_) => &self.refused,
        };
        counter.inc();
        outcome
    }
}

/// Counts what becomes of sessions.
#[derive(Clone, Debug)]
pub struct SessionMetrics {
    /// A login asked for a refresh token.
    pub opened: Counter,
    /// A refresh token was used, and replaced.
    pub refreshed: Counter,
    /// A refresh token was used again within its grace.
    pub repeated: Counter,
    /// A refresh token was used again after its grace: the session was ended.
    pub reused: Counter,
    /// The session had not been used for too long.
    pub expired: Counter,
    /// The session had ended before, or never was.
    pub unknown: Counter,
    /// Somebody logged out.
    pub logged_out: Counter,
    throttled: Counter,
    failed: Counter,
}

impl SessionMetrics {
    /// Registers the counter, with every outcome at 0.
    pub fn new(registry: &mut Registry) -> Self {
        let counter = outcome_counters(registry, "tixgo_sessions", "Sessions by what became of them");
        Self {
            opened: counter("opened"),
            refreshed: counter("refreshed"),
            repeated: counter("repeated"),
            reused: counter("reused"),
            expired: counter("expired"),
            unknown: counter("unknown"),
            logged_out: counter("logged_out"),
            throttled: counter("throttled"),
            failed: counter("failed"),
        }
    }

    /// Counts the errors that say nothing of the session, and returns the outcome.
    pub fn count_errors<T>(&self, outcome: Result<T, ApiError>) -> Result<T, ApiError> {
        match &outcome {
            Err(ApiError::TooMany { .. }) => drop(self.throttled.inc()),
            Err(ApiError::Internal(_) | ApiError::StorageUnavailable) => drop(self.failed.inc()),
            _ => {}
        }
        outcome
    }
}

/// The metrics of bcrypt and the queue in front of it.
#[derive(Clone, Debug)]
pub struct BcryptMetrics {
    pub(crate) queue: Gauge,
    pub(crate) wait: Histogram,
    pub(crate) refusals: Counter,
    pub(crate) rounds: Counter,
}

impl BcryptMetrics {
    /// Registers all of them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            queue: Gauge::default(),
            // Buckets from 1 ms to 16 s.
            wait: Histogram::new(exponential_buckets(1e-3, 2.0, 15)),
            refusals: Counter::default(),
            rounds: Counter::default(),
        };
        registry.register(
            "tixgo_bcrypt_queue",
            "Passwords that wait or are worked on",
            metrics.queue.clone(),
        );
        registry.register("tixgo_bcrypt_wait_seconds", "Time in the queue", metrics.wait.clone());
        registry.register(
            "tixgo_bcrypt_refusals",
            "Passwords that were refused because the queue was full",
            metrics.refusals.clone(),
        );
        registry.register("tixgo_bcrypt_rounds", "Rounds of bcrypt, its work", metrics.rounds.clone());
        metrics
    }
}

/// Registers the number of users in `store`, read whenever the metrics are.
pub fn register_record_count(registry: &mut Registry, store: &Arc<dyn UserStore>) {
    let store = Arc::clone(store);
    let help = "Users held by this process; PostgreSQL holds its own";
    register_gauge(registry, "tixgo_records", help, move || store.count());
}
