//! Why a SQLite file cannot be used.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
};

use sqlx::migrate::MigrateError;

use crate::content::ContentError;

/// Why a SQLite file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct SqliteError {
    pub(super) path: PathBuf,
    pub(super) reason: Reason,
}

impl SqliteError {
    /// Whether the file is locked by another process.
    pub fn is_in_use(&self) -> bool {
        matches!(self.reason, Reason::InUse)
    }
}

/// What is wrong with a SQLite file.
#[derive(Debug, thiserror::Error)]
pub(super) enum Reason {
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
        "deleted or replaced while the service runs, which takes no writes now; put the file back, or save what is still served and restart the service"
    )]
    Replaced,
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
    Unfit(ContentError),
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

/// There is no file at the path in `DATABASE_URL`.
#[derive(Debug, thiserror::Error)]
#[error("{} is missing; is its disk mounted, and is DATABASE_URL right?", .0.display())]
pub struct MissingFile(PathBuf);

impl MissingFile {
    /// Checks that there is a file at `path`, for commands that must not make a new one.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn check(path: &Path) -> Result<(), Self> {
        // If this check itself fails, opening the file will report why.
        if path.try_exists().unwrap_or(true) { Ok(()) } else { Err(Self(path.to_owned())) }
    }
}

/// Whether the file is damaged, or no SQLite file.
pub(crate) fn is_damage(error: &sqlx::Error) -> bool {
    // SQLITE_CORRUPT and SQLITE_NOTADB. Text that is no UTF-8 was not written by a service.
    matches!(code_of(error), Some(11 | 26)) || matches!(error, sqlx::Error::ColumnDecode { .. })
}

/// Whether another connection has the file locked.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    // SQLITE_BUSY and SQLITE_LOCKED.
    matches!(code_of(error), Some(5 | 6))
}

/// SQLite's primary result code: the lowest byte of the extended one.
fn code_of(error: &sqlx::Error) -> Option<u32> {
    let code: u32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}
