//! Migrations of the schema of a service, and which versions of the service can work with the result.
//!
//! A migration takes nothing away that an older version reads or writes, so that version need not know it. The database
//! stores which version is the oldest that can work with it, as the number of that version's newest migration. An older
//! version checks only this number. So the previous release starts again on a database that its successor has migrated.

use sqlx::{
    AssertSqlSafe, ColumnIndex, Database, Decode, Executor, Row, SqlSafeStr, SqliteConnection, Type,
    migrate::{Migrate, MigrateError, MigrationType, Migrator},
};

/// One change of the schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// What it adds. Stored in the database for people who look at it.
    pub name: &'static str,
    /// The SQL statements.
    pub sql: &'static str,
    /// The oldest version of the service that can work with the result, given as the number of that version's newest
    /// migration.
    pub min_reader: i64,
}

/// Whether a version of the service can work with a database.
pub(crate) enum State {
    /// It can.
    Current,
    /// It can after it has migrated the database.
    Older,
    /// It cannot: the database needs a newer version.
    Newer,
}

/// The migrations of a service, numbered from 1.
#[derive(Debug)]
pub struct Migrations {
    migrator: Migrator,
    newest: i64,
    min_reader: i64,
    /// Statements that create tables outside the list of migrations.
    tables: Vec<&'static str>,
    /// The table with the `min_reader` of the database. Missing in databases of releases that did not keep it.
    table: String,
}

impl Migrations {
    /// The migrations in `list`, oldest first.
    pub fn new(list: &[Migration]) -> Self {
        let numbered = (1..).zip(list).map(|(version, migration)| {
            let sql = migration.sql.into_sql_str();
            sqlx::migrate::Migration::new(version, migration.name.into(), MigrationType::Simple, sql, false)
        });
        let mut migrator = Migrator::with_migrations(numbered.collect());
        // `min_reader` decides whether an unknown migration matters.
        migrator.set_ignore_missing(true);
        Self {
            migrator,
            newest: list.len() as i64,
            min_reader: list.iter().map(|migration| migration.min_reader).max().unwrap_or(1),
            tables: Vec::new(),
            table: "min_reader".to_owned(),
        }
    }

    /// Adds tables that are created outside the list of migrations. Versions from before `min_reader` refuse a database
    /// with a migration that they do not know, but not one with such a table.
    ///
    /// Each statement runs at every start, after the migrations. So it must be a `CREATE TABLE IF NOT EXISTS`, and name
    /// the schema if there is one.
    #[must_use]
    pub fn with_tables(mut self, statements: &[&'static str]) -> Self {
        self.tables = statements.to_vec();
        self
    }

    /// Keeps the tables of the migrations in `schema`, which is created if it is missing.
    #[must_use]
    pub(crate) fn in_schema(mut self, schema: &'static str) -> Self {
        self.migrator.create_schema(schema);
        self.migrator.dangerous_set_table_name(format!("{schema}._sqlx_migrations"));
        self.table = format!("{schema}.min_reader");
        self
    }

    /// The first migration that a SQLite file lacks, if it has some but not all.
    pub(crate) async fn first_missing(&self, database: &mut SqliteConnection) -> sqlx::Result<Option<i64>> {
        let newest = max_version(database, NEWEST, "_sqlx_migrations").await?;
        Ok((1..self.newest).contains(&newest).then_some(newest + 1))
    }

    /// Runs the missing migrations, and stores `min_reader`. Call it in a transaction: both must be stored together or not
    /// at all.
    ///
    /// # Errors
    ///
    /// `VersionMissing`, if the database needs a newer version of the service.
    pub(crate) async fn run<DB>(&self, connection: &mut DB::Connection) -> Result<(), MigrateError>
    where
        DB: Database,
        DB::Connection: Migrate,
        for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
        for<'r> i64: Decode<'r, DB> + Type<DB>,
        usize: ColumnIndex<DB::Row>,
    {
        self.migrator.run_direct(None, connection, false).await?;
        for statement in &self.tables {
            connection.execute(*statement).await?;
        }
        let table = &self.table;
        let create = format!("CREATE TABLE IF NOT EXISTS {table} (version BIGINT NOT NULL)");
        connection.execute(AssertSqlSafe(create)).await?;
        let ask = format!("SELECT version FROM {table}");
        let stored = match connection.fetch_optional(AssertSqlSafe(ask)).await? {
            Some(row) => row.try_get(0)?,
            None => 0,
        };
        if stored > self.newest {
            return Err(MigrateError::VersionMissing(stored));
        }
        if stored < self.min_reader {
            let store = format!("DELETE FROM {table}; INSERT INTO {table} VALUES ({})", self.min_reader);
            connection.execute(AssertSqlSafe(store)).await?;
        }
        Ok(())
    }

    /// Whether a version with these migrations can work with a file. Writes nothing.
    pub(crate) async fn state(&self, database: &mut SqliteConnection) -> sqlx::Result<State> {
        let newest = max_version(database, NEWEST, "_sqlx_migrations").await?;
        let min_reader = max_version(database, "SELECT max(version) FROM min_reader", "min_reader").await?;
        Ok(match min_reader {
            _ if min_reader > self.newest => State::Newer,
            _ if newest < self.newest => State::Older,
            _ => State::Current,
        })
    }
}

/// The number of the newest migration of a file.
const NEWEST: &str = "SELECT max(version) FROM _sqlx_migrations";

/// The result of the query `ask`, or 0 if `table` is missing or empty.
async fn max_version(database: &mut SqliteConnection, ask: &'static str, table: &str) -> sqlx::Result<i64> {
    let exists = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    let tables: i64 = sqlx::query_scalar(exists).bind(table).fetch_one(&mut *database).await?;
    if tables == 0 {
        return Ok(0);
    }
    let newest: Option<i64> = sqlx::query_scalar(ask).fetch_one(database).await?;
    Ok(newest.unwrap_or_default())
}
