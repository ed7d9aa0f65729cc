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
mod configuration;
mod durability;
mod flood;
mod gate;
mod postgres;
mod process;

use std::{process::Output, time::Duration};

use shared_http::testing::{Process, command};
use tokio::{process::Command, time::timeout};

const SECOND: Duration = Duration::from_secs(1);

/// The services answer within 2 s by design. There is room for a busy machine, and still a request's own deadline of
/// 10 s is not reached.
const IN_TIME: Duration = Duration::from_secs(8);

const BINARY: &str = env!("CARGO_BIN_EXE_attendance-service");

const DUPLICATE: &str = r#"{"detail":"Ticket sudah pernah check-in"}"#;
const FULL: &str = r#"{"detail":"Penyimpanan check-in penuh (MAX_STORE_MB), hubungi pengelola"}"#;
const UNAVAILABLE: &str = r#"{"detail":"Penyimpanan tidak tersedia, coba lagi"}"#;

/// The program with its check-ins at `url`.
fn service(url: &str) -> Command {
    let mut command = command(BINARY);
    command.env("DATABASE_URL", url);
    command
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
