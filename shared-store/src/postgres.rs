//! PostgreSQL, and what speaks its protocol: connecting, and bringing the schema of one service up to date.

use std::{str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions, Connection, Executor, PgConnection, PgPool,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::{Instant, sleep};

/// How long a service waits at its start for a database that does not answer yet.
const START: Duration = Duration::from_secs(60);

/// How often it asks meanwhile.
const PAUSE: Duration = Duration::from_millis(500);

/// How long one statement may take, and one connection may be waited for: together with the rest, a client
/// is told within 2 s that there is no storage.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The address cannot be read.
    #[error("DATABASE_URL: {0}")]
    Url(sqlx::Error),
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
    /// It cannot be reached for a minute, refuses us, is not UTF-8, or is newer than `migrations`.
    pub async fn open(
        url: &str,
        schema: &'static str,
        mut migrations: Migrator,
    ) -> Result<Self, PostgresError> {
        let options =
            PgConnectOptions::from_str(url).map_err(PostgresError::Url)?.disable_statement_logging();
        let mut connection = patiently(&options).await?;
        let encoding: String = sqlx::query_scalar("SHOW server_encoding").fetch_one(&mut connection).await?;
        if encoding != "UTF8" {
            return Err(PostgresError::Encoding(encoding));
        }
        migrations.create_schema(schema);
        migrations.dangerous_set_table_name(format!("{schema}._sqlx_migrations"));
        migrations.run_direct(None, &mut connection, false).await.map_err(|error| match error {
            MigrateError::VersionMissing(_) => PostgresError::Newer,
            other => PostgresError::Migration(other),
        })?;
        connection.close().await?;
        Ok(Self { options })
    }

    /// A pool of so many connections, none of which exists yet.
    pub fn pool(&self, connections: u32) -> PgPool {
        PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(PATIENCE)
            .after_connect(|connection, _| {
                let limit = format!("SET statement_timeout = {}", PATIENCE.as_millis());
                Box::pin(async move { connection.execute(sqlx::AssertSqlSafe(limit)).await.map(drop) })
            })
            .connect_lazy_with(self.options.clone())
    }
}

async fn patiently(options: &PgConnectOptions) -> Result<PgConnection, PostgresError> {
    let end = Instant::now() + START;
    let mut told = false;
    loop {
        match PgConnection::connect_with(options).await {
            Ok(connection) => return Ok(connection),
            Err(error) if is_absence(&error) && Instant::now() < end => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(error = &error as &dyn std::error::Error, "waiting for the database");
                }
                sleep(PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether the database was not there, rather than refused what it was asked.
pub fn is_absence(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        // Connection exceptions, out of resources, shut down or starting, and too slow.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            matches!(code.get(..2), Some("08" | "53" | "57" | "58"))
                || matches!(&*code, "25006" | "40001" | "40P01")
        }),
        _ => false,
    }
}
