//! Check-ins in memory: gone when the process ends.
//!
//! Every event is a log of its records, already written as JSON, in chunks. A chunk is allocated once, larger the
//! more the event holds, and counted in full: one that grew would leave a hole behind, which nobody counts. What
//! is in the log never changes again, so a reader remembers only where it is and where the log ended when it
//! began. It shares the full chunks and copies small parts of the last one: it holds the lock for microseconds and
//! next to no memory, however slowly its client reads. An index of 12 bytes a ticket finds duplicates; the ticket ids
//! themselves stand in the log only. Idempotency keys are kept as fingerprints that lead to a record.

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
use hashbrown::HashTable;
use indexmap::IndexMap;
use parking_lot::{Mutex, RwLock};
use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};

use super::{
    Attendance, CheckIn, CheckInStore, Held, Part, Records, Slot, StoreError,
    budget::{Budget, Reservation},
    moments::Moments,
};
use crate::record::{Draft, EventId, IdempotencyKey, Scan, TicketId, Timestamp};

/// A chunk holds this many bytes at most, but for a record that is longer.
const CHUNK: usize = 256 * 1024;

/// All chunks of an event but the first hold this many bytes at least, if there is room.
const SMALL_CHUNK: usize = 1024;

/// A record of this many bytes gets no larger chunk than it needs: few others would fit into it.
const LONG_RECORD: usize = 16 * 1024;

/// What a ticket takes in the index of its event, at most: that is 7/16 full at least, with a byte of control
/// an entry.
const TICKET: u64 = (size_of::<Ticket>() as u64 + 1) * 16 / 7 + 1;

/// What a key takes, at most.
const KEY: u64 = (size_of::<(Fingerprint, KeyUse)>() as u64 + 1) * 16 / 7 + 1;

/// What a chunk takes besides its bytes: its place in the list of full chunks, which doubles when it grows and
/// leaves a hole of half its size, what its readers share, its slot, and what the allocator adds to each.
const PART: u64 = 3 * size_of::<Part>() as u64 + size_of::<Slot>() as u64 + 80;

/// What an event takes besides its id and its records: itself, its place among the events, its first tickets.
const EVENT: u64 = size_of::<Event>() as u64 + 300;

/// What a check-in takes, at most: two ids as long as the body of a request.
const LONGEST: u64 = 192 * 1024;

/// As much of the last chunk as a reader copies at once.
const COPY: usize = 16 * 1024;

/// The default store.
pub struct MemoryCheckInStore {
    /// In the order in which they were first heard of, so that a number names each; none is ever removed.
    events: RwLock<IndexMap<EventId, Arc<Mutex<Event>>, FastState>>,
    /// Who checked what in under which key. Held while a scan with a key is decided.
    keys: Mutex<HashMap<Fingerprint, KeyUse, FastState>>,
    /// Seeded anew in every process, so that nobody can choose ids that collide.
    hasher: FastState,
    moments: Moments,
    /// What all this may take.
    budget: Arc<Budget>,
    has_said_full: AtomicBool,
    /// Tells this start of the store from every other.
    boot_id: u64,
}

/// What is known of a scan without writing.
pub(super) enum Known {
    /// How it ends.
    Outcome(CheckIn),
    /// Its ticket can be checked in, and would take so many bytes.
    New(u64),
}

/// A user and an idempotency key, too long to collide.
type Fingerprint = [u8; 16];

/// The record that was made under a key.
// There may be one for every record: its event is a number, for that is half of a pointer.
struct KeyUse {
    event: u32,
    place: Place,
}

impl MemoryCheckInStore {
    /// One that accepts check-ins as long as they take `limit` bytes at most.
    pub fn new(limit: u64) -> Self {
        Self {
            events: RwLock::default(),
            keys: Mutex::default(),
            hasher: FastState::default(),
            moments: Moments::default(),
            budget: Arc::new(Budget::new(limit)),
            has_said_full: AtomicBool::default(),
            boot_id: RandomState::new().hash_one(0),
        }
    }

    /// An event and its number, if it was heard of before.
    fn event(&self, id: &EventId) -> Option<(u32, Arc<Mutex<Event>>)> {
        self.events.read().get_full(id).map(|(number, _, event)| (number as u32, event.clone()))
    }

    /// An event and its number, for which room is `taken` if it is new.
    fn event_or_new(
        &self,
        id: &EventId,
        taken: impl FnOnce(u64) -> Result<(), StoreError>,
    ) -> Result<(u32, Arc<Mutex<Event>>), StoreError> {
        if let Some(event) = self.event(id) {
            return Ok(event);
        }
        let mut events = self.events.write();
        if !events.contains_key(id) {
            taken(event_bytes(id))?;
        }
        let entry = events.entry(id.clone());
        Ok((entry.index() as u32, entry.or_default().clone()))
    }

    /// Takes room, if there is any.
    fn take(&self, bytes: u64) -> Result<(), StoreError> {
        if self.budget.try_take(bytes, 0) { Ok(()) } else { Err(self.full()) }
    }

    /// Takes room for a scan that is on its way to where it is stored.
    pub(super) fn reserve(&self, bytes: u64) -> Result<Reservation, StoreError> {
        self.budget.reserve(bytes).ok_or_else(|| self.full())
    }

    fn full(&self) -> StoreError {
        if !self.has_said_full.swap(true, Ordering::Relaxed) {
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

    /// Whether everything that can be scanned can be checked in.
    pub(super) fn has_room(&self) -> Result<(), StoreError> {
        let is_full = self.budget.taken().saturating_add(LONGEST) > self.budget.limit();
        if is_full { Err(StoreError::Full) } else { Ok(()) }
    }

    /// Says so in the log if what was loaded leaves no room.
    pub(super) fn say_if_full(&self) {
        if self.has_room().is_err() {
            drop(self.full());
        }
    }

    fn hash(&self, ticket: &TicketId) -> u32 {
        self.hasher.hash_one(ticket) as u32
    }

    pub(super) fn known(&self, scan: &Scan) -> Result<Known, StoreError> {
        let hash = self.hash(&scan.ticket_id);
        let draft = draft(scan)?;
        let fingerprint = scan.idempotency_key.as_ref().map(|key| fingerprint(&scan.checked_in_by, key));
        // Held until the ticket is looked for, or its record could come between.
        let keys = fingerprint.as_ref().map(|fingerprint| (self.keys.lock(), fingerprint));
        if let Some(used) = keys.as_ref().and_then(|(keys, fingerprint)| keys.get(*fingerprint)) {
            return Ok(Known::Outcome(self.judge(used, &draft)));
        }
        // At most: that it needs a chunk of its own is seldom true.
        let key = if keys.is_some() { KEY } else { 0 };
        let bytes = record_bytes(Some(draft.length() + 1)) + key;
        Ok(match self.event(&scan.event_id) {
            None => Known::New(bytes + event_bytes(&scan.event_id)),
            Some((_, event)) if event.lock().find(hash, draft.identity()).is_none() => Known::New(bytes),
            Some(_) => Known::Outcome(CheckIn::Duplicate),
        })
    }

    /// The moment of whatever is accepted to `event` at `now`, after what was `queued` for it last.
    pub(super) fn moment(&self, event: &EventId, queued: Option<Timestamp>, now: Timestamp) -> Timestamp {
        let latest = self.event(event).and_then(|(_, event)| event.lock().latest);
        self.moments.next(latest.max(queued), now)
    }

    /// Takes over a record that was read from where it is stored, whose ticket is not here yet, whether there is
    /// room or not.
    pub(super) fn load(&self, scan: &Scan, at: Timestamp) -> Result<(), StoreError> {
        self.insert_in(scan, at, |chunk| chunk.wanted).map(drop)
    }

    /// Takes over a record that has just been stored, whose ticket is not here yet, and for which room is reserved.
    pub(super) fn insert(&self, scan: &Scan, at: Timestamp) -> Result<Bytes, StoreError> {
        let is_free = |bytes: usize| self.budget.has(record_bytes(Some(bytes)));
        // No more is reserved than it needs.
        self.insert_in(scan, at, |chunk| if is_free(chunk.wanted) { chunk.wanted } else { chunk.needed })
    }

    fn insert_in(
        &self,
        scan: &Scan,
        at: Timestamp,
        capacity: impl FnOnce(NewChunk) -> usize,
    ) -> Result<Bytes, StoreError> {
        let hash = self.hash(&scan.ticket_id);
        let draft = draft(scan)?;
        let (number, event) = self.event_or_new(&scan.event_id, |bytes| {
            self.budget.take(bytes);
            Ok(())
        })?;
        let fingerprint = scan.idempotency_key.as_ref().map(|key| fingerprint(&scan.checked_in_by, key));
        // Before the event, as everywhere.
        let keys = fingerprint.map(|fingerprint| (self.keys.lock(), fingerprint));
        let mut event = event.lock();
        let chunk = event.new_chunk(&draft).map(capacity);
        self.budget.take(record_bytes(chunk) + if keys.is_some() { KEY } else { 0 });
        let (record, place) = event.accept(hash, draft, at, chunk, &self.budget);
        if let Some((mut keys, fingerprint)) = keys {
            keys.insert(fingerprint, KeyUse { event: number, place });
        }
        Ok(record)
    }

    /// Checks a ticket in to `event`, for which the key takes `key` bytes.
    fn accept(
        &self,
        event: &Mutex<Event>,
        hash: u32,
        draft: Draft,
        key: u64,
    ) -> Result<Option<(Bytes, Place)>, StoreError> {
        let mut event = event.lock();
        if event.find(hash, draft.identity()).is_some() {
            return Ok(None);
        }
        let chunk = self.take_record(event.new_chunk(&draft), key)?;
        let at = self.moments.next(event.latest, Timestamp::now());
        Ok(Some(event.accept(hash, draft, at, chunk, &self.budget)))
    }

    /// Takes room for a record and for `key` bytes more; tells how many bytes the new chunk holds, if it needs one.
    fn take_record(&self, chunk: Option<NewChunk>, key: u64) -> Result<Option<usize>, StoreError> {
        let chunks = chunk.map_or([None, None], |chunk| [Some(chunk.wanted), Some(chunk.needed)]);
        let taken = chunks.into_iter().find(|chunk| self.budget.try_take(record_bytes(*chunk) + key, 0));
        taken.ok_or_else(|| self.full())
    }

    /// What a scan is that would make the record `draft`, with a key that was used before.
    fn judge(&self, used: &KeyUse, draft: &Draft) -> CheckIn {
        let events = self.events.read();
        let event = events[used.event as usize].lock();
        if event.at(used.place).starts_with(draft.identity()) {
            CheckIn::Replayed(event.record(used.place))
        } else {
            CheckIn::KeyReused
        }
    }
}

/// What a new event takes, with its id.
fn event_bytes(id: &EventId) -> u64 {
    EVENT + id.0.len() as u64
}

/// What a record takes, with its ticket, that begins a chunk of so many bytes or needs none.
fn record_bytes(chunk: Option<usize>) -> u64 {
    TICKET + chunk.map_or(0, |capacity| PART + capacity as u64)
}

fn draft(scan: &Scan) -> Result<Draft, StoreError> {
    Draft::new(scan).map_err(|error| StoreError::Internal(Arc::new(error)))
}

fn fingerprint(user: &str, key: &IdempotencyKey) -> Fingerprint {
    let digest = Sha256::new().chain_update((user.len() as u64).to_le_bytes()).chain_update(user);
    let digest = digest.chain_update(key.as_ref()).finalize();
    std::array::from_fn(|index| digest[index])
}

#[async_trait]
impl CheckInStore for MemoryCheckInStore {
    async fn check_in(&self, scan: Scan) -> Result<CheckIn, StoreError> {
        let hash = self.hash(&scan.ticket_id);
        let draft = draft(&scan)?;
        let Some(key) = &scan.idempotency_key else {
            let (_, event) = self.event_or_new(&scan.event_id, |bytes| self.take(bytes))?;
            return Ok(match self.accept(&event, hash, draft, 0)? {
                Some((record, _)) => CheckIn::Accepted(record),
                None => CheckIn::Duplicate,
            });
        };

        let fingerprint = fingerprint(&scan.checked_in_by, key);
        let mut keys = self.keys.lock();
        if let Some(used) = keys.get(&fingerprint) {
            return Ok(self.judge(used, &draft));
        }
        // Not before: a key that was used makes no event.
        let (number, event) = self.event_or_new(&scan.event_id, |bytes| self.take(bytes))?;
        let Some((record, place)) = self.accept(&event, hash, draft, KEY)? else {
            return Ok(CheckIn::Duplicate);
        };
        keys.insert(fingerprint, KeyUse { event: number, place });
        Ok(CheckIn::Accepted(record))
    }

    async fn attendance(&self, event: &EventId) -> Result<Attendance, StoreError> {
        let event = self.event(event).map_or_else(Arc::default, |(_, event)| event);
        let (total, left) = {
            let event = event.lock();
            (event.tickets.len(), event.length)
        };
        let reader = LogReader { event, next: Place::default(), left };
        Ok(Attendance {
            total,
            records: Records { length: Some(left), parts: stream::iter(reader.map(Ok)).boxed() },
            version: format!("{:016x}-{total}", self.boot_id),
        })
    }

    async fn record(&self, event: &EventId, ticket: &TicketId) -> Result<Option<Bytes>, StoreError> {
        let nobody = Scan {
            event_id: event.clone(),
            ticket_id: ticket.clone(),
            checked_in_by: String::new(),
            idempotency_key: None,
        };
        let draft = draft(&nobody)?;
        let Some(event) = self.events.read().get(event).cloned() else { return Ok(None) };
        let event = event.lock();
        Ok(event.find(self.hash(ticket), draft.identity()).map(|place| event.record(place)))
    }

    fn held(&self) -> Option<Held> {
        let check_ins = self.events.read().values().map(|event| event.lock().tickets.len() as u64).sum();
        Some(Held { check_ins, bytes: self.budget.taken(), limit: self.budget.limit() })
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.has_room()
    }
}

/// The check-ins of one event.
#[derive(Default)]
struct Event {
    full: Vec<Part>,
    last: Vec<u8>,
    /// Bytes in all chunks.
    length: u64,
    tickets: HashTable<Ticket>,
    latest: Option<Timestamp>,
}

/// How many bytes a chunk can have that begins with a certain record.
struct NewChunk {
    /// As many as are good for what will come.
    wanted: usize,
    /// As many as the record takes.
    needed: usize,
}

/// A ticket that is in.
struct Ticket {
    /// A part of the hash of its id: most others are told apart without looking at their records.
    hash: u32,
    place: Place,
}

/// Where a record stands.
#[derive(Clone, Copy, Default)]
struct Place {
    chunk: u32,
    offset: u32,
}

/// Reads the log of an event up to where it ended at one moment.
struct LogReader {
    event: Arc<Mutex<Event>>,
    next: Place,
    /// Bytes still to read.
    left: u64,
}

impl Iterator for LogReader {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        if self.left == 0 {
            return None;
        }
        let (part, next) = self.event.lock().part(self.next, self.left as usize);
        self.left -= part.json.len() as u64;
        self.next = next;
        Some(part)
    }
}

impl Event {
    /// The chunk that the record would begin, if the last one has no room for it.
    fn new_chunk(&self, draft: &Draft) -> Option<NewChunk> {
        let needed = usize::from(!self.tickets.is_empty()) + draft.length();
        if needed <= self.last.capacity() - self.last.len() {
            return None;
        }
        // Half of what there is, so that there are few chunks and little of the last one is empty.
        let is_exact = self.length == 0 || needed >= LONG_RECORD;
        let wanted = if is_exact { needed } else { (self.length as usize / 2).clamp(SMALL_CHUNK, CHUNK) };
        Some(NewChunk { wanted: wanted.max(needed), needed })
    }

    /// Adds a record, which begins a chunk of that many bytes if [`Self::new_chunk`] says that it has to.
    fn accept(
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
            self.begin_chunk(capacity, budget);
        }
        let place = self.append(&record);
        self.tickets
            .insert_unique(widen_hash(hash), Ticket { hash, place }, |ticket| widen_hash(ticket.hash));
        (record, place)
    }

    fn find(&self, hash: u32, identity: &[u8]) -> Option<Place> {
        let is_same = |ticket: &Ticket| ticket.hash == hash && self.at(ticket.place).starts_with(identity);
        self.tickets.find(widen_hash(hash), is_same).map(|ticket| ticket.place)
    }

    /// The log from where a record begins.
    fn at(&self, place: Place) -> &[u8] {
        let chunk = self.full.get(place.chunk as usize).map_or(self.last.as_slice(), |chunk| &chunk.json);
        &chunk[place.offset as usize..]
    }

    /// A record by itself.
    fn record(&self, place: Place) -> Bytes {
        let log = self.at(place);
        let mut values = serde_json::Deserializer::from_slice(log).into_iter::<IgnoredAny>();
        values.next();
        Bytes::copy_from_slice(&log[..values.byte_offset()])
    }

    fn begin_chunk(&mut self, capacity: usize, budget: &Arc<Budget>) {
        let full = std::mem::replace(&mut self.last, Vec::with_capacity(capacity));
        if !full.is_empty() {
            let slot = Some(Arc::new(Slot::new(Arc::clone(budget))));
            self.full.push(Part { json: full.into(), slot });
        }
    }

    fn append(&mut self, json: &[u8]) -> Place {
        let comma = usize::from(!self.tickets.is_empty());
        self.last.extend_from_slice(&b","[..comma]);
        let place = Place { chunk: self.full.len() as u32, offset: self.last.len() as u32 };
        self.last.extend_from_slice(json);
        self.length += (comma + json.len()) as u64;
        place
    }

    /// Up to `at_most` bytes of the log from `place` on, and where the next part begins. More than these
    /// bytes may stand there by now, but never others.
    fn part(&self, mut place: Place, at_most: usize) -> (Part, Place) {
        while let Some(chunk) = self.full.get(place.chunk as usize) {
            let (begin, end) = (place.offset as usize, chunk.json.len());
            place = Place { chunk: place.chunk + 1, offset: 0 };
            if begin == 0 && end <= at_most {
                return (chunk.clone(), place);
            }
            // It may have been read to its end when it was the last one.
            if begin < end {
                return (chunk.json.slice(begin..end.min(begin + at_most)).into(), place);
            }
        }
        let rest = &self.last[place.offset as usize..];
        let part = &rest[..rest.len().min(at_most).min(COPY)];
        (Bytes::copy_from_slice(part).into(), Place { offset: place.offset + part.len() as u32, ..place })
    }
}

/// A hash as the table wants it, which picks from both ends.
fn widen_hash(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;
    use tokio::task::JoinSet;

    use super::*;
    use crate::record::TicketId;

    fn scan(event: &str, ticket: &str) -> Scan {
        Scan {
            event_id: EventId(event.to_owned()),
            ticket_id: TicketId(ticket.to_owned()),
            checked_in_by: "panitia1".to_owned(),
            idempotency_key: None,
        }
    }

    fn unlimited() -> MemoryCheckInStore {
        MemoryCheckInStore::new(u64::MAX)
    }

    async fn attendance(store: &MemoryCheckInStore, event: &str) -> Attendance {
        store.attendance(&EventId(event.to_owned())).await.unwrap()
    }

    async fn json(records: Records) -> Vec<u8> {
        let parts: Vec<_> = records.parts.map(|part| part.unwrap().json).collect().await;
        let json = parts.concat();
        assert_eq!(records.length, Some(json.len() as u64));
        json
    }

    async fn records(store: &MemoryCheckInStore, event: &str) -> Vec<Value> {
        let Attendance { total, records, .. } = attendance(store, event).await;
        let json = [&b"["[..], &json(records).await, b"]"].concat();
        let records: Vec<Value> = serde_json::from_slice(&json).unwrap();
        assert_eq!(records.len(), total);
        records
    }

    async fn accepts(store: &MemoryCheckInStore, event: &str, ticket: &str) -> bool {
        matches!(store.check_in(scan(event, ticket)).await.unwrap(), CheckIn::Accepted(_))
    }

    #[tokio::test]
    async fn records_keep_their_order_and_tickets_stay_used_over_many_chunks() {
        let store = unlimited();
        let ticket = |number: usize| format!("{number}-{}", "\"é\n".repeat(number % 300));
        for number in 0..3000 {
            assert!(accepts(&store, "e", &ticket(number)).await);
        }
        for number in 0..3000 {
            assert!(!accepts(&store, "e", &ticket(number)).await);
        }
        let records = records(&store, "e").await;
        assert_eq!(records.len(), 3000);
        for (number, record) in records.iter().enumerate() {
            assert_eq!(record["ticket_id"], ticket(number));
        }
        let moments: Vec<_> =
            records.iter().map(|record| record["checked_in_at"].as_str().unwrap()).collect();
        assert!(moments.is_sorted());
    }

    #[tokio::test]
    async fn a_ticket_that_begins_or_ends_like_another_is_another() {
        let store = unlimited();
        for ticket in ["a", "ab", "", "a\"", "a\\", "a\",\"checked_in_by", "A", "e\u{301}", "é", " a", "a "]
        {
            assert!(accepts(&store, "e", ticket).await, "{ticket:?}");
            assert!(!accepts(&store, "e", ticket).await, "{ticket:?}");
            assert!(accepts(&store, "other", ticket).await, "{ticket:?}");
        }
    }

    #[tokio::test]
    async fn a_record_longer_than_a_chunk_has_one_of_its_own() {
        let store = unlimited();
        let long = "x".repeat(2 * CHUNK);
        for ticket in ["a", &long, "b"] {
            assert!(accepts(&store, "e", ticket).await);
            assert!(!accepts(&store, "e", ticket).await);
        }
        let tickets: Vec<_> =
            records(&store, "e").await.iter().map(|record| record["ticket_id"].clone()).collect();
        assert_eq!(tickets, ["a", &long, "b"]);
    }

    #[tokio::test]
    async fn what_a_reader_reads_ends_where_the_log_ended_when_it_began() {
        let store = unlimited();
        let mut readers = Vec::new();
        // Over more than one chunk, so that readers find chunks full that were not when they began.
        for number in 0..3000 {
            assert!(accepts(&store, "e", &number.to_string()).await);
            if number % 100 == 0 {
                readers.push(attendance(&store, "e").await);
            }
        }
        let all = json(attendance(&store, "e").await.records).await;
        let mut versions = HashSet::new();
        for (number, reader) in readers.into_iter().enumerate() {
            assert_eq!(reader.total, number * 100 + 1);
            assert!(versions.insert(reader.version));
            let json = json(reader.records).await;
            assert!(all.starts_with(&json), "reader {number}");
            assert_eq!(json.iter().filter(|byte| **byte == b'{').count(), reader.total);
        }
    }

    #[tokio::test]
    async fn a_reader_that_reads_slowly_while_others_check_in_gets_every_byte_once() {
        let store = unlimited();
        for number in 0..1500 {
            assert!(accepts(&store, "e", &number.to_string()).await);
        }
        let expected = json(attendance(&store, "e").await.records).await;
        let mut slow = attendance(&store, "e").await.records.parts;
        let mut read = Vec::new();
        let mut number = 1500;
        while let Some(part) = slow.next().await {
            read.extend_from_slice(&part.unwrap().json);
            for _ in 0..100 {
                assert!(accepts(&store, "e", &number.to_string()).await);
                number += 1;
            }
        }
        assert_eq!(read, expected);
    }

    #[tokio::test]
    async fn a_thousand_readers_that_came_between_check_ins_hold_little_of_their_own() {
        let store = unlimited();
        for number in 0..3000 {
            assert!(accepts(&store, "e", &number.to_string()).await);
        }
        let mut held = Vec::new();
        for number in 3000..4000 {
            let full = store.event(&EventId("e".to_owned())).unwrap().1.lock().full.len();
            // Each is at the part that it would have to copy, and has been told nothing else yet.
            let mut parts = attendance(&store, "e").await.records.parts;
            let mut next = async || parts.next().await.unwrap().unwrap().json;
            let mut shared = Vec::new();
            for _ in 0..full {
                shared.push(next().await);
            }
            held.push((shared, next().await));
            assert!(accepts(&store, "e", &number.to_string()).await);
        }
        let places = |shared: &[Bytes]| shared.iter().map(|part| part.as_ptr()).collect::<Vec<_>>();
        let first = places(&held[0].0);
        assert!(held[0].0.iter().map(Bytes::len).sum::<usize>() > CHUNK / 2);
        assert!(held.iter().all(|(shared, _)| places(shared).starts_with(&first)));
        assert!(held.iter().all(|(_, copy)| copy.len() <= COPY));
    }

    #[tokio::test]
    async fn what_is_allocated_for_records_is_what_is_counted() {
        for ids in [1, 200, 2000, 60_000] {
            let store = MemoryCheckInStore::new(8 << 20);
            let (mut number, mut accepted) = (0, 0);
            // In turns, so that all grow.
            while let Ok(checked_in) = store
                .check_in(scan(&(number % 20).to_string(), &format!("{number}{}", "x".repeat(ids))))
                .await
            {
                assert!(matches!(checked_in, CheckIn::Accepted(_)));
                (number, accepted) = (number + 1, accepted + 1);
            }
            let events = store.events.read();
            let mut allocated = 0;
            for event in events.values().map(|event| event.lock()) {
                let full: usize = event.full.iter().map(|part| part.json.len()).sum();
                assert!(
                    event.length as usize == full + event.last.len(),
                    "no record is longer than its room"
                );
                allocated += full + event.last.capacity();
            }
            let counted = store.budget.taken();
            assert!(counted <= 8 << 20 && counted > 7 << 20, "{counted} with {ids}");
            let least = allocated as u64 + accepted * TICKET + events.len() as u64 * EVENT;
            assert!(
                counted >= least && counted < least + least / 3,
                "{counted} is counted of {least} with {ids}"
            );
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_all_who_scan_a_ticket_at_once_one_is_accepted() {
        let store = Arc::new(unlimited());
        let mut scans = JoinSet::new();
        for number in 0..4000 {
            let store = store.clone();
            scans.spawn(async move { accepts(&store, "e", &(number % 1000).to_string()).await });
        }
        let accepted = scans.join_all().await.into_iter().filter(|accepted| *accepted).count();
        assert_eq!(accepted, 1000);
        assert_eq!(records(&store, "e").await.len(), 1000);
    }

    #[test]
    fn a_record_and_its_key_are_known_at_the_same_moment() {
        let store = unlimited();
        let scans: Vec<_> = (0..20_000)
            .map(|number: usize| Scan {
                idempotency_key: IdempotencyKey::new(number.to_string().as_bytes()),
                ..scan("e", &number.to_string())
            })
            .collect();
        std::thread::scope(|threads| {
            threads
                .spawn(|| scans.iter().for_each(|scan| drop(store.insert(scan, Timestamp::now()).unwrap())));
            for scan in &scans {
                let known =
                    std::iter::repeat_with(|| store.known(scan).unwrap()).find_map(|known| match known {
                        Known::Outcome(outcome) => Some(outcome),
                        Known::New(_) => None,
                    });
                assert!(matches!(known, Some(CheckIn::Replayed(_))), "{scan:?}: {known:?}");
            }
        });
    }
}
