//! The store in PostgreSQL: replicas, TLS, and what may happen to the server. `.ci/run` starts the server.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use serde_json::json;
use shared_http::testing::{Process, fetch};
use shared_store::testing::{Server, execute, new_database, new_tls_database, undisturbed};
use sqlx::{Connection, PgConnection, query_scalar};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use url::form_urlencoded::Serializer;

use crate::{
    IN_TIME, LOGIN, REFRESH, REGISTER, SECOND, UNAVAILABLE, ask, ask_with, assert_says, file, json_of,
    operator::{refused, users},
    refusal, run, service_at,
};

async fn names(url: &str) -> Vec<String> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    query_scalar("SELECT username FROM identity.users ORDER BY 1").fetch_all(&mut connection).await.unwrap()
}

/// Asks both replicas to register each of `names`, no more of them at once than the gate before bcrypt
/// lets wait. How often which answer came.
async fn register_all(
    doors: &Arc<[Process; 2]>,
    names: impl Iterator<Item = String>,
) -> BTreeMap<u16, usize> {
    let places = Arc::new([Semaphore::new(8), Semaphore::new(8)]);
    let mut clients = JoinSet::new();
    for (number, name) in names.enumerate() {
        let (doors, places) = (doors.clone(), places.clone());
        clients.spawn(async move {
            let _place = places[number % 2].acquire().await.unwrap();
            ask(&doors[number % 2], REGISTER, &name).await.0
        });
    }
    let mut statuses = BTreeMap::new();
    for status in clients.join_all().await {
        *statuses.entry(status).or_default() += 1;
    }
    statuses
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn an_admin_who_is_removed_while_another_one_is_may_be_the_last() {
    let _turn = undisturbed().await;
    let url = new_database().await;
    for admin in ["siti", "wawan"] {
        assert_eq!(users(&url, &["add", admin, "admin"], "rahasia-gerbang\n").await.status, Some(0));
    }
    let mut other = PgConnection::connect(&url).await.unwrap();
    let remove = "BEGIN; DELETE FROM identity.users WHERE username = 'siti'";
    sqlx::raw_sql(remove).execute(&mut other).await.unwrap();
    let removal = tokio::spawn({
        let url = url.clone();
        async move { refused(&url, &["remove", "wawan"], "").await }
    });
    let waiting = "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
                   WHERE datname = current_database() AND NOT granted";
    timeout(SECOND * 60, async {
        while query_scalar::<_, i64>(waiting).fetch_one(&mut other).await.unwrap() == 0 {
            sleep(SECOND / 50).await;
        }
    })
    .await
    .expect("the removal waits for the other one");
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    let said = removal.await.unwrap();
    assert!(said.contains("is the last admin"), "{said}");
    assert_eq!(names(&url).await, ["wawan"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn of_all_who_want_one_name_at_two_replicas_one_gets_it() {
    let _turn = undisturbed().await;
    let url = new_database().await;
    let doors = Arc::new([Process::start(service_at(&url)).await, Process::start(service_at(&url)).await]);
    let statuses = register_all(&doors, (0..500).map(|_| "budi".to_owned())).await;
    assert_eq!(statuses, BTreeMap::from([(200, 1), (400, 499)]));
    // And those who find the name free, all of them.
    for round in 0..20 {
        let statuses = register_all(&doors, (0..16).map(|_| format!("siti{round}"))).await;
        assert_eq!(statuses, BTreeMap::from([(200, 1), (400, 15)]), "round {round}");
    }
    assert_eq!(names(&url).await.len(), 21);
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn three_replicas_started_at_once_on_an_empty_database_make_one_schema_and_one_first_admin() {
    let _turn = undisturbed().await;
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..5 {
        let url = new_database().await;
        let mut starts = JoinSet::new();
        for number in 0..3 {
            let password = file(directory.path(), &number.to_string(), format!("password {number}"));
            let mut command = service_at(&url);
            command.env("ADMIN_USERNAME", "kepala").env("ADMIN_PASSWORD_FILE", password);
            starts.spawn(Process::start(command));
        }
        let mut accepted = BTreeMap::new();
        for (number, process) in starts.join_all().await.iter().enumerate() {
            assert_eq!(ask(process, "GET /ready", "").await.0, 200);
            assert_eq!(ask(process, REGISTER, &format!("user{number}")).await.0, 200);
            assert_eq!(ask(process, LOGIN, "user0").await.0, 200);
            for password in ["password 0", "password 1", "password 2"] {
                let (status, _) = ask_with(process, LOGIN, "kepala", password).await;
                *accepted.entry(password).or_insert(0) += usize::from(status == 200);
            }
        }
        let mut accepted: Vec<_> = accepted.into_values().collect();
        accepted.sort_unstable();
        assert_eq!(accepted, [0, 0, 3], "one of all passwords is right, and for all of them");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_server_that_takes_nothing_but_tls_keeps_users() {
    let _turn = undisturbed().await;
    let verified = new_tls_database().await;
    let mut url = verified.clone();
    let (_, ca) = verified.query_pairs().find(|(name, _)| name == "sslrootcert").unwrap();
    let certificate = fs::read_to_string(&*ca).unwrap();
    let inline =
        Serializer::new("sslmode=verify-full&".to_owned()).append_pair("sslrootcert", &certificate).finish();
    let file = verified.query().unwrap();
    for (number, mode) in ["", "sslmode=prefer", "sslmode=require", file, &inline].iter().enumerate() {
        url.set_query(Some(mode));
        let process = Process::start(service_at(url.as_str())).await;
        assert_eq!(ask(&process, "GET /ready", "").await.0, 200, "{mode}");
        assert_eq!(ask(&process, REGISTER, &format!("user{number}")).await.0, 200, "{mode}");
        assert_eq!(ask(&process, LOGIN, "user0").await.0, 200, "{mode}");
    }
    assert_eq!(names(verified.as_str()).await.len(), 5);
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_server_without_the_tls_that_is_asked_for_is_named_at_once() {
    let _turn = undisturbed().await;
    let url = new_tls_database().await;
    let verified = url.as_str();
    let with = |query| {
        let mut url = url.clone();
        url.set_query(Some(query));
        url.to_string()
    };
    // Over its socket the server has none.
    let without_tls = new_database().await + "&sslmode=require";
    for (url, why) in [
        (without_tls, "the server offers no TLS, which the sslmode in DATABASE_URL insists on"),
        (with("sslmode=disable"), "the server does not let us in without TLS"),
        (with("sslmode=verify-full"), "the server's certificate is not from an authority that is trusted"),
        (
            verified.replace("/ca.pem", "/other-ca.pem"),
            "certificate is not from an authority that is trusted",
        ),
        (verified.replace("@localhost", "@127.0.0.1"), "the server's certificate is for another host"),
    ] {
        assert_says(&refusal(service_at(&url), 1).await, &[why]);
        let mut doctor = service_at(&url);
        doctor.arg("doctor");
        assert_says(&run(doctor).await.stdout, &[why]);
    }
    let said = refusal(service_at(&with("sslmode=require&passfile=rahasia")), 78).await;
    assert_says(&said, &["DATABASE_URL has the parameter passfile"]);
    assert!(!said.contains("rahasia"), "{said}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn without_a_file_to_write_it_beside_no_password_is_drawn() {
    let _turn = undisturbed().await;
    let url = new_database().await;
    let mut command = service_at(&url);
    command.env("ADMIN_USERNAME", "kepala");
    assert_says(&refusal(command, 1).await, &["ADMIN_PASSWORD_FILE", "users add NAME admin"]);
    assert!(names(&url).await.is_empty());
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn an_unknown_role_in_the_database_is_an_error_and_no_guess() {
    let _turn = undisturbed().await;
    let url = new_database().await;
    let process = Process::start(service_at(&url)).await;
    assert_eq!(ask(&process, REGISTER, "budi").await.0, 200);
    let unknown = "ALTER TABLE identity.users DROP CONSTRAINT users_role_check;
        UPDATE identity.users SET role = 'owner'";
    execute(&url, unknown).await;
    let answer = ask(&process, LOGIN, "budi").await;
    assert_eq!(answer, (500, r#"{"detail":"Internal Server Error"}"#.to_owned()));
    assert_says(&process.finish().await, &["is an unknown role"]);
}

/// Registers one name after the other until told to stop, and asks again where there was no storage; the
/// names that are registered, and how often there was none.
async fn register_on(
    process: &Process,
    client: usize,
    stop: &AtomicBool,
    registered: &AtomicUsize,
) -> (Vec<String>, usize) {
    let (mut names, mut refused) = (Vec::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        let name = format!("user{client}-{}", names.len());
        let mut may_stand = false;
        loop {
            let begin = Instant::now();
            let (status, body) = ask(process, REGISTER, &name).await;
            assert!(begin.elapsed() < IN_TIME, "{name}: {:?}", begin.elapsed());
            match status {
                200 => break,
                // An answer that was lost is no lie, but nobody else has this name.
                400 if may_stand => break,
                _ => assert_eq!((status, body.as_str()), (503, UNAVAILABLE), "{name}"),
            }
            may_stand = true;
            refused += 1;
        }
        registered.fetch_add(1, Ordering::Relaxed);
        names.push(name);
    }
    (names, refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_server_that_restarts_loses_nobody() {
    let server = Server::alone().await;
    let url = new_database().await;
    let doors = Arc::new([Process::start(service_at(&url)).await, Process::start(service_at(&url)).await]);
    let (stop, registered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = JoinSet::new();
    for client in 0..6 {
        let (doors, stop, registered) = (doors.clone(), stop.clone(), registered.clone());
        clients.spawn(async move { register_on(&doors[client % 2], client, &stop, &registered).await });
    }
    let advances = async |by| {
        let goal = registered.load(Ordering::Relaxed) + by;
        let advance = async {
            while registered.load(Ordering::Relaxed) < goal {
                sleep(SECOND / 100).await;
            }
        };
        timeout(SECOND * 20, advance).await.expect("registrations with no restart of the service");
    };
    for mode in ["immediate", "fast", "immediate", "fast"] {
        advances(30).await;
        server.ctl(&["restart", "--mode", mode]).await;
    }
    advances(30).await;
    stop.store(true, Ordering::Relaxed);
    let (seen, refused): (Vec<_>, Vec<usize>) = clients.join_all().await.into_iter().unzip();
    let seen: BTreeSet<String> = seen.into_iter().flatten().collect();
    for name in &seen {
        assert_eq!(ask(&doors[0], LOGIN, name).await.0, 200, "{name}");
    }
    println!(
        "server restarted: 4 times, {} registrations, {} refused",
        seen.len(),
        refused.iter().sum::<usize>()
    );
    assert_eq!(names(&url).await, seen.into_iter().collect::<Vec<_>>());
}

/// Refreshes one token after the other at both replicas until told to stop. How often, and how often there was no storage.
async fn refresh_on(doors: &[Process; 2], stop: &AtomicBool, mut token: String) -> (usize, usize) {
    let (mut refreshed, mut unavailable) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        let body = json!({ "refresh_token": token }).to_string();
        let door = &doors[(refreshed + unavailable) % 2];
        let (status, body) = fetch(door.address, REFRESH, "", &body).await;
        if status == 200 {
            token = json_of(&body)["refresh_token"].as_str().unwrap().to_owned();
            refreshed += 1;
        } else {
            assert_eq!((status, &*body), (503, UNAVAILABLE));
            unavailable += 1;
        }
    }
    (refreshed, unavailable)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_server_that_restarts_logs_nobody_out() {
    let server = Server::alone().await;
    let url = new_database().await;
    let unguarded = || {
        let mut command = service_at(&url);
        command.env("LOGIN_GUARD", "off");
        command
    };
    let doors = Arc::new([Process::start(unguarded()).await, Process::start(unguarded()).await]);
    assert_eq!(ask(&doors[0], REGISTER, "budi").await.0, 200);
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        let body = r#"{"username":"budi","password":"rahasia","remember":true}"#;
        let (_, answer) = fetch(doors[1].address, LOGIN, "", body).await;
        let token = json_of(&answer)["refresh_token"].as_str().unwrap().to_owned();
        let (doors, stop) = (doors.clone(), stop.clone());
        clients.spawn(async move { refresh_on(&doors, &stop, token).await });
    }
    for mode in ["immediate", "fast", "immediate"] {
        sleep(SECOND).await;
        server.ctl(&["restart", "--mode", mode]).await;
    }
    sleep(SECOND).await;
    stop.store(true, Ordering::Relaxed);
    let seen = clients.join_all().await;
    println!("server restarted: 3 times, refreshed and unavailable: {seen:?}");
    assert!(seen.iter().all(|(refreshed, _)| *refreshed > 0), "{seen:?}");
}

/// Each replica asks the database who is an admin.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn of_two_admins_who_are_removed_at_two_replicas_one_stays() {
    let _turn = undisturbed().await;
    let url = new_database().await;
    let doors = Arc::new([Process::start(service_at(&url)).await, Process::start(service_at(&url)).await]);
    for round in 0..10 {
        let mut removals = JoinSet::new();
        let admins = [format!("siti{round}"), format!("wawan{round}")];
        for admin in &admins {
            let body = json!({ "username": admin, "password": "rahasia", "role": "admin" }).to_string();
            assert_eq!(fetch(doors[0].address, REGISTER, "", &body).await.0, 200);
        }
        // Nobody else is one.
        execute(&url, &format!("DELETE FROM identity.users WHERE username NOT LIKE '%{round}'")).await;
        let (status, answer) = ask(&doors[0], LOGIN, &admins[0]).await;
        assert_eq!(status, 200, "{answer}");
        let token = json_of(&answer)["access_token"].as_str().unwrap().to_owned();
        for (number, admin) in admins.into_iter().enumerate() {
            let (doors, token) = (doors.clone(), token.clone());
            removals.spawn(async move {
                fetch(doors[number].address, &format!("DELETE /users/{admin}"), &token, "").await.0
            });
        }
        let mut statuses = removals.join_all().await;
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "round {round}");
        assert_eq!(names(&url).await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_server_that_is_not_there_at_the_start_is_waited_for() {
    let server = Server::alone().await;
    let url = new_database().await;
    server.ctl(&["stop", "--mode", "fast"]).await;
    let started = tokio::spawn(Process::start(service_at(&url)));
    sleep(SECOND).await;
    assert!(!started.is_finished(), "it serves without a store");
    server.ctl(&["start"]).await;
    let process = started.await.unwrap();
    assert_eq!(ask(&process, REGISTER, "budi").await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_server_that_hangs_is_said_in_time_and_used_again_when_it_goes_on() {
    let server = Server::alone().await;
    let url = new_database().await;
    let process = Arc::new(Process::start(service_at(&url)).await);
    assert_eq!(ask(&process, REGISTER, "before").await.0, 200);

    let frozen = server.freeze().await;
    for _ in 0..3 {
        let mut clients = JoinSet::new();
        for number in 0..16 {
            let process = process.clone();
            clients.spawn(async move {
                let begin = Instant::now();
                let head = [REGISTER, LOGIN][number % 2];
                let answer = ask(&process, head, &format!("user{number}")).await;
                assert_eq!(answer, (503, UNAVAILABLE.to_owned()));
                assert!(begin.elapsed() < IN_TIME, "{:?}", begin.elapsed());
            });
        }
        clients.join_all().await;
        // Asked for its proof once a second at most.
        let not_ready = async { while ask(&process, "GET /ready", "").await.0 == 200 {} };
        timeout(SECOND * 5, not_ready).await.expect("not ready");
        assert_eq!(ask(&process, "GET /health", "").await.0, 200);
    }
    drop(frozen);
    let ready = async { while ask(&process, "GET /ready", "").await.0 != 200 {} };
    timeout(SECOND * 10, ready).await.expect("ready again with no restart");
    assert_eq!(ask(&process, LOGIN, "before").await.0, 200);
    assert_eq!(ask(&process, REGISTER, "after").await.0, 200);
}
