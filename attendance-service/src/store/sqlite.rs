//! Check-ins in memory, with a log of them in a SQLite file.
//!
//! Memory answers what it can, and decides which scan of a ticket is the first: the log has no unique keys. A scan whose
//! ticket is not in memory goes to the writer. It commits all scans that wait in one transaction, adds them to memory
//! once they are on the disk, and only then answers. After an error it is not known what is on the disk: the writer opens
//! the file anew, and reads what it finds there, before it takes another scan.

mod job;
mod rows;
mod writer;

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::RwLock;
use shared_store::{
    CommitMetrics,
    sqlite::{FileLock, SqliteError},
};
use tokio::sync::mpsc;

pub use self::rows::{CONTENT, migrations};
use self::{
    job::{Job, Queued},
    writer::Writer,
};
use super::{
    Attendance, CheckIn, CheckInStore, MemoryUsage, StoreError,
    memory::{Lookup, MemoryCheckInStore},
    reply::{QUEUE_CAPACITY, submit},
};
use crate::record::{EventId, Scan, TicketId};

/// The name of the file in a directory that both services share.
pub const FILE_NAME: &str = "attendance.db";

/// The embedded store.
pub struct SqliteCheckInStore {
    memory: Arc<MemoryCheckInStore>,
    jobs: mpsc::Sender<Job>,
    /// Why nothing can be written at the moment.
    broken: Arc<RwLock<Option<Arc<str>>>>,
}

impl SqliteCheckInStore {
    /// Locks the file at `path` and loads it into memory, even if that takes more than `limit` bytes.
    ///
    /// # Errors
    ///
    /// The file is in use, damaged, newer than this service, missing though it `is_expected`, or takes no writes.
    pub async fn open(
        path: &Path,
        is_expected: bool,
        limit: u64,
        commits: CommitMetrics,
    ) -> Result<Self, SqliteError> {
        let memory = Arc::new(MemoryCheckInStore::new(limit));
        let broken = Arc::default();
        let (jobs, queue) = mpsc::channel(QUEUE_CAPACITY);
        let lock = FileLock::take(path, is_expected)?;
        lock.inspect(&CONTENT).await?;
        let writer =
            Writer::open(lock, migrations(), Arc::clone(&memory), commits, Arc::clone(&broken)).await?;
        let check_ins = memory.memory_usage().map(|usage| usage.check_ins);
        tracing::info!(path = %path.display(), check_ins, "the file is loaded");
        memory.log_if_full();
        let writer = tokio::spawn(writer.run(queue));
        tokio::spawn(async {
            // After a panic nobody knows what is on the disk. A new process finds out.
            if writer.await.is_err_and(|ended| ended.is_panic()) {
                std::process::abort();
            }
        });
        Ok(Self { memory, jobs, broken })
    }

    fn check_writable(&self) -> Result<(), StoreError> {
        self.broken.read().clone().map_or(Ok(()), |reason| Err(StoreError::Unavailable(reason)))
    }
}

#[async_trait]
impl CheckInStore for SqliteCheckInStore {
    async fn check_in(&self, scan: Scan) -> Result<CheckIn, StoreError> {
        let bytes = match self.memory.look_up(&scan)? {
            Lookup::Decided(outcome) => return Ok(outcome),
            Lookup::New(bytes) => bytes,
        };
        self.check_writable()?;
        // Reserved before the scan waits: a queued scan takes memory too, and memory must have room for all that is on
        // the disk.
        let room = self.memory.reserve(bytes)?;
        submit(&self.jobs, |reply| Job::CheckIn(Queued { scan, reply, _reservation: room })).await
    }

    async fn attendance(&self, event: &EventId) -> Result<Attendance, StoreError> {
        self.memory.attendance(event).await
    }

    async fn record(&self, event: &EventId, ticket: &TicketId) -> Result<Option<Bytes>, StoreError> {
        // Before memory is read: the writer loads what it finds in the file before it clears `broken`.
        let broken = self.broken.read().clone();
        match (self.memory.record(event, ticket).await?, broken) {
            // It may be in the file: a commit that returned an error can be on the disk.
            (None, Some(reason)) => Err(StoreError::Unavailable(reason)),
            (record, _) => Ok(record),
        }
    }

    fn memory_usage(&self) -> Option<MemoryUsage> {
        self.memory.memory_usage()
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.check_writable()?;
        self.memory.has_room()?;
        submit(&self.jobs, Job::Probe).await
    }
}
