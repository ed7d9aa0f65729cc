//! The login guard: who keeps failing has to wait, and nobody else.
//!
//! Failures are counted per account, whether there is such a user or not, and per client address. A device
//! that has logged in to an account before, which is an address and an account together, has a counter of its
//! own instead of both: whoever attacks an account from elsewhere does not lock its owner out. An attempt is
//! counted before its password is looked at, so that many at once get no further than one after another, and it
//! counts as a failure unless the password turns out to be right: hanging up takes nothing back.
//!
//! Logins that succeed are counted too, in the same places but by themselves: a right password is no licence to
//! keep bcrypt busy. Their limits are such that a committee behind one address never meets them.
//!
//! An owner who comes from a new address while somebody keeps attacking the account competes with the attacker
//! for one attempt a minute. That is the price of giving the attacker no more than that.

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

/// How many accounts, addresses and devices are remembered, of each. bcrypt lets no more in before the first
/// of them are forgotten anyway.
const REMEMBERED: usize = 1 << 15;

/// The delay after the first failure that is not free. Every other one doubles it.
const SHORTEST: Duration = Duration::from_secs(1);

/// The delay that is doubled no more.
const LONGEST: Duration = Duration::from_secs(60);

/// How many times the delay doubles until it is the longest.
const DOUBLINGS: u32 = 6;

/// Five mistypes are forgiven, and all is forgotten after 22 minutes at the latest. A client that logs in before
/// every check-in is wasteful, and gets through.
const ACCOUNT: Rule =
    Rule { free: 5, forget: Duration::from_secs(120), free_logins: 60, forget_login: Duration::from_secs(2) };

/// Behind one address there may be a whole committee.
const ADDRESS: Rule = Rule {
    free: 100,
    forget: Duration::from_secs(10),
    free_logins: 600,
    forget_login: Duration::from_millis(200),
};

/// Decides which logins may try their password.
pub struct LoginGuard {
    /// Whoever does not know its seed cannot choose names that are taken for each other.
    keys: RandomState,
    tables: Mutex<Tables>,
    /// An attempt has ended.
    ended: Notify,
}

/// Why an attempt may not begin.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Refusal {
    /// As many are under way as may fail: how they end decides.
    Undecided,
    /// There were too many failures, or logins, and this is how long to wait.
    Wait(Duration),
}

/// A password that is being looked at. Dropped without a verdict it counts as a wrong one.
#[must_use]
pub struct Attempt {
    guard: Arc<LoginGuard>,
    counted: Counted,
    device: Option<u64>,
}

impl LoginGuard {
    /// A guard that has seen nobody fail.
    pub fn new() -> Self {
        let table = |rule| Table { counters: Cache::new(REMEMBERED), rule };
        Self {
            keys: RandomState::new(),
            tables: Mutex::new(Tables {
                accounts: table(ACCOUNT),
                addresses: table(ADDRESS),
                devices: table(ACCOUNT),
            }),
            ended: Notify::new(),
        }
    }

    /// Looks whether an attempt could begin, and counts nothing.
    ///
    /// # Errors
    ///
    /// How long to wait.
    pub fn look(&self, username: &str, client: Option<IpAddr>) -> Result<(), Duration> {
        let (counted, _) = self.places(username, client);
        match self.tables.lock().refusal(&counted, Instant::now()) {
            Some(Refusal::Wait(wait)) => Err(wait),
            Some(Refusal::Undecided) | None => Ok(()),
        }
    }

    /// Counts an attempt to log in as `username` from `client`, once it is decided whether it may begin. Whoever
    /// asks has a worker of bcrypt already. So have those it waits for, and they wait for nobody.
    ///
    /// # Errors
    ///
    /// How long to wait.
    pub async fn enter(
        self: &Arc<Self>,
        username: &str,
        client: Option<IpAddr>,
    ) -> Result<Attempt, Duration> {
        loop {
            let ended = self.ended.notified();
            match self.admit(username, client, Instant::now()) {
                Ok(attempt) => return Ok(attempt),
                Err(Refusal::Wait(wait)) => return Err(wait),
                Err(Refusal::Undecided) => ended.await,
            }
        }
    }

    /// Counts an attempt, if it may begin at `now`.
    ///
    /// # Errors
    ///
    /// [`Refusal`]
    pub fn admit(
        self: &Arc<Self>,
        username: &str,
        client: Option<IpAddr>,
        now: Instant,
    ) -> Result<Attempt, Refusal> {
        let (counted, device) = self.places(username, client);
        let mut tables = self.tables.lock();
        if let Some(refusal) = tables.refusal(&counted, now) {
            return Err(refusal);
        }
        counted.iter().flatten().for_each(|(kind, key)| tables.of(*kind).begin(*key, now));
        Ok(Attempt { guard: Arc::clone(self), counted, device })
    }

    /// Where an attempt is counted, and which device it comes from.
    fn places(&self, username: &str, client: Option<IpAddr>) -> (Counted, Option<u64>) {
        let account = self.keys.hash_one(username);
        let address = client.map(|client| self.keys.hash_one(network(client)));
        let device = address.map(|address| self.keys.hash_one((account, address)));

        let known = |device: &u64| self.tables.lock().devices.counters.contains_key(device);
        let counted = match device.filter(known) {
            Some(device) => [Some((Kind::Device, device)), None],
            None => [Some((Kind::Account, account)), address.map(|address| (Kind::Address, address))],
        };
        (counted, device)
    }
}

impl Default for LoginGuard {
    fn default() -> Self {
        Self::new()
    }
}

impl Attempt {
    /// The password was wrong at `now`.
    pub fn failed(mut self, now: Instant) {
        self.fail(now);
    }

    /// The password was right: from `now` on the device is known.
    pub fn succeeded(mut self, now: Instant) {
        let mut tables = self.guard.tables.lock();
        for (kind, key) in self.counted.iter_mut().filter_map(Option::take) {
            tables.of(kind).succeed(key, now);
        }
        if let Some(device) = self.device {
            // Whoever knows the password has nothing to guess: what a neighbour mistyped is forgiven.
            tables.devices.change(device, now, |counter| counter.forgive(now));
        }
    }

    fn fail(&mut self, now: Instant) {
        let mut tables = self.guard.tables.lock();
        for (kind, key) in self.counted.iter_mut().filter_map(Option::take) {
            tables.of(kind).fail(key, now);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.fail(Instant::now());
        self.guard.ended.notify_waiters();
    }
}

/// How failures and logins become a delay.
#[derive(Clone, Copy)]
struct Rule {
    /// How many failures cost nothing.
    free: u32,
    /// How long it takes to forget one.
    forget: Duration,
    /// How many logins cost nothing.
    free_logins: u32,
    /// How long it takes to forget one.
    forget_login: Duration,
}

impl Rule {
    /// More failures than this make no difference.
    fn most(self) -> u32 {
        self.free + DOUBLINGS
    }

    fn delay(self, failures: u32) -> Duration {
        match failures.checked_sub(self.free) {
            None => Duration::ZERO,
            Some(doublings) => (SHORTEST * (1 << doublings.min(DOUBLINGS))).min(LONGEST),
        }
    }
}

/// The counters of one attempt.
type Counted = [Option<(Kind, u64)>; 2];

#[derive(Clone, Copy)]
enum Kind {
    Account,
    Address,
    Device,
}

struct Tables {
    accounts: Table,
    addresses: Table,
    devices: Table,
}

impl Tables {
    fn refusal(&mut self, counted: &Counted, now: Instant) -> Option<Refusal> {
        counted.iter().flatten().filter_map(|(kind, key)| self.of(*kind).refusal(*key, now)).max()
    }

    fn of(&mut self, kind: Kind) -> &mut Table {
        match kind {
            Kind::Account => &mut self.accounts,
            Kind::Address => &mut self.addresses,
            Kind::Device => &mut self.devices,
        }
    }
}

/// Counters by the hash of what they count. When there is no room those go first that were asked for once.
struct Table {
    counters: Cache<u64, Counter>,
    rule: Rule,
}

impl Table {
    fn refusal(&self, key: u64, now: Instant) -> Option<Refusal> {
        self.counters.get(&key)?.refusal(self.rule, now)
    }

    fn begin(&mut self, key: u64, now: Instant) {
        self.change(key, now, |counter| counter.pending += 1);
    }

    fn fail(&mut self, key: u64, now: Instant) {
        let rule = self.rule;
        self.change(key, now, |counter| counter.fail(rule, now));
    }

    fn succeed(&mut self, key: u64, now: Instant) {
        let rule = self.rule;
        self.change(key, now, |counter| counter.succeed(rule, now));
    }

    fn change(&mut self, key: u64, now: Instant, change: impl FnOnce(&mut Counter)) {
        let mut counter = self.counters.get(&key).copied().unwrap_or_else(|| Counter::new(now));
        change(&mut counter);
        self.counters.insert(key, counter);
    }
}

/// The failures and logins of one account, address or device. They drain away one by one.
#[derive(Clone, Copy)]
struct Counter {
    /// Attempts without a verdict yet.
    pending: u32,
    failed_at: Instant,
    forgotten_at: Instant,
    logins_forgotten_at: Instant,
}

impl Counter {
    fn new(now: Instant) -> Self {
        Self { pending: 0, failed_at: now, forgotten_at: now, logins_forgotten_at: now }
    }

    /// How many are not forgotten yet.
    fn failures(&self, rule: Rule, at: Instant) -> u32 {
        let left = self.forgotten_at.saturating_duration_since(at);
        left.as_nanos().div_ceil(rule.forget.as_nanos()) as u32
    }

    fn refusal(&self, rule: Rule, now: Instant) -> Option<Refusal> {
        self.too_many_failures(rule, now).max(self.too_many_logins(rule, now))
    }

    fn too_many_logins(&self, rule: Rule, now: Instant) -> Option<Refusal> {
        let remembered = self.logins_forgotten_at.saturating_duration_since(now);
        let wait = remembered.saturating_sub(rule.forget_login * (rule.free_logins - 1));
        (!wait.is_zero()).then_some(Refusal::Wait(wait))
    }

    fn too_many_failures(&self, rule: Rule, now: Instant) -> Option<Refusal> {
        let failures = self.failures(rule, now);
        if failures + self.pending < rule.free {
            return None;
        }
        if failures >= rule.free {
            let delay = rule.delay(self.failures(rule, self.failed_at));
            let waited = now.saturating_duration_since(self.failed_at);
            if waited < delay {
                return Some(Refusal::Wait(delay - waited));
            }
        }
        (self.pending > 0).then_some(Refusal::Undecided)
    }

    fn succeed(&mut self, rule: Rule, now: Instant) {
        self.pending = self.pending.saturating_sub(1);
        self.logins_forgotten_at = self.logins_forgotten_at.max(now) + rule.forget_login;
    }

    fn forgive(&mut self, now: Instant) {
        self.failed_at = now;
        self.forgotten_at = now;
    }

    fn fail(&mut self, rule: Rule, now: Instant) {
        self.pending = self.pending.saturating_sub(1);
        self.failed_at = now;
        self.forgotten_at = (self.forgotten_at.max(now) + rule.forget).min(now + rule.forget * rule.most());
    }
}
