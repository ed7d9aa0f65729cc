//! Copies a database, while the service runs or not.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
};

use sqlx::Connection;

use super::{Content, MaintenanceError, at, describe, open};
use crate::files::{beside, create_new, directory_of, move_durably, remove_database};

/// How the name of a copy goes on while it is made.
const PARTIAL: &str = "tixgo-partial";

pub(super) async fn backup(
    database: &Path,
    copy: &Path,
    content: &Content,
) -> Result<String, MaintenanceError> {
    if copy.exists() {
        return Err(at(copy)("exists already; choose another name"));
    }
    remove_leftovers(directory_of(copy));
    let partial = Partial::create(copy)?;
    let made = make_copy(database, &partial.path, content).await;
    if made.is_err() {
        // What is left of it may be all the room there is.
        remove_database(&partial.path).map_err(at(&partial.path))?;
    }
    let report = made?;
    move_durably(&partial.path, copy).map_err(at(copy))?;
    Ok(format!("{}: {report}", copy.display()))
}

/// A copy under another name until it is whole and on the disk: a power cut leaves no half of a backup.
struct Partial {
    path: PathBuf,
    /// Locked, which tells it from what a killed backup has left behind.
    _file: File,
}

impl Partial {
    /// Not by SQLite, which would let others read it.
    fn create(copy: &Path) -> Result<Self, MaintenanceError> {
        let path = beside(copy, PARTIAL);
        let file = create_new(&path).map_err(at(copy))?;
        // Some file systems know no locks. There another backup may take this one for a leftover, and it fails.
        let _ = file.try_lock();
        Ok(Self { path, _file: file })
    }
}

/// Removes what killed backups have left in `directory`, whatever names their copies were to have.
fn remove_leftovers(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let is_partial = path.extension() == Some(OsStr::new(PARTIAL));
        // Whoever makes a copy holds the lock. What cannot be removed harms nobody but by its size.
        if is_partial && File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = remove_database(&path);
        }
    }
}

async fn make_copy(database: &Path, copy: &Path, content: &Content) -> Result<String, MaintenanceError> {
    let mut connection = open(database, true).await?;
    content.recognise(&mut connection).await.map_err(at(database))?;
    sqlx::query("VACUUM INTO ?1")
        .bind(copy.to_string_lossy().into_owned())
        .execute(&mut connection)
        .await
        .map_err(at(copy))?;
    connection.close().await.map_err(at(database))?;
    describe(copy, content).await
}
