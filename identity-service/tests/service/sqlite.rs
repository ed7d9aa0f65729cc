//! The store in a SQLite file, and what may happen to that file.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use axum::Router;
use clap::Parser;
use identity_service::{
    AppState, app,
    config::{Args, Config},
    password_hash::PasswordHash,
    store::{Registration, User, Username, sqlite::FILE_NAME},
};
use serde_json::json;
use shared_auth::Role;
use shared_http::{
    metrics::Registry,
    telemetry::Telemetry,
    testing::{Answer, Process, get, post},
};
use sqlx::{ConnectOptions, Connection, SqliteConnection, query, query_scalar, sqlite::SqliteConnectOptions};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    IN_TIME, SECOND, UNAVAILABLE, operator,
    restarts::{self, ask},
};

const READY: &str = r#"{"status":"ready","service":"identity-service"}"#;

fn config(directory: &Path, demo_users: bool) -> Config {
    let url = format!("--database-url=sqlite://{}/", directory.display());
    let demo_users = format!("--demo-users={demo_users}");
    let args = ["identity-service", "--app-env=development", "--bcrypt-cost=4", &url, &demo_users];
    Args::try_parse_from(args).unwrap().check().unwrap()
}

async fn open(directory: &Path) -> AppState {
    AppState::open(&config(directory, false), &mut Registry::default()).await.unwrap()
}

/// Why a service does not start with what is in `directory`.
async fn refusal(directory: &Path) -> String {
    AppState::open(&config(directory, false), &mut Registry::default()).await.err().unwrap().to_string()
}

/// A connection to the file past the service.
async fn peek(directory: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(directory.join(FILE_NAME)).connect().await.unwrap()
}

async fn names(directory: &Path) -> Vec<String> {
    query_scalar("SELECT username FROM users ORDER BY seq")
        .fetch_all(&mut peek(directory).await)
        .await
        .unwrap()
}

/// Waits until nobody has the file open: the last connection that closes removes the log, or leaves an empty one if it
/// could only read.
async fn closed(directory: &Path) {
    let log = directory.join(format!("{FILE_NAME}-wal"));
    eventually(async || std::fs::metadata(&log).map_or(true, |log| log.len() == 0)).await;
}

fn user(name: &str) -> User {
    let password = PasswordHash::from_stored(format!("hash of {name}"));
    User { username: Username(name.to_owned()), role: Role::Committee, password }
}

async fn knows(state: &AppState, name: &str) -> bool {
    state.users.find(&Username(name.to_owned())).await.unwrap().is_some()
}

async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < SECOND * 20, "it never came true");
        sleep(SECOND / 50).await;
    }
}

#[tokio::test]
async fn users_survive_a_restart_as_they_were_and_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let registered =
        ["siti", "Siti", "siti ", " siti", "s\u{ed}ti", "si\u{301}ti", "🎫🎫🎫", "andi", "%_'\""];
    let state = open(directory.path()).await;
    for (number, name) in registered.into_iter().enumerate() {
        let role = if number % 2 == 0 { Role::Admin } else { Role::Committee };
        let outcome = state.users.register(User { role, ..user(name) }).await.unwrap();
        assert_eq!(outcome, Registration::Accepted, "{name}");
    }
    drop(state);

    for _ in 0..2 {
        let state = open(directory.path()).await;
        for (number, name) in registered.into_iter().enumerate() {
            let found = state.users.find(&Username(name.to_owned())).await.unwrap().unwrap();
            assert_eq!(found.role, if number % 2 == 0 { Role::Admin } else { Role::Committee }, "{name}");
            assert_eq!(found.password.as_ref(), format!("hash of {name}"));
            assert_eq!(state.users.register(user(name)).await.unwrap(), Registration::Taken, "{name}");
        }
        assert!(!knows(&state, "SITI").await);
        assert_eq!(names(directory.path()).await, registered);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_500_who_want_one_name_at_once_one_gets_it() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path()).await;
    let mut all = JoinSet::new();
    for _ in 0..500 {
        let users = state.users.clone();
        all.spawn(async move { users.register(user("budi")).await.unwrap() });
    }
    let outcomes = all.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Registration::Accepted).count(), 1);
    assert_eq!(names(directory.path()).await, ["budi"]);
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_no_user_half_registered() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path()).await;
    for number in 0..100 {
        let name = format!("user{number}");
        drop(timeout(Duration::from_micros(number * 10), state.users.register(user(&name))).await);
    }
    // Writes are done in order: whatever was begun before this one is done.
    state.users.register(user("last")).await.unwrap();
    let kept = names(directory.path()).await;
    for number in 0..100 {
        let name = format!("user{number}");
        assert_eq!(knows(&state, &name).await, kept.contains(&name), "{name}");
    }
    assert!(kept.len() > 1, "nobody got through");
}

#[tokio::test]
async fn demo_users_stay_out_of_the_file_and_a_name_in_the_file_wins() {
    let directory = tempfile::tempdir().unwrap();
    let state = AppState::open(&config(directory.path(), true), &mut Registry::default()).await.unwrap();
    assert!(knows(&state, "panitia1").await && knows(&state, "admin1").await);
    assert_eq!(state.users.register(user("admin1")).await.unwrap(), Registration::Taken);
    assert!(names(directory.path()).await.is_empty());
    drop(state);

    let state = open(directory.path()).await;
    assert!(!knows(&state, "panitia1").await);
    assert_eq!(state.users.register(user("panitia1")).await.unwrap(), Registration::Accepted);
    drop(state);

    let state = AppState::open(&config(directory.path(), true), &mut Registry::default()).await.unwrap();
    let found = state.users.find(&Username("panitia1".to_owned())).await.unwrap().unwrap();
    assert_eq!(found.password.as_ref(), "hash of panitia1");
    assert!(knows(&state, "admin1").await);
}

#[tokio::test]
async fn a_second_process_is_refused_until_the_first_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path()).await;
    let said = refusal(directory.path()).await;
    assert!(said.contains(FILE_NAME) && said.contains("in use by another process"), "{said}");
    drop(state);
    open(directory.path()).await;
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).await);
    sqlx::raw_sql(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (99, 'of next year', TRUE, x'00', 0);
         UPDATE min_reader SET version = 99",
    )
    .execute(&mut peek(directory.path()).await)
    .await
    .unwrap();
    let said = refusal(directory.path()).await;
    assert!(said.contains(FILE_NAME) && said.contains("newer version of this service"), "{said}");
}

fn url(directory: &Path) -> String {
    format!("sqlite://{}/", directory.display())
}

#[tokio::test]
async fn an_operator_sees_and_changes_who_is_registered() {
    let directory = tempfile::tempdir().unwrap();
    operator::an_operator_sees_and_changes_who_is_registered(&url(directory.path()), false).await;
}

#[tokio::test]
async fn what_an_operator_gets_wrong_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let said = operator::refused(&url(directory.path()), &["list"], "").await;
    assert!(
        said.contains(&format!("{FILE_NAME} is missing; is its disk mounted, and is DATABASE_URL right?")),
        "{said}"
    );
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    let said = operator::refused("memory:", &["list"], "").await;
    assert!(said.contains("DATABASE_URL names no database"), "{said}");
    // A new file is named even if nobody is added to it, for the next time it is there.
    let made = format!("a new {FILE_NAME} is made in {}\n", directory.path().display());
    let (status, _, said) =
        operator::users(&url(directory.path()), &["add", "siti", "committee"], "abc\n").await;
    assert!(
        status == Some(1) && said.starts_with(&made) && said.contains("stdin holds no password"),
        "{said}"
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let made = format!("a new {FILE_NAME} is made in {}\n", elsewhere.path().display());
    let (status, _, said) =
        operator::users(&url(elsewhere.path()), &["add", "siti", "committee", "--draw"], "").await;
    assert_eq!((status, said), (Some(0), made));
    operator::what_an_operator_gets_wrong_changes_nothing(&url(directory.path())).await;
}

#[tokio::test]
async fn a_name_that_a_stranger_has_is_not_the_first_admins() {
    let directory = tempfile::tempdir().unwrap();
    operator::a_name_that_a_stranger_has_is_not_the_first_admins(&url(directory.path())).await;
}

#[tokio::test]
async fn users_of_a_file_that_no_version_with_operators_has_opened_are_listed_and_the_file_is_left_as_it_is()
{
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE_NAME);
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(include_str!("../../migrations/sqlite/1_users.sql"))
        .execute(&mut connection)
        .await
        .unwrap();
    let insert = "INSERT INTO users (username, role, password_hash) VALUES ('siti', 'admin', '-')";
    query(insert).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let before = fs::read(&path).unwrap();
    let (status, list, complaint) = operator::users(&url(directory.path()), &["list"], "").await;
    assert_eq!(status, Some(0), "{complaint}");
    assert!(list.ends_with("admin      no           siti\n"), "{list}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// It refuses a file with a migration that it does not know.
#[tokio::test]
async fn the_release_before_operators_knows_every_migration_of_the_file() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).await);
    let ask = "SELECT version FROM _sqlx_migrations";
    let versions: Vec<i64> = query_scalar(ask).fetch_all(&mut peek(directory.path()).await).await.unwrap();
    assert_eq!(versions, [1]);
}

#[tokio::test]
async fn the_log_counts_the_users_who_are_there_and_not_those_who_were() {
    let directory = tempfile::tempdir().unwrap();
    let url = url(directory.path());
    for arguments in [&["add", "budi", "admin"][..], &["add", "siti", "admin"], &["remove", "budi"]] {
        let (status, _, complaint) = operator::users(&url, arguments, "kata sandi\n").await;
        assert_eq!(status, Some(0), "{arguments:?}: {complaint}");
    }
    let log = Process::start(restarts::service(&url)).await.finish().await;
    assert!(log.lines().any(|line| line.contains("the file is loaded") && line.contains("users=1")), "{log}");
}

#[tokio::test]
async fn an_unknown_role_in_the_file_is_an_error_and_no_guess() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path()).await;
    state.users.register(user("budi")).await.unwrap();
    drop(state);
    closed(directory.path()).await;
    let mut connection = peek(directory.path()).await;
    query("PRAGMA ignore_check_constraints = ON").execute(&mut connection).await.unwrap();
    query("UPDATE users SET role = 'owner'").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let said = refusal(directory.path()).await;
    assert!(said.contains(r#""owner" is an unknown role"#), "{said}");
}

#[tokio::test]
async fn the_file_of_attendance_service_is_named_as_that() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE_NAME);
    let mut other =
        SqliteConnectOptions::new().filename(&path).create_if_missing(true).connect().await.unwrap();
    query("CREATE TABLE check_ins (seq INTEGER PRIMARY KEY)").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    let said = refusal(directory.path()).await;
    let reason = "this is a file of attendance-service, and not of identity-service";
    assert!(said.contains(FILE_NAME) && said.contains(reason), "{said}");
}

#[tokio::test]
async fn the_name_of_a_user_cannot_draw_on_the_terminal_of_an_operator() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path()).await;
    state.users.register(user("\u{1b}[2J\u{9b}31m\u{202e}nimda")).await.unwrap();
    drop(state);
    let output = service(directory.path()).arg("check").output().await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let shown = r"the newest \u{1b}[2J\u{9b}31m\u{202e}nimda (committee)";
    assert!(said.trim_end().ends_with(shown), "{said:?}");
}

#[tokio::test]
async fn a_damaged_file_is_named_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path()).await;
    for number in 0..50 {
        state.users.register(user(&format!("user{number}"))).await.unwrap();
    }
    drop(state);
    closed(directory.path()).await;
    let good = fs::read(directory.path().join(FILE_NAME)).unwrap();

    let mut no_magic = good.clone();
    no_magic[..16].fill(0x55);
    let mut no_header = good.clone();
    no_header[..100].fill(0xFF);
    let mut no_schema = good.clone();
    no_schema[100..4096].fill(0xFF);
    let mut no_table = good.clone();
    no_table[3 * 4096..].fill(0xFF);
    let mut cut_off = good.clone();
    cut_off.truncate(good.len() / 2);
    let garbage = b"this was never a database, ".repeat(1000);
    let rows = [
        ("magic", no_magic, 0),
        ("header", no_header, 0),
        ("schema", no_schema, 0),
        // Found when the users are read, after the write probe, which writes to the header.
        ("table", no_table, 100),
        ("cut off", cut_off, 0),
        ("garbage", garbage, 0),
    ];
    for (damage, bytes, header) in rows {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        fs::write(&path, &bytes).unwrap();
        let said = refusal(directory.path()).await;
        assert!(said.contains(FILE_NAME) && said.contains("damaged"), "{damage}: {said}");
        assert!(said.contains("restore"), "{damage}: {said}");
        closed(directory.path()).await;
        assert!(fs::read(&path).unwrap()[header..] == bytes[header..], "{damage}: the file was touched");
    }
}

/// The service over HTTP, on a file in `directory`.
struct Service(Router);

impl Service {
    async fn open(directory: &Path) -> Self {
        let config = config(directory, false);
        let state = AppState::open(&config, &mut Registry::default()).await.unwrap();
        Self(app(state, &config, Telemetry::default()))
    }

    async fn register(&self, name: &str) -> Answer {
        let body = json!({ "username": name, "password": "rahasia" });
        post(&self.0, "/auth/register").json(&body).send().await
    }

    async fn log_in(&self, name: &str) -> u16 {
        let body = json!({ "username": name, "password": "rahasia" });
        post(&self.0, "/auth/login").json(&body).send().await.status.as_u16()
    }

    /// Nothing can be stored now, and the answers say so in time.
    async fn is_out(&self, name: &str) {
        let begin = Instant::now();
        refused(&self.register(name).await);
        let ready = get(&self.0, "/ready").send().await;
        assert_eq!(ready.status, 503, "{ready:?}");
        assert!(!ready.json()["detail"].as_str().unwrap().is_empty());
        assert!(begin.elapsed() < IN_TIME, "{:?}", begin.elapsed());
        assert_eq!(get(&self.0, "/health").send().await.status, 200);
    }

    async fn is_back(&self) {
        eventually(async || get(&self.0, "/ready").send().await.text() == (200, READY)).await;
    }
}

fn refused(answer: &Answer) {
    assert_eq!(answer.text(), (503, UNAVAILABLE));
    assert!(answer.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn a_commit_that_failed_is_settled_by_what_the_file_holds() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::open(directory.path()).await;
    assert_eq!(service.register("before").await.status, 200);
    let mut other = peek(directory.path()).await;
    query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    service.is_out("failed").await;
    // Reading works all the time, but does not make the service ready.
    let begin = Instant::now();
    while begin.elapsed() < SECOND * 5 / 2 {
        assert_eq!(get(&service.0, "/ready").send().await.status, 503);
        sleep(SECOND / 20).await;
    }
    service.is_out("written").await;
    assert_eq!(service.log_in("before").await, 200, "reading goes on");
    // As if the commit had reached the disk although it was reported as failed.
    query(
        "INSERT INTO users (username, role, password_hash) SELECT 'written', role, password_hash FROM users",
    )
    .execute(&mut other)
    .await
    .unwrap();
    query("COMMIT").execute(&mut other).await.unwrap();
    service.is_back().await;
    assert_eq!(
        service.register("written").await.text(),
        (400, r#"{"detail":"User written sudah terdaftar"}"#)
    );
    assert_eq!(service.log_in("written").await, 200);
    assert_eq!(service.register("failed").await.status, 200);
    drop(service);
    assert_eq!(names(directory.path()).await, ["before", "written", "failed"]);
}

/// A small file system of its own, if this system lets us make one.
struct Mount(PathBuf);

impl Mount {
    fn new(directory: &Path, options: &str) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(directory);
        let mounted = mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        mounted.then(|| Self(directory.to_owned()))
    }

    fn remount(&self, options: &str) {
        let mut mount = Command::new("mount");
        assert!(mount.args(["-o", options]).arg(&self.0).status().unwrap().success());
    }

    fn move_to(&mut self, directory: &Path) {
        let mut mount = Command::new("mount");
        assert!(mount.arg("--move").args([&self.0, directory]).status().unwrap().success());
        self.0 = directory.to_owned();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

/// Writes until nothing more fits.
fn fill(directory: &Path) -> PathBuf {
    let path = directory.join("filler");
    fs::write(&path, vec![0; 8 << 20]).unwrap_err();
    path
}

#[tokio::test]
async fn a_full_disk_is_said_and_space_brings_the_service_back() {
    let directory = tempfile::tempdir().unwrap();
    let Some(_mount) = Mount::new(directory.path(), "size=1m") else {
        return println!("SKIPPED: a full disk (no file system can be mounted here)");
    };
    let service = Service::open(directory.path()).await;
    assert_eq!(service.register("before").await.status, 200);
    let filler = fill(directory.path());
    // What fits into allocated space is still stored, and answered 200.
    let mut kept = vec!["before".to_owned()];
    let mut number = 0;
    let failed = loop {
        let name = format!("{number:0>50}");
        let answer = service.register(&name).await;
        if answer.status != 200 {
            refused(&answer);
            break name;
        }
        kept.push(name);
        number += 1;
        assert!(number < 1000, "the disk is never full");
    };
    assert_eq!(service.log_in("before").await, 200, "reading goes on");
    fs::remove_file(filler).unwrap();
    service.is_back().await;
    assert_eq!(service.register("while").await.status, 200);
    kept.push("while".to_owned());
    drop(service);
    // The one whose commit failed may be there or not; nobody else is.
    let mut found = names(directory.path()).await;
    found.retain(|name| *name != failed);
    assert_eq!(found, kept);
}

#[tokio::test]
async fn a_disk_that_is_read_only_is_refused_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let Some(mount) = Mount::new(directory.path(), "size=1m") else {
        return println!("SKIPPED: a read-only disk (no file system can be mounted here)");
    };
    drop(open(directory.path()).await);
    closed(directory.path()).await;
    mount.remount("remount,ro");
    let said = refusal(directory.path()).await;
    assert!(said.contains(FILE_NAME) && said.contains("ead-only"), "{said}");
}

#[tokio::test]
async fn no_new_file_is_begun_where_the_disk_was_unmounted() {
    let (directory, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(mut mount) = Mount::new(directory.path(), "size=1m") else {
        return println!("SKIPPED: a disk that is unmounted (no file system can be mounted here)");
    };
    let service = Service::open(directory.path()).await;
    assert_eq!(service.register("before").await.status, 200);
    let mut other = peek(directory.path()).await;
    query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    service.is_out("while").await;
    mount.move_to(elsewhere.path());
    other.close().await.unwrap();
    // Several times as long as it takes to be tried again.
    sleep(SECOND).await;
    service.is_out("while").await;
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    mount.move_to(directory.path());
    service.is_back().await;
    assert_eq!(service.register("while").await.status, 200);
    drop(service);
    assert_eq!(names(directory.path()).await, ["before", "while"]);
}

fn service(directory: &Path) -> tokio::process::Command {
    restarts::service(&format!("sqlite://{}", directory.display()))
}

async fn start(directory: &Path) -> Process {
    Process::start(service(directory)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_registered_before_a_kill_is_there_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let start = || service(directory.path());
    let all = restarts::whoever_was_registered_before_a_kill_is_there_afterwards(start).await;
    let mut names = names(directory.path()).await;
    names.sort();
    assert_eq!(names, all.into_iter().collect::<Vec<_>>());
}

/// A service some of whose system calls go as `fault` says, until this is dropped.
struct Faulty(tokio::process::Child);

impl Faulty {
    /// The calls that bring data to the disk.
    async fn syncs(process: &Process, fault: &str) -> Option<Self> {
        Self::calls(process, "fsync,fdatasync", fault).await
    }

    /// The calls that read a database.
    async fn reads(process: &Process, fault: &str) -> Option<Self> {
        Self::calls(process, "pread64", fault).await
    }

    async fn calls(process: &Process, calls: &str, fault: &str) -> Option<Self> {
        let mut strace = tokio::process::Command::new("strace");
        strace.args(["-f", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e"]);
        strace.arg(format!("inject={calls}:{fault}")).args(["-p", &process.id().to_string()]);
        let mut child = strace.stderr(Stdio::piped()).kill_on_drop(true).spawn().ok()?;
        let mut said = tokio::io::BufReader::new(child.stderr.take()?);
        let mut line = String::new();
        tokio::io::AsyncBufReadExt::read_line(&mut said, &mut line).await.ok()?;
        let attached = line.contains("attached");
        // Nobody reads the rest, and a broken pipe must not end it.
        tokio::spawn(async move { tokio::io::copy(&mut said, &mut tokio::io::sink()).await });
        attached.then_some(Self(child))
    }

    async fn stop(mut self) {
        let id = self.0.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        self.0.wait().await.unwrap();
    }
}

#[tokio::test]
async fn a_disk_that_fails_is_logged_once_and_what_it_kept_is_found_out() {
    let directory = tempfile::tempdir().unwrap();
    let process = start(directory.path()).await;
    assert_eq!(ask(&process, "POST /auth/register", "before").await.0, 200);
    let Some(faulty) = Faulty::syncs(&process, "error=EIO").await else {
        return println!("SKIPPED: a disk that fails (strace is missing or may not attach)");
    };
    for _ in 0..5 {
        let begin = Instant::now();
        assert_eq!(ask(&process, "POST /auth/register", "while").await, (503, UNAVAILABLE.to_owned()));
        assert!(begin.elapsed() < IN_TIME, "{:?}", begin.elapsed());
        sleep(SECOND / 5).await;
    }
    assert_eq!(ask(&process, "GET /ready", "").await.0, 503);
    faulty.stop().await;
    eventually(async || ask(&process, "GET /ready", "").await.0 == 200).await;
    let (status, body) = ask(&process, "POST /auth/register", "while").await;
    assert!(status == 200 || body.contains("sudah terdaftar"), "{status} {body}");
    assert_eq!(ask(&process, "POST /auth/login", "while").await.0, 200);
    assert_eq!(names(directory.path()).await, ["before", "while"]);
    let log = process.log_with("the storage takes writes again").await;
    assert_eq!(log.matches("the storage takes no writes").count(), 1, "{log}");
    assert_eq!(log.matches("the storage takes writes again").count(), 1, "{log}");
}

#[tokio::test]
async fn a_disk_that_hangs_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let process = start(directory.path()).await;
    assert_eq!(ask(&process, "POST /auth/register", "before").await.0, 200);
    let Some(faulty) = Faulty::syncs(&process, "delay_enter=5000000").await else {
        return println!("SKIPPED: a disk that hangs (strace is missing or may not attach)");
    };
    for name in ["first", "second"] {
        let begin = Instant::now();
        assert_eq!(ask(&process, "POST /auth/register", name).await, (503, UNAVAILABLE.to_owned()));
        assert!(begin.elapsed() < IN_TIME, "{:?}", begin.elapsed());
    }
    assert_eq!(ask(&process, "POST /auth/login", "before").await.0, 200, "reading goes on");
    // The commit that hangs may hold the user: 503, or 200 once it is done, but not 400.
    let answer = ask(&process, "POST /auth/login", "first").await;
    assert!(matches!(answer.0, 200 | 503), "{answer:?}");
    assert_eq!(ask(&process, "GET /health", "").await.0, 200);
    faulty.stop().await;
    // The first waits for the disk; the second was refused before.
    eventually(async || ask(&process, "POST /auth/login", "first").await.0 == 200).await;
    assert_eq!(ask(&process, "POST /auth/register", "second").await.0, 200);
    assert_eq!(names(directory.path()).await, ["before", "first", "second"]);
}

/// Logins and registrations read before anything else, so a service that cannot read is not ready.
async fn a_file_that_cannot_be_read(fault: &str, what: &str) {
    let directory = tempfile::tempdir().unwrap();
    let process = start(directory.path()).await;
    assert_eq!(ask(&process, "POST /auth/register", "before").await.0, 200);
    let Some(faulty) = Faulty::reads(&process, fault).await else {
        return println!("SKIPPED: {what} (strace is missing or may not attach)");
    };
    for _ in 0..3 {
        let begin = Instant::now();
        assert_eq!(ask(&process, "POST /auth/login", "before").await, (503, UNAVAILABLE.to_owned()));
        assert!(begin.elapsed() < IN_TIME, "{:?}", begin.elapsed());
    }
    assert_eq!(ask(&process, "GET /ready", "").await.0, 503);
    assert_eq!(ask(&process, "POST /auth/register", "while").await, (503, UNAVAILABLE.to_owned()));
    faulty.stop().await;
    eventually(async || ask(&process, "GET /ready", "").await.0 == 200).await;
    assert_eq!(ask(&process, "POST /auth/login", "before").await.0, 200);
    assert_eq!(ask(&process, "POST /auth/register", "after").await.0, 200);
    assert_eq!(names(directory.path()).await, ["before", "after"]);
    let log = process.log_with("the storage takes writes again").await;
    assert_eq!(log.matches("users cannot be read").count(), 1, "{log}");
}

#[tokio::test]
async fn a_disk_that_cannot_be_read_is_an_outage_with_an_end() {
    a_file_that_cannot_be_read("error=EIO", "a disk that cannot be read").await;
}

#[tokio::test]
async fn a_read_that_hangs_is_an_outage_with_an_end() {
    a_file_that_cannot_be_read("delay_enter=3000000", "a read that hangs").await;
}
