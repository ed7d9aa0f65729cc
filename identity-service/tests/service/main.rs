//! The tests of identity-service. `api` speaks the contract in process, `login_guard` is the guard alone, and all others
//! start the program. What needs PostgreSQL has `postgres` in its path and is ignored until asked for: `.ci/run` starts
//! the server.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "clippy knows test functions, not what they call"
)]

mod api;
mod browser;
mod configuration;
mod flood;
mod login_flood;
mod login_guard;
mod operator;
mod postgres;
mod process;
mod restarts;
mod sqlite;

use std::time::Duration;

use tokio::sync::Mutex;

const SECOND: Duration = Duration::from_secs(1);

/// The services answer within 2 s by design. There is room for a busy machine, and still a request's own deadline of
/// 10 s is not reached.
const IN_TIME: Duration = Duration::from_secs(8);

const BINARY: &str = env!("CARGO_BIN_EXE_identity-service");

const UNAVAILABLE: &str = r#"{"detail":"Penyimpanan tidak tersedia, coba lagi"}"#;

/// Held by each test that takes the whole machine, or measures how long something takes: one runs at a time.
static WHOLE_MACHINE: Mutex<()> = Mutex::const_new(());
