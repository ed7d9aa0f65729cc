//! The counter of one account, address or device.

use std::time::{Duration, Instant};

use super::Refusal;

/// The delay after the first failure that is not free. Each further failure doubles it.
const MIN_DELAY: Duration = Duration::from_secs(1);

/// The delay is doubled up to this.
const MAX_DELAY: Duration = Duration::from_secs(60);

/// How many doublings lead from [`MIN_DELAY`] to [`MAX_DELAY`].
const MAX_DOUBLINGS: u32 = 6;

/// How many failures and logins are free, and how fast the counts of both decay.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) free_failures: u32,
    /// The count of failures falls by one this often.
    pub(super) failure_decay: Duration,
    pub(super) free_logins: u32,
    /// The count of logins falls by one this often.
    pub(super) login_decay: Duration,
}

impl Limits {
    /// Failures beyond this are not counted, because the delay does not grow any more.
    fn max_failures(self) -> u32 {
        self.free_failures + MAX_DOUBLINGS
    }

    fn delay(self, failures: u32) -> Duration {
        match failures.checked_sub(self.free_failures) {
            None => Duration::ZERO,
            Some(doublings) => (MIN_DELAY * (1 << doublings.min(MAX_DOUBLINGS))).min(MAX_DELAY),
        }
    }
}

/// The failures and logins of one account, address or device. Both counts decay, and are stored as the time when
/// they will be zero.
#[derive(Clone, Copy)]
pub(super) struct Counter {
    /// Attempts without a result yet.
    pending: u32,
    last_failure: Instant,
    no_failures_at: Instant,
    no_logins_at: Instant,
}

impl Counter {
    pub(super) fn new(now: Instant) -> Self {
        Self { pending: 0, last_failure: now, no_failures_at: now, no_logins_at: now }
    }

    fn failures(&self, limits: Limits, at: Instant) -> u32 {
        let left = self.no_failures_at.saturating_duration_since(at);
        left.as_nanos().div_ceil(limits.failure_decay.as_nanos()) as u32
    }

    pub(super) fn begin(&mut self) {
        self.pending += 1;
    }

    pub(super) fn refusal(&self, limits: Limits, now: Instant) -> Option<Refusal> {
        self.too_many_failures(limits, now).max(self.too_many_logins(limits, now))
    }

    fn too_many_logins(&self, limits: Limits, now: Instant) -> Option<Refusal> {
        let left = self.no_logins_at.saturating_duration_since(now);
        let wait = left.saturating_sub(limits.login_decay * (limits.free_logins - 1));
        (!wait.is_zero()).then_some(Refusal::Wait(wait))
    }

    fn too_many_failures(&self, limits: Limits, now: Instant) -> Option<Refusal> {
        let failures = self.failures(limits, now);
        if failures + self.pending < limits.free_failures {
            return None;
        }
        if failures >= limits.free_failures {
            let delay = limits.delay(self.failures(limits, self.last_failure));
            let waited = now.saturating_duration_since(self.last_failure);
            if waited < delay {
                return Some(Refusal::Wait(delay - waited));
            }
        }
        (self.pending > 0).then_some(Refusal::Pending)
    }

    pub(super) fn cancel(&mut self) {
        self.pending = self.pending.saturating_sub(1);
    }

    pub(super) fn succeed(&mut self, limits: Limits, now: Instant) {
        self.pending = self.pending.saturating_sub(1);
        self.no_logins_at = self.no_logins_at.max(now) + limits.login_decay;
    }

    pub(super) fn clear_failures(&mut self, now: Instant) {
        self.last_failure = now;
        self.no_failures_at = now;
    }

    pub(super) fn fail(&mut self, limits: Limits, now: Instant) {
        self.pending = self.pending.saturating_sub(1);
        self.last_failure = now;
        let latest = now + limits.failure_decay * limits.max_failures();
        self.no_failures_at = (self.no_failures_at.max(now) + limits.failure_decay).min(latest);
    }
}
