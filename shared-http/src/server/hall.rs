//! All open connections, and who has to go when there are too many.

use std::{
    cmp::Reverse,
    collections::{HashMap, hash_map::Entry},
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    Limits, PATIENCE, SEND_BUFFER, STALLED_WHILE_SHORT, SWEEP,
    budget::Budget,
    seat::{Seat, Turn},
};
use crate::{
    client::{TrustedProxies, network},
    metrics::ConnectionMetrics,
};

/// Of so many connections an address may have one without having too many: a committee can be behind one
/// address, and an attacker behind a few dozen.
const FAIR_SHARE: usize = 64;

/// All open connections.
pub(super) struct Hall {
    pub(super) draining: AtomicBool,
    /// For bodies of requests, and pieces of answers.
    pub(super) budget: Budget,
    /// What the kernel holds for clients that do not take their answers. Nobody is refused for it.
    pub(super) unsent: Budget,
    pub(super) metrics: ConnectionMetrics,
    capacity: usize,
    proxies: TrustedProxies,
    entered: AtomicU64,
    taken: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    connections: HashMap<u64, Arc<Seat>>,
    /// How many each address has.
    addresses: HashMap<IpAddr, Arc<AtomicUsize>>,
}

impl Hall {
    pub(super) fn new(capacity: usize, limits: &Limits, metrics: ConnectionMetrics) -> Self {
        Self {
            draining: AtomicBool::new(false),
            budget: Budget::new(limits.buffered),
            unsent: Budget::new(limits.buffered),
            metrics,
            capacity,
            proxies: limits.proxies.clone(),
            entered: AtomicU64::new(0),
            taken: Mutex::default(),
        }
    }

    /// Spawns the conversation of a new connection; its permit goes back when it ends.
    pub(super) fn enter<F>(
        self: &Arc<Self>,
        peer: SocketAddr,
        permit: OwnedSemaphorePermit,
        talk: impl FnOnce(Arc<Seat>) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let number = self.entered.fetch_add(1, Ordering::Relaxed);
        let seat = {
            let mut taken = self.taken.lock();
            let neighbours = if self.is_proxy(peer.ip()) {
                Arc::default()
            } else {
                taken.addresses.entry(network(peer.ip())).or_default().clone()
            };
            neighbours.fetch_add(1, Ordering::Relaxed);
            let seat = Arc::new(Seat::new(peer, neighbours, self.clone()));
            taken.connections.insert(number, seat.clone());
            self.metrics.open.set(taken.connections.len() as i64);
            seat
        };
        let conversation = talk(seat.clone());
        let leave = Leave { seat: seat.clone(), number, _permit: permit };
        // The table is not locked here: a runtime that ends drops the task at once, and that leaves.
        let task = tokio::spawn(async move {
            let _leave = leave;
            conversation.await;
        });
        seat.set_task(task.abort_handle());
    }

    /// How many connections are open.
    pub(super) fn len(&self) -> usize {
        self.taken.lock().connections.len()
    }

    /// Closes one connection to make room, if any client has tried our patience: of those whose address has
    /// the most connections, beyond a fair share, the one that has kept us waiting longest. If none has, one of the
    /// address with the most connections is closed after its next answer.
    pub(super) fn evict_for_another(&self) {
        let fair = self.capacity / FAIR_SHARE;
        let taken = self.taken.lock();
        let first = taken
            .connections
            .values()
            .filter(|seat| seat.turn() != Turn::Service && !seat.is_closing())
            .map(|seat| (seat.neighbours().saturating_sub(fair), seat.since(), seat))
            .filter(|(_, since, _)| since.elapsed() >= PATIENCE)
            .min_by_key(|(excess, since, _)| (Reverse(*excess), *since));
        if let Some((_, _, seat)) = first {
            seat.close();
            self.metrics.refused.inc();
            return;
        }
        let busy = taken.connections.values().filter(|seat| !seat.closes_after_answer());
        if let Some(seat) = busy.max_by_key(|seat| seat.neighbours()) {
            seat.close_after_answer();
        }
    }

    pub(super) fn evict_if(&self, condition: impl Fn(&Seat) -> bool) {
        for seat in self.taken.lock().connections.values() {
            if condition(seat) {
                seat.close();
            }
        }
    }

    /// Closes clients that have taken nothing for a while, until they hold no more than they may together: first
    /// those whose address has the most connections, and of these whoever has stalled longest. How many bytes were
    /// too many.
    pub(super) fn evict_stalled(&self) -> usize {
        let (mut held, mut unsent) = (self.budget.excess(), self.unsent.excess());
        let excess = held + unsent;
        if excess == 0 {
            return 0;
        }
        let taken = self.taken.lock();
        let mut stalled: Vec<_> = taken
            .connections
            .values()
            .filter(|seat| seat.is_blocked())
            .map(|seat| (Reverse(seat.neighbours()), seat.since(), seat))
            .filter(|(_, since, _)| since.elapsed() + SWEEP >= STALLED_WHILE_SHORT)
            .collect();
        stalled.sort_by_key(|(neighbours, since, _)| (*neighbours, *since));
        for (_, since, seat) in stalled {
            if unsent > 0 || (held > 0 && seat.held() > 0) {
                held = held.saturating_sub(seat.held());
                unsent = unsent.saturating_sub(SEND_BUFFER);
                // Whose turn it is at the next sweep is waited for, and nobody closed in its place.
                if since.elapsed() >= STALLED_WHILE_SHORT {
                    seat.close();
                }
            }
        }
        excess
    }

    /// Whether the connections from there are those of many clients.
    fn is_proxy(&self, peer: IpAddr) -> bool {
        self.proxies.trusts(peer.to_canonical())
    }

    fn leave(&self, number: u64, peer: IpAddr) {
        let mut taken = self.taken.lock();
        taken.connections.remove(&number);
        if !self.is_proxy(peer)
            && let Entry::Occupied(address) = taken.addresses.entry(network(peer))
            && address.get().fetch_sub(1, Ordering::Relaxed) == 1
        {
            address.remove();
        }
        self.metrics.open.set(taken.connections.len() as i64);
    }
}

/// Gives a seat back, however its conversation ends.
struct Leave {
    seat: Arc<Seat>,
    number: u64,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.seat.hall.leave(self.number, self.seat.peer());
    }
}
