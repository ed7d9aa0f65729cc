//! Metrics of commits.

use std::time::Duration;

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use shared_http::metrics::Registry;

/// How long commits take, and how many records they hold.
#[derive(Clone, Debug)]
pub struct CommitMetrics {
    seconds: Histogram,
    records: Histogram,
}

impl CommitMetrics {
    /// Registers both histograms.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            // 0.1 ms to 1.6 s: after that clients get a 503.
            seconds: Histogram::new(exponential_buckets(1e-4, 2.0, 15)),
            records: Histogram::new(exponential_buckets(1.0, 2.0, 9)),
        };
        registry.register(
            "tixgo_store_commit_seconds",
            "Time until what was written is on the disk, or in the database",
            metrics.seconds.clone(),
        );
        registry.register("tixgo_store_commit_records", "Records in one commit", metrics.records.clone());
        metrics
    }

    /// Records a successful commit.
    pub fn observe(&self, took: Duration, records: usize) {
        self.seconds.observe(took.as_secs_f64());
        self.records.observe(records as f64);
    }
}
