//! The files of a database, and the files next to it. They hold names, tickets and password hashes. So only their owner
//! may read them, whatever the umask is.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Readable and writable by the owner only.
const PRIVATE: u32 = 0o600;

/// Creates a file. Fails if there is one already, or a symbolic link.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    File::options().create_new(true).write(true).mode(PRIVATE).open(path)
}

/// Opens a lock file, and creates it if it is missing.
pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).mode(PRIVATE).open(path)
}

/// Makes every file whose name begins with that of `database` accessible to its owner only, and logs each change.
pub(crate) fn make_private(database: &Path) -> io::Result<()> {
    for path in beginning_with(database)? {
        let metadata = match path.symlink_metadata() {
            Ok(metadata) => metadata,
            // SQLite removes its log when the last connection closes, for instance that of `doctor`.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if !metadata.is_file() || metadata.permissions().mode() & 0o077 == 0 {
            continue;
        }
        match fs::set_permissions(&path, Permissions::from_mode(PRIVATE)) {
            Ok(()) => tracing::warn!(
                path = %path.display(),
                "others than the owner could open this file, and cannot any more"
            ),
            Err(error) => tracing::warn!(
                path = %path.display(), %error,
                "others than the owner can open this file, and that cannot be changed"
            ),
        }
    }
    Ok(())
}

/// The files in the directory of `path` whose names begin with that of `path`.
pub(crate) fn beginning_with(path: &Path) -> io::Result<Vec<PathBuf>> {
    let (directory, beginning) = (directory_of(path), path.file_name().unwrap_or_default());
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        if name.as_encoded_bytes().starts_with(beginning.as_encoded_bytes()) {
            found.push(directory.join(name));
        }
    }
    Ok(found)
}

/// Removes a file, if there is one.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a database and the files that SQLite keeps next to it. The database comes last.
pub(crate) fn remove_database(path: &Path) -> io::Result<()> {
    ["-wal", "-shm", "-journal", ""].iter().try_for_each(|suffix| remove(&with_suffix(path, suffix)))
}

/// Moves a file. After a power cut it has either the old name or the new one, and is complete.
pub(crate) fn move_durably(from: &Path, to: &Path) -> io::Result<()> {
    // Fails for a file of another owner, whose mode stays as it is.
    let _ = fs::set_permissions(from, Permissions::from_mode(PRIVATE));
    File::open(from)?.sync_all()?;
    fs::rename(from, to)?;
    File::open(directory_of(to))?.sync_all()
}

/// The directory of a file.
pub(crate) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The path with `.suffix` at its end: a file in the same directory.
pub(crate) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    with_suffix(path, &format!(".{suffix}"))
}

/// The write-ahead log of a database.
pub(crate) fn wal_of(database: &Path) -> PathBuf {
    with_suffix(database, "-wal")
}

/// The path with `suffix` at its end.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
