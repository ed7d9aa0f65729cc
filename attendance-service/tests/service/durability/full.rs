//! As many check-ins as may be held, and more.

use std::sync::Arc;

use shared_http::testing::{Process, command};
use tokio::task::JoinSet;

use super::{BINARY, DUPLICATE, Directory, FULL, gate::Gate, kill, metrics, start};

const MEGABYTE: u64 = 1 << 20;

/// The service with so much room.
async fn with(directory: &Directory, megabytes: &str) -> (Process, Gate) {
    let mut command = directory.service();
    command.env("MAX_STORE_MB", megabytes);
    start(command).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_token_takes_no_more_memory_than_it_may() {
    let directory = Directory::new();
    let (process, _) = with(&directory, "32").await;
    let before = process.kibibytes("VmHWM");
    let long = Arc::new("x".repeat(60_000));
    let mut gates = JoinSet::new();
    for number in 0..16 {
        let (address, long) = (process.address, Arc::clone(&long));
        gates.spawn(async move {
            let mut gate = Gate::open(address).await;
            let (mut accepted, mut refused) = (0_u64, 0);
            for scan in 0..500 {
                let id = format!("{number}-{scan}-{long}");
                // Half of them in an event of their own.
                let (event, ticket) = if scan % 2 == 0 { ("evt1", &*id) } else { (&*id, "T1") };
                let answer = gate.insist(event, ticket, &format!("{number}-{scan}")).await;
                match answer.status {
                    200 => accepted += 1,
                    _ => {
                        assert_eq!(answer.text(), (503, FULL));
                        refused += 1;
                    }
                }
                if refused == 10 {
                    return accepted;
                }
            }
            panic!("never full");
        });
    }
    let accepted: u64 = gates.join_all().await.into_iter().sum();
    // 60 kB for one half, 120 kB for the other.
    assert!((300..380).contains(&accepted), "{accepted}");
    let grown = (process.kibibytes("VmHWM") - before) * 1024;
    println!("{accepted} check-ins with long ids took {} MB of 32", grown / MEGABYTE);
    assert!(grown < 64 * MEGABYTE, "grown by {grown}");
    let list = Gate::open(process.address).await.list("evt1").await.body;
    kill(process).await;

    // Less may be held now: it is served all the same.
    let (process, mut gate) = with(&directory, "8").await;
    assert_eq!(gate.list("evt1").await.body, list);
    assert_eq!(gate.check_in("evt1", "new", None).await.text(), (503, FULL));
    assert!(gate.not_ready().await.body.contains("MAX_STORE_MB"));
    let log = process.log();
    assert_eq!(log.matches("the check-ins take all of MAX_STORE_MB").count(), 1, "{log}");
    kill(process).await;

    // It would take short ids yet, and says all the same that it is not ready.
    let (process, mut gate) = with(&directory, "32").await;
    assert!(gate.not_ready().await.body.contains("MAX_STORE_MB"));
    let log = process.log();
    assert_eq!(log.matches("the check-ins take nearly all of MAX_STORE_MB").count(), 1, "{log}");
    kill(process).await;

    let (_process, mut gate) = with(&directory, "64").await;
    gate.ready().await;
    gate.check_in("evt1", "new", None).await.record();
    assert_eq!(gate.check_in("evt1", "new", None).await.text(), (400, DUPLICATE));
}

/// `tixgo_store_bytes`, of a process that shows its metrics.
async fn counted(process: &Process) -> u64 {
    let metrics = metrics(process).await;
    let sample = metrics.lines().find_map(|line| line.strip_prefix("tixgo_store_bytes ")).unwrap();
    sample.parse::<f64>().unwrap() as u64
}

/// How often what is counted is what a process takes that holds `rounds` tickets of 2 kB in each of many events.
async fn taken_to_counted(rounds: usize) -> f64 {
    let mut command = command(BINARY);
    command.envs([("MAX_STORE_MB", "16"), ("METRICS_ADDR", "127.0.0.1:0")]);
    let (process, mut gate) = start(command).await;
    // The first requests take memory that every service takes.
    gate.check_in("first", "T1", None).await.record();
    let (before, counted_before) = (process.kibibytes("VmRSS") * 1024, counted(&process).await);
    let long = "x".repeat(2000);
    // As many as there is room for, one ticket to each event before any has two.
    for round in 0..rounds {
        for event in 0..5000 / rounds {
            gate.check_in(&format!("event{event}"), &format!("{round}{long}"), None).await.record();
        }
    }
    let counted = counted(&process).await - counted_before;
    let taken = process.kibibytes("VmRSS") * 1024 - before;
    println!("{rounds} tickets of 2 kB in each event: {counted} bytes counted, {taken} taken");
    assert!(counted > 10 * MEGABYTE, "{counted}");
    taken as f64 / counted as f64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_grow_in_turns_take_the_memory_that_is_counted() {
    for rounds in [2, 5] {
        let ratio = taken_to_counted(rounds).await;
        assert!(ratio < 1.4, "{ratio:.2} with {rounds}");
    }
}
