//! A SQLite file of more check-ins than may be held.

use std::{path::Path, sync::Arc};

use shared_http::testing::Process;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::{
    gate::{DUPLICATE, Gate, UNAVAILABLE},
    kill, service,
};

const FULL: &str = r#"{"detail":"Penyimpanan check-in penuh (MAX_STORE_MB), hubungi pengelola"}"#;
const MEGABYTE: u64 = 1 << 20;

async fn start(directory: &Path, megabytes: u64) -> Process {
    let mut command = service(directory);
    command.env("MAX_STORE_MB", megabytes.to_string());
    Process::start(command).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_token_takes_no_more_memory_than_it_may() {
    let directory = TempDir::new().unwrap();
    let process = start(directory.path(), 32).await;
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
                let mut answer = gate.check_in(event, ticket, None).await;
                let mut is_retried = false;
                while answer.text() == (503, UNAVAILABLE) {
                    // The disk is busy. The ticket may be in all the same, and then it is used.
                    is_retried = true;
                    answer = gate.check_in(event, ticket, None).await;
                }
                match answer.status {
                    200 => accepted += 1,
                    400 if is_retried => accepted += 1,
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
    let mut gate = Gate::open(process.address).await;
    let list = gate.list("evt1").await.body;
    drop(gate);
    kill(process).await;

    // Less may be held now: it is served all the same.
    let process = start(directory.path(), 8).await;
    let mut gate = Gate::open(process.address).await;
    assert_eq!(gate.list("evt1").await.body, list);
    assert_eq!(gate.check_in("evt1", "new", None).await.text(), (503, FULL));
    assert!(gate.not_ready().await.body.contains("MAX_STORE_MB"));
    let log = process.log();
    assert_eq!(log.matches("the check-ins take all of MAX_STORE_MB").count(), 1, "{log}");
    drop(gate);
    kill(process).await;

    // It would take short ids yet, and says all the same that it is not ready.
    let process = start(directory.path(), 32).await;
    assert!(Gate::open(process.address).await.not_ready().await.body.contains("MAX_STORE_MB"));
    let log = process.log();
    assert_eq!(log.matches("the check-ins take nearly all of MAX_STORE_MB").count(), 1, "{log}");
    kill(process).await;

    let process = start(directory.path(), 64).await;
    let mut gate = Gate::open(process.address).await;
    gate.ready().await;
    gate.check_in("evt1", "new", None).await.record();
    assert_eq!(gate.check_in("evt1", "new", None).await.text(), (400, DUPLICATE));
}
