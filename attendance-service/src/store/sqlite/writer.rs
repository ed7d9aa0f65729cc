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
    job::{Job, Queued},
    rows::{decode, insert, read},
};
use crate::{
    record::Timestamp,
    store::{
        StoreError,
        memory::{Lookup, MemoryCheckInStore},
        reply::{Reply, recv_batch, unavailable},
    },
};

/// The most scans in one commit: their parameters stay far below SQLite's limit of 32,766.
const BATCH: usize = 128;

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
            recv_batch(&mut queue, &mut jobs, BATCH).await;
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
        read(connection, self.last_seq, |seq, scan, at| {
            if !self.memory.load(&scan, at).map_err(decode)? {
                tracing::error!(
                    seq,
                    "a row is of a ticket that an earlier row checked in: the earlier one counts"
                );
            }
            self.last_seq = seq;
            Ok(())
        })
        .await
    }

    /// Refuses all queued jobs. The store refuses new ones for the same reason.
    fn refuse(&self, queue: &mut mpsc::Receiver<Job>, error: &SqliteError) {
        let reason: Arc<str> = error.to_string().into();
        *self.broken.write() = Some(Arc::clone(&reason));
        while let Ok(job) = queue.try_recv() {
            job.refuse(&reason);
        }
    }

    /// Writes the scans of `jobs` in one commit, and answers all jobs.
    async fn process(&mut self, jobs: &mut Vec<Job>) {
        let Some(connection) = &mut self.connection else { return };
        let Sorted { batch, conflicting, probes } = sort(&self.memory, jobs);

        let broken = Arc::clone(&self.broken);
        let written: Result<(), Box<dyn Error + Send + Sync>> = if let Err(error) = self.lock.check_in_place()
        {
            Err(error.into())
        } else if !batch.is_empty() {
            let begin = Instant::now();
            let inserted = await_disk(insert(connection, &batch), &broken).await;
            inserted.map_err(Box::from).map(|last_seq| {
                self.commits.observe(begin.elapsed(), batch.len());
                self.last_seq = last_seq;
            })
        } else if !probes.is_empty() && self.probed_at.elapsed() > PROBE_VALID_FOR {
            await_disk(probe_write(connection), &broken).await.map_err(Box::from)
        } else {
            return probes.into_iter().for_each(|reply| reply.send(Ok(())));
        };
        let outcome = match written {
            Ok(()) => {
                self.probed_at = Instant::now();
                Ok(())
            }
            Err(error) => Err(self.set_broken(&*error)),
        };
        for (Queued { scan, reply, .. }, at) in batch {
            reply.send(outcome.clone().and_then(|()| self.memory.insert(&scan, at)));
        }
        // Answered only now, when the scans that they lost against are on the disk and in memory.
        for Queued { scan, reply, .. } in conflicting {
            reply.send(outcome.clone().and_then(|()| match self.memory.look_up(&scan)? {
                Lookup::Decided(outcome) => Ok(outcome),
                Lookup::New(_) => Err(unavailable("the scan has to be sent again")),
            }));
        }
        probes.into_iter().for_each(|reply| reply.send(outcome.clone()));
        if outcome.is_ok() {
            // It may have been set while the disk was slow. Now memory has everything that the disk has.
            *broken.write() = None;
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

/// Jobs by what has to be done for them.
#[derive(Default)]
struct Sorted {
    /// Scans to insert, with their times of acceptance. No two of them conflict.
    batch: Vec<(Queued, Timestamp)>,
    /// Scans that conflict with one of `batch`.
    conflicting: Vec<Queued>,
    probes: Vec<Reply<()>>,
}

/// Sorts `jobs`. Answers at once what memory can decide.
fn sort(memory: &MemoryCheckInStore, jobs: &mut Vec<Job>) -> Sorted {
    let now = Timestamp::now();
    let mut sorted = Sorted { batch: Vec::with_capacity(jobs.len()), ..Sorted::default() };
    for job in jobs.drain(..) {
        let queued = match job {
            Job::Probe(reply) => {
                sorted.probes.push(reply);
                continue;
            }
            Job::CheckIn(queued) => queued,
        };
        // The client is gone. If its scan were written, the next scan of the ticket would be refused as a duplicate,
        // though no client saw it accepted.
        if queued.reply.is_closed() {
            continue;
        }
        match memory.look_up(&queued.scan) {
            Ok(Lookup::Decided(outcome)) => queued.reply.send(Ok(outcome)),
            Err(error) => queued.reply.send(Err(error)),
            Ok(Lookup::New(_))
                if sorted.batch.iter().any(|(other, _)| other.scan.conflicts_with(&queued.scan)) =>
            {
                sorted.conflicting.push(queued);
            }
            Ok(Lookup::New(_)) => {
                let event = &queued.scan.event_id;
                let last = sorted.batch.iter().rev().find(|(other, _)| other.scan.event_id == *event);
                let at = memory.next_timestamp(event, last.map(|(_, at)| *at), now);
                sorted.batch.push((queued, at));
            }
        }
    }
    sorted
}
