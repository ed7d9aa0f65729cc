//! A SQLite file. One process serves from it, and every committed write is on the disk.

mod error;

use std::{
    error::Error,
    fs::{File, TryLockError},
    io, mem,
    os::unix::fs::MetadataExt,
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

pub(crate) use self::error::is_damage;
pub use self::error::{MissingFile, SqliteError};
use self::error::{Reason, is_busy};
use crate::{
    content::{Content, ContentError},
    files::{self, sibling, wal_of},
    migrations::Migrations,
};

/// The extension of a copy that `restore` has checked, until it replaces the database. No service starts while there is
/// such a file.
pub(crate) const RESTORING: &str = "restoring";

/// A disk that takes longer than this for a write counts as unavailable.
const DISK_SLOW_AFTER: Duration = Duration::from_millis(1500);

/// How often a start checks whether another process is still reading the file.
const CHECK_READERS_EVERY: Duration = Duration::from_millis(100);

/// A lock on a SQLite file. No other process can serve from the file while this one holds it.
#[derive(Debug)]
pub struct FileLock {
    path: PathBuf,
    /// The file, once this process has opened it. As long as it is held, no other file gets its inode.
    file: Option<File>,
    _lock: File,
}

impl FileLock {
    /// Locks the file at `path`, which need not exist yet unless it `is_expected`.
    ///
    /// # Errors
    ///
    /// Another process has the lock, a restore was interrupted, the file `is_expected` and missing, only its log is
    /// there, or the lock file cannot be made.
    pub fn take(path: &Path, is_expected: bool) -> Result<Self, SqliteError> {
        let lock = Self::lock(path).map_err(|error| match error.reason {
            Reason::NoDirectory(_) if is_expected => SqliteError { reason: Reason::Missing, ..error },
            _ => error,
        })?;
        files::make_private(path).map_err(|error| lock.failed(Reason::Io(error)))?;
        let markers = files::beginning_with(&sibling(path, RESTORING));
        if !markers.map_err(|error| lock.failed(Reason::Io(error)))?.is_empty() {
            return Err(lock.failed(Reason::HalfRestored));
        }
        // SQLite would make a new file and delete the log, which can be the only copy of the newest records.
        let log = wal_of(path);
        let is_empty = path.metadata().map_or(true, |file| file.len() == 0);
        if is_empty && log.metadata().is_ok_and(|log| log.len() > 0) {
            return Err(lock.failed(Reason::LogAlone(log)));
        }
        if is_expected && is_empty {
            return Err(lock.failed(Reason::Missing));
        }
        Ok(lock)
    }

    /// Like [`take`](Self::take), but does not look at the state of the file.
    pub(crate) fn lock(path: &Path) -> Result<Self, SqliteError> {
        // A separate lock file, because SQLite's own lock would keep backups out too.
        let lock_path = sibling(path, "lock");
        let failed = |reason| SqliteError { path: path.to_owned(), reason };
        let lock = files::open_lock(&lock_path).map_err(|error| {
            let directory = files::directory_of(path);
            let is_there = error.kind() != io::ErrorKind::NotFound || directory.exists();
            failed(if is_there { Reason::Io(error) } else { Reason::NoDirectory(directory.to_owned()) })
        })?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), file: None, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(failed(Reason::InUse)),
            Err(TryLockError::Error(error)) => Err(failed(Reason::Io(error))),
        }
    }

    /// Checks every page of the file. Writes nothing, so that a damaged file stays as it is.
    ///
    /// # Errors
    ///
    /// The file is damaged, or of another service. Other problems are left to [`connect`](Self::connect).
    pub async fn inspect(&self, content: &Content) -> Result<(), SqliteError> {
        // Read-only: the last connection that can write copies the log into the file when it closes.
        let inspected = async {
            let mut connection = options(&self.path).read_only(true).connect().await?;
            let found: String =
                sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await?;
            let owner = content.is_owner(&mut connection).await;
            connection.close().await?;
            Ok((found, owner))
        };
        match inspected.await.map_err(|error| self.classify(error)) {
            Ok((found, _)) if found != "ok" => Err(self.failed(Reason::Damaged(found))),
            Ok((_, Err(unfit @ (ContentError::OfAnother { .. } | ContentError::OfNobody(_))))) => {
                Err(self.failed(Reason::Unfit(unfit)))
            }
            Err(error @ SqliteError { reason: Reason::Damaged(_), .. }) => Err(error),
            _ => Ok(()),
        }
    }

    /// Opens the file and migrates it.
    ///
    /// A caller that is going to write makes a [test write](probe_write) once it has read what it needs: a file that turns
    /// out to be damaged stays as it is.
    ///
    /// Afterwards every earlier commit is either visible and on the disk, or gone, even if it failed half way.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, read or written, is damaged, or needs a newer version than that of `migrations`.
    pub async fn connect(&mut self, migrations: &Migrations) -> Result<SqliteConnection, SqliteError> {
        self.check_in_place()?;
        if self.file.is_none() && !self.path.exists() {
            // SQLite would make it readable by others, and its log too, which gets the mode of the file.
            files::create_new(&self.path).map_err(|error| self.failed(Reason::Io(error)))?;
            tracing::info!(path = %self.path.display(), "a new file is made");
        }
        let failed = |error| self.classify(error);
        let mut connection = self.open_when_unread().await?;
        if let Some(version) = migrations.first_missing(&mut connection).await.map_err(failed)? {
            self.copy_before_migration(version, &mut connection).await?;
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
        if self.file.is_none() {
            // Never closed before the process ends: closing it would release SQLite's own locks on the file.
            self.file = Some(File::open(&self.path).map_err(|error| self.failed(Reason::Io(error)))?);
        }
        Ok(connection)
    }

    /// Checks that the path still names the file that was opened. Otherwise SQLite would write on to a file that is gone
    /// when this process ends, and a new file in its place would hide the one on a disk that is not mounted now.
    ///
    /// # Errors
    ///
    /// The file was deleted or replaced.
    pub fn check_in_place(&self) -> Result<(), SqliteError> {
        let Some(file) = &self.file else { return Ok(()) };
        let opened = file.metadata().map_err(|error| self.failed(Reason::Io(error)))?;
        // Not the device: a disk that is unplugged and plugged in again can get another number.
        match self.path.metadata() {
            Ok(found) if found.ino() == opened.ino() => Ok(()),
            _ => Err(self.failed(Reason::Replaced)),
        }
    }

    /// Opens the file and copies its log into it. This needs a moment at which no other process reads the log.
    ///
    /// A start waits for readers such as a backup, however long they take: if it failed, it would only be started
    /// again. A service that has served before returns an error, because clients wait for it.
    async fn open_when_unread(&self) -> Result<SqliteConnection, SqliteError> {
        let mut warned = false;
        loop {
            match open_without_log(&self.path).await {
                Ok(Some(connection)) => return Ok(connection),
                Err(error) if !is_busy(&error) => return Err(self.classify(error)),
                _ if self.file.is_some() => return Err(self.failed(Reason::Busy)),
                _ => {}
            }
            if !mem::replace(&mut warned, true) {
                tracing::warn!(
                    path = %self.path.display(),
                    "another process reads the file, such as a backup; the start waits until that is done"
                );
            }
            sleep(CHECK_READERS_EVERY).await;
        }
    }

    /// Copies the file into its directory before the migration to `version` changes it.
    async fn copy_before_migration(
        &self,
        version: i64,
        connection: &mut SqliteConnection,
    ) -> Result<(), SqliteError> {
        let copy = sibling(&self.path, &format!("before-migration-{version}"));
        let partial = sibling(&copy, "partial");
        let copied = async {
            // Left behind by a start that was killed while it copied.
            files::remove_database(&partial)?;
            files::create_new(&partial)?;
            let path = partial.to_string_lossy();
            sqlx::query("VACUUM INTO ?1").bind(&*path).execute(connection).await?;
            files::move_durably(&partial, &copy)?;
            Ok::<_, Box<dyn Error + Send + Sync>>(())
        };
        if let Err(error) = copied.await {
            // The partial copy may have filled the disk.
            let _ = files::remove_database(&partial);
            return Err(self.failed(Reason::NotCopied { copy, error }));
        }
        tracing::info!(copy = %copy.display(), "the file is copied, for it is about to be migrated");
        Ok(())
    }

    /// Adds the path of the file to an error, and tells damage from other errors.
    pub fn classify(&self, error: sqlx::Error) -> SqliteError {
        let is_damage = is_damage(&error);
        self.failed(if is_damage { Reason::Damaged(error.to_string()) } else { Reason::Sqlite(error) })
    }

    fn failed(&self, reason: Reason) -> SqliteError {
        SqliteError { path: self.path.clone(), reason }
    }
}

/// Opens the file and copies its log into it. `None` while another process reads the log.
async fn open_without_log(path: &Path) -> sqlx::Result<Option<SqliteConnection>> {
    let options = options(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(1));
    let mut connection = SqliteConnection::connect_with(&options).await?;
    // Copies every page of the log into the file and syncs the file. After a failed sync, pages of the log can be lost
    // although the page cache still has them. Once the log is empty, nothing depends on such a page any more.
    let (busy, _, _): (bool, i64, i64) =
        sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut connection).await?;
    if busy {
        connection.close().await?;
        return Ok(None);
    }
    Ok(Some(connection))
}

/// The options of every connection to a file.
pub(crate) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        // A container with a read-only root has no directory for temporary files, which SQLite would need to sort, and
        // to roll back a part of a large statement.
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging()
}

/// Opens the file at `path` read-only. Another process may serve from it meanwhile.
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
    // Not `read_only`: the last connection that closes has to copy the log into the file.
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

/// Makes a test write that leaves the content as it was.
///
/// # Errors
///
/// The file takes no writes.
pub async fn probe_write(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    // `user_version` is free to use: sqlx keeps the version of the schema in a table. Of two different values at least
    // one is a change, so the transaction writes.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::raw_sql("PRAGMA user_version = 1; PRAGMA user_version = 2").execute(&mut *transaction).await?;
    transaction.commit().await
}

/// Waits for a write, however long it takes. If it takes too long, that is logged, and `broken` holds the reason until
/// the caller changes it.
pub async fn await_disk<T>(disk: impl Future<Output = T>, broken: &RwLock<Option<Arc<str>>>) -> T {
    let mut disk = pin!(disk);
    if let Ok(done) = timeout(DISK_SLOW_AFTER, &mut disk).await {
        return done;
    }
    tracing::error!("the disk does not answer; waiting for it");
    *broken.write() = Some("the disk does not answer".into());
    let done = disk.await;
    tracing::info!("the disk answers again");
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_new_file_in_the_place_of_a_deleted_one_is_never_taken_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.db");
        let migrations = Migrations::new(&[]);
        let mut lock = FileLock::take(&path, false).unwrap();
        lock.connect(&migrations).await.unwrap().close().await.unwrap();
        lock.check_in_place().unwrap();
        std::fs::remove_file(&path).unwrap();
        for _ in 0..20 {
            // File systems give the inode of a deleted file to the next one.
            File::create(&path).unwrap();
            assert!(lock.check_in_place().is_err());
            let refused = lock.connect(&migrations).await.unwrap_err().to_string();
            assert!(refused.contains("deleted or replaced"), "{refused}");
            std::fs::remove_file(&path).unwrap();
        }
    }
}
