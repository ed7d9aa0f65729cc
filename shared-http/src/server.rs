//! An HTTP/1.1 server that can stand on the internet.
//!
//! Every connection knows its phase, that is, what it waits for, its client or the handler, and since when. The
//! accept loop, the sweep and the drain close connections by that: when there are as many as there may be, the one
//! whose client has kept it waiting longest is closed, so that silent and slow clients lock nobody out.

mod accept;
mod body;
mod budget;
mod connection;
mod drain;
mod http1;
mod kernel_buffers;
mod rejected;
mod signal;
mod sweep;
mod table;
mod tracked_stream;

use std::{sync::Arc, time::Duration};

use axum::Router;
use tokio::net::TcpListener;

pub use self::signal::shutdown_signal;
use self::{
    accept::accept, budget::Budgets, drain::drain, kernel_buffers::bound_receive_buffers, sweep::sweep,
    table::ConnectionTable,
};
pub(crate) use self::{budget::OverBudget, connection::Connection, rejected::Rejected};
use crate::{client::TrustedProxies, metrics::ConnectionMetrics};

/// File descriptors kept back for what is not a connection: listener, runtime, storage, logs.
const RESERVED_DESCRIPTORS: u64 = 32;

/// How many clients at once, and how long they may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections, if the process may have as many file descriptors.
    pub max_connections: usize,
    /// From one request to the end of the next request's head, and from there to the answer.
    pub request_timeout: Duration,
    /// From the shutdown signal until the last connection is closed.
    pub shutdown_grace: Duration,
    /// Bytes of requests and of unsent answers that all connections may hold together, beyond the 40 KiB that each
    /// may hold in any case. When the kernel holds as many for clients that do not read, some of these are closed.
    pub buffered: usize,
    /// Peers whose connections are those of many clients.
    pub proxies: TrustedProxies,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            request_timeout: Duration::from_secs(10),
            shutdown_grace: Duration::from_secs(8),
            buffered: 24 << 20,
            proxies: TrustedProxies::default(),
        }
    }
}

/// Serves `app` until `shutdown` resolves, then drains: requests in flight are answered, connections that wait for
/// the head of a request are closed at once, those that wait for a body at half of the grace, and whatever is left at
/// its end.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    limits: Limits,
    metrics: ConnectionMetrics,
    shutdown: impl Future<Output = ()>,
) {
    let Limits { max_connections, request_timeout, shutdown_grace, buffered, proxies } = limits;
    bound_receive_buffers(&listener);
    let budgets = Budgets::new(buffered);
    let table = Arc::new(ConnectionTable::new(capacity(max_connections), budgets, proxies, metrics));
    tokio::select! {
        () = accept(listener, app, request_timeout, &table) => {}
        () = sweep(&table, request_timeout) => {}
        () = shutdown => {}
    }
    drain(&table, shutdown_grace).await;
}

/// As many connections as were asked for, or as the limit on file descriptors allows.
fn capacity(wanted: usize) -> usize {
    let descriptors = rlimit::increase_nofile_limit(wanted as u64 + RESERVED_DESCRIPTORS);
    let allowed = match descriptors {
        Ok(limit) => usize::try_from(limit.saturating_sub(RESERVED_DESCRIPTORS)).unwrap_or(wanted),
        Err(_) => wanted,
    };
    let capacity = wanted.min(allowed.max(1));
    if capacity < wanted {
        tracing::warn!(
            max_connections = wanted,
            capacity,
            "the limit on open files (ulimit -n) allows fewer connections"
        );
    }
    capacity
}
