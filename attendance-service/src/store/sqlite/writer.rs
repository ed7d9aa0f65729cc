//! The only task that writes to the SQLite file.

use std::{error::Error, sync::Arc, time::Duration};

use parking_lot::RwLock;
use shared_store::{
    CommitMetrics, Migrations,
    sqlite::{FileLock, SqliteError, await_disk, probe_write},
};
use sqlx::{Connection, SqliteConnection};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    batch::{Batch, Waiting, sort},
    events::{read_events, read_tickets, write},
    job::Job,
    rows::{decode, insert, read},
};
use crate::{
    history::BulkUndo,
    record::Timestamp,
    store::{
        StoreError,
        change::{Change, Changed},
        entry::Entry,
        memory::{Applied, LoadedEvents, MemoryCheckInStore},
        reply::{Reply, recv_batch, unavailable},
    },
};

/// The most entries in one statement, and scans in one commit: their parameters stay far below SQLite's limit of 32,766.
const BATCH: usize = 512;

/// How long after a failure the file is opened again.
const REOPEN_AFTER: Duration = Duration::from_millis(250);

/// For how long a successful write shows that the file takes writes.
const PROBE_VALID_FOR: Duration = Duration::from_secs(1);

/// Writes scans to the file, and adds them to memory once they are on the disk.
pub(super) struct Writer {
    lock: FileLock,
    migrations: Migrations,
    memory: Arc<MemoryCheckInStore>,
    commits: CommitMetrics,
    /// Why nothing can be written at the moment, shared with the store.
    broken: Arc<RwLock<Option<Arc<str>>>>,
    connection: Option<SqliteConnection>,
    /// The `seq` of the last row that is in memory.
    last_seq: i64,
    /// When the file last took a write.
    probed_at: Instant,
}

impl Writer {
    /// Opens the file and loads its rows into `memory`.
    pub(super) async fn open(
        lock: FileLock,
        migrations: Migrations,
        memory: Arc<MemoryCheckInStore>,
        commits: CommitMetrics,
        broken: Arc<RwLock<Option<Arc<str>>>>,
    ) -> Result<Self, SqliteError> {
        let probed_at = Instant::now();
        let mut writer =
            Self { lock, migrations, memory, commits, broken, connection: None, last_seq: 0, probed_at };
        writer.connect().await?;
        Ok(writer)
    }

    /// Writes until all senders of `queue` are gone.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut jobs = Vec::with_capacity(BATCH);
        loop {
            while self.broken.read().is_some() {
                // An error here changes nothing: the file is opened anew.
                if let Some(connection) = self.connection.take() {
                    drop(connection.close().await);
                }
                sleep_until(Instant::now() + REOPEN_AFTER).await;
                match self.connect().await {
                    Ok(()) => tracing::info!("the storage takes writes again"),
                    Err(error) => self.refuse(&mut queue, &error),
                }
            }
            if jobs.is_empty() {
                recv_batch(&mut queue, &mut jobs, BATCH).await;
            }
            // Beside those that were deferred, so that nobody else waits for all of them.
            while jobs.len() < BATCH
                && let Ok(job) = queue.try_recv()
            {
                jobs.push(job);
            }
            if jobs.is_empty() {
                return;
            }
            self.process(&mut jobs).await;
        }
    }

    /// Opens the file, loads the rows that memory does not have yet, and makes a test write.
    async fn connect(&mut self) -> Result<(), SqliteError> {
        let mut connection = self.lock.connect(&self.migrations).await?;
        let loaded = async {
            self.load(&mut connection).await?;
            probe_write(&mut connection).await
        };
        loaded.await.map_err(|error| self.lock.classify(error))?;
        self.connection = Some(connection);
        self.probed_at = Instant::now();
        *self.broken.write() = None;
        Ok(())
    }

    async fn load(&mut self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
        read(connection, self.last_seq, |seq, entry| {
            if matches!(self.memory.load(&entry).map_err(decode)?, Applied::Contradicted) {
                tracing::error!(
                    seq,
                    kind = ?entry.kind,
                    "a row contradicts the earlier rows of its ticket: they count, and it does not"
                );
            }
            self.last_seq = seq;
            Ok(())
        })
        .await?;
        let (mut loaded, mut numbers) = (LoadedEvents::default(), Vec::new());
        read_events(connection, |number, event| {
            numbers.push(number);
            loaded.add(event);
            Ok(())
        })
        .await?;
        read_tickets(connection, |number, tickets| {
            let index = numbers.binary_search(&number).map_err(|_| decode("tickets of no event"))?;
            loaded.set_tickets(index, tickets.iter().map(|ticket| ticket.row()));
            Ok(())
        })
        .await?;
        self.memory.set_events(loaded);
        Ok(())
    }

    /// Refuses all queued jobs. The store refuses new ones for the same reason.
    fn refuse(&self, queue: &mut mpsc::Receiver<Job>, error: &SqliteError) {
        let reason: Arc<str> = error.to_string().into();
        *self.broken.write() = Some(Arc::clone(&reason));
        while let Ok(job) = queue.try_recv() {
            job.refuse(&reason);
        }
    }

    /// Answers jobs, after writing what has to be written for them. Leaves those that can be decided only after that.
    async fn process(&mut self, jobs: &mut Vec<Job>) {
        let Batch { entries, waiting, probes, alone, deferred } = sort(&self.memory, jobs);
        if !entries.is_empty() {
            self.append(entries, waiting).await;
        }
        for job in alone {
            self.process_alone(job).await;
        }
        self.answer_probes(probes).await;
        *jobs = deferred;
        if let Some(reason) = self.broken.read().clone() {
            jobs.drain(..).for_each(|job| job.refuse(&reason));
        }
    }

    /// Appends entries to the log in one commit, and tells those who wait for them.
    async fn append(&mut self, entries: Vec<Entry>, waiting: Vec<Waiting>) {
        let written = self.write(async |connection| insert(connection, &entries).await, entries.len()).await;
        let outcome = written.map(|last_seq| self.last_seq = last_seq);
        for (entry, waiting) in entries.iter().zip(waiting) {
            waiting.answer(outcome.clone().and_then(|()| self.memory.apply(entry)));
        }
        self.end_slowness(outcome.is_ok());
    }

    /// Does what is not about one ticket.
    async fn process_alone(&mut self, job: Job) {
        if let Some(reason) = self.broken.read().clone() {
            return job.refuse(&reason);
        }
        match job {
            Job::UndoAll(undo, reply) if !reply.is_closed() => reply.send(self.undo_all(&undo).await),
            Job::Change(change, reply) if !reply.is_closed() => reply.send(self.change(change).await),
            _ => {}
        }
    }

    async fn undo_all(&mut self, undo: &BulkUndo) -> Result<u64, StoreError> {
        let entries = self.memory.entries_to_undo(undo, Timestamp::now())?;
        if entries.is_empty() {
            return Ok(0);
        }
        let write = async |connection: &mut SqliteConnection| {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let mut last_seq = 0;
            for entries in entries.chunks(BATCH) {
                last_seq = insert(&mut transaction, entries).await?;
            }
            transaction.commit().await?;
            Ok(last_seq)
        };
        self.last_seq = self.write(write, entries.len()).await?;
        let undone = self.memory.apply_undos(&entries);
        self.end_slowness(true);
        undone
    }

    async fn change(&mut self, change: Change) -> Result<Changed, StoreError> {
        let prepared = match self.memory.prepare(change)? {
            Ok(prepared) => prepared,
            Err(nothing) => return Ok(nothing),
        };
        let write = async |connection: &mut SqliteConnection| write(connection, &prepared.step).await;
        self.write(write, 1).await?;
        let changed = self.memory.apply_change(prepared);
        self.end_slowness(true);
        Ok(changed)
    }

    /// Calls `write` to write and commit so many rows. An error begins an outage: what is on the disk is unknown then.
    async fn write<T>(
        &mut self,
        write: impl AsyncFnOnce(&mut SqliteConnection) -> sqlx::Result<T>,
        rows: usize,
    ) -> Result<T, StoreError> {
        if let Err(error) = self.lock.check_in_place() {
            return Err(self.set_broken(&error));
        }
        let Some(connection) = &mut self.connection else {
            return Err(unavailable("the file is not open"));
        };
        let begin = Instant::now();
        match await_disk(write(connection), &self.broken).await {
            Ok(written) => {
                // A test write commits no rows, and is not counted.
                if rows > 0 {
                    self.commits.observe(begin.elapsed(), rows);
                }
                self.probed_at = Instant::now();
                Ok(written)
            }
            Err(error) => Err(self.set_broken(&error)),
        }
    }

    async fn answer_probes(&mut self, probes: Vec<Reply<()>>) {
        if probes.is_empty() {
            return;
        }
        let mut outcome = match self.broken.read().clone() {
            Some(reason) => Err(StoreError::Unavailable(reason)),
            None => Ok(()),
        };
        if outcome.is_ok() && self.probed_at.elapsed() > PROBE_VALID_FOR {
            let write = async |connection: &mut SqliteConnection| probe_write(connection).await;
            outcome = self.write(write, 0).await;
            self.end_slowness(outcome.is_ok());
        }
        probes.into_iter().for_each(|reply| reply.send(outcome.clone()));
    }

    /// After a write that took long, memory has everything that the disk has: what was said while the disk was slow is over.
    fn end_slowness(&self, is_written: bool) {
        if is_written {
            *self.broken.write() = None;
        }
    }

    /// Marks the storage as broken until the file has been opened again: what it holds now is unknown.
    fn set_broken(&mut self, error: &(dyn Error + Send + Sync + 'static)) -> StoreError {
        tracing::error!(error = error as &dyn Error, "the storage takes no writes; trying again");
        let reason: Arc<str> = error.to_string().into();
        *self.broken.write() = Some(Arc::clone(&reason));
        StoreError::Unavailable(reason)
    }
}
