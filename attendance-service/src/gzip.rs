//! Lists compressed with gzip, by a few threads that serve no requests.
//!
//! All of a list is one gzip stream. Every part of it is compressed by itself and ends at a whole byte, so that
//! one that was compressed for one reader can be sent to every other.

use std::{io, sync::Arc, thread};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::{
    deflate::Deflated,
    store::{Part, StoreError},
};

/// Deflate, no flags, no moment, compressed fast, on a system that does not matter (RFC 1952).
const HEADER: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

/// A last block with nothing in it.
const LAST_BLOCK: &[u8] = &[3, 0];

/// Compresses as many parts at once as leave a core to those who check in. Everybody else waits, in order.
pub struct Compressor {
    permits: Arc<Semaphore>,
}

impl Default for Compressor {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self { permits: Arc::new(Semaphore::new(cores.saturating_sub(1).max(1))) }
    }
}

impl Compressor {
    /// The gzip stream of `parts` between `beginning` and `end`, as slow as it is read.
    pub fn stream(
        self: Arc<Self>,
        beginning: &[u8],
        parts: BoxStream<'static, Result<Part, StoreError>>,
        end: &'static [u8],
    ) -> BoxStream<'static, Result<Bytes, StoreError>> {
        let Deflated { bytes: beginning, crc } = Deflated::stored(beginning);
        let parts = stream::try_unfold(Some((parts, crc)), move |state| {
            let compressor = Arc::clone(&self);
            async move {
                let Some((mut parts, mut crc)) = state else { return Ok(None) };
                let Some(part) = parts.try_next().await? else {
                    let end = Deflated::stored(end);
                    crc.combine(&end.crc);
                    let sums = [crc.sum().to_le_bytes(), crc.amount().to_le_bytes()].concat();
                    return Ok(Some(([&end.bytes, LAST_BLOCK, &sums].concat().into(), None)));
                };
                let deflated = compressor.deflate(part).await?;
                crc.combine(&deflated.crc);
                Ok(Some((deflated.bytes.clone(), Some((parts, crc)))))
            }
        });
        stream::iter([Ok(Bytes::from_static(HEADER)), Ok(beginning)]).chain(parts).boxed()
    }

    async fn deflate(&self, part: Part) -> Result<Arc<Deflated>, StoreError> {
        let kept = |part: &Part| part.slot.as_ref().and_then(|slot| slot.get());
        if let Some(deflated) = kept(&part) {
            return Ok(deflated);
        }
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(internal)?;
        let deflate = move || {
            let _permit = permit;
            // Whoever had the permit before may have been at the same part.
            if let Some(deflated) = kept(&part) {
                return Ok(deflated);
            }
            let deflated = Arc::new(Deflated::new(&part.json)?);
            if let Some(slot) = part.slot {
                slot.keep(&deflated);
            }
            Ok::<_, io::Error>(deflated)
        };
        spawn_blocking(deflate).await.map_err(internal)?.map_err(internal)
    }
}

fn internal(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Internal(Arc::new(error))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;
    use crate::store::{Budget, Slot};

    async fn compressed(compressor: &Arc<Compressor>, parts: &[Part]) -> Vec<Bytes> {
        let parts = stream::iter(parts.to_vec()).map(Ok).boxed();
        let stream = Arc::clone(compressor).stream(b"[", parts, b"]");
        stream.map(Result::unwrap).collect().await
    }

    fn plain(compressed: &[Bytes]) -> Vec<u8> {
        let (all, mut text) = (compressed.concat(), Vec::new());
        let mut decoder = GzDecoder::new(&all[..]);
        decoder.read_to_end(&mut text).unwrap();
        assert!(decoder.into_inner().is_empty(), "one member, and nothing behind it");
        text
    }

    fn part(json: impl Into<Bytes>) -> Part {
        Part { json: json.into(), slot: None }
    }

    /// Bytes that nothing compresses.
    fn noise(length: usize) -> Vec<u8> {
        let next = |seed: &u32| Some(seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        std::iter::successors(Some(1), next).map(|seed: u32| (seed >> 24) as u8).take(length).collect()
    }

    #[tokio::test]
    async fn parts_of_any_size_make_one_stream_with_the_right_sum() {
        let compressor = Arc::default();
        for sizes in [&[][..], &[0], &[1], &[0, 1, 2], &[70_000, 3, 300_000, 65_535], &[16_384; 40]] {
            for text in [noise(300_000), b"{\"event_id\":\"e\"},".repeat(20_000)] {
                let parts: Vec<_> = sizes.iter().map(|size| part(text[..*size].to_vec())).collect();
                let whole: Vec<u8> = parts.iter().flat_map(|part| part.json.to_vec()).collect();
                let expected = [b"[", &whole[..], b"]"].concat();
                assert_eq!(plain(&compressed(&compressor, &parts).await), expected, "{sizes:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_part_with_a_slot_is_compressed_once() {
        let compressor = Arc::default();
        let slot = Some(Arc::new(Slot::new(Arc::new(Budget::new(1 << 20)))));
        let parts = [Part { slot, ..part(b"a part, a part".repeat(5000)) }];
        let (first, second) = (compressed(&compressor, &parts).await, compressed(&compressor, &parts).await);
        assert_eq!(plain(&first), plain(&second));
        assert_eq!(first[2].as_ptr(), second[2].as_ptr(), "the same bytes, not equal ones");
        assert!(first[2].len() < 5000);
    }

    #[tokio::test]
    async fn nothing_is_kept_of_the_last_quarter_of_the_budget() {
        let budget = Arc::new(Budget::new(11_000));
        let slot = Some(Arc::new(Slot::new(Arc::clone(&budget))));
        let parts = [Part { slot, ..part(noise(10_000)) }];
        let compressor = Arc::default();
        let (first, second) = (compressed(&compressor, &parts).await, compressed(&compressor, &parts).await);
        assert_eq!(plain(&first), plain(&second));
        assert_ne!(first[2].as_ptr(), second[2].as_ptr());
        assert_eq!(budget.taken(), 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn never_are_more_parts_compressed_at_once_than_there_are_permits() {
        let compressor = Arc::new(Compressor { permits: Arc::new(Semaphore::new(2)) });
        let held = Arc::clone(&compressor.permits).acquire_many_owned(2).await.unwrap();
        let waiting = {
            let compressor = Arc::clone(&compressor);
            tokio::spawn(async move { compressed(&compressor, &[part("x")]).await })
        };
        // Nothing to wait for: it must not get on.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(!waiting.is_finished());
        drop(held);
        assert_eq!(plain(&waiting.await.unwrap()), b"[x]");
    }
}
