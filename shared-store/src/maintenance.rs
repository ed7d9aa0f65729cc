//! The subcommands for a SQLite file: `backup`, `restore` and `check`.

mod backup;
mod check;
mod error;
mod restore;

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::Subcommand;
use shared_http::process::Failure;

pub(crate) use self::check::describe;
pub use self::error::MaintenanceError;
use crate::{content::Content, location::Location, sqlite::MissingFile};

/// The subcommands. Their doc comments are the help texts.
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

/// Runs a subcommand, and writes a report to stdout.
///
/// # Errors
///
/// The subcommand failed. Unless the message says that a restore was interrupted, nothing was changed.
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
