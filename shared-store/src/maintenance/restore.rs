//! Restores a backup while the service does not run, and keeps the old database.
//!
//! 1. The backup is copied into the directory of the database, and checked there.
//! 2. The copy is renamed to the marker. While a marker exists, no service starts.
//! 3. The old database is moved aside.
//! 4. The marker is renamed to the database.
//!
//! A process that is killed before step 2 has changed nothing. After one that is killed later, no service starts until
//! `restore` is run again.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use sqlx::Connection;

use super::{
    check::{describe, open},
    error::{MaintenanceError, at},
};
use crate::{
    content::Content,
    files::{
        beginning_with, create_new, directory_of, move_durably, remove, remove_database, sibling, with_suffix,
    },
    sqlite::{FileLock, RESTORING},
};

/// The extension of a copy that is not checked yet. It is no marker, and may be removed.
const INCOMING: &str = "incoming";

/// The extension of the old database, before its number.
const BEFORE_RESTORE: &str = "before-restore";

/// The suffixes of the files of a database. SQLite combines files with these names, so they are moved together.
const SUFFIXES: [&str; 3] = ["-wal", "-journal", ""];

pub(super) async fn restore(
    database: &Path,
    copy: &Path,
    content: &Content,
) -> Result<String, MaintenanceError> {
    let _lock = FileLock::lock(database)
        .map_err(|error| if error.is_in_use() { MaintenanceError::InUse(error) } else { error.into() })?;
    let incoming = sibling(database, INCOMING);
    let report = match import(copy, &incoming, content).await {
        Ok(report) => report,
        Err(error) => {
            remove_database(&incoming).map_err(at(&incoming))?;
            // The message names the backup, and not the copy, whose name the operator does not know.
            let reason = match error {
                MaintenanceError::File { path, reason } if path == incoming || path == copy => reason,
                error => error.into(),
            };
            return Err(at(copy)(format!("cannot be brought back, and nothing was changed: {reason}")));
        }
    };
    let aside = replace(database, &incoming).map_err(|error| {
        at(database)(format!(
            "bringing a backup back was interrupted ({error}); do it once more: restore PATH"
        ))
    })?;
    let kept = if SUFFIXES.iter().any(|suffix| with_suffix(&aside, suffix).exists()) {
        format!("; what was there is kept in {}", aside.display())
    } else {
        String::new()
    };
    Ok(format!("{}: {report}{kept}", database.display()))
}

/// Copies a backup to `incoming`, and merges its log or its journal into it. A database that an earlier restore moved
/// aside can have one.
async fn import(copy: &Path, incoming: &Path, content: &Content) -> Result<String, MaintenanceError> {
    remove_database(incoming).map_err(at(incoming))?;
    for suffix in SUFFIXES {
        let from = with_suffix(copy, suffix);
        // The log and the journal are optional, the database is not.
        if suffix.is_empty() || from.exists() {
            let mut source = File::open(&from).map_err(at(&from))?;
            let to = with_suffix(incoming, suffix);
            let copied = create_new(&to).and_then(|mut target| io::copy(&mut source, &mut target));
            copied.map_err(at(directory_of(&to)))?;
        }
    }
    let mut connection = open(incoming, false).await?;
    // Merges the log into the database, and removes it.
    sqlx::raw_sql("PRAGMA journal_mode = DELETE").execute(&mut connection).await.map_err(at(copy))?;
    connection.close().await.map_err(at(incoming))?;
    if let Some(suffix) =
        SUFFIXES.iter().find(|suffix| !suffix.is_empty() && with_suffix(incoming, suffix).exists())
    {
        return Err(at(&with_suffix(copy, suffix))("cannot be brought into the database"));
    }
    describe(incoming, content).await
}

/// Replaces `database` by `incoming`. Returns the path of the old database.
fn replace(database: &Path, incoming: &Path) -> io::Result<PathBuf> {
    // An interrupted restore may have moved only some of the old files aside. The number in the name of its marker says
    // where they are, so that the other files are moved there too.
    let beginning = sibling(database, RESTORING);
    let interrupted = beginning_with(&beginning)?.pop();
    let begun = interrupted.as_deref().and_then(|marker| number_after(&beginning, marker)).filter(|number| {
        let aside = aside(database, *number);
        SUFFIXES
            .iter()
            .all(|suffix| !with_suffix(&aside, suffix).exists() || !with_suffix(database, suffix).exists())
    });
    let number = match begun {
        Some(number) => number,
        None => new_number(database)?,
    };
    let marker = sibling(database, &format!("{RESTORING}-{number}"));
    if let Some(interrupted) = interrupted.filter(|interrupted| *interrupted != marker) {
        move_durably(&interrupted, &marker)?;
    }
    move_durably(incoming, &marker)?;
    let aside = aside(database, number);
    for suffix in SUFFIXES {
        let from = with_suffix(database, suffix);
        if from.exists() {
            move_durably(&from, &with_suffix(&aside, suffix))?;
        }
    }
    remove(&with_suffix(database, "-shm"))?;
    move_durably(&marker, database)?;
    Ok(aside)
}

/// Where the old database is moved.
fn aside(database: &Path, number: u64) -> PathBuf {
    sibling(database, &format!("{BEFORE_RESTORE}-{number}"))
}

/// The time in seconds since 1970, or a higher number if there is one as high already.
fn new_number(database: &Path) -> io::Result<u64> {
    let seconds = SystemTime::UNIX_EPOCH.elapsed().map(|time| time.as_secs()).unwrap_or_default();
    let beginning = sibling(database, BEFORE_RESTORE);
    let newest = beginning_with(&beginning)?.iter().filter_map(|path| number_after(&beginning, path)).max();
    Ok(seconds.max(newest.map_or(0, |newest| newest + 1)))
}

/// The number in the name of a marker or of an old database, such as `attendance.db.before-restore-1700000000-wal`.
fn number_after(beginning: &Path, path: &Path) -> Option<u64> {
    path.to_str()?.strip_prefix(beginning.to_str()?)?.split('-').nth(1)?.parse().ok()
}
