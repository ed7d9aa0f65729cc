//! All open connections.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::{budget::Budgets, connection::Connection};
use crate::{
    client::{TrustedProxies, network},
    metrics::ConnectionMetrics,
};

/// All open connections, and the permits to open more.
pub(super) struct ConnectionTable {
    pub(super) budgets: Arc<Budgets>,
    pub(super) metrics: ConnectionMetrics,
    capacity: usize,
    permits: Arc<Semaphore>,
    proxies: TrustedProxies,
    next_id: AtomicU64,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    connections: HashMap<u64, Arc<Connection>>,
    /// How many each client address has.
    addresses: HashMap<IpAddr, Arc<AtomicUsize>>,
}

impl ConnectionTable {
    /// A table for `capacity` connections. Those of `proxies` are not counted by address.
    pub(super) fn new(
        capacity: usize,
        budgets: Budgets,
        proxies: TrustedProxies,
        metrics: ConnectionMetrics,
    ) -> Self {
        Self {
            budgets: Arc::new(budgets),
            metrics,
            capacity,
            permits: Arc::new(Semaphore::new(capacity)),
            proxies,
            next_id: AtomicU64::new(0),
            open: Mutex::default(),
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether no other connection can be opened now.
    pub(super) fn is_full(&self) -> bool {
        self.permits.available_permits() == 0
    }

    /// Waits for the permit to open a connection.
    pub(super) async fn permit(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.permits.clone().acquire_owned().await
    }

    /// Resolves when no connection is open.
    pub(super) async fn all_closed(&self) {
        drop(self.permits.acquire_many(self.capacity as u32).await);
    }

    /// How many connections are open.
    pub(super) fn len(&self) -> usize {
        self.open.lock().connections.len()
    }

    /// Adds a connection, and spawns the task that serves it. When `serve` ends, the connection is removed, and the
    /// permit is returned.
    pub(super) fn spawn<F>(
        self: &Arc<Self>,
        peer: SocketAddr,
        permit: OwnedSemaphorePermit,
        serve: impl FnOnce(Arc<Connection>) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let connection = self.add(id, peer);
        let serving = serve(connection.clone());
        let entry = TableEntry { table: self.clone(), id, peer: peer.ip(), _permit: permit };
        // The table must not be locked here: a runtime that is ending drops the task at once, and the entry locks it.
        let task = tokio::spawn(async move {
            let _entry = entry;
            serving.await;
        });
        connection.set_task(task.abort_handle());
    }

    fn add(&self, id: u64, peer: SocketAddr) -> Arc<Connection> {
        let mut open = self.open.lock();
        let connections_of_address = if self.is_proxy(peer.ip()) {
            Arc::default()
        } else {
            open.addresses.entry(network(peer.ip())).or_default().clone()
        };
        connections_of_address.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection::new(peer, connections_of_address, self.budgets.clone()));
        open.connections.insert(id, connection.clone());
        self.metrics.open.set(open.connections.len() as i64);
        connection
    }

    fn remove(&self, id: u64, peer: IpAddr) {
        let mut open = self.open.lock();
        open.connections.remove(&id);
        if !self.is_proxy(peer)
            && let Entry::Occupied(address) = open.addresses.entry(network(peer))
            && address.get().fetch_sub(1, Ordering::Relaxed) == 1
        {
            address.remove();
        }
        self.metrics.open.set(open.connections.len() as i64);
    }

    /// Calls `look` with all open connections. The table is locked meanwhile.
    pub(super) fn with_all<T>(&self, look: impl FnOnce(&mut dyn Iterator<Item = &Connection>) -> T) -> T {
        let open = self.open.lock();
        look(&mut open.connections.values().map(|connection| &**connection))
    }

    /// Closes every connection for which `condition` holds.
    pub(super) fn close_if(&self, condition: impl Fn(&Connection) -> bool) {
        self.with_all(|connections| {
            connections.filter(|connection| condition(connection)).for_each(Connection::close);
        });
    }

    /// Whether `peer` is a proxy, whose connections are those of many clients.
    fn is_proxy(&self, peer: IpAddr) -> bool {
        self.proxies.trusts(peer.to_canonical())
    }
}

/// Removes a connection from the table when its task ends, also if it panics or is aborted.
struct TableEntry {
    table: Arc<ConnectionTable>,
    id: u64,
    peer: IpAddr,
    _permit: OwnedSemaphorePermit,
}

impl Drop for TableEntry {
    fn drop(&mut self) {
        self.table.remove(self.id, self.peer);
    }
}
