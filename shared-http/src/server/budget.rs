//! A bound in bytes for what all connections together hold.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// Bytes that all connections share. What each may hold in any case is not in it.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    used: AtomicUsize,
    has_refused: AtomicBool,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, used: AtomicUsize::new(0), has_refused: AtomicBool::new(false) }
    }

    /// Takes `bytes` if there are as many left.
    pub(super) fn try_take(&self, bytes: usize) -> Result<(), OverBudget> {
        self.take(bytes);
        if self.used() <= self.limit {
            return Ok(());
        }
        self.give_back(bytes);
        self.has_refused.store(true, Ordering::Relaxed);
        Err(OverBudget)
    }

    /// Takes `bytes` that are in use already.
    pub(super) fn take(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether it is time to close the connections of clients that do not take their answers: there is little
    /// left, or somebody was refused since this was last asked.
    pub(super) fn is_short(&self) -> bool {
        self.has_refused.swap(false, Ordering::Relaxed) || self.used() >= self.limit / 4 * 3
    }
}

/// There is no room for the body of a request or of an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connections hold too much memory together")]
pub(crate) struct OverBudget;

/// Bytes of a budget, until it is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Reservation {
    pub(super) fn new(budget: &Arc<Budget>, bytes: usize) -> Result<Self, OverBudget> {
        budget.try_take(bytes)?;
        Ok(Self { budget: budget.clone(), bytes })
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
    fn what_is_given_back_can_be_taken_again() {
        let budget = Arc::new(Budget::new(1000));
        let all = Reservation::new(&budget, 1000).unwrap();
        assert!(budget.is_short());
        assert!(Reservation::new(&budget, 1).is_err());
        budget.take(500);
        drop(all);
        assert_eq!(budget.used(), 500);
        assert!(budget.is_short(), "somebody was refused");
        assert!(!budget.is_short());
        assert!(budget.try_take(501).is_err());
        budget.try_take(500).unwrap();
        budget.give_back(1000);
        assert_eq!(budget.used(), 0);
    }
}
