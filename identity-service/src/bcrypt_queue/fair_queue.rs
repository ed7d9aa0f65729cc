//! Who waits, who is served next, and who is evicted when the queue is full.
//!
//! No method blocks: the caller holds a lock meanwhile, and passes in the time.

use std::time::{Duration, Instant};

use quick_cache::unsync::Cache;
use tokio::sync::oneshot;

/// How many requests may wait, each with a body of 64 KiB at most. The last of them waits for about four seconds on a
/// development machine.
pub(super) const CAPACITY: usize = 16;

/// For how many addresses and accounts together a [`History`] is kept.
const MAX_HISTORIES: usize = 1 << 14;

/// How long a [`History`] is valid.
const HISTORY_LIFETIME: Duration = Duration::from_secs(3600);

/// Who wants to run bcrypt, as hashes.
#[derive(Clone, Copy)]
pub(super) struct Requester {
    /// The client address.
    pub(super) address: u64,
    /// The account together with the address: requests from elsewhere do not delay an account here.
    pub(super) account: u64,
}

/// A requester in the queue, and the channel that delivers its permit.
struct Waiter<T> {
    requester: Requester,
    sender: oneshot::Sender<T>,
}

/// A bounded queue that serves addresses round robin, and the accounts of each address round robin.
pub(super) struct FairQueue<T> {
    /// In order of arrival.
    waiters: Vec<Waiter<T>>,
    /// By the hash of an address or an account.
    histories: Cache<u64, History>,
}

impl<T> FairQueue<T> {
    pub(super) fn new() -> Self {
        Self { waiters: Vec::new(), histories: Cache::new(MAX_HISTORIES) }
    }

    /// How many wait, including those whose receiver has been dropped since the last change.
    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Adds a waiter. If the queue is full, one is evicted, perhaps this one: its sender is dropped, so that its
    /// receiver fails.
    pub(super) fn push(&mut self, requester: Requester, now: Instant) -> oneshot::Receiver<T> {
        let (sender, receiver) = oneshot::channel();
        self.remove_closed();
        self.waiters.push(Waiter { requester, sender });
        if self.waiters.len() > CAPACITY {
            self.evict(now);
        }
        receiver
    }

    /// Removes the next waiter: of the address served longest ago, the account served longest ago, and of its
    /// requests the oldest.
    pub(super) fn pop(&mut self, now: Instant) -> Option<oneshot::Sender<T>> {
        self.remove_closed();
        let rank = |waiter: &Waiter<T>| {
            let Requester { address, account } = waiter.requester;
            (self.history(address, now), self.history(account, now))
        };
        let ranks = self.waiters.iter().map(rank).enumerate();
        let (index, _) = ranks.min_by_key(|(_, rank)| *rank)?;
        let next = self.waiters.remove(index);
        self.record_served(next.requester, now);
        Some(next.sender)
    }

    /// Records that `requester` has got a permit.
    pub(super) fn record_served(&mut self, Requester { address, account }: Requester, now: Instant) {
        for key in [address, account] {
            self.histories.insert(key, History::Served(now));
        }
    }

    /// Removes the waiters whose receiver was dropped.
    fn remove_closed(&mut self) {
        self.waiters.retain(|waiter| !waiter.sender.is_closed());
    }

    /// Removes a waiter of the address with the most waiters; of several such addresses, of the one served last.
    /// Within the address the same rule selects the account, and of its requests the newest goes.
    fn evict(&mut self, now: Instant) {
        let rank = |waiter: &Waiter<T>| {
            let Requester { address, account } = waiter.requester;
            let of_address = self.count(|requester| requester.address == address);
            let of_account = self.count(|requester| requester.account == account);
            (of_address, self.history(address, now), of_account, self.history(account, now))
        };
        let ranks = self.waiters.iter().map(rank).enumerate();
        let Some((index, _)) = ranks.max_by_key(|(_, rank)| *rank) else { return };
        let Requester { address, .. } = self.waiters.remove(index).requester;
        let has_other_waiters = self.count(|requester| requester.address == address) > 0;
        if !has_other_waiters && self.history(address, now) == History::New {
            self.histories.insert(address, History::Evicted(now));
        }
    }

    fn count(&self, matches: impl Fn(&Requester) -> bool) -> usize {
        self.waiters.iter().filter(|waiter| matches(&waiter.requester)).count()
    }

    fn history(&self, key: u64, now: Instant) -> History {
        match self.histories.peek(&key) {
            Some(history) if !history.is_expired(now) => *history,
            _ => History::New,
        }
    }
}

/// What is known of an address or an account. The variants, and the times within each, are in the order of service.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum History {
    /// Neither served nor evicted within [`HISTORY_LIFETIME`].
    New,
    /// An address not served within [`HISTORY_LIFETIME`] whose only waiter was evicted, at this time for the first
    /// time. Later evictions change nothing, so retrying more often gains nothing.
    Evicted(Instant),
    /// Served last at this time.
    Served(Instant),
}

impl History {
    fn is_expired(self, now: Instant) -> bool {
        match self {
            Self::New => true,
            Self::Evicted(at) | Self::Served(at) => now.saturating_duration_since(at) >= HISTORY_LIFETIME,
        }
    }
}
