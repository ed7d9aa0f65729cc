//! What outlasts the process, in every store that does.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::Router;
use serde_json::json;
use shared_http::testing::Process;
use shared_service::{on_lasting_stores, testing::Store};
use sqlx::{Connection, PgConnection, query_scalar};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::sleep,
};

use crate::{
    LOGIN, REGISTER, SECOND,
    api::{app_at, log_in, me, register_with, taken, token_of},
    ask, assert_says, refusal, run, service_at,
    sqlite::open_file,
};

on_lasting_stores![
    users_are_there_after_a_restart_as_they_were,
    demo_users_are_not_stored_and_a_stored_name_wins,
    whoever_was_registered_before_a_kill_is_there_afterwards,
    what_a_newer_version_wrote_is_refused_and_the_release_before_operators_knows_every_migration,
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

/// That release refuses a database with a migration that it does not know.
async fn what_a_newer_version_wrote_is_refused_and_the_release_before_operators_knows_every_migration(
    store: Store,
) {
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
    assert_eq!(versions, [1]);
    assert_says(&refusal(service_at(&url), 1).await, &["newer version of this service"]);
}
