//! How the schema of a service grows, and which versions of the service can work with the result.
//!
//! A migration only adds, so an older version need not know it. What the oldest version is that can work with the
//! database stands in the database, as the number of that version's newest migration. That is what an older version
//! checks, and so the previous release starts again on what its successor has migrated.

use sqlx::{
    AssertSqlSafe, ColumnIndex, Database, Decode, Executor, Row, SqlSafeStr, SqliteConnection, Type,
    migrate::{Migrate, MigrateError, MigrationType, Migrator},
};

/// One step of a schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// What it adds, for whoever looks into the database.
    pub name: &'static str,
    /// Its statements.
    pub sql: &'static str,
    /// The newest migration of the oldest version of the service that can work with the result.
    pub min_reader: i64,
}

/// How a database stands to a version of the service.
pub(crate) enum State {
    /// It is as that version makes it, or as a later one made it that this one can work with.
    Current,
    /// That version has migrations for it.
    Older,
    /// It needs a newer version.
    Newer,
}

/// The migrations of a service, numbered from 1.
#[derive(Debug)]
pub struct Migrations {
    migrator: Migrator,
    newest: i64,
    min_reader: i64,
    /// Statements that make tables outside sqlx's list.
    tables: Vec<&'static str>,
    /// Where the database keeps its own `min_reader`. One without this table is of a release that did not keep it.
    table: String,
}

impl Migrations {
    /// Of the migrations that a service has, oldest first.
    pub fn new(list: &[Migration]) -> Self {
        let numbered = (1..).zip(list).map(|(version, migration)| {
            let sql = migration.sql.into_sql_str();
            sqlx::migrate::Migration::new(version, migration.name.into(), MigrationType::Simple, sql, false)
        });
        let mut migrator = Migrator::with_migrations(numbered.collect());
        // Whether an unknown migration matters is for `min_reader` to say.
        migrator.set_ignore_missing(true);
        Self {
            migrator,
            newest: list.len() as i64,
            min_reader: list.iter().map(|migration| migration.min_reader).max().unwrap_or(1),
            tables: Vec::new(),
            table: "min_reader".to_owned(),
        }
    }

    /// With tables that an older version need not know, not even one that refuses a database with a migration it does
    /// not know, as every version did before there was `min_reader`. Each statement runs at every start, after the
    /// migrations, so it is a `CREATE TABLE IF NOT EXISTS`, and names the schema where there is one.
    #[must_use]
    pub fn with_tables(mut self, statements: &[&'static str]) -> Self {
        self.tables = statements.to_vec();
        self
    }

    /// The same, in a schema that the service has to itself.
    #[must_use]
    pub(crate) fn in_schema(mut self, schema: &'static str) -> Self {
        self.migrator.create_schema(schema);
        self.migrator.dangerous_set_table_name(format!("{schema}._sqlx_migrations"));
        self.table = format!("{schema}.min_reader");
        self
    }

    /// The first migration that a SQLite file misses, if it has others already.
    pub(crate) async fn next_of(&self, database: &mut SqliteConnection) -> sqlx::Result<Option<i64>> {
        let newest = newest_in(database, NEWEST, "_sqlx_migrations").await?;
        Ok((1..self.newest).contains(&newest).then_some(newest + 1))
    }

    /// Brings the schema up to date. Belongs in a transaction: what a migration did and who can work with it must
    /// be stored together or not at all.
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

    /// How a file stands to these migrations. Writes nothing.
    pub(crate) async fn state(&self, database: &mut SqliteConnection) -> sqlx::Result<State> {
        let newest = newest_in(database, NEWEST, "_sqlx_migrations").await?;
        let min_reader = newest_in(database, "SELECT max(version) FROM min_reader", "min_reader").await?;
        Ok(match min_reader {
            _ if min_reader > self.newest => State::Newer,
            _ if newest < self.newest => State::Older,
            _ => State::Current,
        })
    }
}

/// Asks for the newest migration of a file.
const NEWEST: &str = "SELECT max(version) FROM _sqlx_migrations";

/// The answer to `ask`, or 0 where there is no such table.
async fn newest_in(database: &mut SqliteConnection, ask: &'static str, table: &str) -> sqlx::Result<i64> {
    let exists = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    let tables: i64 = sqlx::query_scalar(exists).bind(table).fetch_one(&mut *database).await?;
    if tables == 0 {
        return Ok(0);
    }
    let newest: Option<i64> = sqlx::query_scalar(ask).fetch_one(database).await?;
    Ok(newest.unwrap_or_default())
}
