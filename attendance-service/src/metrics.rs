//! Metrics of check-ins and of the memory that they take.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use shared_http::metrics::{Registry, register_gauge};
use shared_service::metrics::outcome_counters;

use crate::{
    live::Live,
    store::{BatchResult, CheckIn, CheckInStore, MemoryUsage, StoreError},
};

/// Check-ins by outcome.
#[derive(Clone, Debug)]
pub struct CheckInMetrics {
    accepted: Counter,
    replayed: Counter,
    duplicate: Counter,
    conflict: Counter,
    key_reused: Counter,
    unregistered: Counter,
    revoked: Counter,
    forbidden: Counter,
    unavailable: Counter,
    full: Counter,
    failed: Counter,
    undone: Counter,
}

impl CheckInMetrics {
    /// Registers a counter for each outcome.
    pub fn new(registry: &mut Registry) -> Self {
        let undone = Counter::default();
        registry.register("tixgo_undone_check_ins", "Check-ins that were undone", undone.clone());
        let counter = outcome_counters(registry, "tixgo_check_ins", "Scans by outcome");
        Self {
            accepted: counter("accepted"),
            replayed: counter("replayed"),
            duplicate: counter("duplicate"),
            conflict: counter("conflict"),
            key_reused: counter("key_reused"),
            unregistered: counter("unregistered"),
            revoked: counter("revoked"),
            forbidden: counter("forbidden"),
            unavailable: counter("unavailable"),
            full: counter("full"),
            failed: counter("failed"),
            undone,
        }
    }

    /// Counts the outcome of a scan.
    pub fn count(&self, outcome: &Result<CheckIn, StoreError>) {
        self.counter(outcome.as_ref()).inc();
    }

    /// Counts the outcomes of a batch of so many `scans`.
    pub fn count_batch(&self, outcomes: &Result<Vec<BatchResult>, StoreError>, scans: usize) {
        match outcomes {
            Ok(results) => {
                for result in results {
                    self.counter(Ok(&result.outcome)).inc();
                }
            }
            Err(error) => drop(self.counter(Err(error)).inc_by(scans as u64)),
        }
    }

    /// Counts scans with a gate pass for another event.
    pub fn count_forbidden(&self, scans: usize) {
        self.forbidden.inc_by(scans as u64);
    }

    /// Counts check-ins that were undone.
    pub fn count_undone(&self, check_ins: u64) {
        self.undone.inc_by(check_ins);
    }

    fn counter(&self, outcome: Result<&CheckIn, &StoreError>) -> &Counter {
        match outcome {
            Ok(CheckIn::Accepted(_)) => &self.accepted,
            Ok(CheckIn::Replayed { .. }) => &self.replayed,
            Ok(CheckIn::Duplicate(_)) => &self.duplicate,
            Ok(CheckIn::Conflict(_)) => &self.conflict,
            Ok(CheckIn::KeyReused) => &self.key_reused,
            Ok(CheckIn::Unregistered) => &self.unregistered,
            Ok(CheckIn::Revoked) => &self.revoked,
            Err(StoreError::Unavailable(_)) => &self.unavailable,
            Err(StoreError::Full) => &self.full,
            Err(StoreError::Internal(_)) => &self.failed,
        }
    }
}

/// Registers the number of live subscribers.
pub fn register_subscribers(registry: &mut Registry, live: &Arc<Live>) {
    let live = Arc::clone(live);
    let help = "Subscribers of the live state of an event";
    register_gauge(registry, "tixgo_live_subscribers", help, move || Some(live.subscribers() as u64));
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
