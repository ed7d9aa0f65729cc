//! The queue in front of bcrypt: client addresses are served round robin, and so are the accounts of each.
//!
//! A free worker goes to the address that was served longest ago, and there to the account that was. However many
//! ask from one address, it has its turn once in a round, as everybody else: a flood waits behind itself, and a
//! committee behind one address is neither better nor worse off for being many. When every place is taken, the
//! address with the most places gives one up, and among addresses with as many the one served last. So an address
//! keeps a place unless there are more addresses than places, and being turned away does not cost it its turn.
//! An address that was not served of late goes first; thousands that all ask for the first time cannot be told
//! from each other.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use quick_cache::unsync::Cache;
use shared_http::client::network;
use tokio::sync::oneshot;

use crate::metrics::BcryptMetrics;

/// How many may wait, each with a request of 64 KiB at most. The last of them waits about four seconds on a
/// development machine.
const PLACES: usize = 16;

/// Of how many addresses and accounts it is remembered when they were served.
const REMEMBERED: usize = 1 << 14;

/// How long that is remembered.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);

/// Shares out the workers that run bcrypt.
pub struct BcryptQueue {
    /// Whoever does not know its seed cannot choose names and addresses that are taken for each other.
    keys: RandomState,
    workers: usize,
    state: Mutex<State>,
    metrics: BcryptMetrics,
}

/// All places are taken by those whose turn comes first.
#[derive(Debug)]
pub struct QueueFull;

/// The right to run bcrypt on one of the workers, until it is dropped.
#[must_use]
pub struct Worker(Arc<BcryptQueue>);

impl BcryptQueue {
    /// A queue in front of so many workers.
    pub fn new(workers: usize, metrics: BcryptMetrics) -> Arc<Self> {
        let state = State { idle: workers, waiting: Vec::new(), histories: Cache::new(REMEMBERED) };
        Arc::new(Self { keys: RandomState::new(), workers, state: Mutex::new(state), metrics })
    }

    /// Waits for a worker on behalf of `client`, about the account `username`. A caller that stops waiting
    /// gives up its place.
    ///
    /// # Errors
    ///
    /// [`QueueFull`]
    pub async fn enter(
        self: &Arc<Self>,
        client: Option<IpAddr>,
        username: &str,
    ) -> Result<Worker, QueueFull> {
        let begin = Instant::now();
        let address = self.keys.hash_one(client.map(network));
        let requester = Requester { address, account: self.keys.hash_one((address, username)) };
        let worker = match self.ask(requester, begin) {
            Ok(worker) => Ok(worker),
            Err(granted) => granted.await.map_err(|_| QueueFull),
        };
        match &worker {
            Ok(_) => self.metrics.wait.observe(begin.elapsed().as_secs_f64()),
            Err(QueueFull) => drop(self.metrics.refusals.inc()),
        }
        worker
    }

    /// A worker, or what will deliver one. It closes without one if the place is given up.
    fn ask(
        self: &Arc<Self>,
        requester: Requester,
        now: Instant,
    ) -> Result<Worker, oneshot::Receiver<Worker>> {
        let mut state = self.state.lock();
        if state.idle > 0 {
            state.idle -= 1;
            state.serve(requester, now);
            self.show(&state);
            return Ok(Worker(Arc::clone(self)));
        }
        let (grant, granted) = oneshot::channel();
        state.waiting.retain(|waiting| !waiting.grant.is_closed());
        state.waiting.push(Waiting { requester, grant });
        if state.waiting.len() > PLACES {
            state.evict(now);
        }
        self.show(&state);
        Err(granted)
    }

    /// Passes a worker on to whoever is next.
    fn release(self: &Arc<Self>) {
        let mut state = self.state.lock();
        let next = state.next(Instant::now());
        if next.is_none() {
            state.idle += 1;
        }
        self.show(&state);
        drop(state);
        if let Some(next) = next {
            // If the other side has just stopped waiting, the worker is dropped, and so released once more.
            drop(next.grant.send(Worker(Arc::clone(self))));
        }
    }

    fn show(&self, state: &State) {
        self.metrics.queue.set((self.workers - state.idle + state.waiting.len()) as i64);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// Who asks, in hashes.
#[derive(Clone, Copy)]
struct Requester {
    address: u64,
    /// An account as this address asks for it: nobody can make an account look busy from elsewhere.
    account: u64,
}

struct Waiting {
    requester: Requester,
    grant: oneshot::Sender<Worker>,
}

struct State {
    idle: usize,
    /// The oldest first.
    waiting: Vec<Waiting>,
    /// Of addresses and of accounts.
    histories: Cache<u64, History>,
}

impl State {
    /// The address that was served longest ago, there the account that was, and for that whoever came first.
    fn next(&mut self, now: Instant) -> Option<Waiting> {
        self.waiting.retain(|waiting| !waiting.grant.is_closed());
        let rank = |waiting: &Waiting| {
            let Requester { address, account } = waiting.requester;
            (self.history(address, now), self.history(account, now))
        };
        let ranks = self.waiting.iter().map(rank).enumerate();
        let (index, _) = ranks.min_by_key(|(_, rank)| *rank)?;
        let next = self.waiting.remove(index);
        self.serve(next.requester, now);
        Some(next)
    }

    /// Gives up a place of the address that has the most, and among those with as many of the one served last;
    /// there by the same rule a place of an account, and of its places the newest.
    fn evict(&mut self, now: Instant) {
        let rank = |waiting: &Waiting| {
            let Requester { address, account } = waiting.requester;
            let of_account = |other: &&Waiting| other.requester.account == account;
            let accounts_places = self.waiting.iter().filter(of_account).count();
            let (address, account) = (self.history(address, now), self.history(account, now));
            (self.places(waiting.requester.address), address, accounts_places, account)
        };
        let ranks = self.waiting.iter().map(rank).enumerate();
        let Some((index, _)) = ranks.max_by_key(|(_, rank)| *rank) else { return };
        let Requester { address, .. } = self.waiting.remove(index).requester;
        if self.places(address) == 0 && self.history(address, now) == History::New {
            self.histories.insert(address, History::TurnedAway(now));
        }
    }

    /// How many places an address has.
    fn places(&self, address: u64) -> usize {
        self.waiting.iter().filter(|waiting| waiting.requester.address == address).count()
    }

    fn history(&self, key: u64, now: Instant) -> History {
        match self.histories.peek(&key) {
            Some(history) if !history.is_forgotten(now) => *history,
            _ => History::New,
        }
    }

    fn serve(&mut self, Requester { address, account }: Requester, now: Instant) {
        for key in [address, account] {
            self.histories.insert(key, History::Served(now));
        }
    }
}

/// What is remembered of an address or an account, in the order in which they are served.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum History {
    /// Neither served nor turned away of late.
    New,
    /// An address not served of late that lost its only place, at this moment for the first time: coming back
    /// more often changes nothing.
    TurnedAway(Instant),
    /// Served last at this moment.
    Served(Instant),
}

impl History {
    fn is_forgotten(self, now: Instant) -> bool {
        match self {
            Self::New => true,
            Self::TurnedAway(at) | Self::Served(at) => now.saturating_duration_since(at) >= FORGOTTEN_AFTER,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, future::BoxFuture};
    use prometheus_client::registry::Registry;
    use tokio::task::unconstrained;

    use super::*;

    type Asked = (&'static str, BoxFuture<'static, Result<Worker, QueueFull>>);

    fn queue(workers: usize) -> Arc<BcryptQueue> {
        BcryptQueue::new(workers, BcryptMetrics::new(&mut Registry::default()))
    }

    fn address(number: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, number]))
    }

    /// Begins to wait.
    fn ask(queue: &Arc<BcryptQueue>, name: &'static str, client: Option<IpAddr>, username: &str) -> Asked {
        let (queue, username) = (Arc::clone(queue), username.to_owned());
        let mut asked: BoxFuture<_> =
            Box::pin(unconstrained(async move { queue.enter(client, &username).await }));
        assert!(asked.as_mut().now_or_never().is_none(), "{name} does not wait");
        (name, asked)
    }

    /// Who is served, in turn, or turned away, as soon as `worker` is free.
    fn served(worker: Worker, mut waiting: Vec<Asked>) -> Vec<&'static str> {
        let mut order = Vec::new();
        drop(worker);
        while !waiting.is_empty() {
            let before = waiting.len();
            waiting.retain_mut(|(name, asked)| match asked.as_mut().now_or_never() {
                None => true,
                Some(worker) => {
                    order.push(*name);
                    drop(worker.expect("a worker"));
                    false
                }
            });
            assert!(waiting.len() < before, "nobody is served");
        }
        order
    }

    #[tokio::test]
    async fn addresses_take_turns_and_so_do_the_accounts_of_each() {
        let queue = queue(1);
        let worker = queue.enter(address(1), "a").await.expect("a worker");
        let waiting = vec![
            ask(&queue, "1a", address(1), "a"),
            ask(&queue, "1a again", address(1), "a"),
            ask(&queue, "1b", address(1), "b"),
            ask(&queue, "2", address(2), "a"),
            ask(&queue, "2 again", address(2), "a"),
            ask(&queue, "3", address(3), "a"),
        ];
        assert_eq!(served(worker, waiting), ["2", "3", "1b", "2 again", "1a", "1a again"]);
    }

    #[tokio::test]
    async fn whoever_asks_seldom_goes_before_those_who_keep_asking_from_any_number_of_addresses() {
        let queue = queue(1);
        let mut worker = queue.enter(address(0), "a").await.expect("a worker");
        for number in 1..200 {
            let (_, asked) = ask(&queue, "", address(number), "a");
            drop(worker);
            worker = asked.await.expect("a worker");
        }
        let mut waiting: Vec<_> = (1..=16).map(|number| ask(&queue, "often", address(number), "a")).collect();
        waiting.push(ask(&queue, "seldom", address(200), "b"));
        // Whoever was served last has lost its place to it.
        let (_, evicted) = waiting.remove(15);
        assert!(evicted.await.is_err());
        assert_eq!(served(worker, waiting)[..2], ["seldom", "often"]);
    }

    #[tokio::test]
    async fn when_all_places_are_taken_whoever_takes_most_of_them_gives_one_up() {
        let queue = queue(1);
        let worker = queue.enter(None, "").await.expect("a worker");
        let mut waiting: Vec<_> = (0..PLACES).map(|_| ask(&queue, "greedy", address(1), "a")).collect();
        for (number, name) in [(2, "2"), (3, "3"), (4, "4")] {
            waiting.push(ask(&queue, name, address(number), "a"));
        }
        // It gets no new place by asking again, but another account of its address does. As it was turned away with
        // places left, its address has lost no turn: it came first, and is served first.
        let again = async { queue.enter(address(1), "a").await };
        assert!(again.now_or_never().is_some_and(|worker| worker.is_err()));
        waiting.push(ask(&queue, "neighbour", address(1), "b"));
        let mut turned_away = Vec::new();
        waiting.retain_mut(|(name, asked)| match asked.as_mut().now_or_never() {
            None => true,
            Some(worker) => {
                assert!(worker.is_err(), "{name}");
                turned_away.push(*name);
                false
            }
        });
        assert_eq!(turned_away, ["greedy"; 4]);
        assert_eq!((queue.metrics.refusals.get(), queue.metrics.queue.get()), (5, PLACES as i64 + 1));
        let order = served(worker, waiting);
        assert_eq!((order.len(), &order[..5]), (PLACES, &["greedy", "2", "3", "4", "neighbour"][..]));
        assert_eq!(queue.metrics.queue.get(), 0);
    }

    #[tokio::test]
    async fn coming_back_at_once_does_not_go_before_an_address_that_was_not_there() {
        let queue = queue(1);
        let mut worker = queue.enter(None, "").await.expect("a worker");
        let mut waiting: Vec<_> = Vec::new();
        let mut name = 0;
        let mut storm = |queue: &Arc<BcryptQueue>, waiting: &mut Vec<Asked>| {
            for number in 0..100 {
                name += 1;
                let (queue, username) = (Arc::clone(queue), name.to_string());
                let mut asked: BoxFuture<_> =
                    Box::pin(unconstrained(async move { queue.enter(address(number), &username).await }));
                if asked.as_mut().now_or_never().is_none() {
                    waiting.push(("often", asked));
                }
            }
        };
        for _ in 0..300 {
            storm(&queue, &mut waiting);
        }
        for _ in 0..PLACES {
            // Served in turn those who came first and have been waiting since.
            drop(worker);
            let mut next = None;
            waiting.retain_mut(|(_, asked)| match asked.as_mut().now_or_never() {
                Some(Ok(worker)) => {
                    next = Some(worker);
                    false
                }
                Some(Err(QueueFull)) => false,
                None => true,
            });
            worker = next.expect("a worker");
            storm(&queue, &mut waiting);
        }
        let honest = ask(&queue, "seldom", address(200), "b");
        storm(&queue, &mut waiting);
        drop(worker);
        assert!(honest.1.now_or_never().is_some_and(|worker| worker.is_ok()));
    }

    #[tokio::test]
    async fn a_committee_behind_one_address_gets_its_turn_among_more_addresses_than_places() {
        const ADDRESSES: usize = 18;
        const GATES: usize = 12;
        let queue = queue(1);
        // The committee has logged in before; the others have not.
        let mut worker = queue.enter(address(0), "gate 0").await.expect("a worker");
        let mut waiting: Vec<(usize, BoxFuture<'static, Result<Worker, QueueFull>>)> = Vec::new();
        let mut logged_in = Vec::new();
        for turn in 0.. {
            assert!(turn <= (GATES + 1) * ADDRESSES, "{} of {GATES} after {turn} turns", logged_in.len());
            // Whoever does not wait asks again: a gate in every fourth turn, two strangers behind each other address
            // in every turn, with new names.
            let gates = (0..GATES).filter(|gate| (gate + turn) % 4 == 0);
            let strangers = GATES..GATES + 2 * (ADDRESSES - 1);
            for who in strangers.chain(gates) {
                if logged_in.contains(&who) || waiting.iter().any(|(waits, _)| *waits == who) {
                    continue;
                }
                let (client, username) = match who {
                    gate if gate < GATES => (address(0), format!("gate {gate}")),
                    stranger => (address(stranger as u8 / 2), format!("stranger {stranger} {turn}")),
                };
                let queue = Arc::clone(&queue);
                let mut asked: BoxFuture<_> =
                    Box::pin(unconstrained(async move { queue.enter(client, &username).await }));
                if asked.as_mut().now_or_never().is_none() {
                    waiting.push((who, asked));
                }
                waiting.retain_mut(|(_, asked)| asked.as_mut().now_or_never().is_none());
            }
            drop(worker);
            let mut granted = None;
            waiting.retain_mut(|(who, asked)| match asked.as_mut().now_or_never() {
                None => true,
                Some(worker) => {
                    granted = Some((*who, worker.expect("a worker")));
                    false
                }
            });
            let (who, next) = granted.expect("somebody is served");
            worker = next;
            if who < GATES {
                logged_in.push(who);
            }
            if logged_in.len() == GATES {
                break;
            }
        }
    }

    #[tokio::test]
    async fn whoever_stops_waiting_leaves_place_and_worker_to_others() {
        let queue = queue(2);
        let workers = [queue.enter(None, "").await, queue.enter(None, "").await];
        for _ in 0..PLACES * 3 {
            drop(ask(&queue, "gone", address(1), "a"));
        }
        assert_eq!(queue.metrics.refusals.get(), 0);
        // Granted while nobody looks, and never taken.
        let granted = ask(&queue, "granted", address(2), "a");
        let waiting = ask(&queue, "waiting", address(3), "a");
        drop(workers);
        drop(granted);
        let [one, other] = [waiting.1.await, queue.enter(None, "").await];
        assert!(one.is_ok() && other.is_ok());
        assert!(queue.enter(None, "").now_or_never().is_none(), "there are two workers");
        drop((one, other));
        assert_eq!(queue.metrics.queue.get(), 0);
    }
}
