//! The files that a database is made of, and those beside it. Names, tickets and hashes of passwords are in them:
//! nobody but their owner may read them, whatever the umask is.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Read and written by the owner.
const PRIVATE: u32 = 0o600;

/// Creates a file that was not there, not even as a link.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    File::options().create_new(true).write(true).mode(PRIVATE).open(path)
}

/// Opens a file that is there to be locked.
pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).mode(PRIVATE).open(path)
}

/// Takes from others what they may do to the files whose names begin as that of `database`, and says so in the log.
pub(crate) fn make_private(database: &Path) -> io::Result<()> {
    for path in beginning_with(database)? {
        let metadata = match path.symlink_metadata() {
            Ok(metadata) => metadata,
            // SQLite removes its log when the last connection closes, such as that of a doctor.
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

/// The files in the directory of `path` whose names begin as its does.
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

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a database and what SQLite keeps beside it, the database last.
pub(crate) fn remove_database(path: &Path) -> io::Result<()> {
    ["-wal", "-shm", "-journal", ""].iter().try_for_each(|piece| remove(&with_suffix(path, piece)))
}

/// Moves a file so that a power cut leaves it here or there, and whole.
pub(crate) fn move_durably(from: &Path, to: &Path) -> io::Result<()> {
    // That of somebody else stays as open as it is.
    let _ = fs::set_permissions(from, Permissions::from_mode(PRIVATE));
    File::open(from)?.sync_all()?;
    fs::rename(from, to)?;
    File::open(directory_of(to))?.sync_all()
}

pub(crate) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    with_suffix(path, &format!(".{suffix}"))
}

pub(crate) fn log_of(database: &Path) -> PathBuf {
    with_suffix(database, "-wal")
}

pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
