//! What outlasts the process, in every store that does.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, http::Method};
use chrono::{DateTime, Utc};
use serde_json::json;
use shared_http::testing::{Process, call, fetch, get};
use shared_service::{on_lasting_stores, testing::Store};
use shared_store::testing::execute;
use sqlx::{Connection, PgConnection, query_scalar};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    task::JoinSet,
    time::sleep,
};

use crate::{
    LOGIN, REGISTER, SECOND,
    api::{
        admin, app_and_clock, app_at, log_in, me, refresh, refresh_token_of, register_with, remembered,
        taken, token_as, token_of,
    },
    ask, assert_says, json_of, refusal, run, service_at,
    sqlite::open_file,
};

on_lasting_stores![
    users_are_there_after_a_restart_as_they_were,
    sessions_go_on_after_a_restart,
    what_the_release_before_has_stored_and_stores_is_active_and_has_a_time,
    demo_users_are_not_stored_and_a_stored_name_wins,
    whoever_was_registered_before_a_kill_is_there_afterwards,
    whoever_gets_no_answer_to_a_refresh_because_of_a_kill_asks_again_and_goes_on,
    what_a_newer_version_wrote_is_refused,
];

async fn logs_in(app: &Router, username: &str, password: &str) -> bool {
    log_in(app, username, password).await.status == 200
}

async fn users_are_there_after_a_restart_as_they_were(store: Store) {
    let directory = tempfile::tempdir().unwrap();
    let url = store.new_url(directory.path()).await;
    let names = ["siti", "Siti", "siti ", " siti", "s\u{ed}ti", "si\u{301}ti", "🎫🎫🎫", "andi", "%_'\""];
    let with_roles = || names.into_iter().zip(["admin", "committee"].into_iter().cycle());
    let app = app_at(&url, &[]).await;
    for (name, role) in with_roles() {
        assert_eq!(register_with(&app, "", name, "rahasia", role).await.status, 200, "{name}");
    }
    drop(app);
    for _ in 0..2 {
        let app = app_at(&url, &[]).await;
        for (name, role) in with_roles() {
            let token = token_of(&log_in(&app, name, "rahasia").await);
            assert_eq!(me(&app, &token).await.json(), json!({ "username": name, "role": role }));
            let again = register_with(&app, "", name, "another", role).await;
            assert_eq!(again.text(), (400, taken(name).as_str()));
        }
        assert!(!logs_in(&app, "SITI", "rahasia").await);
    }
}

async fn sessions_go_on_after_a_restart(store: Store) {
    let directory = tempfile::tempdir().unwrap();
    let url = store.new_url(directory.path()).await;
    let app = app_at(&url, &[]).await;
    for username in ["budi", "siti"] {
        assert_eq!(register_with(&app, "", username, "rahasia", "committee").await.status, 200);
    }
    let demo = remembered(&app, "panitia1", "secret").await;
    let ended = remembered(&app, "siti", "rahasia").await;
    let body = json!({ "active": false });
    let path = "/users/siti";
    let answer = call(&app, Method::PATCH, path).bearer(&admin(&app).await).json(&body).send().await;
    assert_eq!(answer.status, 200);
    let mut used = remembered(&app, "budi", "rahasia").await;
    let mut token = refresh_token_of(&refresh(&app, &used).await);
    drop(app);
    for _ in 0..3 {
        let (app, later) = app_and_clock(&url, &[]).await;
        assert_eq!(refresh_token_of(&refresh(&app, &used).await), token, "used before the restart");
        later.by(7200);
        used = token;
        token = refresh_token_of(&refresh(&app, &used).await);
        assert_eq!(refresh(&app, &ended).await.status, 401);
        assert!(!logs_in(&app, "siti", "rahasia").await, "and who is inactive stays so");
        // Demo users are in memory, and so is what they have.
        assert_eq!(refresh(&app, &demo).await.status, 401);
    }
    // The clock of the machine is six hours behind by now: the service goes on from the time of the last use.
    let app = app_at(&url, &[]).await;
    token = refresh_token_of(&refresh(&app, &token).await);
    assert_eq!(refresh_token_of(&refresh(&app, &used).await), token);
}

/// Executes this SQL past the service.
async fn execute_in(store: Store, url: &str, directory: &Path, sql: &'static str) {
    if store == Store::Postgres {
        return execute(url, &format!("SET search_path = identity; {sql}")).await;
    }
    let mut file = open_file(directory).await;
    sqlx::raw_sql(sql).execute(&mut file).await.unwrap();
    file.close().await.unwrap();
}

async fn what_the_release_before_has_stored_and_stores_is_active_and_has_a_time(store: Store) {
    const UNDO: &str = "DROP TABLE sessions; ALTER TABLE users DROP COLUMN active;
        ALTER TABLE users DROP COLUMN created_at; ALTER TABLE users DROP COLUMN session_epoch;
        DELETE FROM _sqlx_migrations WHERE version = 2;
        INSERT INTO users (username, role, password_hash) VALUES ('before', 'admin', '-')";
    const INSERT: &str = "INSERT INTO users (username, role, password_hash) VALUES ('after', 'admin', '-')
        ON CONFLICT (username) DO UPDATE SET role = excluded.role
            WHERE users.password_hash = excluded.password_hash";
    let directory = tempfile::tempdir().unwrap();
    let url = store.new_url(directory.path()).await;
    let off = [("demo-users", "false")];
    drop(app_at(&url, &off).await);
    if store == Store::Sqlite {
        execute_in(store, &url, directory.path(), "DROP TRIGGER users_have_a_time").await;
    }
    execute_in(store, &url, directory.path(), UNDO).await;
    drop(app_at(&url, &off).await);
    execute_in(store, &url, directory.path(), INSERT).await;

    let app = app_at(&url, &off).await;
    let users = get(&app, "/users").bearer(&token_as("kepala", "admin")).send().await.json();
    for (user, username) in users.as_array().unwrap().iter().zip(["after", "before"]) {
        assert_eq!((&user["username"], &user["active"]), (&json!(username), &json!(true)));
        let age = Utc::now() - user["created_at"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
        assert!((-1..600).contains(&age.num_seconds()), "{user}");
    }
    assert_eq!(users.as_array().unwrap().len(), 2);
}

async fn demo_users_are_not_stored_and_a_stored_name_wins(store: Store) {
    let directory = tempfile::tempdir().unwrap();
    let url = store.new_url(directory.path()).await;
    let (on, off) = ([("demo-users", "true")], [("demo-users", "false")]);
    let app = app_at(&url, &on).await;
    assert!(logs_in(&app, "panitia1", "secret").await && logs_in(&app, "admin1", "secret").await);
    drop(app);

    let app = app_at(&url, &off).await;
    assert!(!logs_in(&app, "panitia1", "secret").await);
    assert_eq!(register_with(&app, "", "panitia1", "rahasia", "admin").await.status, 200);
    drop(app);

    let app = app_at(&url, &on).await;
    assert!(!logs_in(&app, "panitia1", "secret").await && logs_in(&app, "panitia1", "rahasia").await);
    assert!(logs_in(&app, "admin1", "secret").await);
}

/// The names in the list that an operator sees.
async fn names(url: &str) -> BTreeSet<String> {
    let mut command = service_at(url);
    command.args(["users", "list"]);
    let list = run(command).await.stdout;
    list.lines().skip(1).map(|line| line.split_whitespace().last().unwrap().to_owned()).collect()
}

const ROUNDS: usize = 50;
const CLIENTS: usize = 4;

async fn whoever_was_registered_before_a_kill_is_there_afterwards(store: Store) {
    let directory = tempfile::tempdir().unwrap();
    let url = store.new_url(directory.path()).await;
    let begin = Instant::now();
    let mut all = BTreeSet::new();
    let (mut acknowledged, mut unknown) = (0, 0);
    let mut process = Process::start(service_at(&url)).await;
    for round in 0..ROUNDS {
        let registered = Arc::new(AtomicUsize::new(0));
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            clients.spawn(register_until_killed(
                process.address,
                format!("user{round}-{client}"),
                Arc::clone(&registered),
            ));
        }
        // The process is killed at another moment each time.
        while registered.load(Ordering::Relaxed) < 5 + round % 20 {
            tokio::task::yield_now().await;
        }
        sleep(Duration::from_micros(round as u64 * 97 % 3000)).await;
        process.signal("KILL").await;
        assert_eq!(process.ended(SECOND * 5).await, None);
        let names = clients.join_all().await.concat();

        process = Process::start(service_at(&url)).await;
        for (name, is_registered) in names {
            let (status, body) = ask(&process, REGISTER, &name).await;
            let is_there = (status, &body) == (400, &taken(&name));
            assert!(is_there || !is_registered && status == 200, "{name}: {body}");
            assert_eq!(ask(&process, LOGIN, &name).await.0, 200, "{name}");
            acknowledged += usize::from(is_registered);
            unknown += usize::from(!is_registered);
            all.insert(name);
        }
    }
    println!(
        "kill -9: {ROUNDS} rounds, {acknowledged} registrations answered, {unknown} not, {:?}",
        begin.elapsed()
    );
    assert_eq!(unknown, ROUNDS * CLIENTS, "the kills met no load");
    assert_eq!(names(&url).await, all);
}

async fn whoever_gets_no_answer_to_a_refresh_because_of_a_kill_asks_again_and_goes_on(store: Store) {
    let directory = tempfile::tempdir().unwrap();
    let url = store.new_url(directory.path()).await;
    let mut process = Process::start(unguarded(&url)).await;
    assert_eq!(ask(&process, REGISTER, "budi").await.0, 200);
    let body = r#"{"username":"budi","password":"rahasia","remember":true}"#;
    let (_, answer) = fetch(process.address, LOGIN, "", body).await;
    let mut token = json_of(&answer)["refresh_token"].as_str().unwrap().to_owned();
    for round in 0..10 {
        let refreshed = Arc::new(AtomicUsize::new(0));
        let client = tokio::spawn({
            let (address, refreshed) = (process.address, Arc::clone(&refreshed));
            async move {
                while let Some(newer) = refresh_once(address, &token).await {
                    token = newer;
                    refreshed.fetch_add(1, Ordering::Relaxed);
                }
                token
            }
        });
        while refreshed.load(Ordering::Relaxed) < 1 + round % 5 {
            tokio::task::yield_now().await;
        }
        sleep(Duration::from_micros(round as u64 * 397 % 3000)).await;
        process.signal("KILL").await;
        assert_eq!(process.ended(SECOND * 5).await, None);
        token = client.await.unwrap();
        process = Process::start(unguarded(&url)).await;
        let newer = refresh_once(process.address, &token).await;
        token = newer.unwrap_or_else(|| panic!("logged out in round {round}"));
    }
}

fn unguarded(url: &str) -> Command {
    let mut command = service_at(url);
    command.env("LOGIN_GUARD", "off");
    command
}

/// The newer token, or none if there is no answer. Any other answer ends the test.
async fn refresh_once(address: SocketAddr, token: &str) -> Option<String> {
    let body = json!({ "refresh_token": token }).to_string();
    let request = format!(
        "POST /auth/refresh HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut connection = TcpStream::connect(address).await.ok()?;
    connection.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    let _ = connection.read_to_string(&mut answer).await;
    if !answer.ends_with('}') {
        return None;
    }
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some(json_of(body)["refresh_token"].as_str().unwrap().to_owned())
}

/// Registers one name after the other until it gets no answer: the names, and whether each was answered.
async fn register_until_killed(
    address: SocketAddr,
    prefix: String,
    registered: Arc<AtomicUsize>,
) -> Vec<(String, bool)> {
    let mut names = Vec::new();
    loop {
        let name = format!("{prefix}-{}", names.len());
        let is_registered = register(address, &name).await;
        names.push((name, is_registered));
        if !is_registered {
            return names;
        }
        registered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether the registration was answered 200 before the process ended.
async fn register(address: SocketAddr, name: &str) -> bool {
    let body = json!({ "username": name, "password": "rahasia" }).to_string();
    let request = format!(
        "POST /auth/register HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let Ok(mut connection) = TcpStream::connect(address).await else { return false };
    let mut answer = String::new();
    if connection.write_all(request.as_bytes()).await.is_err() {
        return false;
    }
    // An error or an empty answer, if the process is gone.
    let _ = connection.read_to_string(&mut answer).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 200 "), "{answer}");
    answer.ends_with('}')
}

async fn what_a_newer_version_wrote_is_refused(store: Store) {
    const VERSIONS: &str = "SELECT version FROM _sqlx_migrations";
    const NEWER: &str =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'of next year', TRUE, '', 0);
         UPDATE min_reader SET version = 9999";
    let directory = tempfile::tempdir().unwrap();
    let url = store.new_url(directory.path()).await;
    Process::start(service_at(&url)).await.finish().await;
    let versions: Vec<i64> = if store == Store::Postgres {
        let mut database = PgConnection::connect(&url).await.unwrap();
        sqlx::raw_sql("SET search_path = identity").execute(&mut database).await.unwrap();
        let versions = query_scalar(VERSIONS).fetch_all(&mut database).await.unwrap();
        sqlx::raw_sql(NEWER).execute(&mut database).await.unwrap();
        versions
    } else {
        let mut database = open_file(directory.path()).await;
        let versions = query_scalar(VERSIONS).fetch_all(&mut database).await.unwrap();
        sqlx::raw_sql(NEWER).execute(&mut database).await.unwrap();
        versions
    };
    assert_eq!(versions, [1, 2]);
    assert_says(&refusal(service_at(&url), 1).await, &["newer version of this service"]);
}
