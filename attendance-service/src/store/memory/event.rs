//! The check-ins of one event: the log of its records, and an index that finds a ticket in the log.
//!
//! The index holds 12 bytes a ticket: a part of the hash, and where the record begins. The ids stand in the log only.

use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashTable;
use parking_lot::Mutex;

use super::log::{CHUNK_OVERHEAD, NewChunk, Place, RecordLog};
use crate::{
    record::{Draft, EventId, Timestamp},
    store::{budget::Budget, part::Part},
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
    place: Place,
}

impl Event {
    /// How many tickets were checked in.
    pub(super) fn len(&self) -> usize {
        self.tickets.len()
    }

    /// Where the record of the ticket with that `hash` begins, whose record begins with `identity`.
    pub(super) fn find(&self, hash: u32, identity: &[u8]) -> Option<Place> {
        let is_same =
            |ticket: &Ticket| ticket.hash == hash && self.log.at(ticket.place).starts_with(identity);
        self.tickets.find(widen_hash(hash), is_same).map(|ticket| ticket.place)
    }

    /// The chunk that has to be begun for the record, if the last one has no room for it.
    pub(super) fn new_chunk(&self, draft: &Draft) -> Option<NewChunk> {
        self.log.new_chunk(draft)
    }

    /// Adds a ticket that is not here yet. Its record begins a chunk of that many bytes if [`Self::new_chunk`] says
    /// that it has to.
    pub(super) fn accept(
        &mut self,
        hash: u32,
        draft: Draft,
        at: Timestamp,
        chunk: Option<usize>,
        budget: &Arc<Budget>,
    ) -> (Bytes, Place) {
        self.latest = Some(at);
        let record = draft.accepted(at);
        if let Some(capacity) = chunk {
            self.log.begin_chunk(capacity, budget);
        }
        let place = self.log.append(&record);
        self.tickets
            .insert_unique(widen_hash(hash), Ticket { hash, place }, |ticket| widen_hash(ticket.hash));
        (record, place)
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

/// Reads the records of an event up to where the log ended when the reader was made.
///
/// It holds the lock for one part at a time, and no copy of what is still to be read.
pub(super) struct LogReader {
    event: Arc<Mutex<Event>>,
    next: Place,
    /// Bytes still to read.
    left: u64,
}

impl LogReader {
    /// Of the first `length` bytes.
    pub(super) fn new(event: Arc<Mutex<Event>>, length: u64) -> Self {
        Self { event, next: Place::default(), left: length }
    }
}

impl Iterator for LogReader {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        if self.left == 0 {
            return None;
        }
        let (part, next) = self.event.lock().log.part(self.next, self.left as usize);
        self.left -= part.json.len() as u64;
        self.next = next;
        Some(part)
    }
}
