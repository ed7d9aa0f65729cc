//! What is known before an end of the process, and after it. One story for every store that lasts.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use shared_http::testing::Process;
use shared_service::{on_lasting_stores, testing::Store};
use sqlx::{Connection, PgConnection, query_scalar};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::sleep,
};

use super::{
    DUPLICATE, Directory,
    gate::{Chance, Gate, scan},
    kill, service, start,
};
use crate::load::{Load, Scanned};

on_lasting_stores![
    moments_of_one_commit_differ,
    whatever_was_green_before_an_end_is_there_afterwards_and_once,
    a_client_that_hangs_up_at_any_point_gets_its_answer_when_it_asks_again,
];

/// Waits until nothing is under way of a process that was killed: the statement that it sent to a server goes on.
pub(super) async fn settled(store: Store, url: &str) {
    if store != Store::Postgres {
        return;
    }
    let mut database = PgConnection::connect(url).await.unwrap();
    let others = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    while query_scalar::<_, i64>(others).fetch_one(&mut database).await.unwrap() > 0 {}
}

async fn whatever_was_green_before_an_end_is_there_afterwards_and_once(store: Store) {
    let directory = Directory::new();
    let url = store.new_url(directory.0.path()).await;
    const ROUNDS: usize = 60;
    let begin = Instant::now();
    let mut chance = Chance::new();
    let mut process = Process::start(service(&url)).await;
    let mut lists = BTreeMap::new();
    let (mut green, mut unknown, mut kept) = (0, 0, 0);

    for round in 0..ROUNDS {
        let event = format!("round-{round}");
        let load = Load::start(&event, &[process.address]);
        load.advances(chance.below(80) as usize).await;
        sleep(Duration::from_micros(chance.below(3000))).await;
        if round % 10 == 9 {
            process.finish().await;
        } else {
            kill(process).await;
        }
        let scanned = load.end().await;
        settled(store, &url).await;

        let mut gate;
        (process, gate) = start(service(&url)).await;
        let before = gate.records(&event).await;
        let known: BTreeSet<_> = scanned.iter().map(|scan| &scan.ticket).collect();
        assert!(before.keys().all(|ticket| known.contains(ticket)), "a ticket that nobody scanned");
        for Scanned { ticket, key, record } in &scanned {
            let key = key.as_deref();
            if let Some(record) = record {
                green += 1;
                assert_eq!(before.get(ticket), Some(record), "round {round}: lost or changed");
                assert_eq!(gate.check_in(&event, ticket, None).await.text(), (400, DUPLICATE), "{ticket}");
                // The second of each gate, which has a key.
                if ticket.ends_with("-1") {
                    let looked_up = gate.get(&format!("/attendance/{event}/tickets/{ticket}")).await;
                    assert_eq!(looked_up.text(), (200, &**record));
                    assert_eq!(gate.check_in(&event, "other", key).await.status, 422, "{ticket}");
                }
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
    let (_process, mut gate) = start(service(&url)).await;
    for (event, list) in &lists {
        assert_eq!(gate.list(event).await.body, *list);
    }
    println!(
        "kill -9: {ROUNDS} rounds, {green} check-ins answered, {unknown} not ({kept} of them kept), {:?}",
        begin.elapsed()
    );
    assert!(green > ROUNDS && unknown > ROUNDS, "the kills met no load");
}

async fn a_client_that_hangs_up_at_any_point_gets_its_answer_when_it_asks_again(store: Store) {
    let directory = Directory::new();
    let url = store.new_url(directory.0.path()).await;
    let mut chance = Chance::new();
    let (process, mut gate) = start(service(&url)).await;
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

async fn moments_of_one_commit_differ(store: Store) {
    let directory = Directory::new();
    let url = store.new_url(directory.0.path()).await;
    let process = Process::start(service(&url)).await;
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
    // With PostgreSQL, two statements at once may begin with the same one.
    let least = if store == Store::Postgres { 64 } else { 128 };
    let mut gate = Gate::open(process.address).await;
    for event in ["evt0", "evt1"] {
        let records = gate.records(event).await;
        let moments: BTreeSet<_> =
            records.values().map(|record| record.split_once("_at").unwrap().1).collect();
        assert!(records.len() == 128 && moments.len() >= least, "{moments:?}");
    }
}
