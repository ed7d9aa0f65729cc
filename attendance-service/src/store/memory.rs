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

use super::{Attendance, CheckIn, CheckInStore, StoreError};
use crate::record::{Draft, EventId, Scan, Timestamp};

/// A chunk is full once it holds this many bytes.
const CHUNK: usize = 256 * 1024;

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
        let draft = Draft::new(&scan).map_err(|error| StoreError(error.into()))?;
        let event = self.event(&scan.event_id);
        Ok(event.lock().check_in(hash, draft))
    }

    async fn attendance(&self, event: &EventId) -> Result<Attendance, StoreError> {
        let event = self.events.read().get(event).cloned();
        let Snapshot { total, full, last } = event.map(|event| event.lock().snapshot()).unwrap_or_default();
        let records = full.iter().cloned().chain([last]).collect();
        Ok(Attendance { total, records, version: format!("{:016x}-{total}", self.life) })
    }
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
    fn check_in(&mut self, hash: u32, draft: Draft) -> CheckIn {
        let is_same = |place: &Place| {
            let chunk = self.full.get(place.chunk as usize).map_or(self.last.as_slice(), |chunk| chunk);
            place.hash == hash && chunk[place.offset as usize..].starts_with(draft.identity())
        };
        if self.tickets.find(spread(hash), is_same).is_some() {
            return CheckIn::Duplicate;
        }

        let now = Timestamp::now();
        let now = self.latest.map_or(now, |latest| latest.max(now));
        self.latest = Some(now);
        let record = draft.accepted(now);
        let place = self.append(hash, &record);
        self.tickets.insert_unique(spread(hash), place, |place| spread(place.hash));
        CheckIn::Accepted(record)
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

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tokio::task::JoinSet;

    use super::*;
    use crate::record::TicketId;

    fn scan(event: &str, ticket: &str) -> Scan {
        Scan {
            event_id: EventId(event.to_owned()),
            ticket_id: TicketId(ticket.to_owned()),
            checked_in_by: "panitia1".to_owned(),
        }
    }

    async fn records(store: &MemoryCheckInStore, event: &str) -> Vec<Value> {
        let attendance = store.attendance(&EventId(event.to_owned())).await.unwrap();
        let json = [&b"["[..], &attendance.records.concat(), b"]"].concat();
        let records: Vec<Value> = serde_json::from_slice(&json).unwrap();
        assert_eq!(records.len(), attendance.total);
        records
    }

    async fn accepts(store: &MemoryCheckInStore, event: &str, ticket: &str) -> bool {
        matches!(store.check_in(scan(event, ticket)).await.unwrap(), CheckIn::Accepted(_))
    }

    #[tokio::test]
    async fn records_keep_their_order_and_tickets_stay_used_over_many_chunks() {
        let store = MemoryCheckInStore::default();
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
        let store = MemoryCheckInStore::default();
        for ticket in ["a", "ab", "", "a\"", "a\\", "a\",\"checked_in_by", "A", "e\u{301}", "é", " a", "a "]
        {
            assert!(accepts(&store, "e", ticket).await, "{ticket:?}");
            assert!(!accepts(&store, "e", ticket).await, "{ticket:?}");
            assert!(accepts(&store, "other", ticket).await, "{ticket:?}");
        }
    }

    #[tokio::test]
    async fn a_record_longer_than_a_chunk_has_one_of_its_own() {
        let store = MemoryCheckInStore::default();
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
    async fn what_a_reader_has_does_not_change_while_others_check_in() {
        let store = MemoryCheckInStore::default();
        accepts(&store, "e", "first").await;
        let before = store.attendance(&EventId("e".to_owned())).await.unwrap();
        let bytes = before.records.concat();
        for number in 0..2000 {
            accepts(&store, "e", &number.to_string()).await;
        }
        assert_eq!(before.records.concat(), bytes);
        let after = store.attendance(&EventId("e".to_owned())).await.unwrap();
        assert_eq!(after.total, 2001);
        assert_ne!(after.version, before.version);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_all_who_scan_a_ticket_at_once_one_is_accepted() {
        let store = Arc::new(MemoryCheckInStore::default());
        let mut scans = JoinSet::new();
        for number in 0..4000 {
            let store = store.clone();
            scans.spawn(async move { accepts(&store, "e", &(number % 1000).to_string()).await });
        }
        let accepted = scans.join_all().await.into_iter().filter(|accepted| *accepted).count();
        assert_eq!(accepted, 1000);
        assert_eq!(records(&store, "e").await.len(), 1000);
    }
}
