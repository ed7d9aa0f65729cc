//! Check-ins in memory, behind which a SQLite file remembers them.
//!
//! Memory answers whatever it can. A scan that may be accepted goes to one writer, which commits
//! everything that waits in one go, tells memory once that is on the disk, and only then answers. After an error
//! nobody knows what is on the disk, so the writer opens the file anew, and reads what it
//! finds there, before it takes another scan.

use std::{error::Error, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::RwLock;
use serde::Deserialize;
use shared_store::{
    CommitMetrics, Content, Migration, Migrations,
    sqlite::{FileLock, SqliteError, await_disk, probe_write},
};
use sqlx::{Connection, QueryBuilder, Sqlite, SqliteConnection};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    Attendance, CheckIn, CheckInStore, Held, StoreError,
    budget::Reservation,
    memory::{Known, MemoryCheckInStore},
    reply::{QUEUE, Reply, ask, recv_batch, unavailable},
};
use crate::record::{EventId, IdempotencyKey, Scan, TicketId, Timestamp};

/// The name of the file in a directory that both services share.
pub const FILE_NAME: &str = "attendance.db";

/// What is in the file, for its operator.
pub const CONTENT: Content = Content {
    service: "attendance-service",
    name: "check-ins",
    migrations,
    read: |database| Box::pin(count(database)),
    newest: "SELECT ticket_id, ' to ', event_id, ' by ', checked_in_by,
                 ' at ' || strftime('%Y-%m-%dT%H:%M:%fZ', checked_in_at / 1000000.0, 'unixepoch')
             FROM check_ins ORDER BY seq DESC LIMIT 1",
};

/// As many scans as one commit may hold: their parameters stay far below SQLite's 32,766.
const BATCH: usize = 128;

/// As many rows as are read at once. A row is no longer than the body it came in, 64 KiB, so that is 4 MiB at most.
const PAGE: i64 = 64;

// As one text, for handing rows over one by one takes longer than all the rest of a start.
const LOAD: &str = "SELECT json_group_array(
        json_array(seq, event_id, ticket_id, checked_in_by, checked_in_at, idempotency_key))
    FROM (SELECT * FROM check_ins WHERE seq > ?1 ORDER BY seq LIMIT ?2)";

/// A row as [`LOAD`] tells it.
#[derive(Deserialize)]
struct Row(i64, EventId, TicketId, String, i64, Option<String>);

/// How long after a failure the file is tried again.
const PAUSE: Duration = Duration::from_millis(250);

/// How long one proof that the file takes writes is good for.
const PROBE_IS_GOOD_FOR: Duration = Duration::from_secs(1);

/// The embedded store.
pub struct SqliteCheckInStore {
    memory: Arc<MemoryCheckInStore>,
    jobs: mpsc::Sender<Job>,
    /// Why nothing can be written just now.
    broken: Arc<RwLock<Option<Arc<str>>>>,
}

enum Job {
    CheckIn(Queued),
    Probe(Reply<()>),
}

/// A scan that waits, and the room that was taken for it.
struct Queued {
    scan: Scan,
    reply: Reply<CheckIn>,
    _room: Reservation,
}

impl Job {
    fn refuse(self, reason: &Arc<str>) {
        let error = StoreError::Unavailable(Arc::clone(reason));
        match self {
            Self::CheckIn(queued) => queued.reply.send(Err(error)),
            Self::Probe(reply) => reply.send(Err(error)),
        }
    }
}

/// The migrations of this service, oldest first.
pub fn migrations() -> Migrations {
    let sql = include_str!("../../migrations/sqlite/1_check_ins.sql");
    Migrations::new(&[Migration { name: "check ins", sql, min_reader: 1 }])
}

impl SqliteCheckInStore {
    /// Takes the file at `path` and reads what it holds, be it more than the `limit` of memory for check-ins.
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
        let (jobs, queue) = mpsc::channel(QUEUE);
        let mut writer = Writer {
            lock: FileLock::take(path, is_expected)?,
            migrations: migrations(),
            memory: Arc::clone(&memory),
            commits,
            broken: Arc::clone(&broken),
            connection: None,
            last_seq: 0,
            probed_at: Instant::now(),
        };
        writer.lock.inspect(&CONTENT).await?;
        writer.connect().await?;
        let check_ins = memory.held().map(|held| held.check_ins);
        tracing::info!(path = %path.display(), check_ins, "the file is loaded");
        memory.log_if_full();
        let writer = tokio::spawn(writer.run(queue));
        tokio::spawn(async {
            // Nobody knows then what is on the disk and what is not: a new process finds out.
            if writer.await.is_err_and(|ended| ended.is_panic()) {
                std::process::abort();
            }
        });
        Ok(Self { memory, jobs, broken })
    }

    fn is_open(&self) -> Result<(), StoreError> {
        self.broken.read().clone().map_or(Ok(()), |reason| Err(StoreError::Unavailable(reason)))
    }
}

#[async_trait]
impl CheckInStore for SqliteCheckInStore {
    async fn check_in(&self, scan: Scan) -> Result<CheckIn, StoreError> {
        let bytes = match self.memory.known(&scan)? {
            Known::Outcome(outcome) => return Ok(outcome),
            Known::New(bytes) => bytes,
        };
        self.is_open()?;
        // Before it waits: what is queued is held too, and what is on the disk must be held.
        let room = self.memory.reserve(bytes)?;
        ask(&self.jobs, |reply| Job::CheckIn(Queued { scan, reply, _room: room })).await
    }

    async fn attendance(&self, event: &EventId) -> Result<Attendance, StoreError> {
        self.memory.attendance(event).await
    }

    async fn record(&self, event: &EventId, ticket: &TicketId) -> Result<Option<Bytes>, StoreError> {
        // In this order, for what is found in the file is told memory before the outage is over.
        let broken = self.broken.read().clone();
        match (self.memory.record(event, ticket).await?, broken) {
            // It may be in the file: a commit that failed need not have failed.
            (None, Some(reason)) => Err(StoreError::Unavailable(reason)),
            (record, _) => Ok(record),
        }
    }

    fn held(&self) -> Option<Held> {
        self.memory.held()
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.is_open()?;
        self.memory.has_room()?;
        ask(&self.jobs, Job::Probe).await
    }
}

/// The one who writes.
struct Writer {
    lock: FileLock,
    migrations: Migrations,
    memory: Arc<MemoryCheckInStore>,
    commits: CommitMetrics,
    broken: Arc<RwLock<Option<Arc<str>>>>,
    connection: Option<SqliteConnection>,
    /// The last row that memory knows.
    last_seq: i64,
    /// When the file last took a write.
    probed_at: Instant,
}

impl Writer {
    async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut jobs = Vec::with_capacity(BATCH);
        loop {
            while self.broken.read().is_some() {
                // Whatever this says: the file is opened from scratch.
                if let Some(connection) = self.connection.take() {
                    drop(connection.close().await);
                }
                sleep_until(Instant::now() + PAUSE).await;
                match self.connect().await {
                    Ok(()) => tracing::info!("the storage takes writes again"),
                    Err(error) => self.refuse(&mut queue, &error),
                }
            }
            recv_batch(&mut queue, &mut jobs, BATCH).await;
            if jobs.is_empty() {
                return;
            }
            self.step(&mut jobs).await;
        }
    }

    /// Opens the file and tells memory what it does not know yet.
    async fn connect(&mut self) -> Result<(), SqliteError> {
        let mut connection = self.lock.connect(&self.migrations).await?;
        self.load(&mut connection).await.map_err(|error| self.lock.classify(error))?;
        self.connection = Some(connection);
        self.probed_at = Instant::now();
        *self.broken.write() = None;
        Ok(())
    }

    async fn load(&mut self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
        read(connection, self.last_seq, |seq, scan, at| {
            self.memory.load(&scan, at).map_err(decode)?;
            self.last_seq = seq;
            Ok(())
        })
        .await
    }

    /// Everybody who waits is told that there is no storage, and so is whoever comes now.
    fn refuse(&self, queue: &mut mpsc::Receiver<Job>, error: &SqliteError) {
        let reason: Arc<str> = error.to_string().into();
        *self.broken.write() = Some(Arc::clone(&reason));
        while let Ok(job) = queue.try_recv() {
            job.refuse(&reason);
        }
    }

    /// One commit, of everything that waits.
    async fn step(&mut self, jobs: &mut Vec<Job>) {
        let Some(connection) = &mut self.connection else { return };
        let now = Timestamp::now();
        let mut batch: Vec<(Queued, Timestamp)> = Vec::with_capacity(jobs.len());
        let mut later = vec![];
        let mut probes = vec![];
        for job in jobs.drain(..) {
            match job {
                Job::Probe(reply) => probes.push(reply),
                // Told to come again, or gone: whoever finds the ticket used later must not wonder by whom.
                Job::CheckIn(queued) if queued.reply.is_unheard() => {}
                Job::CheckIn(queued) => match self.memory.known(&queued.scan) {
                    Ok(Known::Outcome(known)) => queued.reply.send(Ok(known)),
                    Err(error) => queued.reply.send(Err(error)),
                    Ok(Known::New(_))
                        if batch.iter().any(|(other, _)| other.scan.conflicts_with(&queued.scan)) =>
                    {
                        later.push(queued);
                    }
                    Ok(Known::New(_)) => {
                        let event = &queued.scan.event_id;
                        let last = batch.iter().rev().find(|(other, _)| other.scan.event_id == *event);
                        let at = self.memory.moment(event, last.map(|(_, at)| *at), now);
                        batch.push((queued, at));
                    }
                },
            }
        }

        let broken = Arc::clone(&self.broken);
        let written = if !batch.is_empty() {
            let begin = Instant::now();
            await_disk(insert(connection, &batch), &broken).await.map(|last_seq| {
                self.commits.observe(begin.elapsed(), batch.len());
                self.last_seq = last_seq;
            })
        } else if !probes.is_empty() && self.probed_at.elapsed() > PROBE_IS_GOOD_FOR {
            await_disk(probe_write(connection), &broken).await
        } else {
            return probes.into_iter().for_each(|reply| reply.send(Ok(())));
        };
        let outcome = match written {
            Ok(()) => {
                self.probed_at = Instant::now();
                Ok(())
            }
            Err(error) => Err(self.give_up(&error)),
        };
        for (Queued { scan, reply, .. }, at) in batch {
            reply.send(outcome.clone().and_then(|()| self.memory.insert(&scan, at).map(CheckIn::Accepted)));
        }
        // Whoever lost against somebody in the same commit is told so once that is on the disk.
        for Queued { scan, reply, .. } in later {
            reply.send(outcome.clone().and_then(|()| match self.memory.known(&scan)? {
                Known::Outcome(known) => Ok(known),
                Known::New(_) => Err(unavailable("the scan has to be sent again")),
            }));
        }
        probes.into_iter().for_each(|reply| reply.send(outcome.clone()));
        if outcome.is_ok() {
            // If it was: memory knows now whatever the disk does.
            *broken.write() = None;
        }
    }

    /// Nobody writes until the file has been opened again: what it holds now is unknown.
    fn give_up(&mut self, error: &sqlx::Error) -> StoreError {
        tracing::error!(error = error as &dyn Error, "the storage takes no writes; trying again");
        let reason: Arc<str> = error.to_string().into();
        *self.broken.write() = Some(Arc::clone(&reason));
        StoreError::Unavailable(reason)
    }
}

/// Reads the rows after `seq` in order of acceptance.
async fn read(
    connection: &mut SqliteConnection,
    mut seq: i64,
    mut take: impl FnMut(i64, Scan, Timestamp) -> sqlx::Result<()>,
) -> sqlx::Result<()> {
    loop {
        let page: String = sqlx::query_scalar(LOAD).bind(seq).bind(PAGE).fetch_one(&mut *connection).await?;
        let mut page: Vec<Row> = serde_json::from_str(&page).map_err(decode)?;
        // They come in order, but SQLite does not promise it of what it aggregates.
        page.sort_unstable_by_key(|row| row.0);
        let Some(last) = page.last() else { return Ok(()) };
        seq = last.0;
        for Row(seq, event_id, ticket_id, checked_in_by, at, key) in page {
            let idempotency_key = key.and_then(|key| IdempotencyKey::new(key.as_bytes()));
            let scan = Scan { event_id, ticket_id, checked_in_by, idempotency_key };
            let at = Timestamp::from_micros(at).ok_or_else(|| decode(format!("row {seq} has no moment")))?;
            take(seq, scan, at)?;
        }
    }
}

/// How many rows a start would read.
async fn count(connection: &mut SqliteConnection) -> sqlx::Result<u64> {
    let mut rows = 0;
    read(connection, 0, |_, _, _| {
        rows += 1;
        Ok(())
    })
    .await?;
    Ok(rows)
}

fn decode(error: impl Into<Box<dyn Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

/// Writes `batch` in one commit, and tells the number of its last row.
async fn insert(connection: &mut SqliteConnection, batch: &[(Queued, Timestamp)]) -> sqlx::Result<i64> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO check_ins (event_id, ticket_id, checked_in_by, checked_in_at, idempotency_key) ",
    );
    query.push_values(batch, |mut row, (Queued { scan, .. }, at)| {
        row.push_bind(&scan.event_id.0)
            .push_bind(&scan.ticket_id.0)
            .push_bind(&scan.checked_in_by)
            .push_bind(at.micros())
            .push_bind(scan.idempotency_key.as_ref().map(AsRef::as_ref));
    });
    Ok(query.build().execute(connection).await?.last_insert_rowid())
}

#[cfg(test)]
mod tests {
    use shared_store::testing::assert_no_temporary_btree;

    use super::*;

    #[tokio::test]
    async fn no_statement_sorts() {
        let directory = tempfile::tempdir().unwrap();
        let mut lock = FileLock::take(&directory.path().join(FILE_NAME), false).unwrap();
        let mut database = lock.connect(&migrations()).await.unwrap();
        assert_no_temporary_btree(&mut database, &[LOAD, CONTENT.newest]).await;
    }
}
