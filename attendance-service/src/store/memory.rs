//! Check-ins in memory: gone when the process ends.
//!
//! Every event is a log of its records, already written as JSON, in chunks. A full chunk never
//! changes again, so a reader shares the chunks and copies the last one: it holds the lock for
//! microseconds, however slowly its client reads. An index of 12 bytes a ticket finds duplicates;
//! the ticket ids themselves stand in the log only.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use foldhash::fast::RandomState as FastState;
use hashbrown::HashTable;
use parking_lot::{Mutex, RwLock};
use serde::Serialize;

use super::{Attendance, CheckIn, CheckInStore, StoreError};
use crate::record::{EventId, Record, Scan, TicketId, Timestamp};

/// A chunk is full once it holds this many bytes.
const CHUNK: usize = 64 * 1024;

/// The default store.
pub struct MemoryCheckInStore {
    events: RwLock<HashMap<EventId, Arc<Mutex<Event>>, FastState>>,
    /// Seeded anew in every process, so that nobody can choose ids that collide.
    hasher: FastState,
    /// Tells this life of the store from every other.
    life: u64,
}

impl Default for MemoryCheckInStore {
    fn default() -> Self {
        Self { events: RwLock::default(), hasher: FastState::default(), life: RandomState::new().hash_one(0) }
    }
}

impl MemoryCheckInStore {
    fn event(&self, id: &EventId) -> Arc<Mutex<Event>> {
        if let Some(event) = self.events.read().get(id) {
            return event.clone();
        }
        self.events.write().entry(id.clone()).or_default().clone()
    }
}

#[async_trait]
impl CheckInStore for MemoryCheckInStore {
    async fn check_in(&self, scan: Scan) -> Result<CheckIn, StoreError> {
        let hash = self.hasher.hash_one(&scan.ticket_id) as u32;
        let beginning = beginning(&scan)?;
        let event = self.event(&scan.event_id);
        event.lock().check_in(scan, hash, &beginning)
    }

    async fn attendance(&self, event: &EventId) -> Result<Attendance, StoreError> {
        let event = self.events.read().get(event).cloned();
        let Snapshot { total, full, last } = event.map(|event| event.lock().snapshot()).unwrap_or_default();
        let records = full.iter().cloned().chain([last]).collect();
        Ok(Attendance { total, records, version: format!("{:016x}-{total}", self.life) })
    }
}

/// How the record of a ticket begins, up to the quote that closes the ticket's id: no other ticket's
/// record begins like this.
fn beginning(scan: &Scan) -> Result<Vec<u8>, StoreError> {
    #[derive(Serialize)]
    struct Beginning<'a> {
        event_id: &'a EventId,
        ticket_id: &'a TicketId,
    }
    let mut json = to_json(&Beginning { event_id: &scan.event_id, ticket_id: &scan.ticket_id })?;
    json.pop();
    Ok(json)
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError(error.into()))
}

/// The check-ins of one event.
#[derive(Default)]
struct Event {
    full: Arc<Vec<Bytes>>,
    last: Vec<u8>,
    tickets: HashTable<Place>,
    latest: Option<Timestamp>,
}

/// Where the record of a ticket stands.
struct Place {
    /// A part of the ticket's hash: most other tickets are told apart without looking at their records.
    hash: u32,
    chunk: u32,
    offset: u32,
}

/// The log of an event at one moment.
#[derive(Default)]
struct Snapshot {
    total: usize,
    full: Arc<Vec<Bytes>>,
    last: Bytes,
}

impl Event {
    fn check_in(&mut self, scan: Scan, hash: u32, beginning: &[u8]) -> Result<CheckIn, StoreError> {
        let is_same = |place: &Place| {
            let chunk = self.full.get(place.chunk as usize).map_or(self.last.as_slice(), |chunk| chunk);
            place.hash == hash && chunk[place.offset as usize..].starts_with(beginning)
        };
        if self.tickets.find(spread(hash), is_same).is_some() {
            return Ok(CheckIn::Duplicate);
        }

        let now = Timestamp::now();
        let checked_in_at = self.latest.map_or(now, |latest| latest.max(now));
        let Scan { event_id, ticket_id, checked_in_by } = scan;
        let record = Record { event_id, ticket_id, checked_in_by, checked_in_at };
        let place = self.append(hash, &to_json(&record)?);
        self.tickets.insert_unique(spread(hash), place, |place| spread(place.hash));
        self.latest = Some(checked_in_at);
        Ok(CheckIn::Accepted(record))
    }

    fn append(&mut self, hash: u32, json: &[u8]) -> Place {
        if !self.last.is_empty() && self.last.len() + 1 + json.len() > CHUNK {
            let full = std::mem::replace(&mut self.last, Vec::with_capacity(CHUNK));
            Arc::make_mut(&mut self.full).push(full.into());
        }
        if !self.tickets.is_empty() {
            self.last.push(b',');
        }
        let place = Place { hash, chunk: self.full.len() as u32, offset: self.last.len() as u32 };
        self.last.extend_from_slice(json);
        place
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            total: self.tickets.len(),
            full: self.full.clone(),
            last: Bytes::copy_from_slice(&self.last),
        }
    }
}

/// A hash as the table wants it, which picks from both ends.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}
