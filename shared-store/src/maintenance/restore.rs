//! Brings a copy back, while the service does not run, and keeps aside what was there.
//!
//! The copy is copied beside the database and examined there. Only then is it renamed to the marker that keeps every
//! service from starting, what was there is moved aside, and the marker takes its place. A process that is killed before
//! the marker exists has changed nothing. After that nobody serves until `restore` was run once more, and in the end the
//! new data is in place.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use sqlx::Connection;

use super::{Content, MaintenanceError, at, describe, open};
use crate::{
    files::{
        beginning_with, beside, create_new, directory_of, move_durably, remove, remove_database, with_suffix,
    },
    sqlite::{FileLock, RESTORING},
};

/// How the name of a copy goes on that is not examined yet. No marker: whoever finds it may remove it.
const INCOMING: &str = "incoming";

/// How the name of what was there before a restore goes on.
const ASIDE: &str = "before-restore";

/// What a database may be made of, as its name goes on. SQLite brings together whatever lies together.
const PIECES: [&str; 3] = ["-wal", "-journal", ""];

pub(super) async fn restore(
    database: &Path,
    copy: &Path,
    content: &Content,
) -> Result<String, MaintenanceError> {
    let _lock = FileLock::lock(database)
        .map_err(|error| if error.is_in_use() { MaintenanceError::InUse(error) } else { error.into() })?;
    let incoming = beside(database, INCOMING);
    let report = match take_over(copy, &incoming, content).await {
        Ok(report) => report,
        Err(error) => {
            remove_database(&incoming).map_err(at(&incoming))?;
            // The operator knows the copy, and not what was made of it.
            let reason = match error {
                MaintenanceError::File { path, reason } if path == incoming || path == copy => reason,
                error => error.into(),
            };
            return Err(at(copy)(format!("cannot be brought back, and nothing was changed: {reason}")));
        }
    };
    let aside = exchange(database, &incoming).map_err(|error| {
        at(database)(format!(
            "bringing a backup back was interrupted ({error}); do it once more: restore PATH"
        ))
    })?;
    let kept = if PIECES.iter().any(|piece| with_suffix(&aside, piece).exists()) {
        format!("; what was there is kept in {}", aside.display())
    } else {
        String::new()
    };
    Ok(format!("{}: {report}{kept}", database.display()))
}

/// Makes one whole file of a copy and what lies beside it, as with what was kept aside: its log, or its journal.
async fn take_over(copy: &Path, incoming: &Path, content: &Content) -> Result<String, MaintenanceError> {
    remove_database(incoming).map_err(at(incoming))?;
    for piece in PIECES {
        let from = with_suffix(copy, piece);
        // The database itself must be there.
        if piece.is_empty() || from.exists() {
            let mut source = File::open(&from).map_err(at(&from))?;
            let to = with_suffix(incoming, piece);
            let copied = create_new(&to).and_then(|mut target| io::copy(&mut source, &mut target));
            copied.map_err(at(directory_of(&to)))?;
        }
    }
    let mut connection = open(incoming, false).await?;
    // Brings the log into the database, and removes it.
    sqlx::raw_sql("PRAGMA journal_mode = DELETE").execute(&mut connection).await.map_err(at(copy))?;
    connection.close().await.map_err(at(incoming))?;
    if let Some(piece) =
        PIECES.iter().find(|piece| !piece.is_empty() && with_suffix(incoming, piece).exists())
    {
        return Err(at(&with_suffix(copy, piece))("cannot be brought into the database"));
    }
    describe(incoming, content).await
}

/// Puts `incoming` into the place of `database`; where what was there is kept.
fn exchange(database: &Path, incoming: &Path) -> io::Result<PathBuf> {
    // What an interrupted restore has moved belongs to what it has not: its number is in the name of its marker.
    let beginning = beside(database, RESTORING);
    let interrupted = beginning_with(&beginning)?.pop();
    let begun = interrupted.as_deref().and_then(|marker| number_after(&beginning, marker)).filter(|number| {
        let aside = aside(database, *number);
        PIECES
            .iter()
            .all(|piece| !with_suffix(&aside, piece).exists() || !with_suffix(database, piece).exists())
    });
    let number = match begun {
        Some(number) => number,
        None => new_number(database)?,
    };
    let marker = beside(database, &format!("{RESTORING}-{number}"));
    if let Some(interrupted) = interrupted.filter(|interrupted| *interrupted != marker) {
        move_durably(&interrupted, &marker)?;
    }
    move_durably(incoming, &marker)?;
    let aside = aside(database, number);
    for piece in PIECES {
        let from = with_suffix(database, piece);
        if from.exists() {
            move_durably(&from, &with_suffix(&aside, piece))?;
        }
    }
    remove(&with_suffix(database, "-shm"))?;
    move_durably(&marker, database)?;
    Ok(aside)
}

fn aside(database: &Path, number: u64) -> PathBuf {
    beside(database, &format!("{ASIDE}-{number}"))
}

/// The time, unless there is a later number already.
fn new_number(database: &Path) -> io::Result<u64> {
    let seconds = SystemTime::UNIX_EPOCH.elapsed().map(|time| time.as_secs()).unwrap_or_default();
    let beginning = beside(database, ASIDE);
    let newest = beginning_with(&beginning)?.iter().filter_map(|path| number_after(&beginning, path)).max();
    Ok(seconds.max(newest.map_or(0, |newest| newest + 1)))
}

/// The number in the name of a marker or of what was kept aside, such as `attendance.db.before-restore-1700000000-wal`.
fn number_after(beginning: &Path, path: &Path) -> Option<u64> {
    path.to_str()?.strip_prefix(beginning.to_str()?)?.split('-').nth(1)?.parse().ok()
}
