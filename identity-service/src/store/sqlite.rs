//! Users in SQLite: in a file, or in the memory of this process.
//!
//! One connection writes, one statement at a time: bcrypt lets no more than a few registrations a second through.
//! Another one reads, so that a login does not wait for a write that hangs. After a write has failed nobody knows what
//! is on the disk, so the file is opened anew before the next write.

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
    sqlite::{FileLock, SqliteError, await_disk, open_in_memory, open_reader, probe_write},
};
use sqlx::{Connection, FromRow, Row, SqliteConnection, sqlite::SqliteRow};
use tokio::{
    runtime::Handle,
    sync::{Mutex, OwnedMutexGuard},
    time::{Instant, error::Elapsed, sleep, timeout},
};

use super::{
    Registration, StoreError, User, UserStore, Username, cost_from_row, named,
    statements::{Statements, statements},
    stored_role, user_from_row,
};
use crate::password_hash::{Cost, PasswordHash};

/// The name of the file in a directory that both services share.
pub const FILE_NAME: &str = "identity.db";

/// What is in the file, for its operator.
pub const CONTENT: Content = Content {
    service: "identity-service",
    name: "users",
    migrations,
    read: |database| Box::pin(check_and_count(database)),
    newest: "SELECT username, ' (', role, ')' FROM users ORDER BY seq DESC LIMIT 1",
};

const STATEMENTS: Statements = statements!("users");

const ALL: &str = "SELECT role, username, password_hash FROM users";

/// 256 KiB a connection instead of 2 MiB: a statement touches a handful of pages.
const SMALL_PAGE_CACHE: &str = "PRAGMA cache_size = -256";

/// How long a request waits for the disk. A registration has waited for bcrypt before, and is answered within 2 s.
const DISK_DEADLINE: Duration = Duration::from_millis(1500);

/// How long after a failure the file is opened again.
const REOPEN_INTERVAL: Duration = Duration::from_millis(250);

/// How long after a write the file is taken to accept another one.
const PROBE_VALID_FOR: Duration = Duration::from_secs(1);

/// The embedded store.
pub struct SqliteUserStore {
    writer: Arc<Mutex<Writer>>,
    shared: Arc<Shared>,
}

/// What the store shares with the tasks that write.
struct Shared {
    /// None in memory, where the connection that writes reads too: no other one would see the same database.
    reader: Option<Reader>,
    /// Never stored. A stored user with the same name takes precedence.
    demo_users: Vec<User>,
    /// Why nothing can be written just now.
    broken: RwLock<Option<Arc<str>>>,
    /// How many users there are, demo users included.
    held: AtomicU64,
}

struct Reader {
    path: PathBuf,
    /// None before the file was opened.
    connection: Mutex<Option<SqliteConnection>>,
}

struct Writer {
    /// None while the file is opened again, and in memory before the first write: an idle service takes less memory
    /// without the code of SQLite.
    connection: Option<SqliteConnection>,
    /// None in memory.
    file: Option<(FileLock, CommitMetrics)>,
    wrote_at: Instant,
    shared: Arc<Shared>,
}

/// What is written.
enum Write {
    Insert(User),
    Rehash(User, PasswordHash),
    /// Anything, to see whether the file takes writes.
    Probe,
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
        let users = shared.held.load(Ordering::Relaxed);
        tracing::info!(path = %path.display(), users, "the file is loaded");
        Ok(Self::new(Some(connection), Some((lock, commits)), shared))
    }

    /// A store whose users are gone when the process ends.
    pub fn in_memory(demo_users: Vec<User>) -> Self {
        let users = demo_users.len() as u64;
        let shared = Shared::new(None, demo_users);
        shared.held.store(users, Ordering::Relaxed);
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

    /// Selects at most one row. In SQLite's WAL mode that does not wait for a write.
    async fn select(&self, sql: &'static str, arguments: &[&str]) -> Result<Option<SqliteRow>, StoreError> {
        let selected = async {
            match &self.shared.reader {
                Some(reader) => {
                    let mut connection = reader.connection.lock().await;
                    select(connection.as_mut().ok_or(sqlx::Error::WorkerCrashed)?, sql, arguments).await
                }
                None => match &mut self.writer.lock().await.connection {
                    Some(connection) => select(connection, sql, arguments).await,
                    None => Ok(None),
                },
            }
        };
        let selected = timeout(DISK_DEADLINE, selected).await.map_err(too_slow)?;
        selected.map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "users cannot be read");
            StoreError::Unavailable(error.to_string().into())
        })
    }

    /// Writes as soon as no other write is under way. False, if there was nothing to change.
    async fn write(&self, write: Write) -> Result<bool, StoreError> {
        if let Some(reason) = self.shared.broken.read().clone() {
            return Err(StoreError::Unavailable(reason));
        }
        let writer = Arc::clone(&self.writer);
        // A task of its own: once begun, a write and what follows from it is finished, although its client hangs up.
        let done = async { tokio::spawn(execute(writer.lock_owned().await, write)).await };
        let done = timeout(DISK_DEADLINE, done).await.map_err(too_slow)?;
        done.map_err(|panicked| StoreError::Internal(Arc::new(panicked)))?
    }
}

impl Drop for SqliteUserStore {
    /// Closes the connection that reads before the one that writes. The last one to close brings the log into the file
    /// and removes it; of two that close at once each may take the other for the last.
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
        // Before the row: a commit that seemed to fail may become readable just before the outage ends.
        let broken = self.shared.broken.read().clone();
        let row = self.select(STATEMENTS.find, &[&username.0]).await?;
        let stored = row.map(|row| user_from_row(username, FromRow::from_row(&row)?)).transpose();
        let stored = stored.map_err(|error| StoreError::Internal(Arc::new(error)))?;
        match (stored.or_else(|| named(&self.shared.demo_users, username)), broken) {
            // A commit whose outcome is unknown may hold the user.
            (None, Some(reason)) => Err(StoreError::Unavailable(reason)),
            (user, _) => Ok(user),
        }
    }

    async fn register(&self, user: User) -> Result<Registration, StoreError> {
        if named(&self.shared.demo_users, &user.username).is_some() {
            return Ok(Registration::Taken);
        }
        let is_inserted = self.write(Write::Insert(user)).await?;
        Ok(if is_inserted { Registration::Accepted } else { Registration::Taken })
    }

    async fn rehash(&self, user: &User, password: PasswordHash) -> Result<(), StoreError> {
        self.write(Write::Rehash(user.clone(), password)).await.map(drop)
    }

    async fn greatest_cost(&self) -> Result<Option<Cost>, StoreError> {
        let row = self.select(STATEMENTS.greatest_cost, &[]).await?;
        let cost = row.map(|row| row.try_get(0)).transpose();
        let cost: Option<Option<String>> = cost.map_err(|error| StoreError::Internal(Arc::new(error)))?;
        Ok(cost_from_row(cost.flatten()))
    }

    fn held(&self) -> Option<u64> {
        Some(self.shared.held.load(Ordering::Relaxed))
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.write(Write::Probe).await.map(drop)
    }
}

impl Shared {
    fn new(reader: Option<Reader>, demo_users: Vec<User>) -> Self {
        Self { reader, demo_users, broken: RwLock::default(), held: AtomicU64::default() }
    }

    /// Opens the file to write to it, and anew to read from it: another file may have its path by now.
    async fn connect(&self, lock: &mut FileLock) -> Result<SqliteConnection, SqliteError> {
        let mut writer = lock.connect(&migrations()).await?;
        self.prepare(&mut writer).await.map_err(|error| lock.classify(error))?;
        Ok(writer)
    }

    async fn prepare(&self, writer: &mut SqliteConnection) -> sqlx::Result<()> {
        sqlx::raw_sql(SMALL_PAGE_CACHE).execute(&mut *writer).await?;
        let mut held = check_and_count(writer).await?;
        for user in &self.demo_users {
            let stored = select(writer, STATEMENTS.find, &[&user.username.0]).await?;
            held += u64::from(stored.is_none());
        }
        if let Some(reader) = &self.reader {
            let mut connection = open_reader(&reader.path).await?;
            sqlx::raw_sql(SMALL_PAGE_CACHE).execute(&mut connection).await?;
            *reader.connection.lock().await = Some(connection);
        }
        self.held.store(held, Ordering::Relaxed);
        Ok(())
    }
}

impl Writer {
    /// False, if there was nothing to change.
    async fn execute(&mut self, write: &Write) -> sqlx::Result<bool> {
        let begin = Instant::now();
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none if self.file.is_none() => none.insert(open_in_memory(&migrations()).await?),
            None => return Err(sqlx::Error::WorkerCrashed),
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
            self.shared.held.fetch_add(1, Ordering::Relaxed);
        }
        Ok(true)
    }
}

async fn execute(mut writer: OwnedMutexGuard<Writer>, write: Write) -> Result<bool, StoreError> {
    let shared = Arc::clone(&writer.shared);
    let error = match await_disk(writer.execute(&write), &shared.broken).await {
        Ok(is_changed) => {
            *shared.broken.write() = None;
            return Ok(is_changed);
        }
        Err(error) => error,
    };
    if writer.file.is_none() {
        // Opened again, a database in memory would be empty.
        return Err(StoreError::Internal(Arc::new(error)));
    }
    tracing::error!(error = &error as &dyn std::error::Error, "the storage takes no writes; trying again");
    let reason: Arc<str> = error.to_string().into();
    *shared.broken.write() = Some(Arc::clone(&reason));
    tokio::spawn(recover(writer));
    Err(StoreError::Unavailable(reason))
}

/// Opens the file until it takes writes. No other write gets at it before: what it holds is unknown.
async fn recover(mut writer: OwnedMutexGuard<Writer>) {
    if let Some(connection) = writer.connection.take() {
        // The file is opened from scratch whatever this returns.
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

fn too_slow(_: Elapsed) -> StoreError {
    StoreError::Unavailable("the disk is too slow".into())
}

async fn select(
    connection: &mut SqliteConnection,
    sql: &'static str,
    arguments: &[&str],
) -> sqlx::Result<Option<SqliteRow>> {
    let query = arguments.iter().fold(sqlx::query(sql), |query, argument| query.bind(*argument));
    query.fetch_optional(connection).await
}

/// Reads every user, so that damage and unknown roles show. How many there are.
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
    use shared_store::testing::assert_no_temporary_btree;

    use super::*;

    #[tokio::test]
    async fn no_statement_sorts() {
        let mut database = open_in_memory(&migrations()).await.unwrap();
        let statements = [ALL, CONTENT.newest, STATEMENTS.find, STATEMENTS.greatest_cost];
        assert_no_temporary_btree(&mut database, &statements).await;
    }
}
