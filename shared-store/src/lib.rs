//! Storage for both services: settings, SQLite files, PostgreSQL connections, migrations, backup and restore. It knows
//! nothing of users and tickets.

pub mod content;
pub mod doctor;
mod files;
pub mod location;
pub mod maintenance;
pub mod metrics;
pub mod migrations;
pub mod postgres;
pub mod sql;
pub mod sqlite;
#[cfg(feature = "testing")]
#[expect(clippy::expect_used, reason = "a test that cannot go on should say where")]
pub mod testing;

pub use content::Content;
pub use location::{Location, StoreArgs};
pub use maintenance::Maintenance;
pub use metrics::CommitMetrics;
pub use migrations::{Migration, Migrations};
pub use sql::{PostgresSchema, SqlError, SqlStore};

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be used.
    #[error(transparent)]
    Sqlite(#[from] sqlite::SqliteError),
    /// The database cannot be used.
    #[error(transparent)]
    Postgres(#[from] postgres::PostgresError),
}
