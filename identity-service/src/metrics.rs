//! What is counted of users and passwords.

use std::sync::Arc;

use prometheus_client::metrics::{
    counter::Counter,
    gauge::Gauge,
    histogram::{Histogram, exponential_buckets},
};
use shared_http::metrics::{Registry, register_figure};

use crate::store::UserStore;

/// The queue in front of bcrypt.
#[derive(Clone, Debug)]
pub struct BcryptMetrics {
    pub(crate) queue: Gauge,
    pub(crate) wait: Histogram,
    pub(crate) refusals: Counter,
}

impl BcryptMetrics {
    /// Adds them to `registry`.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            queue: Gauge::default(),
            // 1 ms to 16 s.
            wait: Histogram::new(exponential_buckets(1e-3, 2.0, 15)),
            refusals: Counter::default(),
        };
        registry.register(
            "tixgo_bcrypt_queue",
            "Passwords that wait or are worked on",
            metrics.queue.clone(),
        );
        registry.register(
            "tixgo_bcrypt_wait_seconds",
            "Time from the end of the queue to its head",
            metrics.wait.clone(),
        );
        registry.register(
            "tixgo_bcrypt_refusals",
            "Passwords that were turned away, for the queue was full",
            metrics.refusals.clone(),
        );
        metrics
    }
}

/// Adds to `registry` what is known of `store`.
pub fn register_held(registry: &mut Registry, store: &Arc<dyn UserStore>) {
    let store = Arc::clone(store);
    let help = "Users held by this process; PostgreSQL holds its own";
    register_figure(registry, "tixgo_records", help, move || store.held());
}
