//! A limit on memory, and how much of it is taken.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A number of bytes of which callers take some and give them back.
pub struct Budget {
    taken: AtomicU64,
    limit: u64,
}

/// Bytes taken from a budget, given back on drop.
pub(super) struct Reservation {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self { taken: AtomicU64::default(), limit }
    }

    /// Bytes in all.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes taken. Can exceed the limit, see `take`.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Whether `bytes` more fit at the moment.
    pub(super) fn has(&self, bytes: u64) -> bool {
        self.taken().saturating_add(bytes) <= self.limit
    }

    /// Takes `bytes`, if at least `spare` bytes are left then.
    pub(super) fn try_take(&self, bytes: u64, spare: u64) -> bool {
        let more = |taken: u64| {
            let sum = taken.saturating_add(bytes);
            (sum.saturating_add(spare) <= self.limit).then_some(sum)
        };
        // Not `fetch_add` and undo: others would be refused in between.
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Takes `bytes`, even beyond the limit.
    pub(super) fn take(&self, bytes: u64) {
        self.taken.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes `bytes` until the reservation is dropped.
    pub(super) fn reserve(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        self.try_take(bytes, 0).then(|| Reservation { budget: Arc::clone(self), bytes })
    }

    /// Gives back `bytes` that were taken.
    pub(super) fn give_back(&self, bytes: u64) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Reservation {
    /// Leaves the bytes taken for good.
    pub(super) fn keep(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_taken_than_there_is() {
        let budget = Arc::new(Budget::new(100));
        assert!(budget.try_take(60, 0));
        assert!(!budget.try_take(41, 0));
        assert!(budget.has(40) && !budget.has(41));
        assert!(!budget.try_take(30, 11));
        assert!(budget.try_take(30, 10));
        assert_eq!(budget.taken(), 90);

        let reservation = budget.reserve(10).unwrap();
        assert!(budget.reserve(1).is_none());
        drop(reservation);
        assert_eq!(budget.taken(), 90);
        budget.take(20);
        assert!(budget.reserve(0).is_none());
    }

    #[test]
    fn those_who_come_at_once_do_not_take_more_either() {
        let budget = Budget::new(1000);
        let taken: usize = std::thread::scope(|threads| {
            let take = || (0..1000).filter(|_| budget.try_take(3, 0)).count();
            let threads: Vec<_> = (0..4).map(|_| threads.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert!(taken <= 333 && budget.taken() == 3 * taken as u64, "{taken}");
    }
}
