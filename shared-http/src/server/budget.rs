//! Limits on the memory of all connections together.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The budgets that all connections share.
#[derive(Debug)]
pub(super) struct Budgets {
    /// Request bodies and chunks of responses in this process, beyond what each connection may hold in any case.
    pub(super) buffered: Budget,
    /// What the kernel holds for clients that do not read their responses. Nothing is refused if it is exceeded.
    pub(super) unsent: Budget,
}

impl Budgets {
    /// Two budgets of `limit` bytes each.
    pub(super) fn new(limit: usize) -> Self {
        Self { buffered: Budget::new(limit), unsent: Budget::new(limit) }
    }
}

/// A number of bytes that can be taken and given back.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    used: AtomicUsize,
    /// The most bytes that were refused at once since the last [`excess`](Self::excess).
    refused: AtomicUsize,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, used: AtomicUsize::new(0), refused: AtomicUsize::new(0) }
    }

    /// Takes `bytes` if that many are left.
    pub(super) fn try_take(&self, bytes: usize) -> Result<(), OverBudget> {
        self.take(bytes);
        if self.used() <= self.limit {
            return Ok(());
        }
        self.give_back(bytes);
        // Closing connections would not help if the request exceeds the whole budget.
        if bytes <= self.limit {
            self.refused.fetch_max(bytes, Ordering::Relaxed);
        }
        Err(OverBudget)
    }

    /// Takes `bytes` that are in use already, even beyond the limit.
    pub(super) fn take(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// How many bytes have to be given back until a quarter of the limit is free, and at least as much as the most that
    /// was refused since the last call.
    pub(super) fn excess(&self) -> usize {
        let enough = (self.limit / 4 * 3).min(self.limit - self.refused.swap(0, Ordering::Relaxed));
        self.used().saturating_sub(enough)
    }
}

/// There is no memory left for the body of a request or of a response.
#[derive(Debug, thiserror::Error)]
#[error("the connections hold too much memory together")]
pub(crate) struct OverBudget;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_excess_frees_a_quarter_or_what_was_refused() {
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
