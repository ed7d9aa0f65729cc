//! An HTTP/1.1 server that withstands silent, slow and hostile clients.
//!
//! Every connection has a phase, which says whether it waits for its client or for the handler, and since when. By the
//! phase, the accept loop, the sweep and the drain decide which connections to close. When the limit on connections is
//! reached, the connection that has waited longest for its client is closed, so that other clients are still served.

mod accept;
mod body;
mod budget;
mod connection;
mod drain;
mod http1;
mod kernel_buffers;
mod listener;
mod rejected;
mod signal;
mod stream;
mod sweep;
mod table;
mod tls;
mod tracked_stream;

use std::{sync::Arc, time::Duration};

use axum::Router;

use self::{
    accept::accept, budget::Budgets, drain::drain, kernel_buffers::bound_receive_buffers, sweep::sweep,
    table::ConnectionTable,
};
pub use self::{
    body::Endless,
    listener::Listener,
    signal::{shutdown_signal, survive_file_size_limit},
};
pub(crate) use self::{budget::OverBudget, connection::Connection, rejected::Rejected};
use crate::{client::TrustedProxies, metrics::ConnectionMetrics};

/// File descriptors that are reserved for everything but connections: listener, runtime, storage, log.
const RESERVED_DESCRIPTORS: u64 = 32;

/// How many connections there may be, how long they may take, and how much memory they may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The most open connections. Fewer if the process may not have as many file descriptors.
    pub max_connections: usize,
    /// How long a client may take until the head of its next request has arrived. Also how long a client may go on
    /// sending after an early response.
    pub request_timeout: Duration,
    /// From the shutdown signal until the last connection is closed.
    pub shutdown_grace: Duration,
    /// Bytes of requests and of unsent answers that all connections may hold together, beyond the 40 KiB that each
    /// may hold in any case. When the kernel holds as many for clients that do not read, some of these are closed.
    pub buffered: usize,
    /// Proxies. The connections of a proxy are those of many clients.
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

/// Serves `app` on a [`Listener`], or on a TCP listener without TLS, until `shutdown` resolves, then drains:
/// requests in flight are answered, and responses without an end are ended. Connections that wait for the head of a
/// request are closed at once, those that wait for a body at half of the grace, and all others at its end.
pub async fn serve(
    listener: impl Into<Listener>,
    app: Router,
    limits: Limits,
    metrics: ConnectionMetrics,
    shutdown: impl Future<Output = ()>,
) {
    let Limits { max_connections, request_timeout, shutdown_grace, buffered, proxies } = limits;
    let listener = listener.into();
    bound_receive_buffers(&listener.tcp);
    let budgets = Budgets::new(buffered);
    let table = Arc::new(ConnectionTable::new(capacity(max_connections), budgets, proxies, metrics));
    tokio::select! {
        () = accept(listener, app, request_timeout, &table) => {}
        () = sweep(&table, request_timeout) => {}
        () = shutdown => {}
    }
    drain(&table, shutdown_grace).await;
}

/// The number of connections that is wanted, or fewer if the limit on file descriptors does not allow as many.
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
