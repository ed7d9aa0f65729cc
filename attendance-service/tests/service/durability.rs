//! What was answered stays true: the binary with its check-ins in a store that lasts, killed, cut off, and
//! served by disks that fail.

mod disk;
mod file;
mod full;
mod maintenance;
mod privacy;
mod readonly;
mod restarts;
mod restore;
mod strace;
mod waiting;

use std::path::Path;

use shared_http::testing::Process;
use tokio::process::Command;

use crate::{BINARY, DUPLICATE, FULL, IN_TIME, SECOND, UNAVAILABLE, gate, kill, refused};

fn url(directory: &Path) -> String {
    format!("sqlite://{}/", directory.display())
}

/// The service with its check-ins in a SQLite file.
fn service(directory: &Path) -> Command {
    crate::service(&url(directory))
}

async fn start(directory: &Path) -> Process {
    Process::start(service(directory)).await
}
