//! The signals that end the process, and one that must not.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Resolves at SIGTERM or SIGINT.
///
/// # Errors
///
/// The signal handlers cannot be installed.
pub fn shutdown_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "shutting down");
    })
}

/// SIGXFSZ, on Linux and on macOS.
const FILE_SIZE_LIMIT: SignalKind = SignalKind::from_raw(25);

/// From now on a write beyond a limit on the size of files (`ulimit -f`, `LimitFSIZE=`) fails, as on a full disk. By
/// default it ends the process.
///
/// # Errors
///
/// The signal handler cannot be installed.
pub fn survive_file_size_limit() -> io::Result<()> {
    // The handler stays when its stream is dropped.
    signal(FILE_SIZE_LIMIT).map(drop)
}
