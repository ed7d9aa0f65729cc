//! A bound in bytes for what all connections together hold.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that all connections share. What each may hold in any case is not in it.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    used: AtomicUsize,
    /// The most that was refused at once, since this was last asked.
    refused: AtomicUsize,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, used: AtomicUsize::new(0), refused: AtomicUsize::new(0) }
    }

    /// Takes `bytes` if there are as many left.
    pub(super) fn try_take(&self, bytes: usize) -> Result<(), OverBudget> {
        self.take(bytes);
        if self.used() <= self.limit {
            return Ok(());
        }
        self.give_back(bytes);
        // For what can never fit nobody has to make room.
        if bytes <= self.limit {
            self.refused.fetch_max(bytes, Ordering::Relaxed);
        }
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

    /// How much has to be given back until a quarter is left, and room for what was refused since this was last
    /// asked.
    pub(super) fn excess(&self) -> usize {
        let enough = (self.limit / 4 * 3).min(self.limit - self.refused.swap(0, Ordering::Relaxed));
        self.used().saturating_sub(enough)
    }
}

/// There is no room for the body of a request or of an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connections hold too much memory together")]
pub(crate) struct OverBudget;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let budget = Budget::new(1000);
        budget.try_take(750).unwrap();
        assert_eq!(budget.excess(), 0);
        budget.try_take(250).unwrap();
        assert_eq!(budget.excess(), 250, "a quarter is left");
        assert!(budget.try_take(400).is_err());
        assert!(budget.try_take(1).is_err());
        assert_eq!(budget.excess(), 400, "somebody was refused");
        assert!(budget.try_take(1001).is_err());
        assert_eq!(budget.excess(), 250, "nothing makes room for that");
        budget.give_back(1000);
        assert_eq!((budget.used(), budget.excess()), (0, 0));
        budget.take(1100);
        assert_eq!(budget.excess(), 350);
    }
}
