//! What is known before an end of the process, and after it. One story for every store that lasts.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use shared_http::testing::Process;
use shared_service::{on_lasting_stores, testing::Store};
use sqlx::{Connection, PgConnection, query_scalar};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    DUPLICATE, SECOND,
    gate::{Answer, Chance, Gate, scan},
    kill,
};
use crate::service;

on_lasting_stores![
    check_ins_keys_order_and_moments_survive,
    whatever_was_green_before_a_kill_is_there_afterwards_and_once,
    a_client_that_hangs_up_at_any_point_gets_its_answer_when_it_asks_again,
];

async fn check_ins_keys_order_and_moments_survive(store: Store) {
    let directory = TempDir::new().unwrap();
    let url = store.new_url(directory.path()).await;
    let mut lists: BTreeMap<&str, String> = BTreeMap::new();
    let mut first: BTreeMap<(&str, String, String), String> = BTreeMap::new();
    for round in 0..4 {
        let mut process = Process::start(service(&url)).await;
        let mut gate = Gate::open(process.address).await;
        for (event, list) in &lists {
            assert_eq!(gate.list(event).await.body, *list, "round {round}");
        }
        for ((event, ticket, key), body) in &first {
            let again = gate.check_in(event, ticket, Some(key)).await;
            assert_eq!((again.text(), again.is_replayed()), ((200, String::as_str(body)), true));
            assert_eq!(gate.check_in(event, ticket, None).await.text(), (400, DUPLICATE));
            assert_eq!(gate.check_in(event, "other", Some(key)).await.status, 422);
            let looked_up = gate.get(&format!("/attendance/{event}/tickets/{ticket}")).await;
            assert!(body.contains(&looked_up.body), "{looked_up:?}");
        }
        // In no order of any alphabet, and with the same names in both events.
        for number in [7, 3, 11, 5, 2, 13] {
            for event in ["here", "there"] {
                let ticket = format!("T{number}-{round}");
                let key = format!("{event}-{ticket}");
                let answer = gate.check_in(event, &ticket, Some(&key)).await;
                assert!(answer.record().contains(&ticket) && !answer.is_replayed(), "{answer:?}");
                first.insert((event, ticket, key), answer.body);
            }
            assert_eq!(
                gate.check_in("here", &format!("without a key {number} {round}"), None).await.status,
                200
            );
        }
        // And many at once, in whatever order they are committed.
        let mut gates = JoinSet::new();
        for number in 0..40 {
            let address = process.address;
            gates.spawn(async move {
                let ticket = format!("at once {number} {round}");
                Gate::open(address).await.check_in("here", &ticket, None).await.record()
            });
        }
        gates.join_all().await;
        for event in ["here", "there"] {
            gate.records(event).await;
            lists.insert(event, gate.list(event).await.body);
        }
        drop(gate);
        if round % 2 == 0 {
            process.signal("TERM").await;
            assert_eq!(process.ended(SECOND * 5).await, Some(0));
        } else {
            kill(process).await;
        }
    }
    assert_eq!(first.len(), 48);
}

/// What one gate knows after a round: every ticket it scanned, its key, and the record if it saw green.
type Scanned = Vec<(String, Option<String>, Option<String>)>;

/// Waits until nothing is under way of a process that was killed: the statement that it sent to a server goes on.
async fn settled(store: Store, url: &str) {
    if store != Store::Postgres {
        return;
    }
    let mut database = PgConnection::connect(url).await.unwrap();
    let others = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    while query_scalar::<_, i64>(others).fetch_one(&mut database).await.unwrap() > 0 {}
}

async fn whatever_was_green_before_a_kill_is_there_afterwards_and_once(store: Store) {
    let directory = TempDir::new().unwrap();
    let url = store.new_url(directory.path()).await;
    const ROUNDS: usize = 60;
    let begin = Instant::now();
    let mut chance = Chance::new();
    let mut process = Process::start(service(&url)).await;
    let mut lists = BTreeMap::new();
    let (mut green, mut unknown, mut kept) = (0, 0, 0);

    for round in 0..ROUNDS {
        let event = format!("round-{round}");
        let (seen, enough) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let goal = chance.below(80) as usize;
        let mut gates = JoinSet::new();
        for number in 0..8 {
            let (address, event) = (process.address, event.clone());
            let (seen, enough) = (Arc::clone(&seen), Arc::clone(&enough));
            gates
                .spawn(async move { scan_until_killed(address, &event, number, goal, &seen, &enough).await });
        }
        timeout(SECOND * 30, enough.notified()).await.expect("some load");
        sleep(Duration::from_micros(chance.below(3000))).await;
        kill(process).await;
        let scanned: Scanned = gates.join_all().await.concat();
        settled(store, &url).await;

        process = Process::start(service(&url)).await;
        let mut gate = Gate::open(process.address).await;
        let before = gate.records(&event).await;
        let known: BTreeSet<_> = scanned.iter().map(|(ticket, ..)| ticket).collect();
        assert!(before.keys().all(|ticket| known.contains(ticket)), "a ticket that nobody scanned");
        for (ticket, key, record) in &scanned {
            let key = key.as_deref();
            if let Some(record) = record {
                green += 1;
                assert_eq!(before.get(ticket), Some(record), "round {round}: lost or changed");
                assert_eq!(gate.check_in(&event, ticket, None).await.text(), (400, DUPLICATE), "{ticket}");
            }
            let again = gate.check_in(&event, ticket, key).await;
            match (record, key) {
                (Some(record), Some(_)) => {
                    assert_eq!((&again.record(), again.is_replayed()), (record, true));
                }
                (Some(_), None) => assert_eq!(again.text(), (400, DUPLICATE)),
                (None, Some(_)) => {
                    assert_eq!(again.is_replayed(), before.contains_key(ticket), "round {round}: {again:?}");
                    let now = again.record();
                    assert!(before.get(ticket).is_none_or(|record| *record == now), "round {round}");
                }
                (None, None) => {
                    let expected = if before.contains_key(ticket) { 400 } else { 200 };
                    assert_eq!(again.status, expected, "round {round}: {again:?}");
                }
            }
            if record.is_none() {
                unknown += 1;
                kept += usize::from(before.contains_key(ticket));
            }
        }
        assert_eq!(gate.records(&event).await.len(), scanned.len(), "one record a ticket");
        lists.insert(event.clone(), gate.list(&event).await.body);
    }

    kill(process).await;
    let process = Process::start(service(&url)).await;
    let mut gate = Gate::open(process.address).await;
    for (event, list) in &lists {
        assert_eq!(gate.list(event).await.body, *list);
    }
    println!(
        "kill -9: {ROUNDS} rounds, {green} check-ins answered, {unknown} not ({kept} of them kept), {:?}",
        begin.elapsed()
    );
    assert!(green > ROUNDS && unknown > ROUNDS, "the kills met no load");
}

async fn scan_until_killed(
    address: SocketAddr,
    event: &str,
    number: usize,
    goal: usize,
    seen: &AtomicUsize,
    enough: &Notify,
) -> Scanned {
    let mut scanned = Scanned::new();
    let mut gate = Gate::open(address).await;
    for ticket in 0.. {
        let ticket = format!("{number}-{ticket}");
        let key = (!scanned.len().is_multiple_of(3)).then(|| format!("key-{event}-{ticket}"));
        let answer = gate.try_send(&scan(event, &ticket, key.as_deref(), &gate.token.clone())).await;
        let record = answer.as_ref().ok().map(Answer::record);
        scanned.push((ticket, key, record));
        if answer.is_err() {
            break;
        }
        if seen.fetch_add(1, Ordering::Relaxed) == goal {
            enough.notify_one();
        }
    }
    scanned
}

async fn a_client_that_hangs_up_at_any_point_gets_its_answer_when_it_asks_again(store: Store) {
    let directory = TempDir::new().unwrap();
    let url = store.new_url(directory.path()).await;
    let mut chance = Chance::new();
    let process = Process::start(service(&url)).await;
    let mut gate = Gate::open(process.address).await;
    let (mut tickets, mut made_before) = (0, 0);
    let length = scan("evt1", "T0000", Some("key-T0000"), &gate.token).len();
    // Half of all clients get as far as having sent everything.
    let ends = (0..length).step_by(7).chain((length - 70)..length).chain([length; 150]);
    for (number, end) in ends.enumerate() {
        let ticket = format!("T{number:04}");
        let key = format!("key-{ticket}");
        let request = scan("evt1", &ticket, Some(&key), &gate.token);
        assert_eq!(request.len(), length);
        let mut lost = TcpStream::connect(process.address).await.unwrap();
        lost.set_nodelay(true).unwrap();
        lost.write_all(&request.as_bytes()[..end]).await.unwrap();
        if end == length {
            match number % 4 {
                // At once, after a while, or in the middle of the answer.
                0 => {}
                1 => sleep(Duration::from_micros(chance.below(2000))).await,
                2 => {
                    lost.read_u8().await.unwrap();
                }
                _ => lost.shutdown().await.unwrap(),
            }
        }
        if number % 2 == 0 {
            // With a reset, as from a phone that left the network.
            lost.set_zero_linger().unwrap();
        }
        drop(lost);

        let answer = gate.check_in("evt1", &ticket, Some(&key)).await;
        let record = answer.record();
        assert!(end == length || !answer.is_replayed(), "half a request made a record");
        let again = gate.check_in("evt1", &ticket, Some(&key)).await;
        assert_eq!((again.record(), again.is_replayed()), (record, true));
        assert_eq!(gate.check_in("evt1", &ticket, None).await.text(), (400, DUPLICATE));
        tickets += 1;
        made_before += usize::from(answer.is_replayed());
    }
    assert_eq!(gate.records("evt1").await.len(), tickets);
    println!("lost answers: {tickets} clients hung up, {made_before} of them after their record was made");
    assert!(made_before > 0, "nobody hung up after the commit");
}
