//! Writes scans in batches: one statement inserts all scans that wait.

use std::sync::Arc;

use parking_lot::Mutex;
use shared_store::{CommitMetrics, postgres::Connections};
use tokio::{
    sync::{Semaphore, mpsc},
    time::Instant,
};

use super::{
    check_in::{Entry, check_in},
    rows::{RETRY_FOR, store_error},
};
use crate::store::{
    CheckIn, StoreError,
    clock::MonotonicClock,
    reply::{Reply, recv_batch},
};

/// The most scans in one statement.
const BATCH: usize = 512;

/// Statements under way at once. A second one would only wait for the commit of the first one, if it is for the same event.
/// In the queue it is filled meanwhile.
pub(super) const WRITERS: usize = 1;

/// Writes batches until all senders of `queue` are gone.
pub(super) async fn write(
    mut queue: mpsc::Receiver<(Entry, Reply<CheckIn>)>,
    connections: Arc<Connections>,
    commits: CommitMetrics,
    clock: Arc<MonotonicClock>,
) {
    let writers = Arc::new(Semaphore::new(WRITERS));
    let outage = Arc::new(Mutex::new(false));
    while let Ok(writer) = Arc::clone(&writers).acquire_owned().await {
        let mut jobs = Vec::with_capacity(BATCH);
        recv_batch(&mut queue, &mut jobs, BATCH).await;
        if jobs.is_empty() {
            return;
        }
        // Drops scans whose clients have disconnected or timed out. If they were written, the next scan of the ticket would be
        // refused as a duplicate, although no gate has seen the ticket accepted.
        jobs.retain(|(_, reply)| !reply.is_closed());
        if jobs.is_empty() {
            continue;
        }
        let (connections, outage) = (Arc::clone(&connections), Arc::clone(&outage));
        let (commits, clock) = (commits.clone(), Arc::clone(&clock));
        tokio::spawn(async move {
            let (entries, replies): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
            let begin = Instant::now();
            // Sent again after a lost connection. Rows that the first try has written are found by their attempt.
            let outcomes = connections.retry(RETRY_FOR, || check_in(&connections, &clock, &entries)).await;
            let outcomes = outcomes.map_err(store_error);
            log_outage(&mut outage.lock(), outcomes.as_ref().err());
            match outcomes {
                Ok(outcomes) => {
                    commits.observe(begin.elapsed(), outcomes.len());
                    for (reply, outcome) in replies.into_iter().zip(outcomes) {
                        reply.send(outcome);
                    }
                }
                Err(error) => replies.into_iter().for_each(|reply| reply.send(Err(error.clone()))),
            }
            drop(writer);
        });
    }
}

/// Logs an outage when it begins and when it ends, not once a scan.
fn log_outage(outage: &mut bool, error: Option<&StoreError>) {
    match error {
        Some(error) if !*outage => tracing::error!(%error, "the storage takes no writes; trying again"),
        None if *outage => tracing::info!("the storage takes writes again"),
        _ => {}
    }
    *outage = error.is_some();
}
