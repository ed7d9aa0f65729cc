//! How the process starts, listens and ends.

use std::{
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
    sync::mpsc,
    thread,
    time::Duration,
};

use shared_http::process::Failure;
use tokio::{net::TcpListener, runtime::Runtime};

/// The process ends even if its last message cannot be written to stderr for this long.
const STDERR_TIMEOUT: Duration = Duration::from_secs(1);

/// Writes to stderr why `service` failed, if it did. Returns its exit status.
pub(crate) fn exit_code(service: &str, outcome: Result<(), Failure>) -> ExitCode {
    let Err(failure) = outcome else { return ExitCode::SUCCESS };
    write_to_stderr(format!("{service}: {failure}\n"));
    match failure {
        Failure::Config(error) => ExitCode::from(&error),
        _ => ExitCode::FAILURE,
    }
}

/// Writes on another thread: a pipe that is not read would keep the process from ending.
fn write_to_stderr(message: String) {
    let (done, is_done) = mpsc::channel();
    let writer = thread::Builder::new().spawn(move || {
        // If stderr fails too, the failure cannot be reported.
        let _ = io::stderr().write_all(message.as_bytes());
        let _ = done.send(());
    });
    if writer.is_ok() {
        // After the time-out the process ends without the message.
        let _ = is_done.recv_timeout(STDERR_TIMEOUT);
    }
}

/// Runs `task` on all cores. When it ends, work on blocking threads is abandoned: the process does not wait for a
/// password hash whose client is gone.
///
/// # Errors
///
/// Those of `task`, and that its threads cannot be started.
pub(crate) fn block_on(task: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = Runtime::new()?;
    let outcome = runtime.block_on(task);
    runtime.shutdown_background();
    outcome
}

/// Listens on `address`.
///
/// # Errors
///
/// The address is in use, is not one of this machine, or needs privileges.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| Failure::Listen { address, error })
}
