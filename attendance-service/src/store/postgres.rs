//! Check-ins in PostgreSQL, or in a database that speaks its protocol: shared by any number of replicas.
//!
//! The process remembers nothing. The unique keys of the table decide which scan is first, in one statement for all
//! scans that wait. Scans that were not first are looked up after that, and answered by what stands in the table. Every
//! attempt has an id of its own in the table, so a statement whose outcome was lost can be sent again.
//!
//! What happens in an event is a log: whoever writes an entry holds the lock of the event until the commit, so the numbers
//! of entries grow in the order of commits. `check_ins` has the check-ins that stand, `past_entries` all other entries.

mod adopt;
mod batch;
mod check_in;
mod conflicts;
mod event_store;
mod events;
mod findings;
mod list;
mod log;
mod offline;
mod rows;
mod tickets;
mod undo;

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use shared_store::{
    CommitMetrics, Migration, Migrations,
    postgres::{Connections, Database, PostgresError, WriteProbe},
};
use sqlx::PgConnection;
use tokio::{sync::mpsc, time::Instant};

use self::{
    batch::{WRITERS, write},
    check_in::{Entry, check_in},
    rows::{Digest, RETRY_BULK_FOR, RETRY_FOR, digest, event_key, record, retry, store_error, ticket_key},
};
use super::{
    Attendance, BatchResult, CheckIn, CheckInStore, MemoryUsage, StoreError, Summary, UndoOutcome,
    budget::Budget,
    clock::MonotonicClock,
    reply::{QUEUE_CAPACITY, Reply, submit, too_many},
};
use crate::{
    history::{BulkUndo, Changes, HistoryEntry, Undo},
    record::{EventId, RecordPrefix, Scan, TicketId},
};

/// The schema that this service has to itself.
const SCHEMA: &str = "attendance";

/// Memory for queued scans, in bytes. Scans of clients that have hung up count too, until they are taken from the queue.
const QUEUE_BYTES: u64 = 32 << 20;

/// Connections for reading and changing a little.
const READERS: usize = 4;

/// Connections for reading pages of lists.
const PAGE_READERS: usize = 8;

/// Connections for batches of scans and for undos.
const BATCH_WRITERS: usize = 2;

/// Connections for what takes long.
const BULK_CONNECTIONS: usize = 2;

const FIND: &str = "SELECT event_id, ticket_id, checked_in_by,
        (extract(epoch FROM checked_in_at) * 1000000)::bigint
    FROM attendance.check_ins WHERE ticket = $1";

/// The shared store.
pub struct PostgresCheckInStore {
    reads: Arc<Connections>,
    pages: Arc<Connections>,
    batches: Connections,
    bulk: Connections,
    jobs: mpsc::Sender<(Entry, Reply<CheckIn>)>,
    queued: Arc<Budget>,
    clock: Arc<MonotonicClock>,
    commits: CommitMetrics,
    /// Tells the attempts of this process from those of others.
    boot_id: u64,
    attempt_ids: AtomicU64,
    write_probe: WriteProbe<StoreError>,
}

/// The migrations of this service, oldest first.
fn migrations() -> Migrations {
    let check_ins = include_str!("../../migrations/postgres/1_check_ins.sql");
    let log = include_str!("../../migrations/postgres/2_log.sql");
    Migrations::new(&[
        Migration { name: "check ins", sql: check_ins, min_reader: 1 },
        Migration { name: "log", sql: log, min_reader: 1 },
    ])
}

impl PostgresCheckInStore {
    /// Waits for the database, and brings its schema up to date.
    ///
    /// # Errors
    ///
    /// The database cannot be reached, refuses us, or is newer than this service.
    pub async fn open(url: &str, commits: CommitMetrics) -> Result<Self, PostgresError> {
        let database = Database::open(url, SCHEMA, migrations()).await?;
        let reads = Arc::new(database.connections(READERS));
        adopt::adopt_at_start(&reads).await?;
        tokio::spawn(adopt::keep_adopting(Arc::downgrade(&reads)));
        let (jobs, queue) = mpsc::channel(QUEUE_CAPACITY);
        let (writers, clock) = (Arc::new(database.connections(WRITERS)), Arc::default());
        tokio::spawn(write(queue, writers, commits.clone(), Arc::clone(&clock)));
        Ok(Self {
            reads,
            pages: Arc::new(database.connections(PAGE_READERS)),
            batches: database.connections(BATCH_WRITERS),
            bulk: database.connections(BULK_CONNECTIONS),
            jobs,
            queued: Arc::new(Budget::new(QUEUE_BYTES)),
            clock,
            commits,
            boot_id: RandomState::new().hash_one(0),
            attempt_ids: AtomicU64::default(),
            write_probe: WriteProbe::default(),
        })
    }

    fn entry(&self, scan: Scan) -> Result<Entry, StoreError> {
        let prefix = RecordPrefix::new(&scan).map_err(|error| StoreError::Internal(Arc::new(error)))?;
        let attempt = match &scan.idempotency_key {
            Some(key) => digest(&[scan.checked_in_by.as_bytes(), key.as_ref().as_bytes()]),
            None => self.new_attempt(),
        };
        let (event, ticket) = (event_key(&scan.event_id), ticket_key(&scan.event_id, &scan.ticket_id));
        // Twice, because the ids are in the scan and in the prefix.
        let origin =
            [&scan.gate, &scan.scanned_at].into_iter().flatten().map(|text| text.len()).sum::<usize>();
        let bytes = 2 * prefix.record_len() + origin;
        let room = self.queued.reserve(bytes as u64).ok_or_else(too_many)?;
        Ok(Entry { scan, prefix, ticket, attempt, event, _reservation: room })
    }

    /// The id of an attempt that has no key, or of a request to undo.
    fn new_attempt(&self) -> Digest {
        let attempt_id = self.attempt_ids.fetch_add(1, Ordering::Relaxed);
        digest(&[&self.boot_id.to_le_bytes(), &attempt_id.to_le_bytes(), b""])
    }
}

#[async_trait]
impl CheckInStore for PostgresCheckInStore {
    async fn check_in(&self, scan: Scan) -> Result<CheckIn, StoreError> {
        let entry = self.entry(scan)?;
        submit(&self.jobs, |reply| (entry, reply)).await
    }

    async fn check_in_batch(&self, scans: Vec<Scan>) -> Result<Vec<BatchResult>, StoreError> {
        let entries = scans.into_iter().map(|scan| self.entry(scan)).collect::<Result<Vec<_>, _>>()?;
        let begin = Instant::now();
        let write = || check_in(&self.batches, &self.clock, &entries);
        let outcomes = self.batches.retry(RETRY_FOR, write).await.map_err(store_error)?;
        self.commits.observe(begin.elapsed(), outcomes.len());
        let outcomes = outcomes.into_iter().collect::<Result<Vec<_>, _>>()?;
        let tickets: Vec<Digest> = entries.iter().map(|entry| entry.ticket).collect();
        let infos = retry!(self.reads, RETRY_FOR, |connection| tickets::infos(connection, &tickets))?;
        let results = outcomes.into_iter().zip(infos);
        Ok(results.map(|(outcome, ticket)| BatchResult { outcome, ticket }).collect())
    }

    async fn undo(&self, undo: Undo) -> Result<UndoOutcome, StoreError> {
        let request = self.new_attempt();
        retry!(self.batches, RETRY_FOR, |connection| undo::undo(connection, &undo, request))
    }

    async fn undo_all(&self, undo: BulkUndo) -> Result<u64, StoreError> {
        let request = self.new_attempt();
        retry!(self.bulk, RETRY_BULK_FOR, |connection| undo::undo_all(connection, &undo, request))
    }

    async fn history(&self, event: &EventId, ticket: &TicketId) -> Result<Vec<HistoryEntry>, StoreError> {
        let ticket = ticket_key(event, ticket);
        retry!(self.reads, RETRY_FOR, |connection| log::history(connection, ticket))
    }

    async fn changes(&self, event: &EventId, after: u64, limit: usize) -> Result<Changes, StoreError> {
        let event = event_key(event);
        retry!(self.reads, RETRY_FOR, |connection| log::changes(connection, event, after, limit))
    }

    async fn summary(&self, event: &EventId) -> Result<Summary, StoreError> {
        let event = event_key(event);
        retry!(self.reads, RETRY_FOR, |connection| log::summary(connection, event))
    }

    async fn version(&self, event: &EventId) -> Result<u64, StoreError> {
        let event = event_key(event);
        let last = retry!(self.reads, RETRY_FOR, |connection| log::last(connection, event));
        last.map(|(version, _)| version)
    }

    async fn attendance(&self, event: &EventId) -> Result<Attendance, StoreError> {
        list::begin(&self.pages, event_key(event)).await.map_err(store_error)
    }

    async fn record(&self, event: &EventId, ticket: &TicketId) -> Result<Option<Bytes>, StoreError> {
        let ticket = ticket_key(event, ticket);
        retry!(self.reads, RETRY_FOR, |connection| find(connection, ticket))
    }

    fn memory_usage(&self) -> Option<MemoryUsage> {
        None
    }

    async fn ready(&self) -> Result<(), StoreError> {
        let probe = async { retry!(self.reads, RETRY_FOR, |connection| write_probe(connection)) };
        self.write_probe.get_or(probe).await
    }
}

/// The record of a ticket, if it is checked in.
async fn find(connection: &mut PgConnection, ticket: Digest) -> sqlx::Result<Option<Bytes>> {
    let row = sqlx::query(FIND).bind(ticket).fetch_optional(connection).await?;
    row.map(|row| record(&row, 0)).transpose()
}

async fn write_probe(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("UPDATE attendance.proof SET at = now()").execute(connection).await.map(drop)
}
