//! Which versions of a service can work with a file that another version migrated.

#![expect(clippy::unwrap_used, reason = "clippy knows test functions, not what they call")]

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use shared_store::{
    Migration, Migrations,
    sqlite::{FileLock, SqliteError},
};
use sqlx::{
    ConnectOptions, Connection, SqlSafeStr, SqliteConnection,
    migrate::{MigrationType, Migrator},
    query, query_scalar, raw_sql,
    sqlite::SqliteConnectOptions,
};
use tempfile::TempDir;

const FIRST: Migration =
    Migration { name: "tickets", sql: "CREATE TABLE tickets (id TEXT NOT NULL)", min_reader: 1 };
const ADDED: Migration =
    Migration { name: "colours", sql: "ALTER TABLE tickets ADD COLUMN colour TEXT", min_reader: 1 };
const NEEDED: Migration =
    Migration { name: "owners", sql: "ALTER TABLE tickets ADD COLUMN owner TEXT", min_reader: 2 };

/// Starts a version with these migrations on the file at `path`.
async fn start(path: &Path, list: &[Migration]) -> Result<SqliteConnection, SqliteError> {
    FileLock::take(path, false)?.connect(&Migrations::new(list)).await
}

/// Starts a version with these migrations, stores a ticket, and stops.
async fn store(path: &Path, list: &[Migration], id: &str) {
    let mut connection = start(path, list).await.unwrap();
    query("INSERT INTO tickets (id) VALUES ($1)").bind(id).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn tickets(path: &Path, list: &[Migration]) -> Vec<String> {
    let mut connection = start(path, list).await.unwrap();
    let ids = query_scalar("SELECT id FROM tickets ORDER BY rowid").fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    ids
}

#[tokio::test]
async fn the_previous_version_starts_on_a_file_that_its_successor_migrated() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("a.db");
    store(&path, &[FIRST], "before").await;
    store(&path, &[FIRST, ADDED], "migrated").await;
    store(&path, &[FIRST], "gone back").await;
    assert_eq!(tickets(&path, &[FIRST, ADDED]).await, ["before", "migrated", "gone back"]);
}

#[tokio::test]
async fn a_version_older_than_the_oldest_that_can_read_the_file_is_refused() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("a.db");
    store(&path, &[FIRST], "before").await;
    store(&path, &[FIRST, ADDED, NEEDED], "migrated").await;
    let said = start(&path, &[FIRST]).await.unwrap_err().to_string();
    assert!(said.contains("written by a newer version of this service"), "{said}");
    // This version is new enough, and does not lower the `min_reader` of the file.
    store(&path, &[FIRST, ADDED], "gone back").await;
    start(&path, &[FIRST]).await.unwrap_err();
    assert_eq!(tickets(&path, &[FIRST, ADDED, NEEDED]).await, ["before", "migrated", "gone back"]);
}

#[tokio::test]
async fn a_file_without_a_min_reader_is_migrated() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("a.db");
    store(&path, &[FIRST], "before").await;
    let mut connection = start(&path, &[FIRST]).await.unwrap();
    raw_sql("DROP TABLE min_reader").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    assert_eq!(tickets(&path, &[FIRST, ADDED, NEEDED]).await, ["before"]);
    start(&path, &[FIRST]).await.unwrap_err();
}

#[tokio::test]
async fn a_table_outside_the_migrations_is_accepted_by_a_version_that_refuses_unknown_migrations() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("a.db");
    store(&path, &[FIRST], "before").await;
    let notes = "CREATE TABLE IF NOT EXISTS notes (id TEXT PRIMARY KEY) STRICT";
    let migrations = Migrations::new(&[FIRST]).with_tables(&[notes]);
    let mut stored: Vec<String> = Vec::new();
    for id in ["a", "b"] {
        let mut connection = FileLock::take(&path, false).unwrap().connect(&migrations).await.unwrap();
        query("INSERT INTO notes VALUES ($1)").bind(id).execute(&mut connection).await.unwrap();
        let first = sqlx::migrate::Migration::new(
            1,
            FIRST.name.into(),
            MigrationType::Simple,
            FIRST.sql.into_sql_str(),
            false,
        );
        Migrator::with_migrations(vec![first]).run_direct(None, &mut connection, false).await.unwrap();
        stored = query_scalar("SELECT id FROM notes").fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
    assert_eq!(stored, ["a", "b"]);
    // This is no migration, so no copy is made.
    assert!(!directory.path().join("a.db.before-migration-2").exists());
}

#[tokio::test]
async fn a_migration_that_fails_changes_nothing() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("a.db");
    store(&path, &[FIRST], "before").await;
    let broken = Migration { sql: "ALTER TABLE nothing ADD COLUMN owner TEXT", ..NEEDED };
    start(&path, &[FIRST, ADDED, broken]).await.unwrap_err();
    assert_eq!(tickets(&path, &[FIRST]).await, ["before"]);
    let mut connection = start(&path, &[FIRST]).await.unwrap();
    let columns = query_scalar("SELECT count(*) FROM pragma_table_info('tickets')");
    let columns: i64 = columns.fetch_one(&mut connection).await.unwrap();
    assert_eq!(columns, 1);
}

#[tokio::test]
async fn a_file_is_copied_before_it_is_migrated_and_only_then() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("a.db");
    let copies = || {
        let names = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name());
        let mut copies: Vec<_> = names.filter(|name| name.to_string_lossy().contains("before")).collect();
        copies.sort_unstable();
        copies
    };
    store(&path, &[FIRST], "before").await;
    store(&path, &[FIRST], "before too").await;
    assert!(copies().is_empty());

    // Left behind by a start that was killed while it copied. It is overwritten.
    fs::write(directory.path().join("a.db.before-migration-2.partial"), "half").unwrap();
    store(&path, &[FIRST, ADDED], "migrated").await;
    store(&path, &[FIRST, ADDED], "migrated too").await;
    assert_eq!(copies(), ["a.db.before-migration-2"]);
    let copy = directory.path().join("a.db.before-migration-2");
    assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let mut connection = SqliteConnectOptions::new().filename(&copy).connect().await.unwrap();
    let ids: Vec<String> = query_scalar("SELECT id FROM tickets").fetch_all(&mut connection).await.unwrap();
    assert_eq!(ids, ["before", "before too"]);
}

#[tokio::test]
async fn a_file_that_cannot_be_copied_is_not_migrated() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("a.db");
    store(&path, &[FIRST], "before").await;
    let in_the_way = directory.path().join("a.db.before-migration-2");
    fs::create_dir(&in_the_way).unwrap();
    fs::write(in_the_way.join("file"), "").unwrap();
    let said = start(&path, &[FIRST, ADDED]).await.unwrap_err().to_string();
    assert!(said.contains("before it is migrated, and was not changed"), "{said}");
    assert!(said.contains("make room, or start the version from before"), "{said}");
    assert_eq!(tickets(&path, &[FIRST]).await, ["before"]);
    fs::remove_dir_all(&in_the_way).unwrap();
    assert_eq!(tickets(&path, &[FIRST, ADDED]).await, ["before"]);
}
