//! The store in a SQLite file, and what may happen to that file.

mod disk;

use std::{fs, path::Path, time::Instant};

use axum::{Router, http::Method};
use identity_service::store::schema::FILE_NAME;
use serde_json::json;
use shared_http::testing::{Process, call, get};
use sqlx::{ConnectOptions, Connection, SqliteConnection, query, query_scalar, sqlite::SqliteConnectOptions};
use tokio::time::sleep;

use crate::{
    IN_TIME, REGISTER, SECOND, UNAVAILABLE,
    api::{app_at, log_in, refresh, refresh_token_of, register, remembered, token_as},
    ask, assert_says, eventually, operator, refusal, run, service_at,
};

fn url(directory: &Path) -> String {
    format!("sqlite://{}/", directory.display())
}

async fn start(directory: &Path) -> Process {
    Process::start(service_at(&url(directory))).await
}

async fn why_it_does_not_start(directory: &Path) -> String {
    refusal(service_at(&url(directory)), 1).await
}

/// A connection to the file past the service. There may be no file yet.
pub(crate) async fn open_file(directory: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(directory.join(FILE_NAME)).create_if_missing(true);
    options.connect().await.unwrap()
}

/// Who is in the file, oldest first.
async fn names(directory: &Path) -> Vec<String> {
    let ask = "SELECT username FROM users ORDER BY seq";
    query_scalar(ask).fetch_all(&mut open_file(directory).await).await.unwrap()
}

#[tokio::test]
async fn a_second_process_is_refused_until_the_first_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let process = start(directory.path()).await;
    assert_says(&why_it_does_not_start(directory.path()).await, &[FILE_NAME, "in use by another process"]);
    process.finish().await;
    start(directory.path()).await;
}

#[tokio::test]
async fn a_missing_file_is_named_and_a_new_one_too() {
    let directory = tempfile::tempdir().unwrap();
    let said = operator::refused(&url(directory.path()), &["list"], "").await;
    let missing = format!("{FILE_NAME} is missing; is its disk mounted, and is DATABASE_URL right?");
    assert_says(&said, &[missing]);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    let said = operator::refused("memory:", &["list"], "").await;
    assert_says(&said, &["DATABASE_URL names no database"]);
    // A new file is named even if nobody is added to it, for the next time it is there.
    for (input, status) in [("abc\n", 1), ("kata sandi\n", 0)] {
        let directory = tempfile::tempdir().unwrap();
        let made = format!("a new {FILE_NAME} is made in {}\n", directory.path().display());
        let arguments = ["add", "siti", "committee"];
        let said = operator::users(&url(directory.path()), &arguments, input).await;
        assert!(said.status == Some(status) && said.stderr.starts_with(&made), "{}", said.stderr);
    }
}

#[tokio::test]
async fn a_file_that_no_version_with_operators_has_opened_is_listed_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let mut file = open_file(directory.path()).await;
    sqlx::raw_sql(include_str!("../../migrations/sqlite/1_users.sql")).execute(&mut file).await.unwrap();
    let insert = "INSERT INTO users (username, role, password_hash) VALUES ('siti', 'admin', '-')";
    query(insert).execute(&mut file).await.unwrap();
    file.close().await.unwrap();
    let path = directory.path().join(FILE_NAME);
    let before = fs::read(&path).unwrap();
    let said = operator::users(&url(directory.path()), &["list"], "").await;
    assert_eq!(said.status, Some(0), "{}", said.stderr);
    assert!(said.stdout.ends_with("admin      yes     no           siti\n"), "{}", said.stdout);
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn the_log_counts_the_users_who_are_there_and_not_those_who_were() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [&["add", "budi", "admin"][..], &["add", "siti", "admin"], &["remove", "budi"]] {
        let said = operator::users(&url(directory.path()), arguments, "kata sandi\n").await;
        assert_eq!(said.status, Some(0), "{arguments:?}: {}", said.stderr);
    }
    let log = start(directory.path()).await.finish().await;
    let loaded = log.lines().find(|line| line.contains("the file is loaded"));
    assert!(loaded.is_some_and(|line| line.contains("users=1")), "{log}");
}

#[tokio::test]
async fn an_unknown_role_is_an_error_and_no_guess() {
    let directory = tempfile::tempdir().unwrap();
    let process = start(directory.path()).await;
    assert_eq!(ask(&process, REGISTER, "budi").await.0, 200);
    process.finish().await;
    let mut file = open_file(directory.path()).await;
    query("PRAGMA ignore_check_constraints = ON").execute(&mut file).await.unwrap();
    query("UPDATE users SET role = 'owner'").execute(&mut file).await.unwrap();
    file.close().await.unwrap();
    assert_says(&why_it_does_not_start(directory.path()).await, &[r#""owner" is an unknown role"#]);
}

#[tokio::test]
async fn the_file_of_attendance_service_is_named_as_that() {
    let directory = tempfile::tempdir().unwrap();
    let mut other = open_file(directory.path()).await;
    query("CREATE TABLE check_ins (seq INTEGER PRIMARY KEY)").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    let reason = "this is a file of attendance-service, and not of identity-service";
    assert_says(&why_it_does_not_start(directory.path()).await, &[FILE_NAME, reason]);
}

#[tokio::test]
async fn the_name_of_a_user_cannot_draw_on_the_terminal_of_an_operator() {
    let directory = tempfile::tempdir().unwrap();
    let process = start(directory.path()).await;
    assert_eq!(ask(&process, REGISTER, "\u{1b}[2J\u{9b}31m\u{202e}nimda").await.0, 200);
    let mut check = service_at(&url(directory.path()));
    check.arg("check");
    let said = run(check).await.stdout;
    let shown = r"the newest \u{1b}[2J\u{9b}31m\u{202e}nimda (committee)";
    assert!(said.trim_end().ends_with(shown), "{said:?}");
}

#[tokio::test]
async fn a_backup_holds_the_sessions_too_and_check_counts_them() {
    let directory = tempfile::tempdir().unwrap();
    let (url, copy) = (url(directory.path()), directory.path().join("copy.db"));
    let app = app_at(&url, &[]).await;
    assert_eq!(register(&app, "siti", "rahasia").await.status, 200);
    let tokens = [remembered(&app, "siti", "rahasia").await, remembered(&app, "siti", "rahasia").await];
    let maintain = async |arguments: &[&str]| {
        let mut command = service_at(&url);
        command.args(arguments);
        let said = run(command).await;
        assert_eq!(said.status, Some(0), "{arguments:?}: {}", said.stderr);
        said.stdout
    };
    let copy = copy.to_str().unwrap();
    maintain(&["backup", copy]).await;
    let newer = refresh_token_of(&refresh(&app, &tokens[0]).await);
    remembered(&app, "siti", "rahasia").await;
    drop(app);
    let said = maintain(&["check"]).await;
    assert_says(&said, &["whole, 1 users, 3 sessions, the newest siti (committee)"]);
    maintain(&["restore", copy]).await;
    assert_says(&maintain(&["check"]).await, &["whole, 1 users, 2 sessions, the newest siti (committee)"]);

    let app = app_at(&url, &[]).await;
    for token in &tokens {
        assert_eq!(refresh(&app, token).await.status, 200);
    }
    // To the file that came back a token from after the backup is one that never was.
    assert_eq!(refresh(&app, &newer).await.status, 401);
}

#[tokio::test]
async fn a_session_that_cannot_be_read_is_an_error_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let app = app_at(&url(directory.path()), &[]).await;
    assert_eq!(register(&app, "siti", "rahasia").await.status, 200);
    remembered(&app, "siti", "rahasia").await;
    drop(app);
    let mut file = open_file(directory.path()).await;
    query("UPDATE sessions SET used = 'no list'").execute(&mut file).await.unwrap();
    file.close().await.unwrap();
    assert_says(&why_it_does_not_start(directory.path()).await, &[FILE_NAME, "expected"]);
}

#[tokio::test]
async fn while_nothing_is_written_nobody_is_refused_for_good() {
    let directory = tempfile::tempdir().unwrap();
    let app = app_at(&url(directory.path()), &[]).await;
    assert_eq!(register(&app, "siti", "rahasia").await.status, 200);
    let token = remembered(&app, "siti", "rahasia").await;
    let (file, aside) = (directory.path().join(FILE_NAME), directory.path().join("aside"));
    fs::rename(&file, &aside).unwrap();
    is_out(&app, "budi").await;
    // Neither is a session that may be there said to have ended, nor a user that may be there to be unknown.
    for token in [&token, &"A".repeat(43)] {
        assert_eq!(refresh(&app, token).await.text(), (503, UNAVAILABLE));
    }
    let admin = token_as("kepala", "admin");
    for (method, path) in [(Method::PATCH, "/users/siti"), (Method::DELETE, "/users/siti")] {
        let answer = call(&app, method, path).bearer(&admin).json(&json!({ "active": false })).send().await;
        assert_eq!(answer.text(), (503, UNAVAILABLE), "{path}");
    }
    fs::rename(&aside, &file).unwrap();
    is_back(&app).await;
    assert_eq!(refresh(&app, &token).await.status, 200);
}

#[tokio::test]
async fn a_damaged_file_is_named_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let process = start(directory.path()).await;
    for number in 0..50 {
        assert_eq!(ask(&process, REGISTER, &format!("user{number}")).await.0, 200);
    }
    process.finish().await;
    let mut file = open_file(directory.path()).await;
    query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut file).await.unwrap();
    file.close().await.unwrap();
    let good = fs::read(directory.path().join(FILE_NAME)).unwrap();
    let spoiled = |range: std::ops::Range<usize>, byte| {
        let mut bytes = good.clone();
        bytes[range].fill(byte);
        bytes
    };
    for (damage, bytes, header) in [
        ("magic", spoiled(0..16, 0x55), 0),
        ("header", spoiled(0..100, 0xFF), 0),
        ("schema", spoiled(100..4096, 0xFF), 0),
        // Found when the users are read, after the write probe, which writes to the header.
        ("table", spoiled(3 * 4096..good.len(), 0xFF), 100),
        ("cut off", good[..good.len() / 2].to_vec(), 0),
        ("garbage", b"this was never a database, ".repeat(1000), 0),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        fs::write(&path, &bytes).unwrap();
        let said = why_it_does_not_start(directory.path()).await;
        assert_says(&said, &[FILE_NAME, "damaged", "restore"]);
        assert!(fs::read(&path).unwrap()[header..] == bytes[header..], "{damage}: the file was touched");
    }
}

/// Nothing can be stored now, and the answers say so in time.
async fn is_out(app: &Router, name: &str) {
    let begin = Instant::now();
    let answer = register(app, name, "rahasia").await;
    assert_eq!(answer.text(), (503, UNAVAILABLE));
    assert!(answer.headers.contains_key("retry-after"));
    let ready = get(app, "/ready").send().await;
    assert_eq!(ready.status, 503, "{ready:?}");
    assert!(!ready.json()["detail"].as_str().unwrap().is_empty());
    assert!(begin.elapsed() < IN_TIME, "{:?}", begin.elapsed());
    assert_eq!(get(app, "/health").send().await.status, 200);
}

async fn is_back(app: &Router) {
    eventually("ready again", async || get(app, "/ready").send().await.status == 200).await;
}

#[tokio::test]
async fn a_file_that_is_deleted_takes_no_more_writes_until_it_is_back() {
    let directory = tempfile::tempdir().unwrap();
    let app = app_at(&url(directory.path()), &[]).await;
    assert_eq!(register(&app, "siti", "rahasia").await.status, 200);
    let (file, aside) = (directory.path().join(FILE_NAME), directory.path().join("aside"));
    fs::rename(&file, &aside).unwrap();
    is_out(&app, "budi").await;
    let reason = get(&app, "/ready").send().await.json()["detail"].to_string();
    assert_says(&reason, &[FILE_NAME, "deleted or replaced while the service runs"]);
    assert_eq!(log_in(&app, "siti", "rahasia").await.status, 200);
    fs::rename(&aside, &file).unwrap();
    is_back(&app).await;
    assert_eq!(register(&app, "budi", "rahasia").await.status, 200);
    assert_eq!(names(directory.path()).await, ["siti", "budi"]);
}

#[tokio::test]
async fn a_commit_that_failed_is_settled_by_what_the_file_holds() {
    let directory = tempfile::tempdir().unwrap();
    let app = app_at(&url(directory.path()), &[]).await;
    assert_eq!(register(&app, "before", "rahasia").await.status, 200);
    let mut other = open_file(directory.path()).await;
    query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    is_out(&app, "failed").await;
    // Reading works all the time, but does not make the service ready.
    let begin = Instant::now();
    while begin.elapsed() < SECOND * 5 / 2 {
        assert_eq!(get(&app, "/ready").send().await.status, 503);
        sleep(SECOND / 20).await;
    }
    is_out(&app, "written").await;
    assert_eq!(log_in(&app, "before", "rahasia").await.status, 200, "reading goes on");
    // As if the commit had reached the disk although it was reported as failed.
    let insert =
        "INSERT INTO users (username, role, password_hash) SELECT 'written', role, password_hash FROM users";
    query(insert).execute(&mut other).await.unwrap();
    query("COMMIT").execute(&mut other).await.unwrap();
    is_back(&app).await;
    let taken = (400, r#"{"detail":"User written sudah terdaftar"}"#);
    assert_eq!(register(&app, "written", "rahasia").await.text(), taken);
    assert_eq!(log_in(&app, "written", "rahasia").await.status, 200);
    assert_eq!(register(&app, "failed", "rahasia").await.status, 200);
    drop(app);
    assert_eq!(names(directory.path()).await, ["before", "written", "failed"]);
}
