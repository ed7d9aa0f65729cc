//! The tests of attendance-service. `api` speaks its contract in process, on every store; everything else starts the
//! program. What needs PostgreSQL has `postgres` in its path and is ignored until asked for: `.ci/run` starts the server.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "clippy knows test functions, not what they call"
)]

mod api;
mod audit;
mod configuration;
mod durability;
mod events;
mod flood;
mod gate;
mod load;
mod postgres;
mod process;

use std::{net::SocketAddr, process::Output, time::Duration};

use gate::Gate;
use shared_http::testing::{Process, command, fetch};
use tokio::{process::Command, sync::Mutex, time::timeout};

const SECOND: Duration = Duration::from_secs(1);

/// The services answer within 2 s by design. There is room for a busy machine, and still a request's own deadline of
/// 10 s is not reached.
const IN_TIME: Duration = Duration::from_secs(8);

const BINARY: &str = env!("CARGO_BIN_EXE_attendance-service");

const DUPLICATE: &str = r#"{"detail":"Ticket sudah pernah check-in"}"#;
const FULL: &str = r#"{"detail":"Penyimpanan check-in penuh (MAX_STORE_MB), hubungi pengelola"}"#;
const UNAVAILABLE: &str = r#"{"detail":"Penyimpanan tidak tersedia, coba lagi"}"#;

/// Held by a test that measures how long an answer takes, and by one that floods the machine.
static MEASURING: Mutex<()> = Mutex::const_new(());

/// The program with its check-ins at `url`.
fn service(url: &str) -> Command {
    let mut command = command(BINARY);
    command.env("DATABASE_URL", url);
    command
}

async fn start(command: Command) -> (Process, Gate) {
    let process = Process::start(command).await;
    let gate = Gate::open(process.address).await;
    (process, gate)
}

/// Where a process shows its metrics that has `METRICS_ADDR`.
fn metrics_address(process: &Process) -> SocketAddr {
    let log = process.log();
    let address = log.split_once("/metrics").and_then(|(before, _)| before.rsplit_once("http://"));
    address.expect("where the metrics are").1.parse().unwrap()
}

async fn metrics(process: &Process) -> String {
    let (status, metrics) = fetch(metrics_address(process), "GET /metrics", "", "").await;
    assert_eq!(status, 200);
    metrics
}

/// Starts a service that is expected to end by itself: its exit status, and what it says.
async fn refused(mut command: Command) -> (Option<i32>, String) {
    let output = timeout(SECOND * 20, command.env("PORT", "0").kill_on_drop(true).output());
    let Output { status, stderr, .. } = output.await.expect("an end").unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

async fn kill(mut process: Process) {
    process.signal("KILL").await;
    assert_eq!(process.ended(SECOND * 5).await, None);
}
