//! Checks a file and says what it holds, while the service runs or not.

use std::path::Path;

use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::error::{MaintenanceError, at};
use crate::{
    content::Content,
    sqlite::{is_damage, options},
};

/// Checks that a file is undamaged and that a start could read it. Returns in words what it holds.
pub(crate) async fn describe(database: &Path, content: &Content) -> Result<String, MaintenanceError> {
    let mut connection = open(database, true).await?;
    // One transaction for all reads, because the service may be writing.
    sqlx::raw_sql("BEGIN").execute(&mut connection).await.map_err(at(database))?;
    let integrity = sqlx::query_scalar("PRAGMA integrity_check(10)").fetch_all(&mut connection).await;
    let integrity: Vec<String> = match integrity {
        Err(error) if is_damage(&error) => vec![error.to_string()],
        other => other.map_err(at(database))?,
    };
    if integrity != ["ok"] {
        return Err(at(database)(format!("damaged: {}", integrity.join("; "))));
    }
    let summary = content.summary(&mut connection).await.map_err(at(database))?;
    connection.close().await.map_err(at(database))?;
    Ok(format!("whole, {summary}"))
}

/// Opens a file. For looking at it, open it read-only: closing a writable connection copies the log into the file, even
/// into a damaged one.
pub(super) async fn open(database: &Path, read_only: bool) -> Result<SqliteConnection, MaintenanceError> {
    options(database).read_only(read_only).connect().await.map_err(at(database))
}
