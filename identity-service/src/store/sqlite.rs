//! Users in memory, behind which a SQLite file remembers them.
//!
//! Memory answers whatever it can. A registration is committed to the file first, one at a time: bcrypt
//! lets no more than a few a second through. After an error nobody knows what is on the disk, so the file
//! is opened anew, and what it holds is read, before another registration is taken.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::TryStreamExt;
use parking_lot::RwLock;
use shared_store::{
    CommitMetrics, Content, Migration, Migrations,
    sqlite::{FileLock, SqliteError, await_disk, probe_write},
};
use sqlx::{Connection, Row, SqliteConnection};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::{Instant, sleep, timeout},
};

use super::{
    Registration, StoreError, User, UserStore, Username, memory::MemoryUserStore, role_to_store, stored_role,
};
use crate::password_hash::{Cost, PasswordHash};

/// The name of the file in a directory that both services share.
pub const FILE_NAME: &str = "identity.db";

/// What is in the file, for its operator.
pub const CONTENT: Content = Content {
    service: "identity-service",
    name: "users",
    migrations,
    read: |database| Box::pin(count(database)),
    newest: "SELECT username, ' (', role, ')' FROM users ORDER BY seq DESC LIMIT 1",
};

/// Row by row: users are few, and their names short.
const LOAD: &str = "SELECT seq, username, role, password_hash FROM users WHERE seq > ?1 ORDER BY seq";

/// How long a client waits for the disk. It has waited for bcrypt before.
const PATIENCE: Duration = Duration::from_millis(1500);

/// How long after a failure the file is tried again.
const PAUSE: Duration = Duration::from_millis(250);

/// How long one proof that the file takes writes is good for.
const PROBE_IS_GOOD_FOR: Duration = Duration::from_secs(1);

/// The embedded store.
pub struct SqliteUserStore {
    memory: Arc<MemoryUserStore>,
    file: Arc<Mutex<UserFile>>,
    /// Why nothing can be written just now.
    broken: Arc<RwLock<Option<Arc<str>>>>,
}

/// The migrations of this service, oldest first.
pub fn migrations() -> Migrations {
    let users = include_str!("../../migrations/sqlite/1_users.sql");
    let made_by_operator = include_str!("../../migrations/sqlite/made_by_operator.sql");
    Migrations::new(&[Migration { name: "users", sql: users, min_reader: 1 }])
        .with_tables(&[made_by_operator])
}

impl SqliteUserStore {
    /// Takes the file at `path` and reads what it holds. `demo_users` are there too, but in memory only,
    /// and only those whose names nobody in the file has.
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
        let memory = Arc::new(MemoryUserStore::new(demo_users));
        let broken = Arc::default();
        let mut file = UserFile {
            lock: FileLock::take(path, is_expected)?,
            migrations: migrations(),
            memory: Arc::clone(&memory),
            commits,
            broken: Arc::clone(&broken),
            connection: None,
            last_seq: 0,
            probed_at: Instant::now(),
        };
        file.lock.inspect(&CONTENT).await?;
        file.connect().await?;
        tracing::info!(path = %path.display(), users = memory.held(), "the file is loaded");
        Ok(Self { memory, file: Arc::new(Mutex::new(file)), broken })
    }

    /// Does `work` once the file is free. The work is a task of its own: a client that hangs up must not
    /// leave on the disk what memory does not know.
    async fn with_file<T, W>(
        &self,
        work: impl FnOnce(OwnedMutexGuard<UserFile>) -> W,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        if let Some(reason) = self.broken.read().clone() {
            return Err(StoreError::Unavailable(reason));
        }
        let done = async { tokio::spawn(work(Arc::clone(&self.file).lock_owned().await)).await };
        match timeout(PATIENCE, done).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panicked)) => Err(StoreError::Internal(Arc::new(panicked))),
            Err(_) => Err(StoreError::Unavailable("the disk is too slow".into())),
        }
    }
}

#[async_trait]
impl UserStore for SqliteUserStore {
    async fn find(&self, username: &Username) -> Result<Option<User>, StoreError> {
        // In this order, for what is found in the file is told memory before the outage is over.
        let broken = self.broken.read().clone();
        match (self.memory.find(username).await?, broken) {
            // The file may know: a commit that failed need not have failed.
            (None, Some(reason)) => Err(StoreError::Unavailable(reason)),
            (user, _) => Ok(user),
        }
    }

    async fn register(&self, user: User) -> Result<Registration, StoreError> {
        if self.memory.find(&user.username).await?.is_some() {
            return Ok(Registration::Taken);
        }
        self.with_file(|file| register(file, user)).await
    }

    async fn rehash(&self, user: &User, password: PasswordHash) -> Result<(), StoreError> {
        let (user, new) = (user.clone(), User { password, ..user.clone() });
        self.with_file(|file| rehash(file, user, new)).await
    }

    async fn greatest_cost(&self) -> Result<Option<Cost>, StoreError> {
        self.memory.greatest_cost().await
    }

    fn held(&self) -> Option<u64> {
        self.memory.held()
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.with_file(probe).await
    }
}

/// The file, and what memory knows of it.
struct UserFile {
    lock: FileLock,
    migrations: Migrations,
    memory: Arc<MemoryUserStore>,
    commits: CommitMetrics,
    broken: Arc<RwLock<Option<Arc<str>>>>,
    connection: Option<SqliteConnection>,
    /// The last row that memory knows.
    last_seq: i64,
    /// When the file last took a write.
    probed_at: Instant,
}

impl UserFile {
    /// Opens the file and tells memory what it does not know yet.
    async fn connect(&mut self) -> Result<(), SqliteError> {
        let mut connection = self.lock.connect(&self.migrations).await?;
        self.load(&mut connection).await.map_err(|error| self.lock.classify(error))?;
        self.connection = Some(connection);
        self.probed_at = Instant::now();
        *self.broken.write() = None;
        Ok(())
    }

    async fn load(&mut self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
        read(connection, self.last_seq, |seq, user| {
            self.memory.insert(user);
            self.last_seq = seq;
        })
        .await
    }

    /// Commits `user`, and tells the number of its row.
    async fn insert(&mut self, user: &User) -> sqlx::Result<i64> {
        let query = sqlx::query("INSERT INTO users (username, role, password_hash) VALUES (?1, ?2, ?3)")
            .bind(user.username.as_ref())
            .bind(role_to_store(user.role))
            .bind(user.password.as_ref());
        Ok(query.execute(self.connection()?).await?.last_insert_rowid())
    }

    /// Commits the new password of `user`. Its row keeps its number.
    async fn update(&mut self, user: &User) -> sqlx::Result<()> {
        let query = sqlx::query("UPDATE users SET password_hash = ?2 WHERE username = ?1")
            .bind(user.username.as_ref())
            .bind(user.password.as_ref());
        query.execute(self.connection()?).await.map(drop)
    }

    fn connection(&mut self) -> sqlx::Result<&mut SqliteConnection> {
        self.connection.as_mut().ok_or(sqlx::Error::WorkerCrashed)
    }
}

/// Reads the users after `seq` in the order in which they registered.
async fn read(
    connection: &mut SqliteConnection,
    seq: i64,
    mut take: impl FnMut(i64, User),
) -> sqlx::Result<()> {
    let mut rows = sqlx::query(LOAD).bind(seq).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let username = Username(row.try_get(1)?);
        let role = stored_role(row.try_get(2)?)?;
        let password = PasswordHash::from_stored(row.try_get::<String, _>(3)?);
        take(row.try_get(0)?, User { username, role, password });
    }
    Ok(())
}

/// How many users a start would read.
async fn count(connection: &mut SqliteConnection) -> sqlx::Result<u64> {
    let mut users = 0;
    read(connection, 0, |_, _| users += 1).await?;
    Ok(users)
}

async fn register(mut file: OwnedMutexGuard<UserFile>, user: User) -> Result<Registration, StoreError> {
    // Somebody may have got the name while this one waited for the file.
    if file.memory.find(&user.username).await?.is_some() {
        return Ok(Registration::Taken);
    }
    let begin = Instant::now();
    let broken = Arc::clone(&file.broken);
    match await_disk(file.insert(&user), &broken).await {
        Ok(seq) => {
            file.commits.observe(begin.elapsed(), 1);
            file.last_seq = seq;
            file.probed_at = Instant::now();
            file.memory.insert(user);
            *broken.write() = None;
            Ok(Registration::Accepted)
        }
        Err(error) => Err(give_up(file, &error)),
    }
}

/// Memory decides, for nobody else writes to the file. It may hold a hash of a commit that seemed to fail: of
/// the same password, and this one takes its place.
async fn rehash(mut file: OwnedMutexGuard<UserFile>, old: User, new: User) -> Result<(), StoreError> {
    if file.memory.find(&old.username).await?.is_none_or(|stored| stored.password != old.password) {
        return Ok(());
    }
    let begin = Instant::now();
    let broken = Arc::clone(&file.broken);
    match await_disk(file.update(&new), &broken).await {
        Ok(()) => {
            file.commits.observe(begin.elapsed(), 1);
            file.probed_at = Instant::now();
            file.memory.insert(new);
            *broken.write() = None;
            Ok(())
        }
        Err(error) => Err(give_up(file, &error)),
    }
}

async fn probe(mut file: OwnedMutexGuard<UserFile>) -> Result<(), StoreError> {
    if file.probed_at.elapsed() <= PROBE_IS_GOOD_FOR {
        return Ok(());
    }
    let broken = Arc::clone(&file.broken);
    let write = async { probe_write(file.connection()?).await };
    match await_disk(write, &broken).await {
        Ok(()) => {
            file.probed_at = Instant::now();
            *broken.write() = None;
            Ok(())
        }
        Err(error) => Err(give_up(file, &error)),
    }
}

/// Nobody gets at the file until it has been opened again: what it holds now is unknown.
fn give_up(file: OwnedMutexGuard<UserFile>, error: &sqlx::Error) -> StoreError {
    tracing::error!(error = error as &dyn std::error::Error, "the storage takes no writes; trying again");
    let reason: Arc<str> = error.to_string().into();
    *file.broken.write() = Some(Arc::clone(&reason));
    tokio::spawn(recover(file));
    StoreError::Unavailable(reason)
}

async fn recover(mut file: OwnedMutexGuard<UserFile>) {
    // Whatever this says: the file is opened from scratch.
    if let Some(connection) = file.connection.take() {
        drop(connection.close().await);
    }
    loop {
        sleep(PAUSE).await;
        match file.connect().await {
            Ok(()) => break tracing::info!("the storage takes writes again"),
            Err(error) => *file.broken.write() = Some(error.to_string().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use shared_store::testing::assert_no_temporary_btree;

    use super::*;

    #[tokio::test]
    async fn no_statement_sorts() {
        let directory = tempfile::tempdir().unwrap();
        let mut lock = FileLock::take(&directory.path().join(FILE_NAME), false).unwrap();
        let mut database = lock.connect(&migrations()).await.unwrap();
        assert_no_temporary_btree(&mut database, &[LOAD, CONTENT.newest]).await;
    }
}
