//! Check-ins in memory, with a log of them in a SQLite file.
//!
//! Memory answers what it can, and decides which scan of a ticket is the first: the log has no unique keys. A scan whose
//! ticket is not in memory goes to the writer. It commits all scans that wait in one transaction, adds them to memory
//! once they are on the disk, and only then answers. After an error it is not known what is on the disk: the writer opens
//! the file anew, and reads what it finds there, before it takes another scan.

mod batch;
mod events;
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
    job::{BatchReply, Job, QueuedScan, ScanReply},
    writer::Writer,
};
use super::{
    Attendance, BatchResult, CheckIn, CheckInStore, EventStore, MemoryUsage, Offline, StoreError, Summary,
    UndoOutcome,
    change::{Change, Changed},
    memory::{Lookup, MemoryCheckInStore},
    reply::{QUEUE_CAPACITY, submit, submit_all, submit_long},
};
use crate::{
    event::{Event, EventChange},
    history::{BulkUndo, Changes, HistoryEntry, Undo},
    record::{EventId, Scan, TicketId, Timestamp},
    ticket::{ImportCounts, NewTicket, TicketInfo, TicketPage, TicketSearch},
};

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

    async fn change(&self, change: Change) -> Result<Changed, StoreError> {
        self.check_writable()?;
        submit_long(&self.jobs, |reply| Job::Change(change, reply)).await
    }

    /// The outcomes of scans, in their order.
    async fn outcomes(&self, scans: Vec<Scan>) -> Result<Vec<CheckIn>, StoreError> {
        let mut outcomes = Vec::with_capacity(scans.len());
        let mut queued = Vec::new();
        for (index, scan) in scans.into_iter().enumerate() {
            let bytes = match self.memory.look_up(&scan)? {
                // Once a scan waits, those after it wait too: they may be about the same ticket or the same attempt.
                Lookup::Decided(outcome) if queued.is_empty() => {
                    outcomes.push(Some(outcome));
                    continue;
                }
                Lookup::Decided(_) => 0,
                Lookup::Write(_, bytes) => bytes,
            };
            outcomes.push(None);
            queued.push((index, scan, self.memory.reserve(bytes)?));
        }
        if queued.is_empty() {
            return Ok(outcomes.into_iter().flatten().collect());
        }
        self.check_writable()?;
        submit_all(&self.jobs, queued.len(), |reply| {
            let batch = Arc::new(BatchReply::new(outcomes, reply));
            queued.into_iter().map(move |(index, scan, reservation)| {
                let reply = ScanReply::OfBatch(Arc::clone(&batch), index);
                Job::CheckIn(QueuedScan { scan, reply, reservation })
            })
        })
        .await
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
            Lookup::Write(_, bytes) => bytes,
        };
        self.check_writable()?;
        // Reserved before the scan waits: a queued scan takes memory too, and memory must have room for all that is on
        // the disk.
        let reservation = self.memory.reserve(bytes)?;
        submit(&self.jobs, |reply| {
            Job::CheckIn(QueuedScan { scan, reply: ScanReply::Alone(reply), reservation })
        })
        .await
    }

    async fn check_in_batch(&self, scans: Vec<Scan>) -> Result<Vec<BatchResult>, StoreError> {
        let tickets: Vec<_> =
            scans.iter().map(|scan| self.memory.ticket_info(&scan.event_id, &scan.ticket_id)).collect();
        let outcomes = self.outcomes(scans).await?;
        let results = outcomes.into_iter().zip(tickets);
        Ok(results.map(|(outcome, ticket)| BatchResult { outcome, ticket }).collect())
    }

    async fn undo(&self, undo: Undo) -> Result<UndoOutcome, StoreError> {
        self.check_writable()?;
        if let Lookup::Decided(outcome) = self.memory.look_up_undo(&undo, Timestamp::now())? {
            return Ok(outcome);
        }
        submit(&self.jobs, |reply| Job::Undo(undo, reply)).await
    }

    async fn undo_all(&self, undo: BulkUndo) -> Result<u64, StoreError> {
        self.check_writable()?;
        submit_long(&self.jobs, |reply| Job::UndoAll(undo, reply)).await
    }

    async fn history(&self, event: &EventId, ticket: &TicketId) -> Result<Vec<HistoryEntry>, StoreError> {
        self.memory.history(event, ticket).await
    }

    async fn changes(&self, event: &EventId, after: u64, limit: usize) -> Result<Changes, StoreError> {
        self.memory.changes(event, after, limit).await
    }

    async fn summary(&self, event: &EventId) -> Result<Summary, StoreError> {
        self.memory.summary(event).await
    }

    async fn version(&self, event: &EventId) -> Result<u64, StoreError> {
        self.memory.version(event).await
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

#[async_trait]
impl EventStore for SqliteCheckInStore {
    async fn events(&self) -> Result<Vec<Event>, StoreError> {
        self.memory.events().await
    }

    async fn event(&self, id: &EventId) -> Result<Option<Event>, StoreError> {
        self.memory.event(id).await
    }

    async fn create_event(&self, event: Event) -> Result<(), StoreError> {
        self.change(Change::Create(Box::new(event))).await.map(drop)
    }

    async fn update_event(&self, id: &EventId, change: EventChange) -> Result<Option<Event>, StoreError> {
        Ok(self.change(Change::Update(id.clone(), Box::new(change))).await?.event())
    }

    async fn delete_event(&self, id: &EventId) -> Result<bool, StoreError> {
        Ok(matches!(self.change(Change::Delete(id.clone())).await?, Changed::Deleted))
    }

    async fn put_tickets(
        &self,
        event: &EventId,
        tickets: Vec<NewTicket>,
    ) -> Result<Option<ImportCounts>, StoreError> {
        Ok(self.change(Change::PutTickets(event.clone(), tickets)).await?.tickets())
    }

    async fn revoke_ticket(&self, event: &EventId, ticket: &TicketId) -> Result<Option<bool>, StoreError> {
        Ok(self.change(Change::Revoke(event.clone(), ticket.clone())).await?.revoked())
    }

    async fn tickets(
        &self,
        event: &EventId,
        search: &TicketSearch,
    ) -> Result<Option<TicketPage>, StoreError> {
        self.memory.tickets(event, search).await
    }

    async fn ticket_infos(
        &self,
        event: &EventId,
        tickets: &[TicketId],
    ) -> Result<Vec<Option<TicketInfo>>, StoreError> {
        self.memory.ticket_infos(event, tickets).await
    }

    async fn offline_tag(&self, event: &EventId) -> Result<Option<String>, StoreError> {
        self.memory.offline_tag(event).await
    }

    async fn offline(&self, event: &EventId) -> Result<Option<Offline>, StoreError> {
        self.memory.offline(event).await
    }
}
