//! Pieces of a list, which its readers share.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::budget::Budget;
use crate::deflate::Deflated;

/// A piece of the JSON of a list.
#[derive(Clone)]
pub struct Chunk {
    /// The bytes.
    pub json: Bytes,
    /// Keeps the compressed form, if other readers will get the same chunk.
    pub cache: Option<Arc<CompressedCache>>,
}

impl From<Bytes> for Chunk {
    fn from(json: Bytes) -> Self {
        Self { json, cache: None }
    }
}

/// What a compressed chunk takes besides its bytes, with what the allocator adds.
const OVERHEAD: u64 = size_of::<Deflated>() as u64 + 64;

/// Keeps the compressed form of a chunk for the next reader.
pub struct CompressedCache {
    deflated: OnceLock<Arc<Deflated>>,
    budget: Arc<Budget>,
}

impl CompressedCache {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self { deflated: OnceLock::new(), budget }
    }

    /// The compressed form, if it is cached.
    pub fn get(&self) -> Option<Arc<Deflated>> {
        self.deflated.get().cloned()
    }

    /// Caches the compressed form, if that leaves a quarter of the budget free: that is for check-ins alone.
    pub fn set(&self, deflated: &Arc<Deflated>) {
        let bytes = OVERHEAD + deflated.bytes.len() as u64;
        if self.deflated.get().is_none()
            && self.budget.try_take(bytes, self.budget.limit() / 4)
            && self.deflated.set(Arc::clone(deflated)).is_err()
        {
            // Another thread compressed the same chunk at the same time.
            self.budget.give_back(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn of_all_who_compressed_a_chunk_at_once_one_takes_room() {
        let deflated = Arc::new(Deflated::stored(&[0; 1000]));
        let length = OVERHEAD + deflated.bytes.len() as u64;
        for _ in 0..500 {
            let budget = Arc::new(Budget::new(1 << 20));
            let cache = CompressedCache::new(Arc::clone(&budget));
            let barrier = Barrier::new(4);
            std::thread::scope(|threads| {
                for _ in 0..4 {
                    threads.spawn(|| {
                        barrier.wait();
                        cache.set(&deflated);
                    });
                }
            });
            assert_eq!(budget.taken(), length);
        }
    }
}
