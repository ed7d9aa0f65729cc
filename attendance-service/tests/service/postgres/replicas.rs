//! Several services with one database.

use shared_http::testing::Process;
use shared_store::{
    Migration, Migrations,
    postgres::{Database, PostgresError},
    testing::{execute, new_database, undisturbed},
};
use tokio::task::JoinSet;

use super::database;
use crate::{gate::Gate, kill, refused, service, start};

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn three_replicas_started_at_once_on_an_empty_database_make_one_schema() {
    let _turn = undisturbed().await;
    for _ in 0..5 {
        let url = new_database().await;
        let mut starts = JoinSet::new();
        for _ in 0..3 {
            starts.spawn(Process::start(service(&url)));
        }
        for (number, process) in starts.join_all().await.iter().enumerate() {
            let mut gate = Gate::open(process.address).await;
            gate.ready().await;
            gate.check_in("evt1", &format!("T{number}"), None).await.record();
            assert_eq!(gate.records("evt1").await.len(), number + 1);
        }
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_database_of_a_newer_version_is_refused() {
    let (_turn, url) = database().await;
    kill(Process::start(service(&url)).await).await;
    let newer = "INSERT INTO attendance._sqlx_migrations
        (version, description, success, checksum, execution_time) VALUES (9999, 'from the future', true, '', 0);
        UPDATE attendance.min_reader SET version = 9999";
    execute(&url, newer).await;
    let (status, said) = refused(service(&url)).await;
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("the database was written by a newer version of this service"), "{said}");
}

const FIRST: Migration =
    Migration { name: "seats", sql: "CREATE TABLE attendance.seats (id TEXT NOT NULL)", min_reader: 1 };
const ADDED: Migration =
    Migration { name: "colours", sql: "ALTER TABLE attendance.seats ADD COLUMN colour TEXT", min_reader: 1 };
const NEEDED: Migration =
    Migration { name: "owners", sql: "ALTER TABLE attendance.seats ADD COLUMN owner TEXT", min_reader: 2 };

/// Whether a version with these migrations starts with the database at `url`.
async fn starts(url: &str, list: &[Migration]) -> Result<(), PostgresError> {
    Database::open(url, "attendance", Migrations::new(list)).await.map(drop)
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn versions_start_with_what_others_migrated_as_far_as_min_reader_allows() {
    let (_turn, url) = database().await;
    starts(&url, &[FIRST]).await.unwrap();
    // As a release that kept no min_reader left it.
    execute(&url, "DROP TABLE attendance.min_reader").await;
    starts(&url, &[FIRST, ADDED]).await.unwrap();
    starts(&url, &[FIRST]).await.unwrap();

    let broken = Migration { sql: "ALTER TABLE attendance.nothing ADD COLUMN owner TEXT", ..NEEDED };
    assert!(matches!(starts(&url, &[FIRST, ADDED, broken]).await, Err(PostgresError::Migration(_))));
    starts(&url, &[FIRST]).await.unwrap();

    // All at once, and each does what is left to do.
    let mut replicas = JoinSet::new();
    for _ in 0..8 {
        let url = url.clone();
        replicas.spawn(async move { starts(&url, &[FIRST, ADDED, NEEDED]).await });
    }
    replicas.join_all().await.into_iter().collect::<Result<(), _>>().unwrap();
    assert!(matches!(starts(&url, &[FIRST]).await, Err(PostgresError::Newer)));
    starts(&url, &[FIRST, ADDED]).await.unwrap();
    assert!(matches!(starts(&url, &[FIRST]).await, Err(PostgresError::Newer)));
    starts(&url, &[FIRST, ADDED, NEEDED]).await.unwrap();
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn moments_never_go_back_within_an_event_though_the_clock_does() {
    let (_turn, url) = database().await;
    let (process, mut gate) = start(service(&url)).await;
    gate.check_in("evt1", "T0", None).await.record();
    let ahead = "UPDATE attendance.check_ins SET checked_in_at = '2100-01-01T00:00:00Z';
        UPDATE attendance.logs SET latest = '2100-01-01T00:00:00Z'";
    execute(&url, ahead).await;
    for (number, ticket) in [(1, "T2"), (2, "T1")] {
        let record = gate.check_in("evt1", ticket, None).await.record();
        let moment = format!(r#""checked_in_at":"2100-01-01T00:00:00.{number:06}+00:00"}}"#);
        assert!(record.ends_with(&moment), "{record}");
        assert!(gate.list("evt1").await.body.ends_with(&format!("{record}]}}")), "the newest comes last");
        assert!(!gate.check_in("evt2", ticket, None).await.record().contains("2100-"), "another event");
    }
    let log = process.log_with("of a moment that is still to come").await;
    assert_eq!(log.matches("of a moment that is still to come").count(), 1, "{log}");
}
