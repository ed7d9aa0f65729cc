//! PostgreSQL, and databases that speak its protocol: connecting, migrating the schema of one service, and retrying
//! after a lost connection.

mod connections;
mod errors;
mod probe;
mod tls;
mod url;

use std::{mem, time::Duration};

use sqlx::{
    ConnectOptions, Connection, Executor, PgConnection, Postgres, migrate::MigrateError,
    postgres::PgConnectOptions,
};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use self::errors::{is_unavailable, no_answer, refusal};
pub use self::{
    connections::{Connections, Lease},
    errors::is_our_fault,
    probe::WriteProbe,
    tls::TlsError,
    url::{UrlError, connect_options},
};
use crate::migrations::Migrations;

/// How long a start waits for a database that does not answer yet.
const START_WITHIN: Duration = Duration::from_secs(60);

/// How long opening one connection may take during a start.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How long a start waits after a failure before it connects again.
const RECONNECT_AFTER: Duration = Duration::from_millis(500);

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The address cannot be read.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// A connection with the TLS that `sslmode` asks for is not possible.
    #[error("the database: {0}")]
    Tls(TlsError),
    /// It needs a newer version of the service.
    #[error(
        "the database was written by a newer version of this service; start that version, or restore a backup made by this one"
    )]
    Newer,
    /// Its encoding is not UTF-8, which ids need.
    #[error(
        "the database has the encoding {0}; it must be UTF8: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
    )]
    Encoding(String),
    /// It refuses the user or the password, or there is no such database.
    #[error("the database says: {0}; create it, or correct DATABASE_URL (docs/storage.md, \"PostgreSQL\")")]
    Refusal(String),
    /// Anything else.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// A migration failed.
    #[error("the database: {0}")]
    Migration(MigrateError),
}

/// A database whose schema is up to date.
#[derive(Clone, Debug)]
pub struct Database {
    options: PgConnectOptions,
    schema: &'static str,
}

impl Database {
    /// Waits for the database, and runs `migrations` in `schema`. Replicas that start at once migrate one after the
    /// other.
    ///
    /// # Errors
    ///
    /// The database cannot be reached within a minute, refuses the user, lacks the TLS that is asked for, is not in
    /// UTF-8, or needs a newer version than that of `migrations`.
    pub async fn open(
        url: &str,
        schema: &'static str,
        migrations: Migrations,
    ) -> Result<Self, PostgresError> {
        let options = connect_options(url)?.disable_statement_logging();
        let migrations = migrations.in_schema(schema);
        let end = Instant::now() + START_WITHIN;
        let mut warned = false;
        loop {
            let error = match connect_and_migrate(&options, &migrations, end).await {
                Ok(()) => return Ok(Self { options, schema }),
                Err(PostgresError::Database(error)) if is_unavailable(&error) => error,
                Err(PostgresError::Migration(MigrateError::Execute(error))) if is_unavailable(&error) => {
                    error
                }
                Err(error) => return Err(error),
            };
            if Instant::now() + RECONNECT_AFTER > end {
                return Err(error.into());
            }
            if !mem::replace(&mut warned, true) {
                tracing::warn!(error = &error as &dyn std::error::Error, "waiting for the database");
            }
            sleep(RECONNECT_AFTER).await;
        }
    }

    /// A set of at most `limit` connections, none of which is open yet. They find tables in the schema of the service.
    pub fn connections(&self, limit: usize) -> Connections {
        Connections::new(self.options.clone(), self.schema, limit)
    }
}

/// Migrates the database by `end`.
async fn connect_and_migrate(
    options: &PgConnectOptions,
    migrations: &Migrations,
    end: Instant,
) -> Result<(), PostgresError> {
    let connected = timeout(CONNECT_WITHIN, PgConnection::connect_with(options)).await;
    let connected = connected.unwrap_or_else(|_| Err(no_answer()));
    let mut connection = connected.map_err(|error| match TlsError::of(&error, options.get_ssl_mode()) {
        Some(error) => PostgresError::Tls(error),
        None => match refusal(&error) {
            Some(message) => PostgresError::Refusal(message.to_owned()),
            None => PostgresError::Database(error),
        },
    })?;
    let encoding: String = sqlx::query_scalar("SHOW server_encoding").fetch_one(&mut connection).await?;
    if encoding != "UTF8" {
        return Err(PostgresError::Encoding(encoding));
    }
    // Waits for other replicas that migrate at the moment.
    let migrated = timeout_at(end, migrate(&mut connection, migrations)).await;
    migrated.unwrap_or_else(|_| Err(no_answer().into())).map_err(|error| match error {
        MigrateError::VersionMissing(_) => PostgresError::Newer,
        other => PostgresError::Migration(other),
    })
}

async fn migrate(connection: &mut PgConnection, migrations: &Migrations) -> Result<(), MigrateError> {
    let mut transaction = connection.begin().await?;
    // A lock until the commit: sqlx's own lock is released before.
    transaction.execute("SELECT pg_advisory_xact_lock(hashtext('tixgo migrations'))").await?;
    migrations.run::<Postgres>(&mut transaction).await?;
    Ok(transaction.commit().await?)
}
