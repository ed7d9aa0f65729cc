//! Copies a database, while the service runs or not.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
};

use sqlx::Connection;

use super::{
    check::{describe, open},
    error::{MaintenanceError, at},
};
use crate::{
    content::Content,
    files::{create_new, directory_of, move_durably, remove_database, sibling},
};

/// The extension of a copy that is not complete yet.
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
        // The partial copy may have filled the disk.
        remove_database(&partial.path).map_err(at(&partial.path))?;
    }
    let report = made?;
    move_durably(&partial.path, copy).map_err(at(copy))?;
    Ok(format!("{}: {report}", copy.display()))
}

/// An incomplete copy. It has another name than the backup until it is complete and on the disk, so that a power cut
/// leaves no incomplete file under the name of the backup.
struct Partial {
    path: PathBuf,
    /// Locked while the copy is made. A copy that a killed backup has left behind is not locked.
    _file: File,
}

impl Partial {
    /// Creates the file. SQLite would create one that others can read.
    fn create(copy: &Path) -> Result<Self, MaintenanceError> {
        let path = sibling(copy, PARTIAL);
        let file = create_new(&path).map_err(at(copy))?;
        // Some file systems have no locks. There another backup can remove this copy as a leftover, and this one fails.
        let _ = file.try_lock();
        Ok(Self { path, _file: file })
    }
}

/// Removes the incomplete copies of killed backups in `directory`, whatever their names.
fn remove_leftovers(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let is_partial = path.extension() == Some(OsStr::new(PARTIAL));
        // A copy that is being made is locked. One that cannot be removed only takes space.
        if is_partial && File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = remove_database(&path);
        }
    }
}

async fn make_copy(database: &Path, copy: &Path, content: &Content) -> Result<String, MaintenanceError> {
    let mut connection = open(database, true).await?;
    content.is_owner(&mut connection).await.map_err(at(database))?;
    sqlx::query("VACUUM INTO ?1")
        .bind(copy.to_string_lossy().into_owned())
        .execute(&mut connection)
        .await
        .map_err(at(copy))?;
    connection.close().await.map_err(at(database))?;
    describe(copy, content).await
}
