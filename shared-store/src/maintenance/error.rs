//! Why a maintenance command failed.

use std::{
    error::Error,
    path::{Path, PathBuf},
};

use crate::sqlite::{MissingFile, SqliteError};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// `DATABASE_URL` is `memory:`.
    #[error(
        "DATABASE_URL names no SQLite file, and so there is nothing to copy, bring back or look at; set it as the service has it, or do this in the directory of its .env"
    )]
    NoFile,
    /// `DATABASE_URL` is a PostgreSQL database, which has its own tools.
    #[error("PostgreSQL comes with tools of its own for this: pg_dump, pg_restore and pg_amcheck")]
    NotOurs,
    /// A file is missing, damaged, in the way, or cannot be read or written.
    #[error("{}: {reason}", path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// What is wrong with it.
        reason: Box<dyn Error + Send + Sync>,
    },
    /// There is no database to copy or to check.
    #[error(transparent)]
    Missing(#[from] MissingFile),
    /// The service is running.
    #[error("{0}; stop the service, do this, and start it again")]
    InUse(SqliteError),
    /// The database cannot be used.
    #[error(transparent)]
    Use(#[from] SqliteError),
}

/// For `map_err`: an error with the file at `path`.
pub(super) fn at<E: Into<Box<dyn Error + Send + Sync>>>(path: &Path) -> impl Fn(E) -> MaintenanceError + '_ {
    |reason| MaintenanceError::File { path: path.to_owned(), reason: reason.into() }
}
