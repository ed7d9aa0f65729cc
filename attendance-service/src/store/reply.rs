//! The queue between clients and the task that writes their scans in batches.

use std::time::Duration;

use tokio::{
    sync::{mpsc, oneshot},
    task::yield_now,
    time::timeout,
};

use super::StoreError;

/// How many scans may wait. When the queue is full, a new one is refused at once.
pub(super) const QUEUE_CAPACITY: usize = 4096;

/// How long a client waits for the outcome of its scan.
const ANSWER_WITHIN: Duration = Duration::from_millis(1800);

/// The same for a job that may take long, such as putting many tickets on a list. Less than the deadline of a request.
const ANSWER_LONG_WITHIN: Duration = Duration::from_secs(8);

/// Sends the outcome to the client that waits for it.
pub(super) struct Reply<T>(oneshot::Sender<Result<T, StoreError>>);

impl<T> Reply<T> {
    pub(super) fn send(self, outcome: Result<T, StoreError>) {
        // Fails if the client has hung up. Its check-in stands nevertheless.
        let _ = self.0.send(outcome);
    }

    /// Whether the client no longer waits: it has hung up, or its time was over.
    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

/// Queues a job and waits for its outcome.
pub(super) async fn submit<Job, T>(
    jobs: &mpsc::Sender<Job>,
    job: impl FnOnce(Reply<T>) -> Job,
) -> Result<T, StoreError> {
    let (reply, outcome) = oneshot::channel();
    jobs.try_send(job(Reply(reply))).map_err(|_| too_many())?;
    wait(outcome, ANSWER_WITHIN).await
}

/// Queues a job that may take long, and waits for its outcome.
pub(super) async fn submit_long<Job, T>(
    jobs: &mpsc::Sender<Job>,
    job: impl FnOnce(Reply<T>) -> Job,
) -> Result<T, StoreError> {
    let (reply, outcome) = oneshot::channel();
    jobs.try_send(job(Reply(reply))).map_err(|_| too_many())?;
    wait(outcome, ANSWER_LONG_WITHIN).await
}

/// Queues `count` jobs, all or none, and waits for their common outcome.
pub(super) async fn submit_all<Job, T, Jobs: IntoIterator<Item = Job>>(
    jobs: &mpsc::Sender<Job>,
    count: usize,
    make: impl FnOnce(Reply<T>) -> Jobs,
) -> Result<T, StoreError> {
    let (reply, outcome) = oneshot::channel();
    let permits = jobs.try_reserve_many(count).map_err(|_| too_many())?;
    for (permit, job) in permits.zip(make(Reply(reply))) {
        permit.send(job);
    }
    wait(outcome, ANSWER_WITHIN).await
}

async fn wait<T>(
    outcome: oneshot::Receiver<Result<T, StoreError>>,
    at_most: Duration,
) -> Result<T, StoreError> {
    match timeout(at_most, outcome).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(unavailable("the service is stopping")),
        Err(_) => Err(unavailable("the storage is too slow")),
    }
}

/// Waits for jobs and takes up to `limit` of them. Takes none once all senders are gone and the queue is empty.
pub(super) async fn recv_batch<Job>(queue: &mut mpsc::Receiver<Job>, jobs: &mut Vec<Job>, limit: usize) {
    queue.recv_many(jobs, limit).await;
    // Let clients that are ready now queue their jobs too. Otherwise the first job would be a batch by itself, and the
    // others would wait for its commit.
    yield_now().await;
    while jobs.len() < limit
        && let Ok(job) = queue.try_recv()
    {
        jobs.push(job);
    }
}

/// The error for a full queue.
pub(super) fn too_many() -> StoreError {
    unavailable("the storage is too slow for so many")
}

pub(super) fn unavailable(reason: &str) -> StoreError {
    StoreError::Unavailable(reason.into())
}
