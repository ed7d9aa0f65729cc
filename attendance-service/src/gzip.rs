//! Lists compressed with gzip, by a few threads that serve no requests.
//!
//! All of a list is one gzip stream. Every part of it is compressed by itself and ends at a whole byte, so that
//! one that was compressed for one reader can be sent to every other.

use std::{
    io::{self, Write},
    sync::{Arc, OnceLock},
    thread,
};

use bytes::Bytes;
use flate2::{Compression, Crc, write::DeflateEncoder};
use futures_util::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::store::{Part, StoreError};

/// Deflate, no flags, no moment, compressed fast, on a system that does not matter (RFC 1952).
const HEADER: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

/// A last block with nothing in it.
const LAST_BLOCK: &[u8] = &[3, 0];

/// As many bytes as a block can hold that is not compressed.
const STORED: usize = u16::MAX as usize;

/// Raw deflate that refers to nothing before it and ends at a whole byte, and is not the end of a stream.
pub struct Deflated {
    bytes: Bytes,
    crc: Crc,
}

/// Where the compressed form of a part is kept for the next reader.
#[derive(Default)]
pub struct Slot(OnceLock<Arc<Deflated>>);

impl Deflated {
    fn new(json: &[u8]) -> io::Result<Self> {
        // The box has slow cores, and the list compresses well whatever the level.
        let mut encoder = DeflateEncoder::new(Vec::with_capacity(json.len() / 4), Compression::fast());
        encoder.write_all(json)?;
        encoder.flush()?;
        let mut bytes = std::mem::take(encoder.get_mut());
        bytes.shrink_to_fit();
        Ok(Self { bytes: bytes.into(), crc: crc(json) })
    }

    /// Not compressed: not worth the trouble.
    fn stored(json: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(json.len() + 5 * json.len().div_ceil(STORED));
        for block in json.chunks(STORED) {
            let length = block.len() as u16;
            bytes.push(0);
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&(!length).to_le_bytes());
            bytes.extend_from_slice(block);
        }
        Self { bytes: bytes.into(), crc: crc(json) }
    }
}

fn crc(json: &[u8]) -> Crc {
    let mut crc = Crc::new();
    crc.update(json);
    crc
}

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
        let kept = |part: &Part| part.slot.as_ref().and_then(|slot| slot.0.get().cloned());
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
                let _ = slot.0.set(Arc::clone(&deflated));
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

    #[test]
    fn what_is_stored_may_be_longer_than_a_block() {
        for length in [0, 1, STORED - 1, STORED, STORED + 1, 3 * STORED] {
            let (text, sums) = (noise(length), crc(&noise(length)));
            let sums = [sums.sum().to_le_bytes(), sums.amount().to_le_bytes()].concat();
            let stream = [HEADER, &Deflated::stored(&text).bytes, LAST_BLOCK, &sums].concat();
            assert_eq!(plain(&[stream.into()]), text, "{length}");
        }
    }

    #[tokio::test]
    async fn a_part_with_a_slot_is_compressed_once() {
        let compressor = Arc::default();
        let slot = Some(Arc::default());
        let parts = [Part { slot, ..part(b"a part, a part".repeat(5000)) }];
        let (first, second) = (compressed(&compressor, &parts).await, compressed(&compressor, &parts).await);
        assert_eq!(plain(&first), plain(&second));
        assert_eq!(first[2].as_ptr(), second[2].as_ptr(), "the same bytes, not equal ones");
        assert!(first[2].len() < 5000);
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
