//! What may happen to a service, to the server and to the way there.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use shared_http::testing::Process;
use shared_store::testing::{Server, execute, new_database, new_tls_database, undisturbed};
use sqlx::{Connection, PgConnection, query_scalar};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, UnixStream},
    sync::watch,
    task::JoinSet,
    time::sleep,
};
use url::Url;

use super::database;
use crate::{
    DUPLICATE, IN_TIME, SECOND,
    gate::Gate,
    kill,
    load::{Load, Progress, assert_among},
    service, start,
};

/// Reads lists, tickets and the state of a service; a list may break off, but never look whole then.
async fn read_on(address: SocketAddr, progress: Arc<Progress>) {
    while !progress.is_over.load(Relaxed) {
        let mut gate = Gate::open(address).await;
        for path in ["/attendance/evt1/tickets/0-0", "/ready", "/attendance/evt1"] {
            let token = &gate.token;
            let request = format!("GET {path} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {token}\r\n\r\n");
            let begin = Instant::now();
            let Ok(answer) = gate.try_send(&request).await else { break };
            assert!(begin.elapsed() < IN_TIME, "{path}: {:?}", begin.elapsed());
            match answer.status {
                200 => assert!(!path.ends_with("evt1") || answer.body.ends_with("]}"), "{answer:?}"),
                404 => assert!(path.contains("/tickets/"), "{answer:?}"),
                _ if path == "/ready" => assert_eq!(answer.status, 503, "{answer:?}"),
                _ => answer.assert_unavailable(),
            }
        }
        sleep(SECOND / 20).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_replica_that_is_killed_takes_nothing_with_it() {
    let (_turn, url) = database().await;
    let stays = Process::start(service(&url)).await;
    let mut gate = Gate::open(stays.address).await;
    let mut all = 0;
    for round in 0..10 {
        execute(&url, "TRUNCATE attendance.check_ins").await;
        let killed = Process::start(service(&url)).await;
        let load = Load::start("evt1", &[stays.address, killed.address]);
        let reader = tokio::spawn(read_on(stays.address, load.progress.clone()));
        load.advances(50 + round * 10).await;
        kill(killed).await;
        load.advances(50).await;
        let seen = load.assert_kept(&mut gate).await;
        reader.await.unwrap();
        let records = gate.records("evt1").await.len();
        for ticket in seen.keys() {
            assert_eq!(gate.check_in("evt1", ticket, None).await.text(), (400, DUPLICATE));
        }
        // One scan of each gate of the killed one may be in without its client knowing.
        assert!(records <= seen.len() + 4, "{records} {}", seen.len());
        all += seen.len();
    }
    println!("a replica killed: 10 times, {all} check-ins answered, none lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_server_that_restarts_loses_nothing_and_nobody_is_told_anything_untrue() {
    let server = Server::alone().await;
    let url = new_database().await;
    let doors = [Process::start(service(&url)).await, Process::start(service(&url)).await];
    let load = Load::start("evt1", &doors.each_ref().map(|door| door.address));
    let reader = tokio::spawn(read_on(doors[0].address, load.progress.clone()));
    for mode in ["immediate", "fast", "immediate", "fast", "immediate", "fast"] {
        load.advances(200).await;
        server.ctl(&["restart", "--mode", mode]).await;
    }
    load.advances(200).await;
    // And one that stays away for longer than anybody waits.
    server.ctl(&["stop", "--mode", "immediate"]).await;
    load.is_refused(20).await;
    server.ctl(&["start"]).await;
    load.advances(200).await;

    let mut gates = [Gate::open(doors[0].address).await, Gate::open(doors[1].address).await];
    for gate in &mut gates {
        gate.ready().await;
    }
    let progress = load.progress.clone();
    let seen = load.assert_kept(&mut gates[0]).await;
    reader.await.unwrap();
    let (records, refused) = (gates[0].records("evt1").await, progress.refused());
    assert!(records.len() <= seen.len() + refused, "{} {} {refused}", records.len(), seen.len());
    assert_eq!(gates[1].records("evt1").await, records);
    println!("server restarted: 7 times, {} check-ins answered, {refused} refused", seen.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_server_that_is_not_there_at_the_start_is_waited_for() {
    let server = Server::alone().await;
    let url = new_database().await;
    server.ctl(&["stop", "--mode", "fast"]).await;
    let started = tokio::spawn(Process::start(service(&url)));
    sleep(SECOND).await;
    assert!(!started.is_finished(), "it serves without a store");
    server.ctl(&["start"]).await;
    let process = started.await.unwrap();
    assert_eq!(process.log().matches("waiting for the database").count(), 1, "{}", process.log());
    let mut gate = Gate::open(process.address).await;
    gate.ready().await;
    gate.check_in("evt1", "T1", None).await.record();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_server_that_hangs_is_said_in_time_and_used_again_when_it_goes_on() {
    let server = Server::alone().await;
    let url = new_database().await;
    let (process, mut gate) = start(service(&url)).await;
    let record = gate.check_in("evt1", "green", Some("green")).await.record();
    gate.ready().await;

    let frozen = server.freeze().await;
    let started = tokio::spawn(Process::start(service(&url)));
    for _ in 0..3 {
        let mut requests = JoinSet::new();
        for number in 0..30 {
            let mut gate = Gate::open(process.address).await;
            requests.spawn(async move {
                let begin = Instant::now();
                let ticket = format!("T{number}");
                let answer = match number % 3 {
                    0 => gate.check_in("evt1", &ticket, Some(&ticket)).await,
                    1 => gate.get("/attendance/evt1").await,
                    _ => gate.get("/attendance/evt1/tickets/green").await,
                };
                answer.assert_unavailable();
                assert!(begin.elapsed() < IN_TIME, "{number}: {:?}", begin.elapsed());
            });
        }
        requests.join_all().await;
        gate.not_ready().await;
        assert_eq!(gate.get("/health").await.status, 200);
    }
    assert!(!started.is_finished(), "it serves without a store");
    drop(frozen);

    gate.ready().await;
    assert_eq!(gate.check_in("evt1", "green", Some("green")).await.record(), record);
    for number in (0..30).step_by(3) {
        let ticket = format!("T{number}");
        assert_eq!(gate.check_in("evt1", &ticket, Some(&ticket)).await.status, 200);
    }
    assert_eq!(gate.records("evt1").await.len(), 11);
    assert_eq!(Gate::open(started.await.unwrap().address).await.records("evt1").await.len(), 11);
}

/// A way to the server that can be cut so that neither end learns of it, as when a router loses its power.
struct Wire {
    url: String,
    cuts: watch::Sender<()>,
}

impl Wire {
    async fn to(url: &str) -> Self {
        let mut url: Url = url.parse().unwrap();
        let parameter =
            |name| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let port = parameter("port").unwrap_or_else(|| "5432".to_owned());
        let socket = format!("{}/.s.PGSQL.{port}", parameter("host").expect("a directory"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_query(Some("user=postgres"));
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let cuts = watch::Sender::new(());
        let cut = cuts.clone();
        tokio::spawn(async move {
            while let Ok((mut service, _)) = listener.accept().await {
                let mut server = UnixStream::connect(&socket).await.unwrap();
                let mut cut = cut.subscribe();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = copy_bidirectional(&mut service, &mut server) => {}
                        // Both ends stay open.
                        _ = cut.changed() => std::future::pending().await,
                    }
                });
            }
        });
        Self { url: url.into(), cuts }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn connections_that_went_silent_are_given_up_for_new_ones() {
    let _turn = undisturbed().await;
    let wire = Wire::to(&new_database().await).await;
    let process = Process::start(service(&wire.url)).await;
    let load = Load::start("evt1", &[process.address]);
    let reader = tokio::spawn(read_on(process.address, load.progress.clone()));
    for _ in 0..3 {
        load.advances(100).await;
        let begin = Instant::now();
        wire.cuts.send_replace(());
        load.advances(20).await;
        assert!(begin.elapsed() < SECOND * 5, "{:?}", begin.elapsed());
    }
    let mut gate = Gate::open(process.address).await;
    let seen = load.seen().await;
    assert_among(&seen, &records_within_5_s(&mut gate).await);
    reader.await.unwrap();
    // In peace as well: nothing is under way when the wire is cut.
    wire.cuts.send_replace(());
    gate.ready().await;
    assert_among(&seen, &records_within_5_s(&mut gate).await);
}

/// A silent connection may cost a request.
async fn records_within_5_s(gate: &mut Gate) -> BTreeMap<String, String> {
    let begin = Instant::now();
    loop {
        let list = gate.get("/attendance/evt1").await;
        if list.status == 200 {
            return list.records("evt1");
        }
        assert!(begin.elapsed() < SECOND * 5, "{:?}", begin.elapsed());
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_database_that_lets_nobody_in_any_more_is_no_error_of_ours() {
    let (_turn, url) = database().await;
    let name = url.parse::<Url>().unwrap().path().trim_start_matches('/').to_owned();
    execute(&url, &format!("CREATE ROLE {name} LOGIN; GRANT CREATE ON DATABASE {name} TO {name}")).await;
    let as_role = url.replace("user=postgres", &format!("user={name}"));
    let (_process, mut gate) = start(service(&as_role)).await;
    gate.check_in("evt1", "T1", None).await.record();
    let out = format!(
        "ALTER ROLE {name} NOLOGIN;
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{name}'"
    );
    execute(&url, &out).await;
    gate.check_in("evt1", "T2", Some("T2")).await.assert_unavailable();
    gate.get("/attendance/evt1").await.assert_unavailable();
    gate.not_ready().await;
    execute(&url, &format!("ALTER ROLE {name} LOGIN")).await;
    gate.ready().await;
    gate.check_in("evt1", "T2", Some("T2")).await.record();
}

/// More than a packet of TLS, and more than a page of the list.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_server_that_takes_nothing_but_tls_keeps_check_ins() {
    let _turn = undisturbed().await;
    let url = new_tls_database().await;
    let (process, mut gate) = start(service(url.as_str())).await;
    let id = "x".repeat(4000);
    for number in 0..300 {
        assert_eq!(gate.check_in("evt1", &format!("{number}{id}"), None).await.status, 200);
    }
    assert_eq!(gate.check_in("evt1", &format!("7{id}"), None).await.text(), (400, DUPLICATE));
    let records = gate.records("evt1").await;
    assert_eq!(records.len(), 300);

    let plain = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE datname = current_database() AND NOT ssl";
    let mut database = PgConnection::connect(url.as_str()).await.unwrap();
    assert_eq!(query_scalar::<_, i64>(plain).fetch_one(&mut database).await.unwrap(), 0);
    kill(process).await;
    let (_process, mut gate) = start(service(url.as_str())).await;
    assert_eq!(gate.records("evt1").await, records);
}
