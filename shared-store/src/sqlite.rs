//! A SQLite file: one process serves from it, and whatever was answered is on the disk.

use std::{
    error::Error,
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use parking_lot::RwLock;
use sqlx::{
    ConnectOptions, Connection, Sqlite, SqliteConnection,
    migrate::MigrateError,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::time::{sleep, timeout};

use crate::{
    Content, Migrations,
    content::Unfit,
    files::{self, beside, log_of},
};

/// How the name of a copy goes on that takes the place of the file. While it is there nobody serves.
pub(crate) const RESTORING: &str = "restoring";

/// From here on nobody is kept waiting for the disk.
const LONG: Duration = Duration::from_millis(1500);

/// How long a start waits before it asks again whether the file is read.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a SQLite file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct SqliteError {
    path: PathBuf,
    reason: Reason,
}

impl SqliteError {
    /// Whether another process serves from the file.
    pub fn is_in_use(&self) -> bool {
        matches!(self.reason, Reason::InUse)
    }
}

/// What is wrong with a SQLite file.
#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("in use by another process; only one at a time may serve from it")]
    InUse,
    #[error("being read by another process, such as a backup; try again when that is done")]
    Busy,
    #[error("bringing a backup back was interrupted; do it once more: restore PATH")]
    HalfRestored,
    #[error(
        "missing, and its log is there: bring the file back beside {log}, or a backup with restore PATH; to begin anew move {log} away",
        log = .0.display()
    )]
    LogAlone(PathBuf),
    #[error(
        "missing, and EXPECT_DATA is true: mount its disk, or bring a backup back with restore PATH; to begin anew set EXPECT_DATA=false"
    )]
    Missing,
    #[error(
        "the directory {directory} of DATABASE_URL is missing: mount its disk, or make it (mkdir -p -m 700 {directory}), or correct DATABASE_URL",
        directory = .0.display()
    )]
    NoDirectory(PathBuf),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(
        "written by a newer version of this service; start that version, or restore a backup made by this one"
    )]
    Newer,
    #[error(
        "damaged ({0}); it is left as it is. To go on with a backup and keep the damaged file aside: restore PATH"
    )]
    Damaged(String),
    #[error("{0}; correct DATABASE_URL")]
    Unfit(Unfit),
    #[error("{0}")]
    Sqlite(#[from] sqlx::Error),
    #[error(
        "cannot be copied to {copy} before it is migrated, and was not changed: {error}; make room, or start the version from before",
        copy = copy.display()
    )]
    NotCopied { copy: PathBuf, error: Box<dyn Error + Send + Sync> },
    #[error("{0}")]
    Migration(MigrateError),
}

/// There is no file where `DATABASE_URL` says that it is.
#[derive(Debug, thiserror::Error)]
#[error("{} is missing; is its disk mounted, and is DATABASE_URL right?", .0.display())]
pub struct MissingFile(PathBuf);

impl MissingFile {
    /// For commands that need the file at `path`, and must not begin a new one.
    ///
    /// # Errors
    ///
    /// It is not there.
    pub fn check(path: &Path) -> Result<(), Self> {
        // Where that cannot be told, opening it says why.
        if path.try_exists().unwrap_or(true) { Ok(()) } else { Err(Self(path.to_owned())) }
    }
}

/// A SQLite file that this process, and no other, serves from.
#[derive(Debug)]
pub struct FileLock {
    path: PathBuf,
    was_open: bool,
    _lock: File,
}

impl FileLock {
    /// Takes the file at `path`, whether it is there yet or not, unless it `is_expected` to be.
    ///
    /// # Errors
    ///
    /// Somebody else has it, a restore was interrupted, it or all but its log is missing, or the lock beside the
    /// file cannot be made.
    pub fn take(path: &Path, is_expected: bool) -> Result<Self, SqliteError> {
        let lock = Self::lock(path).map_err(|error| match error.reason {
            Reason::NoDirectory(_) if is_expected => SqliteError { reason: Reason::Missing, ..error },
            _ => error,
        })?;
        files::make_private(path).map_err(|error| lock.failed(Reason::Io(error)))?;
        let markers = files::beginning_with(&beside(path, RESTORING));
        if !markers.map_err(|error| lock.failed(Reason::Io(error)))?.is_empty() {
            return Err(lock.failed(Reason::HalfRestored));
        }
        // SQLite would begin a new file, and delete what may be the only copy of the newest records.
        let log = log_of(path);
        let is_empty = path.metadata().map_or(true, |file| file.len() == 0);
        if is_empty && log.metadata().is_ok_and(|log| log.len() > 0) {
            return Err(lock.failed(Reason::LogAlone(log)));
        }
        if is_expected && is_empty {
            return Err(lock.failed(Reason::Missing));
        }
        Ok(lock)
    }

    /// [`take`](Self::take), in whatever state the file is.
    pub(crate) fn lock(path: &Path) -> Result<Self, SqliteError> {
        // A lock of our own, for SQLite's would keep a backup out too.
        let lock_path = beside(path, "lock");
        let failed = |reason| SqliteError { path: path.to_owned(), reason };
        let lock = files::open_lock(&lock_path).map_err(|error| {
            let directory = files::directory_of(path);
            let is_there = error.kind() != io::ErrorKind::NotFound || directory.exists();
            failed(if is_there { Reason::Io(error) } else { Reason::NoDirectory(directory.to_owned()) })
        })?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), was_open: false, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(failed(Reason::InUse)),
            Err(TryLockError::Error(error)) => Err(failed(Reason::Io(error))),
        }
    }

    /// Reads every page of the file and writes none, so that a damaged file stays as it is.
    ///
    /// # Errors
    ///
    /// The file is damaged, or of another service. Whatever else is wrong with it, [`connect`](Self::connect) says.
    pub async fn inspect(&self, content: &Content) -> Result<(), SqliteError> {
        // Read-only, for the last connection that may write copies the log into the file when it closes.
        let look = async {
            let mut connection = options(&self.path).read_only(true).connect().await?;
            let found: String =
                sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await?;
            let owner = content.recognise(&mut connection).await;
            connection.close().await?;
            Ok((found, owner))
        };
        match look.await.map_err(|error| self.classify(error)) {
            Ok((found, _)) if found != "ok" => Err(self.failed(Reason::Damaged(found))),
            Ok((_, Err(unfit @ (Unfit::OfAnother { .. } | Unfit::OfNobody(_))))) => {
                Err(self.failed(Reason::Unfit(unfit)))
            }
            Err(error @ SqliteError { reason: Reason::Damaged(_), .. }) => Err(error),
            _ => Ok(()),
        }
    }

    /// Opens the file, brings it up to date, and proves that it takes writes.
    ///
    /// Whatever an earlier connection wrote is either visible and on the disk afterwards, or gone: a
    /// commit that failed half way is settled here.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, read or written, is damaged, or needs a newer version than `migrations` are of.
    pub async fn connect(&mut self, migrations: &Migrations) -> Result<SqliteConnection, SqliteError> {
        // Once it was there, a file that is missing means that its disk is: one begun anew in the empty place would
        // hide the real one.
        if !self.was_open && !self.path.exists() {
            // Not by SQLite, which would let others read it, and the log that gets its mode from it.
            files::create_new(&self.path).map_err(|error| self.failed(Reason::Io(error)))?;
            tracing::info!(path = %self.path.display(), "a new file is made");
        }
        let failed = |error| self.classify(error);
        let mut connection = self.settle().await?;
        if let Some(version) = migrations.next_of(&mut connection).await.map_err(failed)? {
            self.copy_before(version, &mut connection).await?;
        }
        let migrated = async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            migrations.run::<Sqlite>(&mut transaction).await?;
            Ok(transaction.commit().await?)
        };
        migrated.await.map_err(|error| match error {
            MigrateError::VersionMissing(_) => self.failed(Reason::Newer),
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => self.classify(error),
            other => self.failed(Reason::Migration(other)),
        })?;
        probe_write(&mut connection).await.map_err(failed)?;
        self.was_open = true;
        Ok(connection)
    }

    /// Opens the file, and brings all of its log into it.
    ///
    /// At a start this waits for whoever reads the file, such as a backup, however long that takes: a refusal would
    /// only be a start after another. A service that has served before refuses, for its clients wait.
    async fn settle(&self) -> Result<SqliteConnection, SqliteError> {
        let mut warned = false;
        loop {
            match open_without_log(&self.path).await {
                Ok(Some(connection)) => return Ok(connection),
                Err(error) if !is_busy(&error) => return Err(self.classify(error)),
                _ if self.was_open => return Err(self.failed(Reason::Busy)),
                _ => {}
            }
            if !warned {
                tracing::warn!(
                    path = %self.path.display(),
                    "another process reads the file, such as a backup; the start waits until that is done"
                );
                warned = true;
            }
            sleep(PAUSE).await;
        }
    }

    /// Copies the file to beside itself, for the migration to `version` is about to change it.
    async fn copy_before(&self, version: i64, connection: &mut SqliteConnection) -> Result<(), SqliteError> {
        let copy = beside(&self.path, &format!("before-migration-{version}"));
        let partial = beside(&copy, "partial");
        let copied = async {
            // What a start has left behind that was killed here.
            files::remove_database(&partial)?;
            files::create_new(&partial)?;
            let path = partial.to_string_lossy();
            sqlx::query("VACUUM INTO ?1").bind(&*path).execute(connection).await?;
            files::move_durably(&partial, &copy)?;
            Ok::<_, Box<dyn Error + Send + Sync>>(())
        };
        if let Err(error) = copied.await {
            // What is left of it may be all the room there is.
            let _ = files::remove_database(&partial);
            return Err(self.failed(Reason::NotCopied { copy, error }));
        }
        tracing::info!(copy = %copy.display(), "the file is copied, for it is about to be migrated");
        Ok(())
    }

    /// Tells damage from everything else that can go wrong with the file.
    pub fn classify(&self, error: sqlx::Error) -> SqliteError {
        let is_damage = is_damage(&error);
        self.failed(if is_damage { Reason::Damaged(error.to_string()) } else { Reason::Sqlite(error) })
    }

    fn failed(&self, reason: Reason) -> SqliteError {
        SqliteError { path: self.path.clone(), reason }
    }
}

/// None while somebody reads what is in the log.
async fn open_without_log(path: &Path) -> sqlx::Result<Option<SqliteConnection>> {
    let options = options(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(1));
    let mut connection = SqliteConnection::connect_with(&options).await?;
    // Copies every page of the log into the file and syncs that: frames whose own sync failed may have been lost
    // behind the page cache's back. That is certain only once nobody needs the log any more.
    let (busy, _, _): (bool, i64, i64) =
        sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut connection).await?;
    if busy {
        connection.close().await?;
        return Ok(None);
    }
    Ok(Some(connection))
}

/// For every connection to a file.
pub(crate) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        // In a container with a read-only root there is no directory for temporary files. Large statements need one:
        // to sort, and to undo a part of themselves.
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging()
}

/// A connection to the file at `path` that changes nothing. A process may serve from it meanwhile.
///
/// # Errors
///
/// There is no such file, or it cannot be read.
pub async fn open_read_only(path: &Path) -> sqlx::Result<SqliteConnection> {
    options(path).read_only(true).create_if_missing(false).connect().await
}

/// Another connection to the file at `path`, to read while that of [`FileLock::connect`] writes.
///
/// # Errors
///
/// There is no such file, or it cannot be read.
pub async fn open_reader(path: &Path) -> sqlx::Result<SqliteConnection> {
    // Not `read_only`: the last connection that closes brings the log into the file, and must be able to.
    let options = options(path).synchronous(SqliteSynchronous::Full).pragma("query_only", "ON");
    options.busy_timeout(Duration::from_secs(1)).connect().await
}

/// A database in the memory of this process. It is gone when the connection is closed.
///
/// # Errors
///
/// A migration failed.
pub async fn open_in_memory(migrations: &Migrations) -> sqlx::Result<SqliteConnection> {
    let mut connection = options(Path::new(":memory:")).connect().await?;
    migrations.run::<Sqlite>(&mut connection).await?;
    Ok(connection)
}

pub(crate) fn is_damage(error: &sqlx::Error) -> bool {
    // SQLITE_CORRUPT and SQLITE_NOTADB.
    matches!(code_of(error), Some(11 | 26))
}

fn is_busy(error: &sqlx::Error) -> bool {
    // SQLITE_BUSY and SQLITE_LOCKED.
    matches!(code_of(error), Some(5 | 6))
}

/// SQLite's: the lowest byte of an extended one.
fn code_of(error: &sqlx::Error) -> Option<u32> {
    let code: u32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

/// Writes a byte, to the disk and back over itself.
///
/// # Errors
///
/// The file takes no writes.
pub async fn probe_write(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    // The version of the schema is ours already (sqlx keeps its own in a table), and any write is a commit.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::raw_sql("PRAGMA user_version = 1; PRAGMA user_version = 2").execute(&mut *transaction).await?;
    transaction.commit().await
}

/// Waits for the disk, however long it takes. When it takes too long that is said in the log, and to whoever asks
/// for what is `broken` meanwhile.
pub async fn watched<T>(disk: impl Future<Output = T>, broken: &RwLock<Option<Arc<str>>>) -> T {
    let mut disk = pin!(disk);
    if let Ok(done) = timeout(LONG, &mut disk).await {
        return done;
    }
    tracing::error!("the disk does not answer; waiting for it");
    *broken.write() = Some("the disk does not answer".into());
    let done = disk.await;
    tracing::info!("the disk answers again");
    done
}
