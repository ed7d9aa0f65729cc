//! What an operator does to a SQLite file besides serving from it: copy it, bring a copy back, look at it.

use std::{
    error::Error,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use clap::Subcommand;
use shared_http::{process::Failure, text::printable};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection, sqlite::SqliteRow};

use crate::{
    Location,
    sqlite::{Claim, SqliteError, beside, is_damage, log_of, options, with_suffix},
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

/// What a service keeps, in its own SQL.
#[derive(Debug)]
pub struct Content {
    /// What the rows are, for people: `check-ins`.
    pub name: &'static str,
    /// Asks how many there are.
    pub count: &'static str,
    /// Asks for the newest: columns of text that read as one when they are put together.
    pub newest: &'static str,
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
    /// The file cannot be used.
    #[error(transparent)]
    Use(#[from] SqliteError),
}

/// How the name of what was there before a restore goes on.
const ASIDE: &str = "before-restore-";

/// What a database may be made of, as its name goes on. SQLite brings together whatever lies together.
const PIECES: [&str; 3] = ["-wal", "-journal", ""];

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
        Maintenance::Backup { path } => backup(&database, path, content).await,
        Maintenance::Restore { path } => restore(&database, path, content).await,
        Maintenance::Check => Ok(format!("{}: {}", database.display(), describe(&database, content).await?)),
    }
}

async fn backup(database: &Path, copy: &Path, content: &Content) -> Result<String, MaintenanceError> {
    if copy.exists() {
        return Err(at(copy)("exists already; choose another name"));
    }
    // Under another name until it is whole and on the disk: a power cut leaves no half of a backup.
    let partial = beside(copy, "partial");
    remove(&partial)?;
    let made = make_copy(database, &partial, content).await;
    if made.is_err() {
        // What is left of it may be all the room there is.
        remove(&partial)?;
        remove(&with_suffix(&partial, "-journal"))?;
    }
    let report = made?;
    move_durably(&partial, copy)?;
    Ok(format!("{}: {report}", copy.display()))
}

async fn make_copy(database: &Path, copy: &Path, content: &Content) -> Result<String, MaintenanceError> {
    let mut connection = open(database, true).await?;
    sqlx::query("VACUUM INTO ?1")
        .bind(copy.to_string_lossy().into_owned())
        .execute(&mut connection)
        .await
        .map_err(at(copy))?;
    connection.close().await.map_err(at(database))?;
    describe(copy, content).await
}

async fn restore(database: &Path, copy: &Path, content: &Content) -> Result<String, MaintenanceError> {
    let claim = Claim::lock(database)?;
    let restoring = claim.restoring();
    let was_interrupted = restoring.exists();
    let report = match take_over(copy, &restoring, content).await {
        Ok(report) => report,
        Err(error) => {
            remove(&restoring)?;
            remove(&log_of(&restoring))?;
            return Err(at(copy)(format!("cannot be brought back, and nothing was changed: {error}")));
        }
    };

    // While the file `restoring` is there nobody serves: half of the old file and its log are no database.
    let aside = aside(database, was_interrupted);
    for piece in PIECES {
        let from = with_suffix(database, piece);
        if from.exists() {
            move_durably(&from, &with_suffix(&aside, piece))?;
        }
    }
    remove(&with_suffix(database, "-shm"))?;
    move_durably(&restoring, database)?;
    let kept = if PIECES.iter().any(|piece| with_suffix(&aside, piece).exists()) {
        format!("; what was there is kept in {}", aside.display())
    } else {
        String::new()
    };
    Ok(format!("{}: {report}{kept}", database.display()))
}

/// Makes one whole file of a copy and the log beside it, if there is one, as what was kept aside may have.
async fn take_over(copy: &Path, restoring: &Path, content: &Content) -> Result<String, MaintenanceError> {
    let (log, log_of_copy) = (log_of(restoring), log_of(copy));
    remove(restoring)?;
    remove(&log)?;
    fs::copy(copy, restoring).map_err(at(copy))?;
    if log_of_copy.exists() {
        fs::copy(&log_of_copy, &log).map_err(at(&log_of_copy))?;
        let mut connection = open(restoring, false).await?;
        // Which brings the log into the database, and removes it.
        sqlx::raw_sql("PRAGMA journal_mode = DELETE")
            .execute(&mut connection)
            .await
            .map_err(at(&log_of_copy))?;
        connection.close().await.map_err(at(restoring))?;
        if log.exists() {
            return Err(at(&log_of_copy)("cannot be brought into the database"));
        }
    }
    describe(restoring, content).await
}

/// Whether a file is whole, and what it holds.
pub(crate) async fn describe(database: &Path, content: &Content) -> Result<String, MaintenanceError> {
    let mut connection = open(database, true).await?;
    let integrity = sqlx::query_scalar("PRAGMA integrity_check(10)").fetch_all(&mut connection).await;
    let integrity: Vec<String> = match integrity {
        Err(error) if is_damage(&error) => vec![error.to_string()],
        other => other.map_err(at(database))?,
    };
    if integrity != ["ok"] {
        return Err(at(database)(format!("damaged: {}", integrity.join("; "))));
    }
    let count: i64 =
        sqlx::query_scalar(content.count).fetch_one(&mut connection).await.map_err(at(database))?;
    let newest = sqlx::query(content.newest).fetch_optional(&mut connection).await.map_err(at(database))?;
    let newest = newest.map(|row| in_words(&row)).transpose().map_err(at(database))?;
    connection.close().await.map_err(at(database))?;
    let newest = newest.map(|newest| format!(", the newest {newest}")).unwrap_or_default();
    Ok(format!("whole, {count} {}{newest}", content.name))
}

/// The columns of `row` put together, whatever a user wrote into them.
fn in_words(row: &SqliteRow) -> sqlx::Result<String> {
    (0..row.len()).map(|column| Ok(printable(row.try_get(column)?).to_string())).collect()
}

/// Who looks writes nothing: closing a damaged file would bring its log into it.
async fn open(database: &Path, read_only: bool) -> Result<SqliteConnection, MaintenanceError> {
    options(database).read_only(read_only).connect().await.map_err(at(database))
}

/// A name for what was there. What an interrupted restore has moved belongs to what it has not.
fn aside(database: &Path, was_interrupted: bool) -> PathBuf {
    let is_free = |aside: &PathBuf| {
        let is_in_both = |piece| with_suffix(aside, piece).exists() && with_suffix(database, piece).exists();
        !PIECES.into_iter().any(is_in_both)
    };
    if let Some(begun) = newest_aside(database).filter(|aside| was_interrupted && is_free(aside)) {
        return begun;
    }
    let seconds = SystemTime::UNIX_EPOCH.elapsed().map(|time| time.as_secs()).unwrap_or_default();
    let after = newest_aside(database).and_then(|newest| number_of(&newest)).map_or(0, |number| number + 1);
    beside(database, &format!("{ASIDE}{}", seconds.max(after)))
}

fn newest_aside(database: &Path) -> Option<PathBuf> {
    let beginning = beside(database, ASIDE).file_name()?.to_string_lossy().into_owned();
    let names = fs::read_dir(database.parent()?).ok()?.flatten().map(|entry| entry.file_name());
    let numbers = names.filter_map(|name| {
        let number = name.to_str()?.strip_prefix(&beginning)?.split('-').next()?;
        number.parse::<u64>().ok()
    });
    numbers.max().map(|number| beside(database, &format!("{ASIDE}{number}")))
}

fn number_of(aside: &Path) -> Option<u64> {
    aside.to_str()?.rsplit('-').next()?.parse().ok()
}

fn remove(path: &Path) -> Result<(), MaintenanceError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

/// Moves a file so that a power cut leaves it here or there, and whole.
fn move_durably(from: &Path, to: &Path) -> Result<(), MaintenanceError> {
    let directory = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let moved = File::open(from)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(from, to))
        .and_then(|()| File::open(directory)?.sync_all());
    moved.map_err(at(to))
}
