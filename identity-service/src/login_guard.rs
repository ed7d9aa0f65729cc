//! The login guard: delays logins to an account, or from an address, after too many failures.
//!
//! Failures are counted per account, whether or not there is such a user, and per client address. A device that has
//! logged in to an account before, which is an account and an address together, has a counter of its own instead of
//! both: an attack on the account from elsewhere does not lock its owner out.
//!
//! An attempt is counted before its password is checked, so that parallel attempts get no further than sequential
//! ones. It counts as a failure unless the password turns out to be right: disconnecting takes nothing back.
//!
//! Successful logins are counted too, for the same accounts, addresses and devices but separately: a right password
//! must not keep bcrypt busy. These limits are such that a committee behind one address never meets them.
//!
//! Refreshes have counters of their own, for an address: a room full of phones whose sessions have ended keeps nobody
//! from logging in.
//!
//! An owner who logs in from a new address during a permanent attack on the account competes with the attacker for
//! one attempt a minute. That is the price of limiting the attacker to one attempt a minute.

mod counter;

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use quick_cache::unsync::Cache;
use shared_http::client::network;
use tokio::sync::Notify;

use self::counter::{Counter, Limits};

/// How many counters each table holds. bcrypt lets no more attempts through before the first counters have decayed.
const MAX_COUNTERS: usize = 1 << 15;

/// Five mistyped passwords are free, and the counter is back at zero after 22 minutes at most. Even a client that logs
/// in before every check-in stays within these limits.
const ACCOUNT: Limits = Limits {
    free_failures: 5,
    failure_decay: Duration::from_secs(120),
    free_logins: 60,
    login_decay: Duration::from_secs(2),
};

/// The limits of an address are higher: a whole committee may be behind one.
const ADDRESS: Limits = Limits {
    free_failures: 100,
    failure_decay: Duration::from_secs(10),
    free_logins: 600,
    login_decay: Duration::from_millis(200),
};

/// Decides whether a login may have its password checked.
pub struct LoginGuard {
    /// A secret seed: nobody can choose names or addresses whose hashes collide.
    hasher: RandomState,
    tables: Mutex<Tables>,
    /// Notified whenever an attempt has ended.
    ended: Notify,
}

/// Why an attempt may not begin.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Refusal {
    /// It depends on the results of attempts that are under way.
    Pending,
    /// There were too many failures, or logins: how long to wait.
    Wait(Duration),
}

/// A login whose password is being checked. Dropped without a result it counts as a failure.
#[must_use]
pub struct LoginAttempt {
    guard: Arc<LoginGuard>,
    keys: CounterKeys,
    device: Option<u64>,
}

impl LoginGuard {
    /// A guard with empty counters.
    pub fn new() -> Self {
        let table = |limits| Table { counters: Cache::new(MAX_COUNTERS), limits };
        Self {
            hasher: RandomState::new(),
            tables: Mutex::new(Tables {
                accounts: table(ACCOUNT),
                addresses: table(ADDRESS),
                devices: table(ACCOUNT),
                refreshes: table(ADDRESS),
            }),
            ended: Notify::new(),
        }
    }

    /// Whether an attempt could begin now, or after others that are under way. Counts nothing.
    ///
    /// # Errors
    ///
    /// How long to wait before the next attempt.
    pub fn check(&self, username: &str, client: Option<IpAddr>) -> Result<(), Duration> {
        let (keys, _) = self.counter_keys(username, client);
        match self.tables.lock().refusal(&keys, Instant::now()) {
            Some(Refusal::Wait(wait)) => Err(wait),
            Some(Refusal::Pending) | None => Ok(()),
        }
    }

    /// Begins an attempt to log in as `username` from `client`. Waits for the results of other attempts if they
    /// decide whether this one may begin.
    ///
    /// Call it with a permit for bcrypt. The attempts that this one may wait for have their permits already, and wait
    /// for nothing, so there is no deadlock.
    ///
    /// # Errors
    ///
    /// How long to wait before the next attempt.
    pub async fn begin(
        self: &Arc<Self>,
        username: &str,
        client: Option<IpAddr>,
    ) -> Result<LoginAttempt, Duration> {
        self.when_decided(|| self.try_begin(username, client, Instant::now())).await
    }

    /// Begins a refresh from `client`. Its token is what a password is to a login.
    ///
    /// # Errors
    ///
    /// How long to wait before the next one.
    pub async fn begin_refresh(self: &Arc<Self>, client: Option<IpAddr>) -> Result<LoginAttempt, Duration> {
        self.when_decided(|| self.try_begin_refresh(client, Instant::now())).await
    }

    async fn when_decided(
        &self,
        try_begin: impl Fn() -> Result<LoginAttempt, Refusal>,
    ) -> Result<LoginAttempt, Duration> {
        loop {
            let ended = self.ended.notified();
            match try_begin() {
                Ok(attempt) => return Ok(attempt),
                Err(Refusal::Wait(wait)) => return Err(wait),
                Err(Refusal::Pending) => ended.await,
            }
        }
    }

    /// Begins an attempt, if it may begin at `now`.
    ///
    /// # Errors
    ///
    /// [`Refusal`]
    pub fn try_begin(
        self: &Arc<Self>,
        username: &str,
        client: Option<IpAddr>,
        now: Instant,
    ) -> Result<LoginAttempt, Refusal> {
        let (keys, device) = self.counter_keys(username, client);
        self.try_begin_counted(keys, device, now)
    }

    /// Begins a refresh, if it may begin at `now`.
    ///
    /// # Errors
    ///
    /// [`Refusal`]
    pub fn try_begin_refresh(
        self: &Arc<Self>,
        client: Option<IpAddr>,
        now: Instant,
    ) -> Result<LoginAttempt, Refusal> {
        let key = client.map(|client| (Scope::Refresh, self.hasher.hash_one(network(client))));
        self.try_begin_counted([key, None], None, now)
    }

    fn try_begin_counted(
        self: &Arc<Self>,
        keys: CounterKeys,
        device: Option<u64>,
        now: Instant,
    ) -> Result<LoginAttempt, Refusal> {
        let mut tables = self.tables.lock();
        if let Some(refusal) = tables.refusal(&keys, now) {
            return Err(refusal);
        }
        keys.iter().flatten().for_each(|(scope, key)| tables.of(*scope).begin(*key, now));
        Ok(LoginAttempt { guard: Arc::clone(self), keys, device })
    }

    /// The counters of an attempt, and the device it comes from.
    fn counter_keys(&self, username: &str, client: Option<IpAddr>) -> (CounterKeys, Option<u64>) {
        let account = self.hasher.hash_one(username);
        let address = client.map(|client| self.hasher.hash_one(network(client)));
        let device = address.map(|address| self.hasher.hash_one((account, address)));

        let is_known = |device: &u64| self.tables.lock().devices.counters.contains_key(device);
        let keys = match device.filter(is_known) {
            Some(device) => [Some((Scope::Device, device)), None],
            None => [Some((Scope::Account, account)), address.map(|address| (Scope::Address, address))],
        };
        (keys, device)
    }
}

impl Default for LoginGuard {
    fn default() -> Self {
        Self::new()
    }
}

impl LoginAttempt {
    /// The password was wrong, which was known at `now`.
    pub fn failed(mut self, now: Instant) {
        self.fail(now);
    }

    /// The password was right, which was known at `now`. From now on the device is known.
    pub fn succeeded(mut self, now: Instant) {
        let mut tables = self.guard.tables.lock();
        for (scope, key) in self.keys.iter_mut().filter_map(Option::take) {
            tables.of(scope).succeed(key, now);
        }
        if let Some(device) = self.device {
            // A client that knows the password is not guessing it. The failures may be those of another client at this
            // address.
            tables.devices.update(device, now, |counter| counter.clear_failures(now));
        }
    }

    /// It came to nothing for a reason of ours, such as storage that fails. It counts neither way.
    pub fn cancel(mut self) {
        let mut tables = self.guard.tables.lock();
        for (scope, key) in self.keys.iter_mut().filter_map(Option::take) {
            tables.of(scope).cancel(key);
        }
    }

    fn fail(&mut self, now: Instant) {
        let mut tables = self.guard.tables.lock();
        for (scope, key) in self.keys.iter_mut().filter_map(Option::take) {
            tables.of(scope).fail(key, now);
        }
    }
}

impl Drop for LoginAttempt {
    fn drop(&mut self) {
        self.fail(Instant::now());
        self.guard.ended.notify_waiters();
    }
}

/// The one or two counters that an attempt is counted in: table and hash.
type CounterKeys = [Option<(Scope, u64)>; 2];

#[derive(Clone, Copy)]
enum Scope {
    Account,
    Address,
    Device,
    /// The refreshes of an address.
    Refresh,
}

struct Tables {
    accounts: Table,
    addresses: Table,
    devices: Table,
    refreshes: Table,
}

impl Tables {
    fn refusal(&mut self, keys: &CounterKeys, now: Instant) -> Option<Refusal> {
        keys.iter().flatten().filter_map(|(scope, key)| self.of(*scope).refusal(*key, now)).max()
    }

    fn of(&mut self, scope: Scope) -> &mut Table {
        match scope {
            Scope::Account => &mut self.accounts,
            Scope::Address => &mut self.addresses,
            Scope::Device => &mut self.devices,
            Scope::Refresh => &mut self.refreshes,
        }
    }
}

/// Counters by the hash of what they count. When the cache is full, entries that were looked up only once go first.
struct Table {
    counters: Cache<u64, Counter>,
    limits: Limits,
}

impl Table {
    fn refusal(&self, key: u64, now: Instant) -> Option<Refusal> {
        self.counters.get(&key)?.refusal(self.limits, now)
    }

    fn begin(&mut self, key: u64, now: Instant) {
        self.update(key, now, Counter::begin);
    }

    fn fail(&mut self, key: u64, now: Instant) {
        let limits = self.limits;
        self.update(key, now, |counter| counter.fail(limits, now));
    }

    fn cancel(&mut self, key: u64) {
        if let Some(mut counter) = self.counters.get_mut(&key) {
            counter.cancel();
        }
    }

    fn succeed(&mut self, key: u64, now: Instant) {
        let limits = self.limits;
        self.update(key, now, |counter| counter.succeed(limits, now));
    }

    fn update(&mut self, key: u64, now: Instant, update: impl FnOnce(&mut Counter)) {
        let mut counter = self.counters.get(&key).copied().unwrap_or_else(|| Counter::new(now));
        update(&mut counter);
        self.counters.insert(key, counter);
    }
}
