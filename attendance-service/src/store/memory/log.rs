//! The records of one event as JSON, in the order of acceptance, separated by commas.
//!
//! The log is a list of chunks. A chunk is allocated once and never grows: a reallocation would leave a hole in the
//! heap that no budget counts. The more an event holds, the larger is its next chunk. Bytes in the log never change,
//! so readers share the full chunks and copy small pieces of the last one.

use std::sync::Arc;

use bytes::Bytes;
use serde::de::IgnoredAny;

use crate::{
    record::Draft,
    store::{
        budget::Budget,
        part::{Part, Slot},
    },
};

/// Largest size of a chunk in bytes. A record that is longer gets a chunk of its own.
pub(super) const MAX_CHUNK: usize = 256 * 1024;

/// Smallest size in bytes of every chunk but the first, if the budget allows it.
const MIN_CHUNK: usize = 1024;

/// A record of at least this many bytes gets a chunk of exactly its size: few others would fit behind it.
const LONG_RECORD: usize = 16 * 1024;

/// What a chunk takes besides its bytes: three entries in the list of full chunks (the list doubles when it grows, and
/// leaves a hole of half its size), its slot, and what the allocator adds to each allocation.
pub(super) const CHUNK_OVERHEAD: u64 = 3 * size_of::<Part>() as u64 + size_of::<Slot>() as u64 + 80;

/// How many bytes of the last chunk a reader copies at once.
pub(super) const MAX_COPY: usize = 16 * 1024;

/// The log of one event.
#[derive(Default)]
pub(super) struct RecordLog {
    pub(super) full: Vec<Part>,
    pub(super) last: Vec<u8>,
    /// Bytes in all chunks.
    pub(super) length: u64,
}

/// Where a record begins.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
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
    pub(super) fn new_chunk(&self, draft: &Draft) -> Option<NewChunk> {
        let needed = usize::from(self.length > 0) + draft.length();
        if needed <= self.last.capacity() - self.last.len() {
            return None;
        }
        // Half of the log so far: there are few chunks, and at most a third of all their bytes is unused.
        let is_exact = self.length == 0 || needed >= LONG_RECORD;
        let wanted = if is_exact { needed } else { (self.length as usize / 2).clamp(MIN_CHUNK, MAX_CHUNK) };
        Some(NewChunk { wanted: wanted.max(needed), needed })
    }

    /// Begins a chunk of `capacity` bytes.
    pub(super) fn begin_chunk(&mut self, capacity: usize, budget: &Arc<Budget>) {
        let full = std::mem::replace(&mut self.last, Vec::with_capacity(capacity));
        if !full.is_empty() {
            let slot = Some(Arc::new(Slot::new(Arc::clone(budget))));
            self.full.push(Part { json: full.into(), slot });
        }
    }

    /// Adds a record to the last chunk, which has room for it.
    pub(super) fn append(&mut self, json: &[u8]) -> Place {
        let comma = usize::from(self.length > 0);
        self.last.extend_from_slice(&b","[..comma]);
        let place = Place { chunk: self.full.len() as u32, offset: self.last.len() as u32 };
        self.last.extend_from_slice(json);
        self.length += (comma + json.len()) as u64;
        place
    }

    /// The rest of the chunk from `place` on.
    pub(super) fn at(&self, place: Place) -> &[u8] {
        let chunk = self.full.get(place.chunk as usize).map_or(self.last.as_slice(), |chunk| &chunk.json);
        &chunk[place.offset as usize..]
    }

    /// The record at `place`.
    pub(super) fn record(&self, place: Place) -> Bytes {
        let log = self.at(place);
        let mut values = serde_json::Deserializer::from_slice(log).into_iter::<IgnoredAny>();
        values.next();
        Bytes::copy_from_slice(&log[..values.byte_offset()])
    }

    /// Up to `at_most` bytes from `place` on, and where the next part begins.
    ///
    /// `at_most` keeps out what was appended after the reader began.
    pub(super) fn part(&self, mut place: Place, at_most: usize) -> (Part, Place) {
        while let Some(chunk) = self.full.get(place.chunk as usize) {
            let (begin, end) = (place.offset as usize, chunk.json.len());
            place = Place { chunk: place.chunk + 1, offset: 0 };
            if begin == 0 && end <= at_most {
                return (chunk.clone(), place);
            }
            // Empty if the reader had read to its end when it was still the last chunk.
            if begin < end {
                return (chunk.json.slice(begin..end.min(begin + at_most)).into(), place);
            }
        }
        let rest = &self.last[place.offset as usize..];
        let part = &rest[..rest.len().min(at_most).min(MAX_COPY)];
        (Bytes::copy_from_slice(part).into(), Place { offset: place.offset + part.len() as u32, ..place })
    }
}
