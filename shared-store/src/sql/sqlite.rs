//! Statements on SQLite: in a file, or in the memory of this process.
//!
//! One connection writes, one statement at a time. Another connection reads, so that a read does not wait for a write
//! that hangs. After a failed write it is unknown what is on the disk, so the file is opened again before the next write.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::RwLock;
use sqlx::{Connection, Sqlite, SqliteConnection, query::Query, sqlite::SqliteRow};
use tokio::{
    runtime::Handle,
    sync::Mutex,
    time::{Instant, error::Elapsed, timeout},
};

use super::{
    SqlError, SqlRow,
    transaction::Change,
    writer::{Insert, Probe, Statement, Transact, Write, Writer, recover, write_or_recover},
};
use crate::{
    CommitMetrics, Content,
    sqlite::{FileLock, SqliteError, open_reader, probe_write},
};

/// 256 KiB for each connection instead of 2 MiB. A statement needs only a few pages.
const SMALL_PAGE_CACHE: &str = "PRAGMA cache_size = -256";

/// How long a request waits for a write.
const WRITE_DEADLINE: Duration = Duration::from_millis(1500);

/// How long a request waits until earlier ones have read.
const QUEUE_DEADLINE: Duration = Duration::from_millis(500);

/// How long a read may take. One that takes longer begins an outage.
const READ_DEADLINE: Duration = Duration::from_millis(1000);

pub(super) struct SqliteSql {
    writer: Arc<Mutex<Writer>>,
    shared: Arc<Shared>,
}

/// What requests share with the tasks that write.
pub(super) struct Shared {
    /// `None` in memory, where the writing connection reads too.
    reader: Option<Reader>,
    pub(super) content: &'static Content,
    /// Why nothing can be written at the moment.
    pub(super) broken: RwLock<Option<Arc<str>>>,
    /// How many rows the content had when the file was last opened, and those that were inserted since.
    pub(super) rows: AtomicU64,
}

struct Reader {
    path: PathBuf,
    /// `None` until the file is opened.
    connection: Mutex<Option<SqliteConnection>>,
}

impl SqliteSql {
    /// Locks the file at `path`, opens it, and reads every row.
    pub(super) async fn open(
        path: &Path,
        is_expected: bool,
        content: &'static Content,
        commits: CommitMetrics,
    ) -> Result<Self, SqliteError> {
        let mut lock = FileLock::take(path, is_expected)?;
        lock.inspect(content).await?;
        let reader = Reader { path: path.to_owned(), connection: Mutex::default() };
        let shared = Shared::new(Some(reader), content);
        let connection = shared.connect(&mut lock).await?;
        Ok(Self::new(Some(connection), Some((lock, commits)), shared))
    }

    pub(super) fn in_memory(content: &'static Content) -> Self {
        Self::new(None, None, Shared::new(None, content))
    }

    fn new(
        connection: Option<SqliteConnection>,
        file: Option<(FileLock, CommitMetrics)>,
        shared: Shared,
    ) -> Self {
        let shared = Arc::new(shared);
        let writer = Writer { connection, file, wrote_at: Instant::now(), shared: Arc::clone(&shared) };
        Self { writer: Arc::new(Mutex::new(writer)), shared }
    }

    pub(super) fn outage(&self) -> Option<Arc<str>> {
        self.shared.broken.read().clone()
    }

    pub(super) fn rows(&self) -> u64 {
        self.shared.rows.load(Ordering::Relaxed)
    }

    pub(super) async fn fetch_at_start<T: SqlRow>(&self, sql: &'static str) -> Result<Option<T>, SqlError> {
        let mut writer = self.writer.lock().await;
        let Some(connection) = &mut writer.connection else { return Ok(None) };
        let row = sqlx::query_as(sql).fetch_optional(connection).await;
        row.map_err(|error| SqlError::Internal(Arc::new(error)))
    }

    pub(super) async fn fetch_all<T: SqlRow>(
        &self,
        sql: &'static str,
        arguments: &[&str],
    ) -> Result<Vec<T>, SqlError> {
        let rows = self.fetch_rows(sql, arguments).await?;
        let rows = rows.iter().map(|row| T::from_row(row)).collect::<sqlx::Result<_>>();
        rows.map_err(|error| SqlError::Internal(Arc::new(error)))
    }

    /// In WAL mode this does not wait for a write.
    async fn fetch_rows(&self, sql: &'static str, arguments: &[&str]) -> Result<Vec<SqliteRow>, SqlError> {
        let Some(reader) = &self.shared.reader else {
            let mut writer = timeout(WRITE_DEADLINE, self.writer.lock()).await.map_err(too_slow)?;
            let Some(connection) = &mut writer.connection else { return Ok(Vec::new()) };
            let rows = query(sql, arguments.iter().copied()).fetch_all(connection).await;
            return rows.map_err(|error| unavailable(&error));
        };
        // Only a slow read counts as an outage. A long queue of requests is not the fault of the disk.
        let mut connection = timeout(QUEUE_DEADLINE, reader.connection.lock()).await.map_err(too_slow)?;
        let read = async {
            let connection = connection.as_mut().ok_or_else(not_connected)?;
            query(sql, arguments.iter().copied()).fetch_all(connection).await
        };
        let read = match timeout(READ_DEADLINE, read).await {
            Ok(Ok(rows)) => return Ok(rows),
            Ok(Err(error)) => unavailable(&error),
            Err(elapsed) => too_slow(elapsed),
        };
        // The connection is not used again: its statement may never end.
        connection.take();
        self.reads_failed(&read);
        Err(read)
    }

    /// Begins an outage, unless there is one already. Nothing is written until the file is opened again.
    fn reads_failed(&self, reason: &SqlError) {
        let mut broken = self.shared.broken.write();
        if broken.is_none() {
            let name = self.shared.content.name;
            tracing::error!(error = reason as &dyn std::error::Error, "{name} cannot be read; trying again");
            *broken = Some(reason.to_string().into());
            let writer = Arc::clone(&self.writer);
            tokio::spawn(async { recover(writer.lock_owned().await).await });
        }
    }

    pub(super) async fn execute(&self, sql: &'static str, arguments: &[&str]) -> Result<u64, SqlError> {
        self.write(Statement::new(sql, arguments)).await
    }

    pub(super) async fn insert(&self, sql: &'static str, arguments: &[&str]) -> Result<u64, SqlError> {
        self.write(Insert(Statement::new(sql, arguments))).await
    }

    pub(super) async fn probe_write(&self) -> Result<(), SqlError> {
        self.write(Probe).await
    }

    pub(super) async fn transact<C: Change>(&self, change: C) -> Result<C::Outcome, SqlError> {
        self.write(Transact(change)).await
    }

    /// Writes as soon as no other write is under way.
    async fn write<W: Write>(&self, write: W) -> Result<W::Outcome, SqlError> {
        if let Some(reason) = self.outage() {
            return Err(SqlError::Unavailable(reason));
        }
        let writer = Arc::clone(&self.writer);
        // Its own task: once begun, a write is finished even if its client disconnects.
        let done = async { tokio::spawn(write_or_recover(writer.lock_owned().await, write)).await };
        let done = timeout(WRITE_DEADLINE, done).await.map_err(too_slow)?;
        done.map_err(|panicked| SqlError::Internal(Arc::new(panicked)))?
    }
}

impl Drop for SqliteSql {
    /// Closes the reading connection before the writing one. The last connection that closes copies the log into the
    /// file and removes the log. If both closed at once, each could take the other for the last.
    fn drop(&mut self) {
        let Some(reader) = &self.shared.reader else { return };
        let reader = reader.connection.try_lock().ok().and_then(|mut reader| reader.take());
        let writer = self.writer.try_lock().ok().and_then(|mut writer| writer.connection.take());
        if let (Some(reader), Ok(runtime)) = (reader, Handle::try_current()) {
            runtime.spawn(async move {
                drop(reader.close().await);
                drop(writer);
            });
        }
    }
}

impl Shared {
    fn new(reader: Option<Reader>, content: &'static Content) -> Self {
        Self { reader, content, broken: RwLock::default(), rows: AtomicU64::default() }
    }

    /// Opens both connections. The reading one is replaced too, because the path may name another file by now.
    pub(super) async fn connect(&self, lock: &mut FileLock) -> Result<SqliteConnection, SqliteError> {
        let mut writer = lock.connect(&(self.content.migrations)()).await?;
        self.prepare(&mut writer).await.map_err(|error| lock.classify(error))?;
        Ok(writer)
    }

    async fn prepare(&self, writer: &mut SqliteConnection) -> sqlx::Result<()> {
        sqlx::raw_sql(SMALL_PAGE_CACHE).execute(&mut *writer).await?;
        let rows = (self.content.read)(writer).await?;
        probe_write(writer).await?;
        if let Some(reader) = &self.reader {
            let mut connection = open_reader(&reader.path).await?;
            sqlx::raw_sql(SMALL_PAGE_CACHE).execute(&mut connection).await?;
            *reader.connection.lock().await = Some(connection);
        }
        self.rows.store(rows, Ordering::Relaxed);
        Ok(())
    }
}

pub(super) fn query<'q>(
    sql: &'static str,
    arguments: impl Iterator<Item = &'q str>,
) -> Query<'q, Sqlite, <Sqlite as sqlx::Database>::Arguments> {
    arguments.fold(sqlx::query(sql), |query, argument| query.bind(argument))
}

/// The file could not be opened again yet.
pub(super) fn not_connected() -> sqlx::Error {
    sqlx::Error::WorkerCrashed
}

fn unavailable(error: &sqlx::Error) -> SqlError {
    SqlError::Unavailable(error.to_string().into())
}

fn too_slow(_: Elapsed) -> SqlError {
    SqlError::Unavailable("the disk is too slow".into())
}
