//! What a service keeps in its file, and how the file of one service is told from that of another.

use std::{collections::BTreeSet, pin::Pin};

use shared_http::text::printable;
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use crate::{Migrations, migrations::State};

/// A table that only one service has, and that service.
const OWNERS: [(&str, &str); 2] = [("users", "identity-service"), ("check_ins", "attendance-service")];

/// Tables that say which version of a service wrote the file, and nothing else.
const OF_EVERY_SERVICE: [&str; 2] = ["_sqlx_migrations", "min_reader"];

/// What a service keeps, in its own SQL.
#[derive(Debug)]
pub struct Content {
    /// Whose file it is.
    pub service: &'static str,
    /// What the rows are, for people: `check-ins`.
    pub name: &'static str,
    /// Those of the service.
    pub migrations: fn() -> Migrations,
    /// Reads the rows as a start does; how many there are.
    pub read: for<'c> fn(&'c mut SqliteConnection) -> Reading<'c>,
    /// Asks for the newest: columns of text that read as one when they are put together.
    pub newest: &'static str,
}

/// Rows on their way.
pub type Reading<'c> = Pin<Box<dyn Future<Output = sqlx::Result<u64>> + Send + 'c>>;

/// Why a file that is whole is not one that the service can use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
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
    /// Whether a file is of this service, or new.
    pub(crate) async fn recognise(&self, connection: &mut SqliteConnection) -> Result<bool, Unfit> {
        let ask = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
        let tables: Vec<String> = sqlx::query_scalar(ask).fetch_all(connection).await?;
        let mut tables: BTreeSet<_> = tables.iter().map(String::as_str).collect();
        let owner = OWNERS.iter().find(|(table, _)| tables.contains(table)).map(|(_, owner)| *owner);
        tables.retain(|table| !OF_EVERY_SERVICE.contains(table));
        match owner {
            Some(owner) if owner == self.service => Ok(true),
            Some(other) => Err(Unfit::OfAnother { other, service: self.service }),
            None if tables.is_empty() => Ok(false),
            None => Err(Unfit::OfNobody(self.service)),
        }
    }

    /// What a file of this service holds, read as a start reads it.
    pub(crate) async fn summary(&self, connection: &mut SqliteConnection) -> Result<String, Unfit> {
        if !self.recognise(connection).await? {
            return Err(Unfit::OfNobody(self.service));
        }
        match (self.migrations)().state(connection).await? {
            State::Newer => return Err(Unfit::Newer),
            State::Older => {
                return Ok("of an earlier version, which the next start brings up to date".to_owned());
            }
            State::Current => {}
        }
        let count = (self.read)(connection).await?;
        let newest = sqlx::query(self.newest).fetch_optional(connection).await?;
        let newest = newest.map(|row| in_words(&row)).transpose()?;
        let newest = newest.map(|newest| format!(", the newest {newest}")).unwrap_or_default();
        Ok(format!("{count} {}{newest}", self.name))
    }
}

/// The columns of `row` put together, whatever a user wrote into them.
fn in_words(row: &SqliteRow) -> sqlx::Result<String> {
    (0..row.len()).map(|column| Ok(printable(row.try_get(column)?).to_string())).collect()
}
