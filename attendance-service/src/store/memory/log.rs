//! The records of one event as JSON, in the order of acceptance, with a comma before each.
//!
//! A record that is retracted stays where it is, and readers that begin later skip it.
//!
//! The log is a list of chunks. A chunk is allocated once and never grows: a reallocation would leave a hole in the
//! heap that no budget counts. The more an event holds, the larger is its next chunk. Bytes in the log never change,
//! so readers share the full chunks and copy small pieces of the last one.

use std::{collections::BTreeMap, sync::Arc};

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

/// What a retraction takes, at most: its entry in a tree whose nodes of 11 entries are nearly half full, or are the first.
pub(super) const RETRACTION_BYTES: u64 = 12 * size_of::<(LogPosition, Retraction)>() as u64 / 5 + 16;

/// What the first retraction of a log takes besides: the rest of its node.
pub(super) const FIRST_RETRACTION_BYTES: u64 = 10 * size_of::<(LogPosition, Retraction)>() as u64;

/// The log of one event.
#[derive(Default)]
pub(super) struct RecordLog {
    pub(super) full: Vec<Chunk>,
    pub(super) last: Vec<u8>,
    /// How many records were appended or retracted so far: the number of the last entry, counted from 1.
    pub(super) seq: u64,
    /// Bytes of the records that are not retracted, with their commas.
    pub(super) live: u64,
    /// Keyed by where the record begins, its comma included.
    retractions: BTreeMap<LogPosition, Retraction>,
}

/// A record that was retracted.
struct Retraction {
    /// Length of the record in bytes, with its comma.
    length: u32,
    /// The number of the entry. Readers of an older version of the log do not skip the record.
    seq: u64,
}

/// Where a record begins.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
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
        let needed = 1 + prefix.record_len();
        if needed <= self.last.capacity() - self.last.len() {
            return None;
        }
        // Half of the log so far: few chunks, and little unused room in the last one.
        let is_exact = self.seq == 0 || needed >= LONG_RECORD;
        let wanted = if is_exact { needed } else { (self.live as usize / 2).clamp(MIN_CHUNK, MAX_CHUNK) };
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
        self.last.push(b',');
        let position = LogPosition { chunk: self.full.len() as u32, offset: self.last.len() as u32 };
        self.last.extend_from_slice(json);
        self.live += 1 + json.len() as u64;
        self.seq += 1;
        position
    }

    /// What the next retraction takes, in bytes.
    pub(super) fn retraction_bytes(&self) -> u64 {
        RETRACTION_BYTES + if self.retractions.is_empty() { FIRST_RETRACTION_BYTES } else { 0 }
    }

    /// Retracts the record at `position`, which must not be retracted yet. Returns the record.
    pub(super) fn retract(&mut self, position: LogPosition) -> Bytes {
        let record = self.record(position);
        let comma = LogPosition { offset: position.offset - 1, ..position };
        let length = 1 + record.len() as u32;
        self.seq += 1;
        self.live -= u64::from(length);
        self.retractions.insert(comma, Retraction { length, seq: self.seq });
        record
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

    /// Up to `at_most` bytes from `position` on, and the position after them. Records that were retracted up to the entry
    /// `seq` are skipped.
    ///
    /// `at_most` and `seq` keep out what happened after the reader began.
    pub(super) fn read(&self, mut position: LogPosition, at_most: usize, seq: u64) -> (Chunk, LogPosition) {
        loop {
            // Those of one chunk: the event is locked.
            let end = LogPosition { chunk: position.chunk + 1, offset: 0 };
            let retractions = self.retractions.range(position..end);
            let mut retractions = retractions.filter(|(_, retraction)| retraction.seq <= seq).peekable();
            while let Some((_, retraction)) = retractions.next_if(|(begin, _)| **begin == position) {
                position.offset += retraction.length;
            }
            let stop = retractions.peek().map(|(begin, _)| begin.offset as usize);
            let begin = position.offset as usize;
            let after = |length| LogPosition { offset: position.offset + length as u32, ..position };

            let Some(chunk) = self.full.get(position.chunk as usize) else {
                let piece = &self.last[begin..stop.unwrap_or(self.last.len())];
                let piece = &piece[..piece.len().min(at_most).min(MAX_COPY)];
                return (Bytes::copy_from_slice(piece).into(), after(piece.len()));
            };
            let length = stop.unwrap_or(chunk.json.len()) - begin;
            if length == chunk.json.len() && length <= at_most {
                return (chunk.clone(), after(length));
            }
            if length > 0 {
                let length = length.min(at_most);
                return (chunk.json.slice(begin..begin + length).into(), after(length));
            }
            position = LogPosition { chunk: position.chunk + 1, offset: 0 };
        }
    }
}
