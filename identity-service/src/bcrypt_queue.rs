//! The queue in front of bcrypt: client addresses are served round robin, and so are the accounts of each address.
//!
//! A free worker goes to the address that was served longest ago, and within it to the account that was served
//! longest ago. However many requests one address sends, it is served once a round, like every other: a flood
//! delays only itself. A committee behind one address has the share of one address.
//!
//! When the queue is full, the address with the most waiting requests loses one; of several such addresses, the one
//! served last. So an address keeps a request in the queue unless there are more addresses than the queue holds.
//! An eviction does not change when an address is next served.
//!
//! An address not served within the last hour comes first. Addresses that all ask for the first time have the same
//! rank, however many they are.

mod fair_queue;

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::Arc,
    time::Instant,
};

use parking_lot::Mutex;
use shared_http::client::network;
use tokio::sync::oneshot;

use self::fair_queue::{FairQueue, Requester};
use crate::metrics::BcryptMetrics;

/// Bounds how many run bcrypt at once, and decides who is next.
pub struct BcryptQueue {
    /// A secret seed: nobody can choose names or addresses whose hashes collide.
    hasher: RandomState,
    workers: usize,
    state: Mutex<State>,
    metrics: BcryptMetrics,
}

/// The queue was full, and this request was refused or evicted.
#[derive(Debug)]
pub struct QueueFull;

/// The right to run bcrypt on one worker. The worker is free again when this is dropped.
#[must_use]
pub struct Permit(Arc<BcryptQueue>);

struct State {
    idle_workers: usize,
    queue: FairQueue<Permit>,
}

impl BcryptQueue {
    /// A queue for this many workers.
    pub fn new(workers: usize, metrics: BcryptMetrics) -> Arc<Self> {
        let state = State { idle_workers: workers, queue: FairQueue::new() };
        Arc::new(Self { hasher: RandomState::new(), workers, state: Mutex::new(state), metrics })
    }

    /// Waits for a worker on behalf of `client`, for a password of the account `username`. Dropping the future
    /// leaves the queue.
    ///
    /// # Errors
    ///
    /// [`QueueFull`]
    pub async fn acquire(
        self: &Arc<Self>,
        client: Option<IpAddr>,
        username: &str,
    ) -> Result<Permit, QueueFull> {
        let start = Instant::now();
        let address = self.hasher.hash_one(client.map(network));
        let requester = Requester { address, account: self.hasher.hash_one((address, username)) };
        let permit = match self.try_acquire(requester, start) {
            Ok(permit) => Ok(permit),
            Err(receiver) => receiver.await.map_err(|_| QueueFull),
        };
        match &permit {
            Ok(_) => self.metrics.wait.observe(start.elapsed().as_secs_f64()),
            Err(QueueFull) => drop(self.metrics.refusals.inc()),
        }
        permit
    }

    /// A permit, or the channel that will deliver one. If the request is evicted, the channel is closed without one.
    fn try_acquire(
        self: &Arc<Self>,
        requester: Requester,
        now: Instant,
    ) -> Result<Permit, oneshot::Receiver<Permit>> {
        let mut state = self.state.lock();
        let result = if state.idle_workers > 0 {
            state.idle_workers -= 1;
            state.queue.record_served(requester, now);
            Ok(Permit(Arc::clone(self)))
        } else {
            Err(state.queue.push(requester, now))
        };
        self.update_gauge(&state);
        result
    }

    /// Passes a worker on to the next waiter.
    fn release(self: &Arc<Self>) {
        let mut state = self.state.lock();
        let next = state.queue.pop(Instant::now());
        if next.is_none() {
            state.idle_workers += 1;
        }
        self.update_gauge(&state);
        drop(state);
        if let Some(sender) = next {
            // If the receiver has just been dropped, so is the permit, which calls `release` again.
            drop(sender.send(Permit(Arc::clone(self))));
        }
    }

    fn update_gauge(&self, state: &State) {
        self.metrics.queue.set((self.workers - state.idle_workers + state.queue.len()) as i64);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.release();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, future::BoxFuture};
    use prometheus_client::registry::Registry;
    use tokio::task::unconstrained;

    use super::{fair_queue::CAPACITY, *};

    type Acquire = BoxFuture<'static, Result<Permit, QueueFull>>;
    type NamedAcquire = (&'static str, Acquire);

    fn queue(workers: usize) -> Arc<BcryptQueue> {
        BcryptQueue::new(workers, BcryptMetrics::new(&mut Registry::default()))
    }

    fn address(number: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, number]))
    }

    fn acquire(queue: &Arc<BcryptQueue>, client: Option<IpAddr>, username: &str) -> Acquire {
        let (queue, username) = (Arc::clone(queue), username.to_owned());
        Box::pin(unconstrained(async move { queue.acquire(client, &username).await }))
    }

    /// A request that waits in the queue.
    fn enqueue(
        queue: &Arc<BcryptQueue>,
        name: &'static str,
        client: Option<IpAddr>,
        username: &str,
    ) -> NamedAcquire {
        let mut pending = acquire(queue, client, username);
        assert!(pending.as_mut().now_or_never().is_none(), "{name} does not wait");
        (name, pending)
    }

    /// The order in which `pending` are served, one after another, from when `permit` is dropped.
    fn service_order(permit: Permit, mut pending: Vec<NamedAcquire>) -> Vec<&'static str> {
        let mut order = Vec::new();
        drop(permit);
        while !pending.is_empty() {
            let before = pending.len();
            pending.retain_mut(|(name, acquire)| match acquire.as_mut().now_or_never() {
                None => true,
                Some(permit) => {
                    order.push(*name);
                    drop(permit.expect("a permit"));
                    false
                }
            });
            assert!(pending.len() < before, "nobody is served");
        }
        order
    }

    #[tokio::test]
    async fn addresses_are_served_round_robin_and_so_are_the_accounts_of_each() {
        let queue = queue(1);
        let permit = queue.acquire(address(1), "a").await.expect("a permit");
        let pending = vec![
            enqueue(&queue, "1a", address(1), "a"),
            enqueue(&queue, "1a again", address(1), "a"),
            enqueue(&queue, "1b", address(1), "b"),
            enqueue(&queue, "2", address(2), "a"),
            enqueue(&queue, "2 again", address(2), "a"),
            enqueue(&queue, "3", address(3), "a"),
        ];
        assert_eq!(service_order(permit, pending), ["2", "3", "1b", "2 again", "1a", "1a again"]);
    }

    #[tokio::test]
    async fn an_address_that_asks_seldom_is_served_before_any_number_that_keep_asking() {
        let queue = queue(1);
        let mut permit = queue.acquire(address(0), "a").await.expect("a permit");
        for number in 1..200 {
            let (_, pending) = enqueue(&queue, "", address(number), "a");
            drop(permit);
            permit = pending.await.expect("a permit");
        }
        let mut pending: Vec<_> =
            (1..=16).map(|number| enqueue(&queue, "often", address(number), "a")).collect();
        pending.push(enqueue(&queue, "seldom", address(200), "b"));
        // The address served last was evicted for it.
        let (_, evicted) = pending.remove(15);
        assert!(evicted.await.is_err());
        assert_eq!(service_order(permit, pending)[..2], ["seldom", "often"]);
    }

    #[tokio::test]
    async fn when_the_queue_is_full_the_address_with_the_most_requests_loses_one() {
        let queue = queue(1);
        let permit = queue.acquire(None, "").await.expect("a permit");
        let mut pending: Vec<_> = (0..CAPACITY).map(|_| enqueue(&queue, "greedy", address(1), "a")).collect();
        for (number, name) in [(2, "2"), (3, "3"), (4, "4")] {
            pending.push(enqueue(&queue, name, address(number), "a"));
        }
        // The same account gets no further request in, but another account of that address does. The address still
        // has requests in the queue, so the evictions have not changed when it is served: it came first.
        let again = async { queue.acquire(address(1), "a").await };
        assert!(again.now_or_never().is_some_and(|permit| permit.is_err()));
        pending.push(enqueue(&queue, "neighbour", address(1), "b"));
        let mut evicted = Vec::new();
        pending.retain_mut(|(name, acquire)| match acquire.as_mut().now_or_never() {
            None => true,
            Some(permit) => {
                assert!(permit.is_err(), "{name}");
                evicted.push(*name);
                false
            }
        });
        assert_eq!(evicted, ["greedy"; 4]);
        assert_eq!((queue.metrics.refusals.get(), queue.metrics.queue.get()), (5, CAPACITY as i64 + 1));
        let order = service_order(permit, pending);
        assert_eq!((order.len(), &order[..5]), (CAPACITY, &["greedy", "2", "3", "4", "neighbour"][..]));
        assert_eq!(queue.metrics.queue.get(), 0);
    }

    #[tokio::test]
    async fn addresses_that_retry_at_once_are_not_served_before_one_that_was_not_there() {
        let queue = queue(1);
        let mut permit = queue.acquire(None, "").await.expect("a permit");
        let mut pending: Vec<Acquire> = Vec::new();
        let mut name = 0;
        let mut flood = |queue: &Arc<BcryptQueue>, pending: &mut Vec<Acquire>| {
            for number in 0..100 {
                name += 1;
                let mut request = acquire(queue, address(number), &name.to_string());
                if request.as_mut().now_or_never().is_none() {
                    pending.push(request);
                }
            }
        };
        for _ in 0..300 {
            flood(&queue, &mut pending);
        }
        for _ in 0..CAPACITY {
            // Serves those who came first and have been waiting since.
            drop(permit);
            let mut next = None;
            pending.retain_mut(|acquire| match acquire.as_mut().now_or_never() {
                Some(Ok(permit)) => {
                    next = Some(permit);
                    false
                }
                Some(Err(QueueFull)) => false,
                None => true,
            });
            permit = next.expect("a permit");
            flood(&queue, &mut pending);
        }
        let (_, honest) = enqueue(&queue, "seldom", address(200), "b");
        flood(&queue, &mut pending);
        drop(permit);
        assert!(honest.now_or_never().is_some_and(|permit| permit.is_ok()));
    }

    #[tokio::test]
    async fn a_committee_behind_one_address_is_served_among_more_addresses_than_the_queue_holds() {
        const ADDRESSES: usize = 18;
        const GATES: usize = 12;
        let queue = queue(1);
        // The committee has logged in before; the others have not.
        let mut permit = queue.acquire(address(0), "gate 0").await.expect("a permit");
        let mut pending: Vec<(usize, Acquire)> = Vec::new();
        let mut logged_in = Vec::new();
        for round in 0.. {
            assert!(round <= (GATES + 1) * ADDRESSES, "{} of {GATES} after {round} rounds", logged_in.len());
            // Everybody who is not in the queue asks again: a gate in every fourth round, and two strangers behind
            // each other address in every round, with new names.
            let gates = (0..GATES).filter(|gate| (gate + round) % 4 == 0);
            let strangers = GATES..GATES + 2 * (ADDRESSES - 1);
            for who in strangers.chain(gates) {
                if logged_in.contains(&who) || pending.iter().any(|(waiter, _)| *waiter == who) {
                    continue;
                }
                let (client, username) = match who {
                    gate if gate < GATES => (address(0), format!("gate {gate}")),
                    stranger => (address(stranger as u8 / 2), format!("stranger {stranger} {round}")),
                };
                let mut request = acquire(&queue, client, &username);
                if request.as_mut().now_or_never().is_none() {
                    pending.push((who, request));
                }
                pending.retain_mut(|(_, acquire)| acquire.as_mut().now_or_never().is_none());
            }
            drop(permit);
            let mut served = None;
            pending.retain_mut(|(who, acquire)| match acquire.as_mut().now_or_never() {
                None => true,
                Some(permit) => {
                    served = Some((*who, permit.expect("a permit")));
                    false
                }
            });
            let (who, next) = served.expect("somebody is served");
            permit = next;
            if who < GATES {
                logged_in.push(who);
            }
            if logged_in.len() == GATES {
                break;
            }
        }
    }

    #[tokio::test]
    async fn a_cancelled_request_leaves_the_queue_and_passes_its_worker_on() {
        let queue = queue(2);
        let permits = [queue.acquire(None, "").await, queue.acquire(None, "").await];
        for _ in 0..CAPACITY * 3 {
            drop(enqueue(&queue, "cancelled", address(1), "a"));
        }
        assert_eq!(queue.metrics.refusals.get(), 0);
        // Gets its permit, and is cancelled before it takes it.
        let served = enqueue(&queue, "served", address(2), "a");
        let (_, waiting) = enqueue(&queue, "waiting", address(3), "a");
        drop(permits);
        drop(served);
        let [one, other] = [waiting.await, queue.acquire(None, "").await];
        assert!(one.is_ok() && other.is_ok());
        assert!(queue.acquire(None, "").now_or_never().is_none(), "there are two workers");
        drop((one, other));
        assert_eq!(queue.metrics.queue.get(), 0);
    }
}
