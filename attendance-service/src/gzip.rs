//! Compresses lists with gzip, on threads that serve no requests.
//!
//! A list is one gzip stream. Each of its chunks is compressed independently and ends on a byte boundary, so a chunk
//! that was compressed for one reader can be sent to all others.

use std::{io, sync::Arc, thread};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::{
    deflate::Deflated,
    store::{Chunk, StoreError},
};

/// Deflate, no flags, no modification time, fastest compression, unknown system (RFC 1952, section 2.3).
const HEADER: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

/// An empty final block, which ends the stream.
const LAST_BLOCK: &[u8] = &[3, 0];

/// Compresses one chunk on each core but one, which stays free for check-ins. On a single core it compresses one chunk
/// at a time. Further chunks wait in order of arrival.
pub struct Compressor {
    permits: Arc<Semaphore>,
}

impl Default for Compressor {
    fn default() -> Self {
        Self::for_cores(thread::available_parallelism().map_or(1, usize::from))
    }
}

impl Compressor {
    fn for_cores(cores: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(cores.saturating_sub(1).max(1))) }
    }

    /// The gzip stream of `beginning`, `chunks` and `end`. A chunk is compressed when the stream is polled for it.
    pub fn stream(
        self: Arc<Self>,
        beginning: &[u8],
        chunks: BoxStream<'static, Result<Chunk, StoreError>>,
        end: &'static [u8],
    ) -> BoxStream<'static, Result<Bytes, StoreError>> {
        let Deflated { bytes: beginning, crc } = Deflated::stored(beginning);
        let chunks = stream::try_unfold(Some((chunks, crc)), move |state| {
            let compressor = Arc::clone(&self);
            async move {
                let Some((mut chunks, mut crc)) = state else { return Ok(None) };
                let Some(chunk) = chunks.try_next().await? else {
                    let end = Deflated::stored(end);
                    crc.combine(&end.crc);
                    let trailer = [crc.sum().to_le_bytes(), crc.amount().to_le_bytes()].concat();
                    return Ok(Some(([&end.bytes, LAST_BLOCK, &trailer].concat().into(), None)));
                };
                let deflated = compressor.deflate(chunk).await?;
                crc.combine(&deflated.crc);
                Ok(Some((deflated.bytes.clone(), Some((chunks, crc)))))
            }
        });
        stream::iter([Ok(Bytes::from_static(HEADER)), Ok(beginning)]).chain(chunks).boxed()
    }

    async fn deflate(&self, chunk: Chunk) -> Result<Arc<Deflated>, StoreError> {
        let cached = |chunk: &Chunk| chunk.cache.as_ref().and_then(|cache| cache.get());
        if let Some(deflated) = cached(&chunk) {
            return Ok(deflated);
        }
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(internal)?;
        let deflate = move || {
            let _permit = permit;
            // Another reader may have compressed the same chunk while this one waited for the permit.
            if let Some(deflated) = cached(&chunk) {
                return Ok(deflated);
            }
            let deflated = Arc::new(Deflated::new(&chunk.json)?);
            if let Some(cache) = chunk.cache {
                cache.set(&deflated);
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
    use crate::store::{Budget, CompressedCache};

    async fn compressed(compressor: &Arc<Compressor>, chunks: &[Chunk]) -> Vec<Bytes> {
        let chunks = stream::iter(chunks.to_vec()).map(Ok).boxed();
        let stream = Arc::clone(compressor).stream(b"[", chunks, b"]");
        stream.map(Result::unwrap).collect().await
    }

    fn plain(compressed: &[Bytes]) -> Vec<u8> {
        let (all, mut text) = (compressed.concat(), Vec::new());
        let mut decoder = GzDecoder::new(&all[..]);
        decoder.read_to_end(&mut text).unwrap();
        assert!(decoder.into_inner().is_empty(), "there are bytes after the gzip member");
        text
    }

    fn chunk(json: impl Into<Bytes>) -> Chunk {
        Chunk { json: json.into(), cache: None }
    }

    /// Bytes that cannot be compressed.
    fn noise(length: usize) -> Vec<u8> {
        let next = |seed: &u32| Some(seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        std::iter::successors(Some(1), next).map(|seed: u32| (seed >> 24) as u8).take(length).collect()
    }

    #[tokio::test]
    async fn chunks_of_any_size_make_one_stream_with_the_right_checksum() {
        let compressor = Arc::default();
        for sizes in [&[][..], &[0], &[1], &[0, 1, 2], &[70_000, 3, 300_000, 65_535], &[16_384; 40]] {
            for text in [noise(300_000), b"{\"event_id\":\"e\"},".repeat(20_000)] {
                let chunks: Vec<_> = sizes.iter().map(|size| chunk(text[..*size].to_vec())).collect();
                let whole: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.json.to_vec()).collect();
                let expected = [b"[", &whole[..], b"]"].concat();
                assert_eq!(plain(&compressed(&compressor, &chunks).await), expected, "{sizes:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_chunk_with_a_cache_is_compressed_once() {
        let compressor = Arc::default();
        let cache = Some(Arc::new(CompressedCache::new(Arc::new(Budget::new(1 << 20)))));
        let chunks = [Chunk { cache, ..chunk(b"a part, a part".repeat(5000)) }];
        let (first, second) =
            (compressed(&compressor, &chunks).await, compressed(&compressor, &chunks).await);
        assert_eq!(plain(&first), plain(&second));
        assert_eq!(first[2].as_ptr(), second[2].as_ptr(), "the same bytes, not equal ones");
        assert!(first[2].len() < 5000);
    }

    #[tokio::test]
    async fn the_last_quarter_of_the_budget_is_not_used_for_caching() {
        let budget = Arc::new(Budget::new(11_000));
        let cache = Some(Arc::new(CompressedCache::new(Arc::clone(&budget))));
        let chunks = [Chunk { cache, ..chunk(noise(10_000)) }];
        let compressor = Arc::default();
        let (first, second) =
            (compressed(&compressor, &chunks).await, compressed(&compressor, &chunks).await);
        assert_eq!(plain(&first), plain(&second));
        assert_ne!(first[2].as_ptr(), second[2].as_ptr());
        assert_eq!(budget.taken(), 0);
    }

    #[test]
    fn one_core_stays_free_unless_it_is_the_only_one() {
        for (cores, permits) in [(1, 1), (2, 1), (4, 3)] {
            assert_eq!(Compressor::for_cores(cores).permits.available_permits(), permits, "{cores}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_more_chunks_are_compressed_at_once_than_there_are_permits() {
        let compressor = Arc::new(Compressor { permits: Arc::new(Semaphore::new(2)) });
        let permits = Arc::clone(&compressor.permits).acquire_many_owned(2).await.unwrap();
        let waiting = {
            let compressor = Arc::clone(&compressor);
            tokio::spawn(async move { compressed(&compressor, &[chunk("x")]).await })
        };
        // There is no event to wait for: it must not make progress.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(!waiting.is_finished());
        drop(permits);
        assert_eq!(plain(&waiting.await.unwrap()), b"[x]");
    }
}
