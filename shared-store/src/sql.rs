//! Plain SQL on the database of a service: SQLite, in a file or in the memory of this process, or PostgreSQL.
//!
//! One text of SQL serves both. Placeholders are `$1`, `$2`, …, and tables are named without a schema.

mod postgres;
mod sqlite;
mod transaction;
mod writer;

use std::sync::Arc;

use sqlx::{FromRow, postgres::PgRow, sqlite::SqliteRow};

pub use self::transaction::{Change, Transaction};
use self::{postgres::PostgresSql, sqlite::SqliteSql};
use crate::{CommitMetrics, Content, Location, Migrations, OpenError};

/// The database of a service.
pub struct SqlStore(Backend);

enum Backend {
    Sqlite(SqliteSql),
    Postgres(Box<PostgresSql>),
}

/// Why a statement has no result.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SqlError {
    /// The storage does not answer, or takes no writes. A write may have been stored nevertheless.
    #[error("the storage is not available: {0}")]
    Unavailable(Arc<str>),
    /// A defect of the service.
    #[error("a statement failed: {0}")]
    Internal(Arc<dyn std::error::Error + Send + Sync>),
}

/// The schema of a service in PostgreSQL.
#[derive(Clone, Copy, Debug)]
pub struct PostgresSchema {
    /// Its name.
    pub name: &'static str,
    /// The migrations of the service.
    pub migrations: fn() -> Migrations,
}

/// A row of either database, such as a tuple of texts.
pub trait SqlRow: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}
impl<T> SqlRow for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl SqlStore {
    /// Opens the database at `location`, and brings it up to date: what `content` says of SQLite, and `schema` of
    /// PostgreSQL. Reads all rows of a SQLite file.
    ///
    /// # Errors
    ///
    /// The file is in use, damaged, newer than this service, missing though it is expected, or takes no writes. Or the
    /// database cannot be reached, refuses us, or is newer than this service.
    pub async fn open(
        location: &Location,
        content: &'static Content,
        schema: PostgresSchema,
        commits: CommitMetrics,
    ) -> Result<Self, OpenError> {
        Ok(Self(match location {
            Location::Memory => return Ok(Self::in_memory(content)),
            Location::Sqlite { path, is_expected } => {
                Backend::Sqlite(SqliteSql::open(path, *is_expected, content, commits).await?)
            }
            Location::Postgres(url) => {
                Backend::Postgres(Box::new(PostgresSql::open(url, schema, commits).await?))
            }
        }))
    }

    /// A database in the memory of this process, whatever the service keeps its data in.
    pub fn in_memory(content: &'static Content) -> Self {
        Self(Backend::Sqlite(SqliteSql::in_memory(content)))
    }

    /// The first row that `sql` selects at a start. No client waits, so SQLite may take as long as it needs.
    ///
    /// # Errors
    ///
    /// The storage cannot be read, or `sql` and `T` do not fit.
    pub async fn fetch_at_start<T: SqlRow>(&self, sql: &'static str) -> Result<Option<T>, SqlError> {
        match &self.0 {
            Backend::Sqlite(sqlite) => sqlite.fetch_at_start(sql).await,
            Backend::Postgres(postgres) => Ok(postgres.fetch_all(sql, &[]).await?.into_iter().next()),
        }
    }

    /// The only row that `sql` selects.
    ///
    /// # Errors
    ///
    /// Those of [`fetch_all`](Self::fetch_all).
    pub async fn fetch_optional<T: SqlRow>(
        &self,
        sql: &'static str,
        arguments: &[&str],
    ) -> Result<Option<T>, SqlError> {
        Ok(self.fetch_all(sql, arguments).await?.into_iter().next())
    }

    /// All rows that `sql` selects, which must have a `LIMIT` if they can be many: they have to come in time.
    ///
    /// # Errors
    ///
    /// The storage does not answer in time, or `sql` and `T` do not fit.
    pub async fn fetch_all<T: SqlRow>(
        &self,
        sql: &'static str,
        arguments: &[&str],
    ) -> Result<Vec<T>, SqlError> {
        match &self.0 {
            Backend::Sqlite(sqlite) => sqlite.fetch_all(sql, arguments).await,
            Backend::Postgres(postgres) => postgres.fetch_all(sql, arguments).await,
        }
    }

    /// Inserts a row of the content, which [`rows`](Self::rows) counts then. False if the statement changed nothing.
    ///
    /// # Errors
    ///
    /// Those of [`execute`](Self::execute).
    pub async fn insert(&self, sql: &'static str, arguments: &[&str]) -> Result<bool, SqlError> {
        let inserted = match &self.0 {
            Backend::Sqlite(sqlite) => sqlite.insert(sql, arguments).await,
            Backend::Postgres(postgres) => postgres.execute(sql, arguments).await,
        };
        Ok(inserted? > 0)
    }

    /// Executes a statement, and returns how many rows it changed. Once begun it is finished even if the caller goes.
    ///
    /// With PostgreSQL it is sent again after a lost connection. So it may have changed rows the first time, and none
    /// the second time.
    ///
    /// # Errors
    ///
    /// The storage takes no writes, or does not answer in time.
    pub async fn execute(&self, sql: &'static str, arguments: &[&str]) -> Result<u64, SqlError> {
        match &self.0 {
            Backend::Sqlite(sqlite) => sqlite.execute(sql, arguments).await,
            Backend::Postgres(postgres) => postgres.execute(sql, arguments).await,
        }
    }

    /// Makes a change of several statements: all of them take effect, or none. Once begun it is finished even if the
    /// caller goes, with SQLite.
    ///
    /// # Errors
    ///
    /// The storage takes no writes, or does not answer in time.
    pub async fn transact<C: Change>(&self, change: C) -> Result<C::Outcome, SqlError> {
        match &self.0 {
            Backend::Sqlite(sqlite) => sqlite.transact(change).await,
            Backend::Postgres(postgres) => postgres.transact(&change).await,
        }
    }

    /// Why nothing can be written at the moment. A write whose outcome is unknown becomes readable before an outage
    /// ends. So whoever concludes something from a missing row asks for the outage first, and for the row then.
    pub fn outage(&self) -> Option<Arc<str>> {
        match &self.0 {
            Backend::Sqlite(sqlite) => sqlite.outage(),
            Backend::Postgres(_) => None,
        }
    }

    /// How many rows the content has. `None` with PostgreSQL, where other processes write too.
    pub fn rows(&self) -> Option<u64> {
        match &self.0 {
            Backend::Sqlite(sqlite) => Some(sqlite.rows()),
            Backend::Postgres(_) => None,
        }
    }

    /// Whether the database takes writes.
    ///
    /// # Errors
    ///
    /// It does not.
    pub async fn probe_write(&self) -> Result<(), SqlError> {
        match &self.0 {
            Backend::Sqlite(sqlite) => sqlite.probe_write().await,
            Backend::Postgres(postgres) => postgres.probe_write().await,
        }
    }
}
