//! The check-ins of one event: the log of its records, and an index that finds the record of a ticket in the log.
//!
//! A ticket whose record is retracted leaves the index, so it can be checked in again.
//!
//! The index holds 12 bytes a ticket: a part of the hash, and where the record begins. The ids stand in the log only.

use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashTable;
use parking_lot::Mutex;

use super::log::{CHUNK_OVERHEAD, LogPosition, NewChunk, RecordLog};
use crate::{
    record::{EventId, RecordPrefix, Timestamp},
    store::{budget::Budget, chunk::Chunk},
};

/// What a ticket takes in the index of its event, at most: the table is at least 7/16 full, with a control byte an
/// entry.
pub(super) const TICKET_BYTES: u64 = (size_of::<Ticket>() as u64 + 1) * 16 / 7 + 1;

/// What an event takes besides its id and its records: itself, its entry in the map of events, its first tickets.
pub(super) const EVENT_BYTES: u64 = size_of::<Event>() as u64 + 300;

/// The check-ins of one event.
#[derive(Default)]
pub(super) struct Event {
    pub(super) log: RecordLog,
    tickets: HashTable<Ticket>,
    /// When the last ticket was accepted.
    pub(super) latest: Option<Timestamp>,
}

/// A ticket that was checked in.
struct Ticket {
    /// A part of the hash of its id: most other tickets differ here already, without a look at their records.
    hash: u32,
    position: LogPosition,
}

impl Event {
    /// How many tickets were checked in.
    pub(super) fn len(&self) -> usize {
        self.tickets.len()
    }

    /// Where the record of a ticket begins. `hash` is that of the ticket's id, `ids` are [`RecordPrefix::ids`].
    pub(super) fn find(&self, hash: u32, ids: &[u8]) -> Option<LogPosition> {
        let is_same = |ticket: &Ticket| ticket.hash == hash && self.log.at(ticket.position).starts_with(ids);
        self.tickets.find(widen_hash(hash), is_same).map(|ticket| ticket.position)
    }

    /// The chunk that has to be begun for the record, if the last one has no room for it.
    pub(super) fn new_chunk(&self, prefix: &RecordPrefix) -> Option<NewChunk> {
        self.log.new_chunk(prefix)
    }

    /// Retracts the record of a ticket, if the ticket is checked in. The arguments are those of [`find`](Self::find).
    pub(super) fn retract(&mut self, hash: u32, ids: &[u8], budget: &Budget) -> Option<Bytes> {
        let position = self.find(hash, ids)?;
        if let Ok(entry) = self.tickets.find_entry(widen_hash(hash), |ticket| ticket.position == position) {
            entry.remove();
        }
        // Taken beyond the limit if need be: a check-in is retracted at most once.
        budget.take(self.log.retraction_bytes());
        Some(self.log.retract(position))
    }

    /// Adds a ticket that is not in the index yet. `chunk` is the size of the chunk to begin, if
    /// [`new_chunk`](Self::new_chunk) asked for one.
    pub(super) fn accept(
        &mut self,
        hash: u32,
        prefix: RecordPrefix,
        at: Timestamp,
        chunk: Option<usize>,
        budget: &Arc<Budget>,
    ) -> (Bytes, LogPosition) {
        self.latest = Some(at);
        let record = prefix.finish(at);
        if let Some(capacity) = chunk {
            self.log.begin_chunk(capacity, budget);
        }
        let position = self.log.append(&record);
        self.tickets
            .insert_unique(widen_hash(hash), Ticket { hash, position }, |ticket| widen_hash(ticket.hash));
        (record, position)
    }
}

/// Memory for a new event with this id, in bytes.
pub(super) fn event_bytes(id: &EventId) -> u64 {
    EVENT_BYTES + id.0.len() as u64
}

/// Memory for a record and its ticket, in bytes. `chunk` is the size of the chunk that it begins, if it begins one.
pub(super) fn record_bytes(chunk: Option<usize>) -> u64 {
    TICKET_BYTES + chunk.map_or(0, |capacity| CHUNK_OVERHEAD + capacity as u64)
}

/// The table takes bits from both ends of a 64-bit hash, so both halves are the same.
fn widen_hash(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

/// Reads the records of an event as they were when the reader was made.
///
/// It locks the event for one chunk at a time, and keeps no copy of what is still to be read.
pub(super) struct LogReader {
    event: Arc<Mutex<Event>>,
    next: LogPosition,
    /// Bytes still to read.
    left: u64,
    /// The last entry of the log when the reader was made.
    seq: u64,
    has_begun: bool,
}

impl LogReader {
    /// Reads the `live` bytes that the log had after the entry `seq`.
    pub(super) fn new(event: Arc<Mutex<Event>>, live: u64, seq: u64) -> Self {
        Self { event, next: LogPosition::default(), left: live, seq, has_begun: false }
    }
}

impl Iterator for LogReader {
    type Item = Chunk;

    fn next(&mut self) -> Option<Chunk> {
        if self.left == 0 {
            return None;
        }
        let (chunk, next) = self.event.lock().log.read(self.next, self.left as usize, self.seq);
        self.left -= chunk.json.len() as u64;
        self.next = next;
        // No comma before the first record.
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        Some(if is_first { chunk.json.slice(1..).into() } else { chunk })
    }
}
