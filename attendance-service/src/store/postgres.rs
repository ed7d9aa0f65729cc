//! Check-ins in PostgreSQL, or in a database that speaks its protocol: shared by any number of replicas.
//!
//! The process remembers nothing. The unique keys of the table decide which scan is first, in one statement for all
//! scans that wait. Scans that were not first are looked up after that, and answered by what stands in the table. Every
//! attempt has an id of its own in the table, so a statement whose outcome was lost can be sent again.

mod batch;
mod list;
mod rows;

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
use tokio::sync::mpsc;

use self::{
    batch::{Entry, WRITERS, write},
    rows::{Digest, LOOK_UP, RETRY_FOR, digest, record, store_error},
};
use super::{
    Attendance, CheckIn, CheckInStore, MemoryUsage, StoreError,
    budget::Budget,
    reply::{QUEUE_CAPACITY, Reply, submit, too_many},
};
use crate::record::{EventId, RecordPrefix, Scan, TicketId};

/// The schema that this service has to itself.
const SCHEMA: &str = "attendance";

/// Memory for queued scans, in bytes. Scans of clients that have hung up count too, until they are taken from the queue.
const QUEUE_BYTES: u64 = 32 << 20;

/// Connections for reading single tickets.
const READERS: usize = 4;

/// Connections for reading pages of lists.
const PAGE_READERS: usize = 8;

/// The shared store.
pub struct PostgresCheckInStore {
    reads: Connections,
    pages: Arc<Connections>,
    jobs: mpsc::Sender<(Entry, Reply<CheckIn>)>,
    queued: Arc<Budget>,
    /// Tells the attempts of this process from those of others.
    boot_id: u64,
    attempt_ids: AtomicU64,
    write_probe: WriteProbe<StoreError>,
}

/// The migrations of this service, oldest first.
fn migrations() -> Migrations {
    let sql = include_str!("../../migrations/postgres/1_check_ins.sql");
    Migrations::new(&[Migration { name: "check ins", sql, min_reader: 1 }])
}

impl PostgresCheckInStore {
    /// Waits for the database, and brings its schema up to date.
    ///
    /// # Errors
    ///
    /// The database cannot be reached, refuses us, or is newer than this service.
    pub async fn open(url: &str, commits: CommitMetrics) -> Result<Self, PostgresError> {
        let database = Database::open(url, SCHEMA, migrations()).await?;
        let (jobs, queue) = mpsc::channel(QUEUE_CAPACITY);
        tokio::spawn(write(queue, Arc::new(database.connections(WRITERS)), commits));
        Ok(Self {
            reads: database.connections(READERS),
            pages: Arc::new(database.connections(PAGE_READERS)),
            jobs,
            queued: Arc::new(Budget::new(QUEUE_BYTES)),
            boot_id: RandomState::new().hash_one(0),
            attempt_ids: AtomicU64::default(),
            write_probe: WriteProbe::default(),
        })
    }

    fn entry(&self, scan: Scan) -> Result<Entry, StoreError> {
        let prefix = RecordPrefix::new(&scan).map_err(|error| StoreError::Internal(Arc::new(error)))?;
        let attempt = match &scan.idempotency_key {
            Some(key) => digest(&[scan.checked_in_by.as_bytes(), key.as_ref().as_bytes()]),
            None => {
                let attempt_id = self.attempt_ids.fetch_add(1, Ordering::Relaxed);
                digest(&[&self.boot_id.to_le_bytes(), &attempt_id.to_le_bytes(), b""])
            }
        };
        let (event, ticket) = (scan.event_id.as_ref().as_bytes(), scan.ticket_id.as_ref().as_bytes());
        let (event, ticket) = (digest(&[event]), digest(&[event, ticket]));
        // Twice, because the ids are in the scan and in the prefix.
        let room = self.queued.reserve(2 * prefix.record_len() as u64).ok_or_else(too_many)?;
        Ok(Entry { scan, prefix, ticket, attempt, event, _reservation: room })
    }

    async fn look_up(&self, ticket: Digest) -> sqlx::Result<Option<Bytes>> {
        let mut connection = self.reads.lease().await?;
        let row = sqlx::query(LOOK_UP)
            .bind([ticket.as_slice()])
            .bind(Vec::<Vec<u8>>::new())
            .fetch_optional(&mut *connection)
            .await?;
        connection.release();
        row.map(|row| record(&row)).transpose()
    }

    async fn probe(&self) -> sqlx::Result<()> {
        let mut connection = self.reads.lease().await?;
        sqlx::query("UPDATE attendance.proof SET at = now()").execute(&mut *connection).await?;
        connection.release();
        Ok(())
    }
}

#[async_trait]
impl CheckInStore for PostgresCheckInStore {
    async fn check_in(&self, scan: Scan) -> Result<CheckIn, StoreError> {
        let entry = self.entry(scan)?;
        submit(&self.jobs, |reply| (entry, reply)).await
    }

    async fn attendance(&self, event: &EventId) -> Result<Attendance, StoreError> {
        let event = digest(&[event.as_ref().as_bytes()]);
        list::begin(&self.pages, event).await.map_err(store_error)
    }

    async fn record(&self, event: &EventId, ticket: &TicketId) -> Result<Option<Bytes>, StoreError> {
        let ticket = digest(&[event.as_ref().as_bytes(), ticket.as_ref().as_bytes()]);
        self.reads.retry(RETRY_FOR, || self.look_up(ticket)).await.map_err(store_error)
    }

    fn memory_usage(&self) -> Option<MemoryUsage> {
        None
    }

    async fn ready(&self) -> Result<(), StoreError> {
        let probe = async { self.reads.retry(RETRY_FOR, || self.probe()).await.map_err(store_error) };
        self.write_probe.get_or(probe).await
    }
}
