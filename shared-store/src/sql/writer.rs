//! The writing connection, and how it is opened again after a failure.

use std::{
    error::Error,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use sqlx::{Connection, SqliteConnection};
use tokio::{
    sync::OwnedMutexGuard,
    time::{Instant, sleep},
};

use super::{
    SqlError,
    sqlite::{Shared, not_connected, query},
    transaction::{self, Change, Transaction},
};
use crate::{
    CommitMetrics,
    sqlite::{FileLock, await_disk, open_in_memory, probe_write},
};

/// How long after a failure the file is opened again.
const REOPEN_INTERVAL: Duration = Duration::from_millis(250);

/// How long after a write no probe is needed.
const PROBE_VALID_FOR: Duration = Duration::from_secs(1);

pub(super) struct Writer {
    /// `None` while the file is opened again. In memory also `None` before the first write: an idle service needs less
    /// memory as long as the code of SQLite is not loaded.
    pub(super) connection: Option<SqliteConnection>,
    /// `None` in memory.
    pub(super) file: Option<(FileLock, CommitMetrics)>,
    pub(super) wrote_at: Instant,
    pub(super) shared: Arc<Shared>,
}

/// Something that the writing connection does.
pub(super) trait Write: Send + 'static {
    type Outcome: Send + 'static;

    fn run(self, writer: &mut Writer) -> impl Future<Output = Result<Self::Outcome, Failure>> + Send;
}

type Failure = Box<dyn Error + Send + Sync>;

/// One statement. Its outcome is how many rows it changed.
pub(super) struct Statement {
    sql: &'static str,
    arguments: Vec<String>,
}

/// A statement that inserts rows of the content.
pub(super) struct Insert(pub(super) Statement);

/// Several statements.
pub(super) struct Transact<C>(pub(super) C);

/// A test write that changes nothing.
pub(super) struct Probe;

impl Statement {
    pub(super) fn new(sql: &'static str, arguments: &[&str]) -> Self {
        Self { sql, arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect() }
    }
}

impl Write for Statement {
    type Outcome = u64;

    async fn run(self, writer: &mut Writer) -> Result<u64, Failure> {
        let begin = Instant::now();
        let connection = writer.connection().await?;
        let statement = query(self.sql, self.arguments.iter().map(String::as_str));
        let changed = statement.execute(connection).await?.rows_affected();
        writer.wrote(changed, begin);
        Ok(changed)
    }
}

impl Write for Insert {
    type Outcome = u64;

    async fn run(self, writer: &mut Writer) -> Result<u64, Failure> {
        let inserted = self.0.run(writer).await?;
        writer.shared.rows.fetch_add(inserted, Ordering::Relaxed);
        Ok(inserted)
    }
}

impl<C: Change> Write for Transact<C> {
    type Outcome = C::Outcome;

    async fn run(self, writer: &mut Writer) -> Result<C::Outcome, Failure> {
        let begin = Instant::now();
        let mut open = writer.connection().await?.begin_with("BEGIN IMMEDIATE").await?;
        let mut transaction = Transaction::new(transaction::Connection::Sqlite(&mut open), false);
        let outcome = self.0.run(&mut transaction).await?;
        let (changed, removed) = (transaction.changed, transaction.removed);
        open.commit().await?;
        writer.wrote(changed, begin);
        writer.shared.rows.fetch_sub(removed, Ordering::Relaxed);
        Ok(outcome)
    }
}

impl Write for Probe {
    type Outcome = ();

    async fn run(self, writer: &mut Writer) -> Result<(), Failure> {
        if writer.file.is_some() && writer.wrote_at.elapsed() > PROBE_VALID_FOR {
            probe_write(writer.connection().await?).await?;
            writer.wrote_at = Instant::now();
        }
        Ok(())
    }
}

impl Writer {
    async fn connection(&mut self) -> sqlx::Result<&mut SqliteConnection> {
        match &mut self.connection {
            Some(connection) => Ok(connection),
            none if self.file.is_none() => {
                Ok(none.insert(open_in_memory(&(self.shared.content.migrations)()).await?))
            }
            None => Err(not_connected()),
        }
    }

    /// Observes a commit of so many rows.
    fn wrote(&mut self, changed: u64, begin: Instant) {
        if changed > 0 {
            self.wrote_at = Instant::now();
            if let Some((_, commits)) = &self.file {
                commits.observe(begin.elapsed(), 1);
            }
        }
    }
}

pub(super) async fn write_or_recover<W: Write>(
    mut writer: OwnedMutexGuard<Writer>,
    write: W,
) -> Result<W::Outcome, SqlError> {
    let shared = Arc::clone(&writer.shared);
    let run = async {
        if let Some((lock, _)) = &writer.file {
            lock.check_in_place()?;
        }
        write.run(&mut writer).await
    };
    let error = match await_disk(run, &shared.broken).await {
        Ok(outcome) => {
            *shared.broken.write() = None;
            return Ok(outcome);
        }
        Err(error) => error,
    };
    if writer.file.is_none() {
        // A database in memory would be empty after it was opened again.
        *shared.broken.write() = None;
        return Err(SqlError::Internal(error.into()));
    }
    tracing::error!(error = &*error as &dyn Error, "the storage takes no writes; trying again");
    let reason: Arc<str> = error.to_string().into();
    *shared.broken.write() = Some(Arc::clone(&reason));
    tokio::spawn(recover(writer));
    Err(SqlError::Unavailable(reason))
}

/// Tries to open the file until it takes writes. No other write can begin before, because it is unknown what the file
/// holds.
pub(super) async fn recover(mut writer: OwnedMutexGuard<Writer>) {
    if let Some(connection) = writer.connection.take() {
        // A failure does not matter: the file is opened again in any case.
        drop(connection.close().await);
    }
    let Writer { connection, file: Some((lock, _)), wrote_at, shared } = &mut *writer else { return };
    loop {
        sleep(REOPEN_INTERVAL).await;
        match shared.connect(lock).await {
            Ok(opened) => {
                (*connection, *wrote_at) = (Some(opened), Instant::now());
                *shared.broken.write() = None;
                break tracing::info!("the storage takes writes again");
            }
            Err(error) => *shared.broken.write() = Some(error.to_string().into()),
        }
    }
}
