//! PostgreSQL, and what speaks its protocol: connecting, bringing the schema of one service up to date, and
//! asking again after a lost connection.

mod tls;
mod url;

use std::{
    io,
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use sqlx::{
    ConnectOptions, Connection, Executor, PgConnection, Postgres, migrate::MigrateError,
    postgres::PgConnectOptions,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout, timeout_at},
};

pub use self::{
    tls::TlsError,
    url::{UrlError, connect_options},
};
use crate::Migrations;

/// How long a service waits at its start for a database that does not answer yet.
const START: Duration = Duration::from_secs(60);

/// How long one attempt may take meanwhile, and how long after it comes the next.
const ATTEMPT: Duration = Duration::from_secs(5);
const BREATH: Duration = Duration::from_millis(500);

/// What the database does by itself, also for a service that is no more: it gives up a statement that nobody
/// waits for, and a snapshot that nobody reads.
const LIMITS: &str = "SET statement_timeout = '1500ms'; SET idle_in_transaction_session_timeout = '60s'";

/// How long after a lost connection it is asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a connection may lie idle. Many a router forgets it after a while and tells nobody.
const IDLE: Duration = Duration::from_secs(120);

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The address cannot be read.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// It cannot be spoken to as `sslmode` wants it.
    #[error("the database: {0}")]
    Tls(TlsError),
    /// Its migrations are not ours.
    #[error(
        "the database was written by a newer version of this service; start that version, or restore a backup made by this one"
    )]
    Newer,
    /// Ids are UTF-8.
    #[error(
        "the database has the encoding {0}; it must be UTF8: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
    )]
    Encoding(String),
    /// Anything else.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// A migration failed.
    #[error("the database: {0}")]
    Migration(MigrateError),
}

/// A database, brought up to date.
#[derive(Clone, Debug)]
pub struct Database {
    options: PgConnectOptions,
}

impl Database {
    /// Waits for the database, and runs `migrations` in a schema of its own, which replicas that start at
    /// once do one after the other.
    ///
    /// # Errors
    ///
    /// It cannot be reached for a minute, refuses us, has not the TLS that is asked for, is not UTF-8, or needs a newer
    /// version than `migrations` are of.
    pub async fn open(
        url: &str,
        schema: &'static str,
        migrations: Migrations,
    ) -> Result<Self, PostgresError> {
        let options = connect_options(url)?.disable_statement_logging();
        let migrations = migrations.in_schema(schema);
        let end = Instant::now() + START;
        let mut told = false;
        loop {
            let error = match bring_up_to_date(&options, &migrations, end).await {
                Ok(()) => return Ok(Self { options }),
                Err(PostgresError::Database(error)) if is_absence(&error) && !is_refusal(&error) => error,
                Err(PostgresError::Migration(MigrateError::Execute(error))) if is_absence(&error) => error,
                Err(error) => return Err(error),
            };
            if Instant::now() + BREATH > end {
                return Err(error.into());
            }
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(error = &error as &dyn std::error::Error, "waiting for the database");
            }
            sleep(BREATH).await;
        }
    }

    /// So many connections at most, none of which exists yet.
    pub fn connections(&self, at_most: usize) -> Connections {
        Connections {
            options: self.options.clone(),
            idle: Arc::default(),
            free: Arc::new(Semaphore::new(at_most)),
        }
    }
}

async fn bring_up_to_date(
    options: &PgConnectOptions,
    migrations: &Migrations,
    end: Instant,
) -> Result<(), PostgresError> {
    let connected = timeout(ATTEMPT, PgConnection::connect_with(options)).await;
    let connected = connected.unwrap_or_else(|_| Err(silence()));
    let mut connection = connected.map_err(|error| match TlsError::of(&error, options.get_ssl_mode()) {
        Some(error) => PostgresError::Tls(error),
        None => PostgresError::Database(error),
    })?;
    let encoding: String = sqlx::query_scalar("SHOW server_encoding").fetch_one(&mut connection).await?;
    if encoding != "UTF8" {
        return Err(PostgresError::Encoding(encoding));
    }
    // Others may be at it, and are waited for.
    let migrated = timeout_at(end, migrate(&mut connection, migrations)).await;
    migrated.unwrap_or_else(|_| Err(silence().into())).map_err(|error| match error {
        MigrateError::VersionMissing(_) => PostgresError::Newer,
        other => PostgresError::Migration(other),
    })
}

async fn migrate(connection: &mut PgConnection, migrations: &Migrations) -> Result<(), MigrateError> {
    let mut transaction = connection.begin().await?;
    // sqlx's own lock is given back before the transaction is committed.
    transaction.execute("SELECT pg_advisory_xact_lock(hashtext('tixgo migrations'))").await?;
    migrations.run::<Postgres>(&mut transaction).await?;
    Ok(transaction.commit().await?)
}

/// Connections, so many at once at most. One is kept only after it was said to be good: one that was cut off may
/// stay silent for a quarter of an hour, and nobody must wait for it.
pub struct Connections {
    options: PgConnectOptions,
    idle: Arc<Mutex<Vec<Idle>>>,
    free: Arc<Semaphore>,
}

struct Idle {
    connection: PgConnection,
    since: Instant,
}

impl Connections {
    /// Waits for a connection. Whoever calls knows how long.
    ///
    /// # Errors
    ///
    /// There was none, and a new one cannot be made.
    pub async fn lease(&self) -> sqlx::Result<Lease> {
        let permit = Arc::clone(&self.free).acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
        let idle = self.idle.lock().pop().filter(|idle| idle.since.elapsed() < IDLE);
        let connection = match idle {
            Some(idle) => idle.connection,
            None => {
                let mut connection = self.options.connect().await?;
                connection.execute(LIMITS).await?;
                connection
            }
        };
        Ok(Lease { connection, idle: Arc::clone(&self.idle), permit })
    }

    /// What `ask` brings back, which is asked again after a lost connection, as long as there is `patience`.
    ///
    /// # Errors
    ///
    /// Those of `ask`, and that it took too long.
    pub async fn retry<T, Asked: Future<Output = sqlx::Result<T>>>(
        &self,
        patience: Duration,
        ask: impl Fn() -> Asked,
    ) -> sqlx::Result<T> {
        let end = Instant::now() + patience;
        loop {
            match timeout_at(end, ask()).await.unwrap_or_else(|_| Err(silence())) {
                Err(error) if is_absence(&error) => {
                    // What befell one connection may have befallen all.
                    self.idle.lock().clear();
                    if Instant::now() + PAUSE >= end {
                        return Err(error);
                    }
                    sleep(PAUSE).await;
                }
                outcome => return outcome,
            }
        }
    }
}

fn silence() -> sqlx::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it does not answer").into()
}

/// When the database last showed whether it takes writes, and what it showed. One asks for all who want to know.
pub struct WriteProbe<E>(tokio::sync::Mutex<Option<(Instant, Result<(), E>)>>);

/// How long one result is good for.
const GOOD: Duration = Duration::from_secs(1);

impl<E> Default for WriteProbe<E> {
    fn default() -> Self {
        Self(tokio::sync::Mutex::default())
    }
}

impl<E: Clone> WriteProbe<E> {
    /// What the last probe showed, or what `probe` shows now.
    ///
    /// # Errors
    ///
    /// Those of `probe`.
    pub async fn get_or(&self, probe: impl Future<Output = Result<(), E>>) -> Result<(), E> {
        let mut last = self.0.lock().await;
        if let Some((at, shown)) = &*last
            && at.elapsed() < GOOD
        {
            return shown.clone();
        }
        let shown = probe.await;
        *last = Some((Instant::now(), shown.clone()));
        shown
    }
}

/// A connection for one task alone. Closed when dropped, whatever it was about.
pub struct Lease {
    connection: PgConnection,
    idle: Arc<Mutex<Vec<Idle>>>,
    permit: OwnedSemaphorePermit,
}

impl Lease {
    /// Leaves the connection to the next one: everything asked was answered, and no transaction is open.
    pub fn release(self) {
        let Self { connection, idle, permit } = self;
        idle.lock().push(Idle { connection, since: Instant::now() });
        drop(permit);
    }
}

impl Deref for Lease {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

/// Whether the database was not there, and it is worth asking again at once.
pub fn is_absence(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        // Connection exceptions, let in no more, out of resources, shut down or starting, and too slow.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            matches!(code.get(..2), Some("08" | "28" | "3D" | "53" | "57" | "58"))
                || matches!(&*code, "25006" | "40001" | "40P01")
        }),
        _ => false,
    }
}

/// Whether it is the question that is wrong, rather than whoever was asked.
pub fn is_our_fault(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // Data that does not fit, constraints that do not hold, and SQL that is none.
            matches!(code.get(..2), Some("22" | "23")) || code == "42601"
        }),
        sqlx::Error::Decode(_)
        | sqlx::Error::Encode(_)
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::RowNotFound
        | sqlx::Error::TypeNotFound { .. } => true,
        _ => false,
    }
}

/// Whether the database lets us in no more: the user, the password or the database is another one now. At
/// the start that is a mistake in the settings.
fn is_refusal(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    error.code().is_some_and(|code| matches!(code.get(..2), Some("28" | "3D")))
}
