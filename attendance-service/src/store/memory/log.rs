//! The records of one event as JSON, in the order of acceptance, separated by commas.
//!
//! The log is a list of chunks. A chunk is allocated once and never grows: a reallocation would leave a hole in the
//! heap that no budget counts. The more an event holds, the larger is its next chunk. Bytes in the log never change,
//! so readers share the full chunks and copy small pieces of the last one.

use std::sync::Arc;

use bytes::Bytes;
use serde::de::IgnoredAny;

use crate::{
    record::RecordPrefix,
    store::{
        budget::Budget,
        chunk::{Chunk, CompressedCache},
    },
};

/// Largest size of a chunk in bytes. A record that is longer gets a chunk of its own.
pub(super) const MAX_CHUNK: usize = 256 * 1024;

/// Smallest size in bytes of every chunk but the first, if the budget allows it.
const MIN_CHUNK: usize = 1024;

/// A record of at least this many bytes gets a chunk of exactly its size: few others would fit behind it.
const LONG_RECORD: usize = 16 * 1024;

/// What a chunk takes besides its bytes: three entries in the list of full chunks (the list doubles when it grows, and
/// leaves a hole of half its size), its cache, and what the allocator adds to each allocation.
pub(super) const CHUNK_OVERHEAD: u64 =
    3 * size_of::<Chunk>() as u64 + size_of::<CompressedCache>() as u64 + 80;

/// How many bytes of the last chunk a reader copies at once.
pub(super) const MAX_COPY: usize = 16 * 1024;

/// The log of one event.
#[derive(Default)]
pub(super) struct RecordLog {
    pub(super) full: Vec<Chunk>,
    pub(super) last: Vec<u8>,
    /// Bytes in all chunks.
    pub(super) length: u64,
}

/// Where a record begins.
#[derive(Clone, Copy, Default)]
pub(super) struct LogPosition {
    chunk: u32,
    offset: u32,
}

/// The sizes that a new chunk may have, in bytes.
pub(super) struct NewChunk {
    /// With room for later records.
    pub(super) wanted: usize,
    /// With room for the first record only.
    pub(super) needed: usize,
}

impl RecordLog {
    /// The chunk that has to be begun for the record, if the last one has no room for it.
    pub(super) fn new_chunk(&self, prefix: &RecordPrefix) -> Option<NewChunk> {
        let needed = usize::from(self.length > 0) + prefix.record_len();
        if needed <= self.last.capacity() - self.last.len() {
            return None;
        }
        // Half of the log so far: few chunks, and little unused room in the last one.
        let is_exact = self.length == 0 || needed >= LONG_RECORD;
        let wanted = if is_exact { needed } else { (self.length as usize / 2).clamp(MIN_CHUNK, MAX_CHUNK) };
        Some(NewChunk { wanted: wanted.max(needed), needed })
    }

    /// Begins a chunk of `capacity` bytes.
    pub(super) fn begin_chunk(&mut self, capacity: usize, budget: &Arc<Budget>) {
        let full = std::mem::replace(&mut self.last, Vec::with_capacity(capacity));
        if !full.is_empty() {
            let cache = Some(Arc::new(CompressedCache::new(Arc::clone(budget))));
            self.full.push(Chunk { json: full.into(), cache });
        }
    }

    /// Adds a record to the last chunk, which has room for it.
    pub(super) fn append(&mut self, json: &[u8]) -> LogPosition {
        let comma = usize::from(self.length > 0);
        self.last.extend_from_slice(&b","[..comma]);
        let position = LogPosition { chunk: self.full.len() as u32, offset: self.last.len() as u32 };
        self.last.extend_from_slice(json);
        self.length += (comma + json.len()) as u64;
        position
    }

    /// The rest of the chunk from `position` on.
    pub(super) fn at(&self, position: LogPosition) -> &[u8] {
        let chunk = self.full.get(position.chunk as usize).map_or(self.last.as_slice(), |chunk| &chunk.json);
        &chunk[position.offset as usize..]
    }

    /// The record at `position`.
    pub(super) fn record(&self, position: LogPosition) -> Bytes {
        let log = self.at(position);
        let mut values = serde_json::Deserializer::from_slice(log).into_iter::<IgnoredAny>();
        values.next();
        Bytes::copy_from_slice(&log[..values.byte_offset()])
    }

    /// Up to `at_most` bytes from `position` on, and the position after them.
    ///
    /// `at_most` keeps out what was appended after the reader began.
    pub(super) fn read(&self, mut position: LogPosition, at_most: usize) -> (Chunk, LogPosition) {
        while let Some(chunk) = self.full.get(position.chunk as usize) {
            let (begin, end) = (position.offset as usize, chunk.json.len());
            position = LogPosition { chunk: position.chunk + 1, offset: 0 };
            if begin == 0 && end <= at_most {
                return (chunk.clone(), position);
            }
            // Equal if the reader reached the end of this chunk when it was still the last one.
            if begin < end {
                return (chunk.json.slice(begin..end.min(begin + at_most)).into(), position);
            }
        }
        let rest = &self.last[position.offset as usize..];
        let copied = &rest[..rest.len().min(at_most).min(MAX_COPY)];
        let next = LogPosition { offset: position.offset + copied.len() as u32, ..position };
        (Bytes::copy_from_slice(copied).into(), next)
    }
}
