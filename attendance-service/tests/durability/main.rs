//! What was answered stays true: the binary with its check-ins in a store that lasts, killed, cut off, and
//! served by disks that fail.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "clippy knows test functions, not what they call"
)]

mod disk;
mod file;
mod full;
mod gate;
mod maintenance;
mod privacy;
mod readonly;
mod restarts;
mod restore;
mod sqlite;
mod strace;
mod waiting;

use std::{path::Path, process::Output, time::Duration};

use shared_http::testing::{Process, command};
use tokio::{process::Command, time::timeout};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// The services answer within 2 s by design. There is room for a busy machine, and still a request's own
/// deadline of 10 s is not reached.
pub(crate) const IN_TIME: Duration = Duration::from_secs(8);
const BINARY: &str = env!("CARGO_BIN_EXE_attendance-service");

/// The service with its check-ins in a SQLite file.
pub(crate) fn service(directory: &Path) -> Command {
    let mut command = command(BINARY);
    command.env("DATABASE_URL", format!("sqlite://{}/", directory.display()));
    command
}

pub(crate) async fn start(directory: &Path) -> Process {
    Process::start(service(directory)).await
}

/// Starts a service that is expected to end by itself.
pub(crate) async fn refused(mut command: Command) -> (Option<i32>, String) {
    let output = timeout(SECOND * 20, command.env("PORT", "0").kill_on_drop(true).output());
    let Output { status, stderr, .. } = output.await.expect("an end").unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

pub(crate) async fn kill(mut process: Process) {
    process.signal("KILL").await;
    assert_eq!(process.ended(SECOND * 5).await, None);
}
