//! What an operator does to a SQLite file besides serving from it: copy it, bring a copy back, look at it.

mod backup;
mod restore;

use std::{
    error::Error,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Subcommand;
use shared_http::process::Failure;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use crate::{
    Content, Location,
    sqlite::{MissingFile, SqliteError, is_damage, options},
};

/// What an operator may ask for.
#[derive(Clone, Debug, Subcommand)]
pub enum Maintenance {
    /// Copy the database to a new file, while the service runs or not
    Backup {
        /// The new file
        path: PathBuf,
    },
    /// Bring a copy back, while the service does not run; what was there is kept aside
    Restore {
        /// The copy
        path: PathBuf,
    },
    /// Say whether the database is whole, and what it holds
    Check,
}

/// Why an operator did not get what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// There is no file to do it to.
    #[error("DATABASE_URL names no SQLite file, and so there is nothing to copy, bring back or look at")]
    NoFile,
    /// Somebody else's tools do it.
    #[error("PostgreSQL comes with tools of its own for this: pg_dump, pg_restore and pg_amcheck")]
    NotOurs,
    /// A file is not there, damaged, in the way, or cannot be read or written.
    #[error("{}: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: Box<dyn Error + Send + Sync>,
    },
    /// There is nothing to copy or to look at.
    #[error(transparent)]
    Missing(#[from] MissingFile),
    /// The service has the file.
    #[error("{0}; stop the service, do this, and start it again")]
    InUse(SqliteError),
    /// The file cannot be used.
    #[error(transparent)]
    Use(#[from] SqliteError),
}

/// For `map_err`: blames `path`.
fn at<E: Into<Box<dyn Error + Send + Sync>>>(path: &Path) -> impl Fn(E) -> MaintenanceError + '_ {
    |reason| MaintenanceError::File { path: path.to_owned(), reason: reason.into() }
}

/// Does what an operator asks for, and says on stdout what was done.
///
/// # Errors
///
/// It cannot be done, and nothing was changed.
pub async fn run(maintenance: &Maintenance, location: Location, content: &Content) -> Result<(), Failure> {
    let report = carry_out(maintenance, location, content).await;
    let report = report.map_err(|error| Failure::Maintenance(error.into()))?;
    writeln!(io::stdout(), "{report}")?;
    Ok(())
}

async fn carry_out(
    maintenance: &Maintenance,
    location: Location,
    content: &Content,
) -> Result<String, MaintenanceError> {
    let database = match location {
        Location::Sqlite { path, .. } => path,
        Location::Memory => return Err(MaintenanceError::NoFile),
        Location::Postgres(_) => return Err(MaintenanceError::NotOurs),
    };
    match maintenance {
        Maintenance::Backup { path } => {
            MissingFile::check(&database)?;
            backup::backup(&database, path, content).await
        }
        Maintenance::Restore { path } => restore::restore(&database, path, content).await,
        Maintenance::Check => {
            MissingFile::check(&database)?;
            Ok(format!("{}: {}", database.display(), describe(&database, content).await?))
        }
    }
}

/// Whether a file is whole and a start could read it, and what it holds.
pub(crate) async fn describe(database: &Path, content: &Content) -> Result<String, MaintenanceError> {
    let mut connection = open(database, true).await?;
    // All of it as it is at one moment: the service may be writing.
    sqlx::raw_sql("BEGIN").execute(&mut connection).await.map_err(at(database))?;
    let integrity = sqlx::query_scalar("PRAGMA integrity_check(10)").fetch_all(&mut connection).await;
    let integrity: Vec<String> = match integrity {
        Err(error) if is_damage(&error) => vec![error.to_string()],
        other => other.map_err(at(database))?,
    };
    if integrity != ["ok"] {
        return Err(at(database)(format!("damaged: {}", integrity.join("; "))));
    }
    let summary = content.summary(&mut connection).await.map_err(at(database))?;
    connection.close().await.map_err(at(database))?;
    Ok(format!("whole, {summary}"))
}

/// Who looks writes nothing: closing a damaged file would bring its log into it.
async fn open(database: &Path, read_only: bool) -> Result<SqliteConnection, MaintenanceError> {
    options(database).read_only(read_only).connect().await.map_err(at(database))
}
