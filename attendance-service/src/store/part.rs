//! Parts of a list.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::budget::Budget;
use crate::deflate::Deflated;

/// A part of a list.
#[derive(Clone)]
pub struct Part {
    /// Its bytes.
    pub json: Bytes,
    /// Where they are kept compressed, if others will read the same part.
    pub slot: Option<Arc<Slot>>,
}

impl From<Bytes> for Part {
    fn from(json: Bytes) -> Self {
        Self { json, slot: None }
    }
}

/// What a compressed form takes besides its bytes, with what the allocator adds.
const KEPT: u64 = size_of::<Deflated>() as u64 + 64;

/// Where the compressed form of a part is kept for the next reader.
pub struct Slot {
    kept: OnceLock<Arc<Deflated>>,
    budget: Arc<Budget>,
}

impl Slot {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self { kept: OnceLock::new(), budget }
    }

    /// The compressed form, if it is kept.
    pub fn get(&self) -> Option<Arc<Deflated>> {
        self.kept.get().cloned()
    }

    /// Keeps it, if there is room: the last quarter of the budget is for check-ins alone.
    pub fn keep(&self, deflated: &Arc<Deflated>) {
        let bytes = KEPT + deflated.bytes.len() as u64;
        if self.kept.get().is_none()
            && self.budget.try_take(bytes, self.budget.limit() / 4)
            && self.kept.set(Arc::clone(deflated)).is_err()
        {
            // Another thread has compressed the same part at the same time.
            self.budget.give_back(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn of_all_who_compressed_a_part_at_once_one_takes_room() {
        let deflated = Arc::new(Deflated::stored(&[0; 1000]));
        let length = KEPT + deflated.bytes.len() as u64;
        for _ in 0..500 {
            let budget = Arc::new(Budget::new(1 << 20));
            let slot = Slot::new(Arc::clone(&budget));
            let barrier = Barrier::new(4);
            std::thread::scope(|threads| {
                for _ in 0..4 {
                    threads.spawn(|| {
                        barrier.wait();
                        slot.keep(&deflated);
                    });
                }
            });
            assert_eq!(budget.taken(), length);
        }
    }
}
