//! Check-ins in memory: gone when the process ends.
//!
//! Every event is a log of its records, already written as JSON, and an index that finds a ticket in the log. A record can
//! be retracted: it stays in the log, and leaves the index and the list. A reader remembers only where it is, and where
//! the log ended when it began: it holds the lock for microseconds and next to no memory, however slowly its client
//! reads.
//!
//! The store on a SQLite file is this one with a log on the disk. It asks here what a request would do, writes that, and
//! then applies it here.
//!
//! Locks are taken in one order: catalog, keys, events, one event.

mod apply;
mod arrivals;
mod catalog;
mod event;
mod keys;
mod log;
mod past;
mod reads;
#[cfg(test)]
mod tests;
mod ticket_list;
mod undo;

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use foldhash::fast::RandomState as FastState;
use futures_util::{StreamExt, stream};
use indexmap::IndexMap;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Semaphore;

pub(super) use self::{
    apply::Applied,
    catalog::{LoadedEvents, Step, TicketRow},
};
use self::{
    catalog::Catalog,
    event::{EventState, LogReader, Verdict, event_bytes, origin_bytes, past_bytes, record_bytes},
    keys::{Fingerprint, KEY_BYTES, KeyEntry, KeyUse, fingerprint},
    log::NewChunk,
    past::{CheckInRef, Origin},
};
use super::{
    Attendance, BatchResult, CheckIn, CheckInStore, EventStore, MemoryUsage, Records, StoreError, Summary,
    UndoOutcome,
    budget::{Budget, Reservation},
    clock::MonotonicClock,
    entry::Entry,
};
use crate::{
    history::{BulkUndo, Changes, EntryKind, HistoryEntry, Undo},
    record::{EventId, RecordPrefix, Scan, TicketId, Timestamp},
};

/// What a check-in takes at most, in bytes: two ids as long as the body of a request.
const MAX_CHECK_IN: u64 = 192 * 1024;

/// The default store.
pub struct MemoryCheckInStore {
    /// The events that were created, and what they are called.
    catalog: RwLock<Catalog>,
    /// Held while the catalog or a list is changed by a store that is in memory only.
    changes: Mutex<()>,
    /// One search of a list at a time.
    searches: Semaphore,
    /// In the order of their first scans. None is ever removed, so an index names an event.
    events: RwLock<IndexMap<EventId, Arc<Mutex<EventState>>, FastState>>,
    /// Which record was made under which key. Locked while a scan with a key is decided.
    keys: Mutex<HashMap<Fingerprint, KeyUse, FastState>>,
    /// Seeded at random in every process, so that nobody can choose ids that collide.
    hasher: FastState,
    clock: MonotonicClock,
    /// The memory of all this.
    budget: Arc<Budget>,
    has_logged_full: AtomicBool,
    /// Random, and so different at every start.
    boot_id: u64,
}

/// What is known of a request without writing.
pub(super) enum Lookup<T> {
    /// Its outcome.
    Decided(T),
    /// An entry of this kind has to be written, which takes at most so many bytes of memory.
    Write(EntryKind, u64),
}

impl MemoryCheckInStore {
    /// An empty store that accepts check-ins until they take `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self {
            catalog: RwLock::default(),
            changes: Mutex::default(),
            searches: Semaphore::new(1),
            events: RwLock::default(),
            keys: Mutex::default(),
            hasher: FastState::default(),
            clock: MonotonicClock::default(),
            budget: Arc::new(Budget::new(limit)),
            has_logged_full: AtomicBool::default(),
            boot_id: RandomState::new().hash_one(0),
        }
    }

    /// An event and its index, if it is known.
    fn event_state(&self, id: &EventId) -> Option<(u32, Arc<Mutex<EventState>>)> {
        self.events.read().get_full(id).map(|(index, _, event)| (index as u32, event.clone()))
    }

    /// An event and its index. A new event is made after `take` has taken the bytes for it.
    fn event_or_new(
        &self,
        id: &EventId,
        take: impl FnOnce(u64) -> Result<(), StoreError>,
    ) -> Result<(u32, Arc<Mutex<EventState>>), StoreError> {
        if let Some(event) = self.event_state(id) {
            return Ok(event);
        }
        let mut events = self.events.write();
        if !events.contains_key(id) {
            take(event_bytes(id))?;
        }
        let entry = events.entry(id.clone());
        Ok((entry.index() as u32, entry.or_default().clone()))
    }

    /// Takes `bytes` from the budget, if it has as many.
    fn take(&self, bytes: u64) -> Result<(), StoreError> {
        if self.budget.try_take(bytes, 0) { Ok(()) } else { Err(self.full()) }
    }

    /// Takes `bytes` from the budget for a scan that waits to be written to the disk.
    pub(super) fn reserve(&self, bytes: u64) -> Result<Reservation, StoreError> {
        self.budget.reserve(bytes).ok_or_else(|| self.full())
    }

    fn full(&self) -> StoreError {
        if !self.has_logged_full.swap(true, Ordering::Relaxed) {
            let megabytes = self.budget.limit() >> 20;
            let share = if self.budget.taken() < self.budget.limit() { "nearly all" } else { "all" };
            tracing::error!(
                megabytes,
                "the check-ins take {share} of MAX_STORE_MB, and new ones are refused: raise it, and start again; what \
                 is kept in memory only is forgotten then, so save the lists first"
            );
        }
        StoreError::Full
    }

    /// Whether the longest possible check-in fits.
    pub(super) fn has_room(&self) -> Result<(), StoreError> {
        let is_full = self.budget.taken().saturating_add(MAX_CHECK_IN) > self.budget.limit();
        if is_full { Err(StoreError::Full) } else { Ok(()) }
    }

    /// Logs an error if what was loaded leaves no room.
    pub(super) fn log_if_full(&self) {
        if self.has_room().is_err() {
            drop(self.full());
        }
    }

    fn hash(&self, ticket: &TicketId) -> u32 {
        self.hasher.hash_one(ticket) as u32
    }

    /// Looks a scan up.
    pub(super) fn look_up(&self, scan: &Scan) -> Result<Lookup<CheckIn>, StoreError> {
        let hash = self.hash(&scan.ticket_id);
        let prefix = prefix(scan)?;
        let fingerprint = scan.idempotency_key.as_ref().map(|key| fingerprint(&scan.checked_in_by, key));
        // Locked until the ticket is looked up too. Otherwise this scan's own record, inserted between the two steps,
        // would look like a duplicate.
        let keys = fingerprint.as_ref().map(|fingerprint| (self.keys.lock(), fingerprint));
        if let Some(used) = keys.as_ref().and_then(|(keys, fingerprint)| keys.get(*fingerprint)) {
            return Ok(Lookup::Decided(self.outcome_of_used_key(used, hash, &prefix)));
        }
        let key = if keys.is_some() { KEY_BYTES } else { 0 };
        // The most that it can take: few records need a chunk of their own.
        let bytes = record_bytes(Some(prefix.record_len() + 1)) + key + origin_bytes(scan);
        let Some((_, event)) = self.event_state(&scan.event_id) else {
            return Ok(Lookup::Write(EntryKind::CheckedIn, bytes + event_bytes(&scan.event_id)));
        };
        Ok(match event.lock().judge(scan, hash, prefix.ids()) {
            Verdict::Refused(outcome) => Lookup::Decided(outcome),
            Verdict::New => Lookup::Write(EntryKind::CheckedIn, bytes),
            Verdict::Conflict(_) => Lookup::Write(EntryKind::Conflict, conflict_bytes(scan)),
        })
    }

    /// The time of a check-in to `event` that is accepted at `now`, after the last one that is `queued` for it.
    pub(super) fn next_timestamp(
        &self,
        event: &EventId,
        queued: Option<Timestamp>,
        now: Timestamp,
    ) -> Timestamp {
        let latest = self.event_state(event).and_then(|(_, event)| event.lock().latest);
        self.clock.next(latest.max(queued), now)
    }

    /// Checks a ticket in, or keeps a conflict. The key of `scan` was not used before.
    fn accept(
        &self,
        event: &Mutex<EventState>,
        scan: &Scan,
        prefix: RecordPrefix,
    ) -> Result<(CheckIn, Option<KeyEntry>), StoreError> {
        let hash = self.hash(&scan.ticket_id);
        let mut event = event.lock();
        match event.judge(scan, hash, prefix.ids()) {
            Verdict::Refused(outcome) => Ok((outcome, None)),
            Verdict::New => {
                let key = if scan.idempotency_key.is_some() { KEY_BYTES } else { 0 };
                let chunk = self.take_record(event.new_chunk(&prefix), key + origin_bytes(scan))?;
                let at = self.clock.next(event.latest, Timestamp::now());
                let (record, check_in) = event.accept(hash, prefix, at, chunk, &self.budget);
                event.set_origin(check_in, scan);
                Ok((CheckIn::Accepted(record), Some(KeyEntry::CheckIn(check_in.position))))
            }
            Verdict::Conflict(check_in) => {
                self.take(conflict_bytes(scan))?;
                let at = self.clock.next(event.latest, Timestamp::now());
                let conflict = event.add_conflict(scan, hash, check_in, at);
                let record = event.log.record(check_in.position);
                Ok((CheckIn::Conflict(Some(record)), Some(KeyEntry::Conflict(conflict))))
            }
        }
    }

    /// Takes the bytes for a record and `more` from the budget. Returns the size of the chunk to begin, if one is needed.
    fn take_record(&self, chunk: Option<NewChunk>, more: u64) -> Result<Option<usize>, StoreError> {
        let chunks = chunk.map_or([None, None], |chunk| [Some(chunk.wanted), Some(chunk.needed)]);
        let taken = chunks.into_iter().find(|chunk| self.budget.try_take(record_bytes(*chunk) + more, 0));
        taken.ok_or_else(|| self.full())
    }

    /// The outcome of a scan whose key was used before, and whose record would begin with `prefix`.
    fn outcome_of_used_key(&self, used: &KeyUse, hash: u32, prefix: &RecordPrefix) -> CheckIn {
        let events = self.events.read();
        let event = events[used.event as usize].lock();
        let position = match used.entry {
            KeyEntry::CheckIn(position) => Some(position),
            KeyEntry::Conflict(index) => event.past.get(index).map(|conflict| conflict.check_in.position),
        };
        let Some(position) = position.filter(|position| event.log.at(*position).starts_with(prefix.ids()))
        else {
            return CheckIn::KeyReused;
        };
        let standing = event.find(hash, prefix.ids()).map(|check_in| check_in.position);
        match used.entry {
            KeyEntry::CheckIn(_) => {
                CheckIn::Replayed { record: event.log.record(position), stands: standing == Some(position) }
            }
            KeyEntry::Conflict(_) => CheckIn::Conflict(standing.map(|position| event.log.record(position))),
        }
    }
}

/// Memory for a conflict, in bytes.
fn conflict_bytes(scan: &Scan) -> u64 {
    let origin = Origin::bytes(scan.gate.as_deref(), scan.scanned_at.as_deref());
    past_bytes(scan.checked_in_by.len(), origin) + KEY_BYTES
}

fn prefix(scan: &Scan) -> Result<RecordPrefix, StoreError> {
    RecordPrefix::new(scan).map_err(internal)
}

fn internal(error: serde_json::Error) -> StoreError {
    StoreError::Internal(Arc::new(error))
}

/// A prefix with the ids of a ticket, to look it up.
fn ids(event: &EventId, ticket: &TicketId) -> Result<RecordPrefix, StoreError> {
    prefix(&Scan::new(event.clone(), ticket.clone(), "".into()))
}

#[async_trait]
impl CheckInStore for MemoryCheckInStore {
    async fn check_in(&self, scan: Scan) -> Result<CheckIn, StoreError> {
        let prefix = prefix(&scan)?;
        let Some(key) = &scan.idempotency_key else {
            let (_, event) = self.event_or_new(&scan.event_id, |bytes| self.take(bytes))?;
            return Ok(self.accept(&event, &scan, prefix)?.0);
        };

        let fingerprint = fingerprint(&scan.checked_in_by, key);
        let mut keys = self.keys.lock();
        if let Some(used) = keys.get(&fingerprint) {
            return Ok(self.outcome_of_used_key(used, self.hash(&scan.ticket_id), &prefix));
        }
        // Only now: a scan whose key was used before must not make an event.
        let (index, event) = self.event_or_new(&scan.event_id, |bytes| self.take(bytes))?;
        let (outcome, entry) = self.accept(&event, &scan, prefix)?;
        if let Some(entry) = entry {
            keys.insert(fingerprint, KeyUse { event: index, entry });
        }
        Ok(outcome)
    }

    async fn check_in_batch(&self, scans: Vec<Scan>) -> Result<Vec<BatchResult>, StoreError> {
        let mut results = Vec::with_capacity(scans.len());
        for scan in scans {
            let (event, ticket) = (scan.event_id.clone(), scan.ticket_id.clone());
            let outcome = self.check_in(scan).await?;
            results.push(BatchResult { outcome, ticket: self.ticket_info(&event, &ticket) });
        }
        Ok(results)
    }

    async fn undo(&self, undo: Undo) -> Result<UndoOutcome, StoreError> {
        self.undo_now(&undo)
    }

    async fn undo_all(&self, undo: BulkUndo) -> Result<u64, StoreError> {
        let entries = self.entries_to_undo(&undo, Timestamp::now())?;
        self.apply_undos(&entries)
    }

    async fn history(&self, event: &EventId, ticket: &TicketId) -> Result<Vec<HistoryEntry>, StoreError> {
        self.read_history(event, ticket)
    }

    async fn changes(&self, event: &EventId, after: u64, limit: usize) -> Result<Changes, StoreError> {
        self.read_changes(event, after, limit)
    }

    async fn summary(&self, event: &EventId) -> Result<Summary, StoreError> {
        self.read_summary(event)
    }

    async fn version(&self, event: &EventId) -> Result<u64, StoreError> {
        Ok(self.event_state(event).map_or(0, |(_, event)| event.lock().log.seq))
    }

    async fn attendance(&self, event: &EventId) -> Result<Attendance, StoreError> {
        let event = self.event_state(event).map_or_else(Arc::default, |(_, event)| event);
        let (total, live, seq) = {
            let event = event.lock();
            (event.len(), event.log.live, event.log.seq)
        };
        let reader = LogReader::new(event, live, seq);
        // Without the first comma.
        let length = Some(live.saturating_sub(1));
        Ok(Attendance {
            total,
            records: Records { length, chunks: stream::iter(reader.map(Ok)).boxed() },
            // The id of the start is part of it because a restored file gives the same `seq` again.
            version: format!("{:016x}-{seq}", self.boot_id),
        })
    }

    async fn record(&self, event: &EventId, ticket: &TicketId) -> Result<Option<Bytes>, StoreError> {
        let prefix = ids(event, ticket)?;
        let Some(event) = self.events.read().get(event).cloned() else { return Ok(None) };
        let event = event.lock();
        let check_in = event.find(self.hash(ticket), prefix.ids());
        Ok(check_in.map(|check_in| event.log.record(check_in.position)))
    }

    fn memory_usage(&self) -> Option<MemoryUsage> {
        let check_ins = self.events.read().values().map(|event| event.lock().len() as u64).sum();
        Some(MemoryUsage { check_ins, bytes: self.budget.taken(), limit: self.budget.limit() })
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.has_room()
    }
}
