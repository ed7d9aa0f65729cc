//! Metrics of check-ins and of the memory that they take.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use shared_http::metrics::{Registry, register_gauge};
use shared_service::metrics::outcome_counters;

use crate::store::{CheckIn, CheckInStore, MemoryUsage, StoreError};

/// Check-ins by outcome.
#[derive(Clone, Debug)]
pub struct CheckInMetrics {
    accepted: Counter,
    replayed: Counter,
    duplicate: Counter,
    key_reused: Counter,
    unavailable: Counter,
    full: Counter,
    failed: Counter,
}

impl CheckInMetrics {
    /// Registers a counter for each outcome.
    pub fn new(registry: &mut Registry) -> Self {
        let counter = outcome_counters(registry, "tixgo_check_ins", "Scans by outcome");
        Self {
            accepted: counter("accepted"),
            replayed: counter("replayed"),
            duplicate: counter("duplicate"),
            key_reused: counter("key_reused"),
            unavailable: counter("unavailable"),
            full: counter("full"),
            failed: counter("failed"),
        }
    }

    /// Counts the outcome of a scan.
    pub fn count(&self, outcome: &Result<CheckIn, StoreError>) {
        let counter = match outcome {
            Ok(CheckIn::Accepted(_)) => &self.accepted,
            Ok(CheckIn::Replayed(_)) => &self.replayed,
            Ok(CheckIn::Duplicate) => &self.duplicate,
            Ok(CheckIn::KeyReused) => &self.key_reused,
            Err(StoreError::Unavailable(_)) => &self.unavailable,
            Err(StoreError::Full) => &self.full,
            Err(StoreError::Internal(_)) => &self.failed,
        };
        counter.inc();
    }
}

/// Registers the memory usage of `store`. A store that keeps nothing in memory has no such figures.
pub fn register_memory_usage(registry: &mut Registry, store: &Arc<dyn CheckInStore>) {
    let mut register = |name, help, figure: fn(MemoryUsage) -> u64| {
        let store = Arc::clone(store);
        register_gauge(registry, name, help, move || store.memory_usage().map(figure));
    };
    register("tixgo_records", "Check-ins held by this process; PostgreSQL holds its own", |usage| {
        usage.check_ins
    });
    register("tixgo_store_bytes", "Memory of the check-ins held by this process", |usage| usage.bytes);
    register("tixgo_store_limit_bytes", "Memory that they may take: MAX_STORE_MB", |usage| usage.limit);
}
