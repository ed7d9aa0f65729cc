//! Users in SQLite: in a file, or in the memory of this process.
//!
//! One connection writes, one statement at a time: bcrypt allows only a few registrations a second. Another connection
//! reads, so that a login does not wait for a write that hangs. After a failed write it is unknown what is on the disk,
//! so the file is opened again before the next write.

mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::TryStreamExt;
use parking_lot::RwLock;
use shared_store::{
    CommitMetrics, Content, Migration, Migrations,
    sqlite::{FileLock, SqliteError, open_reader},
};
use sqlx::{Connection, FromRow, SqliteConnection, sqlite::SqliteRow};
use tokio::{
    runtime::Handle,
    sync::Mutex,
    time::{Instant, error::Elapsed, timeout},
};

use self::writer::{Write, Writer, execute_or_recover, recover};
use super::{
    Registration, StoreError, User, UserStore, Username, cost_from_row, find_by_name,
    statements::{Statements, statements},
    stored_role, user_from_row,
};
use crate::password_hash::{Cost, PasswordHash};

/// The name of the file in a directory that both services share.
pub const FILE_NAME: &str = "identity.db";

/// What the file holds, for the commands of an operator.
pub const CONTENT: Content = Content {
    service: "identity-service",
    name: "users",
    migrations,
    read: |database| Box::pin(check_and_count(database)),
    newest: "SELECT username, ' (', role, ')' FROM users ORDER BY seq DESC LIMIT 1",
};

const STATEMENTS: Statements = statements!("users");

const ALL: &str = "SELECT role, username, password_hash FROM users";

/// 256 KiB for each connection instead of 2 MiB. A statement needs only a few pages.
const SMALL_PAGE_CACHE: &str = "PRAGMA cache_size = -256";

/// How long a request waits for a write.
const WRITE_DEADLINE: Duration = Duration::from_millis(1500);

/// How long a request waits until earlier ones have read.
const QUEUE_DEADLINE: Duration = Duration::from_millis(500);

/// How long a read may take. One that takes longer begins an outage.
const READ_DEADLINE: Duration = Duration::from_millis(1000);

/// The embedded store.
pub struct SqliteUserStore {
    writer: Arc<Mutex<Writer>>,
    shared: Arc<Shared>,
}

/// What the store shares with the tasks that write.
struct Shared {
    /// `None` in memory. There the writing connection reads too, because another one would see another database.
    reader: Option<Reader>,
    /// Never stored. A stored user with the same name takes precedence.
    demo_users: Vec<User>,
    /// Why nothing can be written now. `None` if there is no outage.
    broken: RwLock<Option<Arc<str>>>,
    /// How many users there are, demo users included.
    user_count: AtomicU64,
}

struct Reader {
    path: PathBuf,
    /// `None` until the file is opened.
    connection: Mutex<Option<SqliteConnection>>,
}

/// The migrations of this service, oldest first.
pub fn migrations() -> Migrations {
    let users = include_str!("../../migrations/sqlite/1_users.sql");
    let made_by_operator = include_str!("../../migrations/sqlite/made_by_operator.sql");
    Migrations::new(&[Migration { name: "users", sql: users, min_reader: 1 }])
        .with_tables(&[made_by_operator])
}

impl SqliteUserStore {
    /// Locks the file at `path`, opens it, and checks every row. `demo_users` stay out of it.
    ///
    /// # Errors
    ///
    /// The file is in use, damaged, newer than this service, missing though it `is_expected`, or takes no writes.
    pub async fn open(
        path: &Path,
        is_expected: bool,
        demo_users: Vec<User>,
        commits: CommitMetrics,
    ) -> Result<Self, SqliteError> {
        let mut lock = FileLock::take(path, is_expected)?;
        lock.inspect(&CONTENT).await?;
        let reader = Reader { path: path.to_owned(), connection: Mutex::default() };
        let shared = Shared::new(Some(reader), demo_users);
        let connection = shared.connect(&mut lock).await?;
        let users = shared.user_count.load(Ordering::Relaxed);
        tracing::info!(path = %path.display(), users, "the file is loaded");
        Ok(Self::new(Some(connection), Some((lock, commits)), shared))
    }

    /// A store whose users are gone when the process ends.
    pub fn in_memory(demo_users: Vec<User>) -> Self {
        let users = demo_users.len() as u64;
        let shared = Shared::new(None, demo_users);
        shared.user_count.store(users, Ordering::Relaxed);
        Self::new(None, None, shared)
    }

    fn new(
        connection: Option<SqliteConnection>,
        file: Option<(FileLock, CommitMetrics)>,
        shared: Shared,
    ) -> Self {
        let shared = Arc::new(shared);
        let writer = Writer { connection, file, wrote_at: Instant::now(), shared: Arc::clone(&shared) };
        Self { writer: Arc::new(Mutex::new(writer)), shared }
    }

    /// Selects at most one row. In WAL mode this does not wait for a write.
    async fn select(&self, sql: &'static str, arguments: &[&str]) -> Result<Option<SqliteRow>, StoreError> {
        let Some(reader) = &self.shared.reader else {
            let mut writer = timeout(WRITE_DEADLINE, self.writer.lock()).await.map_err(too_slow)?;
            let Some(connection) = &mut writer.connection else { return Ok(None) };
            return fetch_optional(connection, sql, arguments).await.map_err(|error| unavailable(&error));
        };
        // Only a slow read counts as an outage. A long queue of requests is not the fault of the disk.
        let mut connection = timeout(QUEUE_DEADLINE, reader.connection.lock()).await.map_err(too_slow)?;
        let read =
            async { fetch_optional(connection.as_mut().ok_or_else(not_connected)?, sql, arguments).await };
        let read = match timeout(READ_DEADLINE, read).await {
            Ok(Ok(row)) => return Ok(row),
            Ok(Err(error)) => unavailable(&error),
            Err(elapsed) => too_slow(elapsed),
        };
        // The connection is not used again: its statement may never end.
        connection.take();
        self.reads_failed(&read);
        Err(read)
    }

    /// Begins an outage, unless there is one already. Nothing is written until the file is opened again.
    fn reads_failed(&self, reason: &StoreError) {
        let mut broken = self.shared.broken.write();
        if broken.is_none() {
            tracing::error!(error = reason as &dyn std::error::Error, "users cannot be read; trying again");
            *broken = Some(reason.to_string().into());
            let writer = Arc::clone(&self.writer);
            tokio::spawn(async { recover(writer.lock_owned().await).await });
        }
    }

    /// Writes as soon as no other write is under way. False if there was nothing to change.
    async fn write(&self, write: Write) -> Result<bool, StoreError> {
        if let Some(reason) = self.shared.broken.read().clone() {
            return Err(StoreError::Unavailable(reason));
        }
        let writer = Arc::clone(&self.writer);
        // Its own task: once begun, a write is finished even if its client disconnects.
        let done = async { tokio::spawn(execute_or_recover(writer.lock_owned().await, write)).await };
        let done = timeout(WRITE_DEADLINE, done).await.map_err(too_slow)?;
        done.map_err(|panicked| StoreError::Internal(Arc::new(panicked)))?
    }
}

impl Drop for SqliteUserStore {
    /// Closes the reading connection before the writing one. The last connection that closes copies the log into the
    /// file and removes the log. If both closed at once, each could take the other for the last.
    fn drop(&mut self) {
        let Some(reader) = &self.shared.reader else { return };
        let reader = reader.connection.try_lock().ok().and_then(|mut reader| reader.take());
        let writer = self.writer.try_lock().ok().and_then(|mut writer| writer.connection.take());
        if let (Some(reader), Ok(runtime)) = (reader, Handle::try_current()) {
            runtime.spawn(async move {
                drop(reader.close().await);
                drop(writer);
            });
        }
    }
}

#[async_trait]
impl UserStore for SqliteUserStore {
    async fn find(&self, username: &Username) -> Result<Option<User>, StoreError> {
        // Read before the row: the result of a failed commit may become readable just before the outage ends.
        let broken = self.shared.broken.read().clone();
        let row = self.select(STATEMENTS.find, &[&username.0]).await?;
        let stored = row.map(|row| user_from_row(username, FromRow::from_row(&row)?)).transpose();
        let stored = stored.map_err(|error| StoreError::Internal(Arc::new(error)))?;
        match (stored.or_else(|| find_by_name(&self.shared.demo_users, username)), broken) {
            // A commit whose outcome is unknown may have stored the user.
            (None, Some(reason)) => Err(StoreError::Unavailable(reason)),
            (user, _) => Ok(user),
        }
    }

    async fn register(&self, user: User) -> Result<Registration, StoreError> {
        if find_by_name(&self.shared.demo_users, &user.username).is_some() {
            return Ok(Registration::Taken);
        }
        let is_inserted = self.write(Write::Insert(user)).await?;
        Ok(if is_inserted { Registration::Accepted } else { Registration::Taken })
    }

    async fn rehash(&self, user: &User, password: PasswordHash) -> Result<(), StoreError> {
        self.write(Write::Rehash(user.clone(), password)).await.map(drop)
    }

    /// Sets no deadline: it is called only at the start, when no client waits.
    async fn greatest_cost(&self) -> Result<Option<Cost>, StoreError> {
        let mut writer = self.writer.lock().await;
        let Some(connection) = &mut writer.connection else { return Ok(None) };
        let cost = sqlx::query_scalar(STATEMENTS.greatest_cost).fetch_one(connection).await;
        Ok(cost_from_row(cost.map_err(|error| StoreError::Internal(Arc::new(error)))?))
    }

    fn count(&self) -> Option<u64> {
        Some(self.shared.user_count.load(Ordering::Relaxed))
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.write(Write::Probe).await?;
        // A registration and a login begin with a read. No user has this name.
        self.select(STATEMENTS.find, &[""]).await.map(drop)
    }
}

impl Shared {
    fn new(reader: Option<Reader>, demo_users: Vec<User>) -> Self {
        Self { reader, demo_users, broken: RwLock::default(), user_count: AtomicU64::default() }
    }

    /// Opens both connections. The reading one is replaced too, because the path may name another file by now.
    async fn connect(&self, lock: &mut FileLock) -> Result<SqliteConnection, SqliteError> {
        let mut writer = lock.connect(&migrations()).await?;
        self.prepare(&mut writer).await.map_err(|error| lock.classify(error))?;
        Ok(writer)
    }

    async fn prepare(&self, writer: &mut SqliteConnection) -> sqlx::Result<()> {
        sqlx::raw_sql(SMALL_PAGE_CACHE).execute(&mut *writer).await?;
        let mut user_count = check_and_count(writer).await?;
        for user in &self.demo_users {
            let stored = fetch_optional(writer, STATEMENTS.find, &[&user.username.0]).await?;
            user_count += u64::from(stored.is_none());
        }
        if let Some(reader) = &self.reader {
            let mut connection = open_reader(&reader.path).await?;
            sqlx::raw_sql(SMALL_PAGE_CACHE).execute(&mut connection).await?;
            *reader.connection.lock().await = Some(connection);
        }
        self.user_count.store(user_count, Ordering::Relaxed);
        Ok(())
    }
}

/// The file could not be opened again yet.
fn not_connected() -> sqlx::Error {
    sqlx::Error::WorkerCrashed
}

fn unavailable(error: &sqlx::Error) -> StoreError {
    StoreError::Unavailable(error.to_string().into())
}

fn too_slow(_: Elapsed) -> StoreError {
    StoreError::Unavailable("the disk is too slow".into())
}

async fn fetch_optional(
    connection: &mut SqliteConnection,
    sql: &'static str,
    arguments: &[&str],
) -> sqlx::Result<Option<SqliteRow>> {
    let query = arguments.iter().fold(sqlx::query(sql), |query, argument| query.bind(*argument));
    query.fetch_optional(connection).await
}

/// Reads every user, which reveals damage and unknown roles. Returns how many there are.
async fn check_and_count(connection: &mut SqliteConnection) -> sqlx::Result<u64> {
    let mut users = 0;
    let mut rows = sqlx::query(ALL).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let (role, _, _): (String, String, String) = FromRow::from_row(&row)?;
        stored_role(&role)?;
        users += 1;
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use shared_store::{sqlite::open_in_memory, testing::assert_no_temporary_btree};

    use super::*;

    #[tokio::test]
    async fn no_statement_sorts() {
        let mut database = open_in_memory(&migrations()).await.unwrap();
        let statements = [ALL, CONTENT.newest, STATEMENTS.find, STATEMENTS.greatest_cost];
        assert_no_temporary_btree(&mut database, &statements).await;
    }
}
