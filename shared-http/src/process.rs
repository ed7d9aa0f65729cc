//! How a service begins and ends as a process.

mod config_error;

use std::{
    error::Error,
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
    sync::mpsc,
    thread,
    time::Duration,
};

use tokio::{net::TcpListener, runtime::Runtime};

pub use self::config_error::ConfigError;

/// How long the end of the process waits for somebody to read why.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Why a process ends before its time.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Exit status 78.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Exit status 1, as for all others.
    #[error("cannot listen on {address}: {error}. Stop what listens there, or set HOST and PORT.")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// Nobody can be shown the metrics.
    #[error("cannot show metrics on {address}: {error}. Stop what listens there, or set METRICS_ADDR.")]
    Metrics {
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// The health check failed.
    #[error("{0}")]
    Unhealthy(String),
    /// The doctor found something.
    #[error("{0} wrong")]
    Unwell(usize),
    /// The system refused something basic.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
    /// The data cannot be reached, or is not fit to be used.
    #[error("cannot start: {0}")]
    Store(Box<dyn Error + Send + Sync>),
    /// Something an operator asked for cannot be done.
    #[error("{0}")]
    Maintenance(Box<dyn Error + Send + Sync>),
}

/// Tells on stderr why `service` failed, if it did, and what its exit status is.
pub fn exit_code(service: &str, outcome: Result<(), Failure>) -> ExitCode {
    let Err(failure) = outcome else { return ExitCode::SUCCESS };
    say(format!("{service}: {failure}\n"));
    match failure {
        Failure::Config(error) => ExitCode::from(&error),
        _ => ExitCode::FAILURE,
    }
}

/// Writes the last words to stderr. Where nobody reads it, the process must end all the same.
fn say(words: String) {
    let (say, said) = mpsc::channel();
    let writer = thread::Builder::new().spawn(move || {
        // With stderr gone there is nobody left to tell.
        let _ = io::stderr().write_all(words.as_bytes());
        let _ = say.send(());
    });
    if writer.is_ok() {
        // An error means that nobody took it in time.
        let _ = said.recv_timeout(LAST_WORDS);
    }
}

/// Runs `service` on all cores. Work on a blocking thread that is still going on at its end is left
/// behind: the process must not outlast its drain for a password hash that nobody waits for.
///
/// # Errors
///
/// Those of `service`, and that its threads cannot be started.
pub fn block_on(service: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = Runtime::new()?;
    let outcome = runtime.block_on(service);
    runtime.shutdown_background();
    outcome
}

/// Listens on `address`.
///
/// # Errors
///
/// The address is taken, not ours, or needs privileges.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| Failure::Listen { address, error })
}
