//! The writing connection, and how it is opened again after a failure.

use std::{
    error::Error,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use sqlx::{Connection, SqliteConnection};
use tokio::{
    sync::OwnedMutexGuard,
    time::{Instant, sleep},
};

use super::{
    SqlError,
    sqlite::{Shared, not_connected, query},
};
use crate::{
    CommitMetrics,
    sqlite::{FileLock, await_disk, open_in_memory, probe_write},
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

pub(super) enum Write {
    Statement(Statement),
    /// A statement that inserts rows of the content.
    Insert(Statement),
    /// A test write that changes nothing.
    Probe,
}

pub(super) struct Statement {
    sql: &'static str,
    arguments: Vec<String>,
}

impl Statement {
    pub(super) fn new(sql: &'static str, arguments: &[&str]) -> Self {
        Self { sql, arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect() }
    }
}

impl Writer {
    /// Returns how many rows were changed.
    async fn execute(&mut self, write: &Write) -> Result<u64, Box<dyn Error + Send + Sync>> {
        if let Some((lock, _)) = &self.file {
            lock.check_in_place()?;
        }
        Ok(match write {
            Write::Statement(statement) => self.run(statement).await?,
            Write::Insert(statement) => {
                let inserted = self.run(statement).await?;
                self.shared.rows.fetch_add(inserted, Ordering::Relaxed);
                inserted
            }
            Write::Probe => self.probe().await?,
        })
    }

    async fn run(&mut self, Statement { sql, arguments }: &Statement) -> sqlx::Result<u64> {
        let begin = Instant::now();
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none if self.file.is_none() => {
                none.insert(open_in_memory(&(self.shared.content.migrations)()).await?)
            }
            None => return Err(not_connected()),
        };
        let done = query(sql, arguments.iter().map(String::as_str)).execute(connection).await?;
        if done.rows_affected() > 0 {
            self.wrote_at = Instant::now();
            if let Some((_, commits)) = &self.file {
                commits.observe(begin.elapsed(), 1);
            }
        }
        Ok(done.rows_affected())
    }

    async fn probe(&mut self) -> sqlx::Result<u64> {
        if self.file.is_some() && self.wrote_at.elapsed() > PROBE_VALID_FOR {
            probe_write(self.connection.as_mut().ok_or_else(not_connected)?).await?;
            self.wrote_at = Instant::now();
        }
        Ok(0)
    }
}

pub(super) async fn execute_or_recover(
    mut writer: OwnedMutexGuard<Writer>,
    write: Write,
) -> Result<u64, SqlError> {
    let shared = Arc::clone(&writer.shared);
    let error = match await_disk(writer.execute(&write), &shared.broken).await {
        Ok(changed) => {
            *shared.broken.write() = None;
            return Ok(changed);
        }
        Err(error) => error,
    };
    if writer.file.is_none() {
        // A database in memory would be empty after it was opened again.
        *shared.broken.write() = None;
        return Err(SqlError::Internal(error.into()));
    }
    tracing::error!(error = &*error as &dyn Error, "the storage takes no writes; trying again");
    let reason: Arc<str> = error.to_string().into();
    *shared.broken.write() = Some(Arc::clone(&reason));
    tokio::spawn(recover(writer));
    Err(SqlError::Unavailable(reason))
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
