//! The SQLite file that is somebody else's, too new, or damaged.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{FileExt, symlink},
    path::Path,
};

use shared_http::testing::Process;
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::{
    DUPLICATE, SECOND,
    gate::Gate,
    kill,
    maintenance::{run, text},
    refused, service, start,
};

#[tokio::test]
async fn a_second_process_is_refused_the_file_and_the_first_goes_on() {
    let directory = TempDir::new().unwrap();
    let elsewhere = TempDir::new().unwrap();
    let process = start(directory.path()).await;
    let mut gate = Gate::open(process.address).await;
    assert_eq!(gate.check_in("evt1", "T1", None).await.status, 200);

    // By its name, by its directory's other name, by another name of its own.
    symlink(directory.path(), elsewhere.path().join("directory")).unwrap();
    symlink(directory.path().join("attendance.db"), elsewhere.path().join("attendance.db")).unwrap();
    for path in [directory.path(), &elsewhere.path().join("directory"), elsewhere.path()] {
        let (status, said) = refused(service(path)).await;
        assert_eq!(status, Some(1), "{}: {said}", path.display());
        assert!(said.contains("attendance.db: in use by another process"), "{said}");
    }
    assert_eq!(gate.check_in("evt1", "T2", None).await.status, 200);
    assert_eq!(gate.check_in("evt1", "T1", None).await.text(), (400, DUPLICATE));

    // Nor does the lock outlive its process, however that ends.
    drop(gate);
    kill(process).await;
    let process = start(directory.path()).await;
    assert_eq!(Gate::open(process.address).await.records("evt1").await.len(), 2);
}

pub(crate) async fn open(directory: &Path) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite://{}/attendance.db", directory.display())).await.unwrap()
}

/// A database with a few hundred pages, and nothing in its log.
pub(crate) async fn filled(directory: &Path) {
    let mut process = start(directory).await;
    process.signal("TERM").await;
    process.ended(SECOND * 5).await;
    let mut database = open(directory).await;
    sqlx::raw_sql(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 5000)
         INSERT INTO check_ins SELECT n, 'evt1', 'TICKET-' || n, 'panitia1', 1767446753415880 + n, 'key-' || n FROM n",
    )
    .execute(&mut database)
    .await
    .unwrap();
    database.close().await.unwrap();
}

#[tokio::test]
async fn moments_differ_and_never_go_back_within_an_event_though_the_clock_starts_in_the_past() {
    let directory = TempDir::new().unwrap();
    filled(directory.path()).await;
    let mut database = open(directory.path()).await;
    // 2100-01-01, as far as anybody with a clock in the past can tell.
    sqlx::raw_sql("UPDATE check_ins SET checked_in_at = 4102444800000000 WHERE seq = 5000")
        .execute(&mut database)
        .await
        .unwrap();
    database.close().await.unwrap();
    for start_number in 0..2 {
        let process = start(directory.path()).await;
        let mut gate = Gate::open(process.address).await;
        for number in [2 * start_number + 1, 2 * start_number + 2] {
            let record = gate.check_in("evt1", &format!("T{number}"), None).await.record();
            let moment = format!(r#""checked_in_at":"2100-01-01T00:00:00.{number:06}+00:00"}}"#);
            assert!(record.ends_with(&moment), "{record}");
            assert!(gate.list("evt1").await.body.ends_with(&format!("{record}]}}")), "the newest comes last");
            assert!(
                !gate.check_in("evt2", &format!("T{number}"), None).await.record().contains("2100-"),
                "another event, another order"
            );
        }
        gate.records("evt1").await;
        let log = process.log_with("of a moment that is still to come").await;
        assert_eq!(log.matches("of a moment that is still to come").count(), 1, "{log}");
        drop(gate);
        kill(process).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moments_of_one_commit_differ() {
    let directory = TempDir::new().unwrap();
    let process = start(directory.path()).await;
    let mut gates = JoinSet::new();
    for number in 0..32 {
        let mut gate = Gate::open(process.address).await;
        gates.spawn(async move {
            for scan in 0..8 {
                gate.check_in(&format!("evt{}", scan % 2), &format!("{number}-{scan}"), None).await.record();
            }
        });
    }
    gates.join_all().await;
    let mut gate = Gate::open(process.address).await;
    for event in ["evt0", "evt1"] {
        let records = gate.records(event).await;
        let moments: BTreeSet<_> =
            records.values().map(|record| record.split_once("_at").unwrap().1).collect();
        assert_eq!(moments.len(), 128);
    }
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_and_left_alone() {
    let directory = TempDir::new().unwrap();
    filled(directory.path()).await;
    let mut database = open(directory.path()).await;
    sqlx::raw_sql(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'from the future', 1, x'00', 0);
         UPDATE min_reader SET version = 9999",
    )
    .execute(&mut database)
    .await
    .unwrap();
    database.close().await.unwrap();
    let before = fs::read(directory.path().join("attendance.db")).unwrap();
    let (status, said) = refused(service(directory.path())).await;
    assert_eq!(status, Some(1));
    assert!(said.contains("attendance.db: written by a newer version"), "{said}");
    assert!(fs::read(directory.path().join("attendance.db")).unwrap() == before, "it was written to");
}

#[tokio::test]
async fn an_empty_directory_is_refused_where_data_is_expected() {
    let directory = TempDir::new().unwrap();
    let expecting = |expected: &str| {
        let mut command = service(directory.path());
        command.env("EXPECT_DATA", expected);
        command
    };
    let (status, said) = refused(expecting("true")).await;
    assert_eq!(status, Some(1), "systemd and Docker try again, for the disk may come yet: {said}");
    let wanted = "attendance.db: missing, and EXPECT_DATA is true: mount its disk, or bring a backup back with \
                  restore PATH; to begin anew set EXPECT_DATA=false";
    assert!(said.contains(wanted), "{said}");
    assert!(!directory.path().join("attendance.db").exists());
    kill(Process::start(expecting("false")).await).await;
    kill(Process::start(expecting("true")).await).await;

    // With the whole directory gone, it is still the disk that is missing, unless it was never there.
    let data = directory.path().join("data");
    let at_data = |expected: &str| {
        let mut command = service(&data);
        command.env("EXPECT_DATA", expected);
        command
    };
    let (status, said) = refused(at_data("true")).await;
    assert!(status == Some(1) && said.contains(wanted), "{said}");
    let shown = data.display();
    let missing = format!(
        "the directory {shown} of DATABASE_URL is missing: mount its disk, or make it (mkdir -p -m 700 {shown}), or \
         correct DATABASE_URL"
    );
    let (status, said) = refused(at_data("false")).await;
    assert!(status == Some(1) && said.contains(&missing), "{said}");
    for expected in ["true", "false"] {
        let database = directory.path().join("attendance.db");
        let said = run(at_data(expected), &["restore", text(&database)]).await.unwrap_err();
        assert!(said.contains(&missing), "{said}");
    }

    let (status, said) = refused(expecting("yes")).await;
    assert_eq!(status, Some(78), "{said}");
    assert!(said.contains(r#"EXPECT_DATA is "yes""#), "{said}");
}

/// Overwrites a page with what is no page.
pub(crate) fn spoil(path: &Path, page: u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(&[0xAB; 4096], (page - 1) * 4096).unwrap();
}

async fn root_of(directory: &Path, name: &str) -> u64 {
    let mut database = open(directory).await;
    let page: i64 = sqlx::query_scalar("SELECT rootpage FROM sqlite_schema WHERE name = ?1")
        .bind(name)
        .fetch_one(&mut database)
        .await
        .unwrap();
    database.close().await.unwrap();
    page as u64
}

#[tokio::test]
async fn a_damaged_database_is_named_at_the_start_and_left_byte_for_byte_as_it_is() {
    for damage in ["header", "truncated", "table", "index", "middle", "log"] {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("attendance.db");
        let log = directory.path().join("attendance.db-wal");
        filled(directory.path()).await;
        match damage {
            "header" => spoil(&path, 1),
            "truncated" => {
                let length = fs::metadata(&path).unwrap().len();
                fs::File::options().write(true).open(&path).unwrap().set_len(length / 2).unwrap();
            }
            "table" => spoil(&path, root_of(directory.path(), "check_ins").await),
            "index" => spoil(&path, root_of(directory.path(), "check_ins_idempotency_key").await),
            "middle" => spoil(&path, fs::metadata(&path).unwrap().len() / 4096 / 2),
            // The newest check-ins are in the log alone, as after a power cut.
            _ => {
                let process = start(directory.path()).await;
                let mut gate = Gate::open(process.address).await;
                for number in 0..20 {
                    assert_eq!(gate.check_in("evt1", &format!("log-{number}"), None).await.status, 200);
                }
                drop(gate);
                kill(process).await;
                assert!(fs::metadata(&log).unwrap().len() > 4096);
                spoil(&path, fs::metadata(&path).unwrap().len() / 4096 / 2);
            }
        }
        let before = (fs::read(&path).unwrap(), fs::read(&log).ok());
        for _ in 0..2 {
            let (status, said) = refused(service(directory.path())).await;
            assert_eq!(status, Some(1), "{damage}: {said}");
            assert!(said.contains("attendance.db: damaged"), "{damage}: {said}");
            assert!(said.contains("restore"), "{damage}: {said}");
            assert!(fs::read(&path).unwrap() == before.0, "{damage}: the file was written to");
            let after = fs::read(&log).ok().filter(|log| !log.is_empty());
            assert!(
                after == before.1.clone().filter(|log| !log.is_empty()),
                "{damage}: the log was written to"
            );
        }
    }
}
