//! One event: the log of its records, an index that finds the record of a ticket in the log, what else happened, and the
//! list of its tickets.
//!
//! A ticket whose record is retracted leaves the index, so it can be checked in again.
//!
//! The index holds 16 bytes a ticket: a part of the hash, the number of the entry, and where the record begins. The ids
//! stand in the log only.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use hashbrown::HashTable;
use parking_lot::Mutex;

use super::{
    arrivals::Arrivals,
    log::{CHUNK_OVERHEAD, LogPosition, NewChunk, RecordLog},
    past::{CheckInRef, Origin, PAST_ENTRY_BYTES, PastEntries, PastKind},
    ticket_list::TicketList,
};
use crate::{
    record::{EventId, RecordFields, RecordPrefix, Scan, Timestamp},
    store::{CheckIn, budget::Budget, chunk::Chunk},
};

/// What a ticket takes in the index of its event, at most: the table is at least 7/16 full, with a control byte an
/// entry.
pub(super) const TICKET_BYTES: u64 = (size_of::<Ticket>() as u64 + 1) * 16 / 7 + 1;

/// What an event takes besides its id and its records: itself, its entry in the map of events, its first tickets.
pub(super) const EVENT_BYTES: u64 = size_of::<EventState>() as u64 + 300;

/// One event.
#[derive(Default)]
pub(super) struct EventState {
    pub(super) log: RecordLog,
    tickets: HashTable<Ticket>,
    /// When the last entry was made.
    pub(super) latest: Option<Timestamp>,
    pub(super) past: PastEntries,
    /// The origins of those check-ins whose clients told one.
    origins: BTreeMap<LogPosition, Box<Origin>>,
    pub(super) arrivals: Arrivals,
    /// `None` if any ticket is let in.
    pub(super) list: Option<Arc<TicketList>>,
    /// Counts the changes of the list.
    pub(super) list_version: u64,
}

/// A ticket that was checked in.
struct Ticket {
    /// A part of the hash of its id: most other tickets differ here already, without a look at their records.
    hash: u32,
    check_in: CheckInRef,
}

/// What becomes of a scan whose idempotency key was not used before.
pub(super) enum Verdict {
    /// Nothing: this is its outcome.
    Refused(CheckIn),
    /// A check-in.
    New,
    /// A conflict with this check-in, which stands.
    Conflict(CheckInRef),
}

impl EventState {
    /// How many tickets are checked in.
    pub(super) fn len(&self) -> usize {
        self.tickets.len()
    }

    /// The check-in of a ticket that stands. `hash` is that of the ticket's id, `ids` are [`RecordPrefix::ids`].
    pub(super) fn find(&self, hash: u32, ids: &[u8]) -> Option<CheckInRef> {
        let is_same =
            |ticket: &Ticket| ticket.hash == hash && self.log.at(ticket.check_in.position).starts_with(ids);
        self.tickets.find(widen_hash(hash), is_same).map(|ticket| ticket.check_in)
    }

    /// What becomes of `scan`. The other arguments are those of [`find`](Self::find).
    pub(super) fn judge(&self, scan: &Scan, hash: u32, ids: &[u8]) -> Verdict {
        if let Some(list) = &self.list {
            match list.find(&scan.ticket_id.0) {
                None => return Verdict::Refused(CheckIn::Unregistered),
                Some(ticket) if ticket.is_revoked => return Verdict::Refused(CheckIn::Revoked),
                Some(_) => {}
            }
        }
        match self.find(hash, ids) {
            None => Verdict::New,
            Some(check_in) if scan.admitted => Verdict::Conflict(check_in),
            Some(check_in) => Verdict::Refused(CheckIn::Duplicate(self.log.record(check_in.position))),
        }
    }

    /// The chunk that has to be begun for the record, if the last one has no room for it.
    pub(super) fn new_chunk(&self, prefix: &RecordPrefix) -> Option<NewChunk> {
        self.log.new_chunk(prefix)
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
    ) -> (Bytes, CheckInRef) {
        self.latest = Some(at);
        self.arrivals.add(at);
        let record = prefix.finish(at);
        if let Some(capacity) = chunk {
            self.log.begin_chunk(capacity, budget);
        }
        let position = self.log.append(&record);
        let check_in = CheckInRef { position, seq: self.log.seq as u32 };
        self.tickets
            .insert_unique(widen_hash(hash), Ticket { hash, check_in }, |ticket| widen_hash(ticket.hash));
        (record, check_in)
    }

    /// Keeps the origin of a check-in. Its bytes must be taken.
    pub(super) fn set_origin(&mut self, check_in: CheckInRef, scan: &Scan) {
        if let Some(origin) = Origin::new(scan.gate.as_deref(), scan.scanned_at.as_deref()) {
            self.origins.insert(check_in.position, origin);
        }
    }

    /// The origin of a check-in, if its client told one.
    pub(super) fn origin(&self, check_in: CheckInRef) -> Option<&Origin> {
        self.origins.get(&check_in.position).map(AsRef::as_ref)
    }

    /// Adds the conflict of `scan` with `check_in`. Returns its index among the past entries.
    pub(super) fn add_conflict(
        &mut self,
        scan: &Scan,
        hash: u32,
        check_in: CheckInRef,
        at: Timestamp,
    ) -> u32 {
        self.latest = Some(at);
        self.log.seq += 1;
        let origin = Origin::new(scan.gate.as_deref(), scan.scanned_at.as_deref());
        self.add_past(PastKind::Conflict, check_in, &scan.checked_in_by, at, origin, hash)
    }

    /// Retracts `check_in`, which stands. Returns its record.
    pub(super) fn retract(
        &mut self,
        hash: u32,
        check_in: CheckInRef,
        by: &Arc<str>,
        at: Timestamp,
        budget: &Budget,
    ) -> Bytes {
        let is_same = |ticket: &Ticket| ticket.check_in == check_in;
        if let Ok(entry) = self.tickets.find_entry(widen_hash(hash), is_same) {
            entry.remove();
        }
        self.latest = Some(at);
        // Taken beyond the limit if need be: a check-in is retracted at most once.
        budget.take(self.log.retraction_bytes() + past_bytes(by.len(), 0));
        let record = self.log.retract(check_in.position);
        if let Ok(Ok(checked_in_at)) = RecordFields::read(&record).map(|(fields, _)| fields.at()) {
            self.arrivals.remove(checked_in_at);
        }
        self.add_past(PastKind::Undone, check_in, by, at, None, hash);
        record
    }

    fn add_past(
        &mut self,
        kind: PastKind,
        check_in: CheckInRef,
        by: &Arc<str>,
        at: Timestamp,
        origin: Option<Box<Origin>>,
        hash: u32,
    ) -> u32 {
        let Self { log, past, .. } = self;
        let length = log.ids_len(check_in.position);
        let ids = &log.at(check_in.position)[..length];
        let is_of = |position| log.at(position).starts_with(ids);
        past.push(log.seq, kind, check_in, Arc::clone(by), at, origin, hash, is_of)
    }
}

/// Memory for an undo or a conflict whose user's name and origin take so many bytes.
pub(super) fn past_bytes(by: usize, origin: u64) -> u64 {
    PAST_ENTRY_BYTES + by as u64 + origin
}

/// Memory for the origin of a check-in, in bytes: its entry in a tree whose nodes of 11 entries are nearly half full.
pub(super) fn origin_bytes(scan: &Scan) -> u64 {
    let bytes = Origin::bytes(scan.gate.as_deref(), scan.scanned_at.as_deref());
    if bytes == 0 { 0 } else { bytes + 12 * size_of::<(LogPosition, Box<Origin>)>() as u64 / 5 + 16 }
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
pub(super) fn widen_hash(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

/// Reads the records of an event as they were when the reader was made.
///
/// It locks the event for one chunk at a time, and keeps no copy of what is still to be read.
pub(super) struct LogReader {
    event: Arc<Mutex<EventState>>,
    next: LogPosition,
    /// Bytes still to read.
    left: u64,
    /// The last entry of the log when the reader was made.
    seq: u64,
    has_begun: bool,
}

impl LogReader {
    /// Reads the `live` bytes that the log had after the entry `seq`.
    pub(super) fn new(event: Arc<Mutex<EventState>>, live: u64, seq: u64) -> Self {
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
