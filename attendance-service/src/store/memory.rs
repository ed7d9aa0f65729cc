//! Check-ins in memory: gone when the process ends.
//!
//! Every event is a log of its records, already written as JSON, and an index that finds a ticket in the log. A record can
//! be retracted: it stays in the log, and leaves the index and the list. A reader remembers only where it is, and where
//! the log ended when it began: it holds the lock for microseconds and next to no memory, however slowly its client
//! reads.
//!
//! Locks are taken in one order: keys, events, one event.

mod event;
mod keys;
mod log;
#[cfg(test)]
mod tests;

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

use self::{
    event::{Event, LogReader, event_bytes, record_bytes},
    keys::{Fingerprint, KEY_BYTES, KeyUse, fingerprint},
    log::{LogPosition, NewChunk},
};
use super::{
    Attendance, CheckIn, CheckInStore, MemoryUsage, Records, StoreError,
    budget::{Budget, Reservation},
    clock::MonotonicClock,
};
use crate::record::{EventId, RecordPrefix, Scan, TicketId, Timestamp};

/// What a check-in takes at most, in bytes: two ids as long as the body of a request.
const MAX_CHECK_IN: u64 = 192 * 1024;

/// The default store.
pub struct MemoryCheckInStore {
    /// In the order of their first scans. None is ever removed, so an index names an event.
    events: RwLock<IndexMap<EventId, Arc<Mutex<Event>>, FastState>>,
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

/// What is known of a scan without writing.
pub(super) enum Lookup {
    /// Its outcome.
    Decided(CheckIn),
    /// Its ticket was not checked in yet. A check-in takes at most this many bytes.
    New(u64),
}

impl MemoryCheckInStore {
    /// An empty store that accepts check-ins until they take `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self {
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
    fn event(&self, id: &EventId) -> Option<(u32, Arc<Mutex<Event>>)> {
        self.events.read().get_full(id).map(|(index, _, event)| (index as u32, event.clone()))
    }

    /// An event and its index. A new event is made after `take` has taken the bytes for it.
    fn event_or_new(
        &self,
        id: &EventId,
        take: impl FnOnce(u64) -> Result<(), StoreError>,
    ) -> Result<(u32, Arc<Mutex<Event>>), StoreError> {
        if let Some(event) = self.event(id) {
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
    pub(super) fn look_up(&self, scan: &Scan) -> Result<Lookup, StoreError> {
        let hash = self.hash(&scan.ticket_id);
        let prefix = prefix(scan)?;
        let fingerprint = scan.idempotency_key.as_ref().map(|key| fingerprint(&scan.checked_in_by, key));
        // Locked until the ticket is looked up too. Otherwise this scan's own record, inserted between the two steps,
        // would look like a duplicate.
        let keys = fingerprint.as_ref().map(|fingerprint| (self.keys.lock(), fingerprint));
        if let Some(used) = keys.as_ref().and_then(|(keys, fingerprint)| keys.get(*fingerprint)) {
            return Ok(Lookup::Decided(self.outcome_of_used_key(used, &prefix)));
        }
        // The most that it can take: few records need a chunk of their own.
        let key = if keys.is_some() { KEY_BYTES } else { 0 };
        let bytes = record_bytes(Some(prefix.record_len() + 1)) + key;
        Ok(match self.event(&scan.event_id) {
            None => Lookup::New(bytes + event_bytes(&scan.event_id)),
            Some((_, event)) if event.lock().find(hash, prefix.ids()).is_none() => Lookup::New(bytes),
            Some(_) => Lookup::Decided(CheckIn::Duplicate),
        })
    }

    /// The time of a check-in to `event` that is accepted at `now`, after the last one that is `queued` for it.
    pub(super) fn next_timestamp(
        &self,
        event: &EventId,
        queued: Option<Timestamp>,
        now: Timestamp,
    ) -> Timestamp {
        let latest = self.event(event).and_then(|(_, event)| event.lock().latest);
        self.clock.next(latest.max(queued), now)
    }

    /// Retracts the check-in of a ticket, which can be checked in again then. Returns its record, if it was checked in.
    ///
    /// A scan with the idempotency key of the retracted check-in is still answered with that record: it is the same
    /// attempt, sent again.
    ///
    /// # Errors
    ///
    /// The ids cannot be written as JSON. No id is known to cause this.
    pub fn retract(&self, event: &EventId, ticket: &TicketId) -> Result<Option<Bytes>, StoreError> {
        let prefix = ids(event, ticket)?;
        let Some((_, event)) = self.event(event) else { return Ok(None) };
        Ok(event.lock().retract(self.hash(ticket), prefix.ids(), &self.budget))
    }

    /// Adds a record that was read from the disk, even if that exceeds the budget. Returns whether its ticket was not
    /// here yet; otherwise nothing is added.
    pub(super) fn load(&self, scan: &Scan, at: Timestamp) -> Result<bool, StoreError> {
        self.insert_in(scan, at, |chunk| chunk.wanted).map(|record| record.is_some())
    }

    /// Adds a record that has just been written to the disk. Its bytes must be reserved.
    pub(super) fn insert(&self, scan: &Scan, at: Timestamp) -> Result<CheckIn, StoreError> {
        let is_free = |bytes: usize| self.budget.has(record_bytes(Some(bytes)));
        // Reserved is only what the record needs by itself.
        let capacity = |chunk: NewChunk| if is_free(chunk.wanted) { chunk.wanted } else { chunk.needed };
        Ok(self.insert_in(scan, at, capacity)?.map_or(CheckIn::Duplicate, CheckIn::Accepted))
    }

    fn insert_in(
        &self,
        scan: &Scan,
        at: Timestamp,
        capacity: impl FnOnce(NewChunk) -> usize,
    ) -> Result<Option<Bytes>, StoreError> {
        let hash = self.hash(&scan.ticket_id);
        let prefix = prefix(scan)?;
        let (index, event) = self.event_or_new(&scan.event_id, |bytes| {
            self.budget.take(bytes);
            Ok(())
        })?;
        let fingerprint = scan.idempotency_key.as_ref().map(|key| fingerprint(&scan.checked_in_by, key));
        // Before the event: see the order of locks above.
        let keys = fingerprint.map(|fingerprint| (self.keys.lock(), fingerprint));
        let mut event = event.lock();
        if event.find(hash, prefix.ids()).is_some() {
            return Ok(None);
        }
        let chunk = event.new_chunk(&prefix).map(capacity);
        self.budget.take(record_bytes(chunk) + if keys.is_some() { KEY_BYTES } else { 0 });
        let (record, position) = event.accept(hash, prefix, at, chunk, &self.budget);
        if let Some((mut keys, fingerprint)) = keys {
            keys.insert(fingerprint, KeyUse { event: index, position });
        }
        Ok(Some(record))
    }

    /// Checks a ticket in to `event`, unless it is in already. Its idempotency key takes `key` bytes.
    fn accept(
        &self,
        event: &Mutex<Event>,
        hash: u32,
        prefix: RecordPrefix,
        key: u64,
    ) -> Result<Option<(Bytes, LogPosition)>, StoreError> {
        let mut event = event.lock();
        if event.find(hash, prefix.ids()).is_some() {
            return Ok(None);
        }
        let chunk = self.take_record(event.new_chunk(&prefix), key)?;
        let at = self.clock.next(event.latest, Timestamp::now());
        Ok(Some(event.accept(hash, prefix, at, chunk, &self.budget)))
    }

    /// Takes the bytes for a record and for its idempotency key from the budget. Returns the size of the chunk to
    /// begin, if one is needed.
    fn take_record(&self, chunk: Option<NewChunk>, key: u64) -> Result<Option<usize>, StoreError> {
        let chunks = chunk.map_or([None, None], |chunk| [Some(chunk.wanted), Some(chunk.needed)]);
        let taken = chunks.into_iter().find(|chunk| self.budget.try_take(record_bytes(*chunk) + key, 0));
        taken.ok_or_else(|| self.full())
    }

    /// The outcome of a scan whose key was used before, and whose record would begin with `prefix`.
    fn outcome_of_used_key(&self, used: &KeyUse, prefix: &RecordPrefix) -> CheckIn {
        let events = self.events.read();
        let event = events[used.event as usize].lock();
        if event.log.at(used.position).starts_with(prefix.ids()) {
            CheckIn::Replayed(event.log.record(used.position))
        } else {
            CheckIn::KeyReused
        }
    }
}

fn prefix(scan: &Scan) -> Result<RecordPrefix, StoreError> {
    RecordPrefix::new(scan).map_err(|error| StoreError::Internal(Arc::new(error)))
}

/// A prefix with the ids of a ticket, to look it up.
fn ids(event: &EventId, ticket: &TicketId) -> Result<RecordPrefix, StoreError> {
    prefix(&Scan {
        event_id: event.clone(),
        ticket_id: ticket.clone(),
        checked_in_by: "".into(),
        idempotency_key: None,
    })
}

#[async_trait]
impl CheckInStore for MemoryCheckInStore {
    async fn check_in(&self, scan: Scan) -> Result<CheckIn, StoreError> {
        let hash = self.hash(&scan.ticket_id);
        let prefix = prefix(&scan)?;
        let Some(key) = &scan.idempotency_key else {
            let (_, event) = self.event_or_new(&scan.event_id, |bytes| self.take(bytes))?;
            return Ok(match self.accept(&event, hash, prefix, 0)? {
                Some((record, _)) => CheckIn::Accepted(record),
                None => CheckIn::Duplicate,
            });
        };

        let fingerprint = fingerprint(&scan.checked_in_by, key);
        let mut keys = self.keys.lock();
        if let Some(used) = keys.get(&fingerprint) {
            return Ok(self.outcome_of_used_key(used, &prefix));
        }
        // Only now: a scan whose key was used before must not make an event.
        let (index, event) = self.event_or_new(&scan.event_id, |bytes| self.take(bytes))?;
        let Some((record, position)) = self.accept(&event, hash, prefix, KEY_BYTES)? else {
            return Ok(CheckIn::Duplicate);
        };
        keys.insert(fingerprint, KeyUse { event: index, position });
        Ok(CheckIn::Accepted(record))
    }

    async fn attendance(&self, event: &EventId) -> Result<Attendance, StoreError> {
        let event = self.event(event).map_or_else(Arc::default, |(_, event)| event);
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
        Ok(event.find(self.hash(ticket), prefix.ids()).map(|position| event.log.record(position)))
    }

    fn memory_usage(&self) -> Option<MemoryUsage> {
        let check_ins = self.events.read().values().map(|event| event.lock().len() as u64).sum();
        Some(MemoryUsage { check_ins, bytes: self.budget.taken(), limit: self.budget.limit() })
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.has_room()
    }
}
