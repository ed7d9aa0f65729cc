//! What a service keeps in its SQLite file, and which service a file belongs to.

use std::{collections::BTreeSet, fmt::Write, pin::Pin};

use shared_http::text::printable;
use sqlx::{AssertSqlSafe, Row, SqliteConnection, sqlite::SqliteRow};

use crate::migrations::{Migrations, State};

/// For each service a table that only this service has.
const OWNERS: [(&str, &str); 2] = [("users", "identity-service"), ("check_ins", "attendance-service")];

/// Tables of the migrations, which every service has.
const MIGRATION_TABLES: [&str; 2] = ["_sqlx_migrations", "min_reader"];

/// What a service keeps in its file.
#[derive(Debug)]
pub struct Content {
    /// The name of the service.
    pub service: &'static str,
    /// What the rows are, for people, such as `check-ins`.
    pub name: &'static str,
    /// The migrations of the service.
    pub migrations: fn() -> Migrations,
    /// Reads all rows as a start does, and returns how many there are.
    pub read: for<'c> fn(&'c mut SqliteConnection) -> RowCount<'c>,
    /// What else is counted where there is any: a name for people, such as `events`, and the table.
    pub others: &'static [(&'static str, &'static str)],
    /// A query for the newest row. Its columns are texts, which are shown one after the other.
    pub newest: &'static str,
}

/// The future number of rows.
pub type RowCount<'c> = Pin<Box<dyn Future<Output = sqlx::Result<u64>> + Send + 'c>>;

/// Why a service cannot use the content of a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContentError {
    #[error("this is a file of {other}, and not of {service}")]
    OfAnother { other: &'static str, service: &'static str },
    #[error("this is no file of {0}")]
    OfNobody(&'static str),
    #[error("written by a newer version of this service")]
    Newer,
    #[error(transparent)]
    Sqlite(#[from] sqlx::Error),
}

impl Content {
    /// Whether the file belongs to this service: `true` if it has the service's table, `false` if it has no tables yet.
    ///
    /// # Errors
    ///
    /// The file belongs to another service, or to none.
    pub(crate) async fn is_owner(&self, connection: &mut SqliteConnection) -> Result<bool, ContentError> {
        let ask = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
        let tables: Vec<String> = sqlx::query_scalar(ask).fetch_all(connection).await?;
        let mut tables: BTreeSet<_> = tables.iter().map(String::as_str).collect();
        let owner = OWNERS.iter().find(|(table, _)| tables.contains(table)).map(|(_, owner)| *owner);
        tables.retain(|table| !MIGRATION_TABLES.contains(table));
        match owner {
            Some(owner) if owner == self.service => Ok(true),
            Some(other) => Err(ContentError::OfAnother { other, service: self.service }),
            None if tables.is_empty() => Ok(false),
            None => Err(ContentError::OfNobody(self.service)),
        }
    }

    /// Reads a file of this service as a start does, and describes in words what it holds.
    pub(crate) async fn summary(&self, connection: &mut SqliteConnection) -> Result<String, ContentError> {
        if !self.is_owner(connection).await? {
            return Err(ContentError::OfNobody(self.service));
        }
        match (self.migrations)().state(connection).await? {
            State::Newer => return Err(ContentError::Newer),
            State::Older => {
                return Ok("of an earlier version, which the next start brings up to date".to_owned());
            }
            State::Current => {}
        }
        let mut counts = format!("{} {}", (self.read)(connection).await?, self.name);
        for (name, table) in self.others {
            let count = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
            let count: i64 = sqlx::query_scalar(count).fetch_one(&mut *connection).await?;
            if count > 0 {
                // Writing to a String does not fail.
                let _ = write!(counts, ", {count} {name}");
            }
        }
        let newest = sqlx::query(self.newest).fetch_optional(connection).await?;
        let newest = newest.map(|row| joined(&row)).transpose()?;
        let newest = newest.map(|newest| format!(", the newest {newest}")).unwrap_or_default();
        Ok(counts + &newest)
    }
}

/// The columns of `row` one after the other, with unprintable characters escaped: users wrote them.
fn joined(row: &SqliteRow) -> sqlx::Result<String> {
    (0..row.len()).map(|column| Ok(printable(row.try_get(column)?).to_string())).collect()
}
