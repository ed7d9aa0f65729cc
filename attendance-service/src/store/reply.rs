//! Where a client waits while its scan is on the way to the disk with those of others.

use std::time::Duration;

use tokio::{
    sync::{mpsc, oneshot},
    task::yield_now,
    time::timeout,
};

use super::StoreError;

/// Scans that may wait. More are told at once that the storage is not available.
pub(super) const QUEUE: usize = 4096;

/// How long a client waits.
const PATIENCE: Duration = Duration::from_millis(1800);

/// Where a client waits, unless it has hung up.
pub(super) struct Reply<T>(oneshot::Sender<Result<T, StoreError>>);

impl<T> Reply<T> {
    pub(super) fn send(self, outcome: Result<T, StoreError>) {
        // A client that has hung up meanwhile is told nothing; its check-in stands.
        let _ = self.0.send(outcome);
    }

    /// Whether the client has hung up, or was told to come again.
    pub(super) fn is_unheard(&self) -> bool {
        self.0.is_closed()
    }
}

/// Queues a job, and waits for its answer.
pub(super) async fn ask<Job, T>(
    jobs: &mpsc::Sender<Job>,
    job: impl FnOnce(Reply<T>) -> Job,
) -> Result<T, StoreError> {
    let (reply, answered) = oneshot::channel();
    jobs.try_send(job(Reply(reply))).map_err(|_| too_many())?;
    match timeout(PATIENCE, answered).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(unavailable("the service is stopping")),
        Err(_) => Err(unavailable("the storage is too slow")),
    }
}

/// Takes whatever waits, up to `limit` jobs. Nothing, once nobody can come any more.
pub(super) async fn recv_batch<Job>(queue: &mut mpsc::Receiver<Job>, jobs: &mut Vec<Job>, limit: usize) {
    queue.recv_many(jobs, limit).await;
    // The first is seen before those who came with it, and would have a commit to itself while they wait.
    yield_now().await;
    while jobs.len() < limit
        && let Ok(job) = queue.try_recv()
    {
        jobs.push(job);
    }
}

/// More wait than may.
pub(super) fn too_many() -> StoreError {
    unavailable("the storage is too slow for so many")
}

pub(super) fn unavailable(reason: &str) -> StoreError {
    StoreError::Unavailable(reason.into())
}
