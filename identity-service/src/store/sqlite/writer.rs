//! The writing connection, and how it is opened again after a failure.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use shared_store::{
    CommitMetrics,
    sqlite::{FileLock, await_disk, open_in_memory, probe_write},
};
use sqlx::{Connection, SqliteConnection};
use tokio::{
    sync::OwnedMutexGuard,
    time::{Instant, sleep},
};

use super::{STATEMENTS, Shared, migrations, not_connected};
use crate::{
    password_hash::PasswordHash,
    store::{StoreError, User},
};

/// How long after a failure the file is opened again.
const REOPEN_INTERVAL: Duration = Duration::from_millis(250);

/// How long after a write no probe is needed.
const PROBE_VALID_FOR: Duration = Duration::from_secs(1);

pub(super) struct Writer {
    /// `None` while the file is opened again. In memory also `None` before the first write: an idle service needs less
    /// memory as long as the code of SQLite is not loaded.
    pub(super) connection: Option<SqliteConnection>,
    /// `None` in memory.
    pub(super) file: Option<(FileLock, CommitMetrics)>,
    pub(super) wrote_at: Instant,
    pub(super) shared: Arc<Shared>,
}

/// A write to the table of users.
pub(super) enum Write {
    Insert(User),
    Rehash(User, PasswordHash),
    /// A test write that changes no user.
    Probe,
}

impl Writer {
    /// False if there was nothing to change.
    async fn execute(&mut self, write: &Write) -> sqlx::Result<bool> {
        let begin = Instant::now();
        if let (Write::Probe, None) = (write, &self.file) {
            return Ok(false);
        }
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none if self.file.is_none() => none.insert(open_in_memory(&migrations()).await?),
            None => return Err(not_connected()),
        };
        let query = match write {
            Write::Insert(user) => sqlx::query(STATEMENTS.insert)
                .bind(&user.username.0)
                .bind(user.role.as_str())
                .bind::<&str>(user.password.as_ref()),
            Write::Rehash(user, password) => sqlx::query(STATEMENTS.rehash)
                .bind(&user.username.0)
                .bind::<&str>(user.password.as_ref())
                .bind::<&str>(password.as_ref()),
            Write::Probe => {
                if self.wrote_at.elapsed() > PROBE_VALID_FOR {
                    probe_write(connection).await?;
                    self.wrote_at = Instant::now();
                }
                return Ok(false);
            }
        };
        if query.execute(connection).await?.rows_affected() == 0 {
            return Ok(false);
        }
        self.wrote_at = Instant::now();
        if let Some((_, commits)) = &self.file {
            commits.observe(begin.elapsed(), 1);
        }
        if let Write::Insert(_) = write {
            self.shared.user_count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(true)
    }
}

pub(super) async fn execute_or_recover(
    mut writer: OwnedMutexGuard<Writer>,
    write: Write,
) -> Result<bool, StoreError> {
    let shared = Arc::clone(&writer.shared);
    let error = match await_disk(writer.execute(&write), &shared.broken).await {
        Ok(is_changed) => {
            *shared.broken.write() = None;
            return Ok(is_changed);
        }
        Err(error) => error,
    };
    if writer.file.is_none() {
        // A database in memory would be empty after it was opened again.
        *shared.broken.write() = None;
        return Err(StoreError::Internal(Arc::new(error)));
    }
    tracing::error!(error = &error as &dyn std::error::Error, "the storage takes no writes; trying again");
    let reason: Arc<str> = error.to_string().into();
    *shared.broken.write() = Some(Arc::clone(&reason));
    tokio::spawn(recover(writer));
    Err(StoreError::Unavailable(reason))
}

/// Tries to open the file until it takes writes. No other write can begin before, because it is unknown what the file
/// holds.
pub(super) async fn recover(mut writer: OwnedMutexGuard<Writer>) {
    if let Some(connection) = writer.connection.take() {
        // A failure does not matter: the file is opened again in any case.
        drop(connection.close().await);
    }
    let Writer { connection, file: Some((lock, _)), wrote_at, shared } = &mut *writer else { return };
    loop {
        sleep(REOPEN_INTERVAL).await;
        match shared.connect(lock).await {
            Ok(opened) => {
                (*connection, *wrote_at) = (Some(opened), Instant::now());
                *shared.broken.write() = None;
                break tracing::info!("the storage takes writes again");
            }
            Err(error) => *shared.broken.write() = Some(error.to_string().into()),
        }
    }
}
