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
    record::{RecordFields, RecordPrefix},
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

/// What a chunk takes besides its bytes: three entries in the lists of full chunks and of their first records (a list
/// doubles when it grows, and leaves a hole of half its size), its cache, and what the allocator adds to each allocation.
pub(super) const CHUNK_OVERHEAD: u64 =
    3 * (size_of::<Chunk>() + size_of::<u32>()) as u64 + size_of::<CompressedCache>() as u64 + 80;

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
    /// How many records are before each chunk.
    records_before: Vec<u32>,
    /// How many records were appended.
    pub(super) records: u32,
    /// The number of the last entry, counted from 1: a record, a retraction or a conflict.
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

/// A chunk of the log as it was at one point in time.
pub(super) struct ScanChunk {
    bytes: Bytes,
    chunk: u32,
    records_before: u32,
    /// Where the retracted records begin, in order.
    retracted: Vec<u32>,
}

/// A record that is read from a [`ScanChunk`].
pub(super) struct ScannedRecord<'a> {
    /// Its number among the records of the log, counted from 1.
    pub(super) number: u32,
    pub(super) position: LogPosition,
    pub(super) fields: RecordFields<'a>,
    pub(super) is_retracted: bool,
}

impl ScanChunk {
    /// How many records are before those of the chunk.
    pub(super) fn records_before(&self) -> u32 {
        self.records_before
    }

    /// The records of the chunk, in order.
    pub(super) fn records(&self) -> impl Iterator<Item = serde_json::Result<ScannedRecord<'_>>> {
        let (mut offset, mut number) = (0, self.records_before);
        let mut retracted = self.retracted.iter().copied().peekable();
        std::iter::from_fn(move || {
            // Without the comma before the record.
            let json = self.bytes.get(offset + 1..).filter(|json| !json.is_empty())?;
            let position = LogPosition { chunk: self.chunk, offset: offset as u32 + 1 };
            let is_retracted = retracted.next_if_eq(&(offset as u32)).is_some();
            number += 1;
            let record = RecordFields::read(json).map(|(fields, length)| {
                offset += 1 + length;
                ScannedRecord { number, position, fields, is_retracted }
            });
            if record.is_err() {
                offset = self.bytes.len();
            }
            Some(record)
        })
    }
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
        if self.records_before.len() == self.full.len() {
            self.records_before.push(self.records);
        }
    }

    /// Adds a record to the last chunk, which has room for it.
    pub(super) fn append(&mut self, json: &[u8]) -> LogPosition {
        self.last.push(b',');
        let position = LogPosition { chunk: self.full.len() as u32, offset: self.last.len() as u32 };
        self.last.extend_from_slice(json);
        self.live += 1 + json.len() as u64;
        self.records += 1;
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

    /// How many bytes of the record at `position` are its ids: [`RecordPrefix::ids`].
    pub(super) fn ids_len(&self, position: LogPosition) -> usize {
        // These bytes are in no text of JSON: it would escape the quotes.
        const NEXT: &[u8] = br#","checked_in_by":"#;
        let record = self.at(position);
        record.windows(NEXT.len()).position(|part| part == NEXT).unwrap_or(record.len())
    }

    /// The record at `position`.
    pub(super) fn record(&self, position: LogPosition) -> Bytes {
        let log = self.at(position);
        let mut values = serde_json::Deserializer::from_slice(log).into_iter::<IgnoredAny>();
        values.next();
        Bytes::copy_from_slice(&log[..values.byte_offset()])
    }

    /// The chunk that holds the record with this number, counted from 1, to be read while the log goes on. Records that
    /// were retracted up to the entry `seq` are marked.
    pub(super) fn scan(&self, record: u32, seq: u64) -> ScanChunk {
        let chunk = self.records_before.partition_point(|before| *before < record).saturating_sub(1) as u32;
        let bytes = match self.full.get(chunk as usize) {
            Some(full) => full.json.clone(),
            None => Bytes::copy_from_slice(&self.last),
        };
        let begin = LogPosition { chunk, offset: 0 };
        let end = LogPosition { chunk: chunk + 1, offset: 0 };
        let retractions = self.retractions.range(begin..end);
        let retracted = retractions.filter(|(_, retraction)| retraction.seq <= seq);
        let retracted = retracted.map(|(comma, _)| comma.offset).collect();
        let records_before = self.records_before.get(chunk as usize).copied().unwrap_or_default();
        ScanChunk { bytes, chunk, records_before, retracted }
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
