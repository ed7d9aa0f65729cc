//! Where check-ins are kept. Knows no HTTP: `routes` decides what an outcome means to a client.

mod budget;
mod change;
mod chunk;
mod clock;
mod entry;
pub mod memory;
pub mod postgres;
mod reply;
pub mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

pub use self::{
    budget::Budget,
    chunk::{Chunk, CompressedCache},
};
use crate::{
    digest::TicketDigest,
    event::{Event, EventChange},
    history::{BulkUndo, Changes, HistoryEntry, Undo},
    record::{EventId, Scan, TicketId},
    ticket::{ImportCounts, NewTicket, TicketInfo, TicketPage, TicketSearch},
};

/// The outcome of a scan.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckIn {
    /// The ticket is checked in now: its [`Record`](crate::record::Record) as JSON.
    Accepted(Bytes),
    /// The same attempt checked the ticket in before.
    Replayed {
        /// The record that was made then.
        record: Bytes,
        /// Whether it stands: it was not undone.
        stands: bool,
    },
    /// Another attempt checked the ticket in before: the record that stands.
    Duplicate(Bytes),
    /// As `Duplicate`, but the guest had been let in already. That is kept as an entry of its own. The record that stands:
    /// `None` if the same attempt is sent again, and the check-in was undone meanwhile.
    Conflict(Option<Bytes>),
    /// The idempotency key was used before, for another ticket.
    KeyReused,
    /// The event has a list of tickets, and this one is not on it.
    Unregistered,
    /// The ticket is on the list, and good no more.
    Revoked,
}

/// The outcome of a scan in a batch.
#[derive(Clone, Debug)]
pub struct BatchResult {
    /// What happened to the scan.
    pub outcome: CheckIn,
    /// What is known of the ticket, if it is on the list of the event.
    pub ticket: Option<TicketInfo>,
}

/// The outcome of a request to undo a check-in.
#[derive(Clone, Debug, PartialEq)]
pub enum UndoOutcome {
    /// The check-in is undone: its record as JSON.
    Undone(Bytes),
    /// The ticket is not checked in.
    NotCheckedIn,
    /// Somebody else checked it in, or too long ago.
    NotAllowed,
}

/// What an event looks like at one point in time.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The number of the last entry; 0 if there is none.
    pub version: u64,
    /// How many tickets are checked in.
    pub total_checked_in: u64,
    /// How many tickets are on the list and not revoked, if the event has a list.
    pub registered: Option<u64>,
    /// The last record that stands, as JSON.
    pub last: Option<Bytes>,
    /// How many of the check-ins that stand were made in each of the last 60 minutes, oldest first.
    pub per_minute: [u32; 60],
}

/// What a phone needs to decide about tickets without a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Offline {
    /// The number of the last entry of the event.
    pub version: u64,
    /// Digests of all tickets on the list, if the event has one, sorted.
    pub tickets: Option<Vec<TicketDigest>>,
    /// Those of the revoked ones, sorted.
    pub revoked: Vec<TicketDigest>,
    /// Those of the tickets that are checked in, sorted.
    pub used: Vec<TicketDigest>,
}

/// The check-ins of an event at one point in time.
pub struct Attendance {
    /// How many there are.
    pub total: usize,
    /// Their [`Record`](crate::record::Record)s, in order of acceptance.
    pub records: Records,
    /// Changes whenever the records of the event change, also across restarts of the store.
    pub version: String,
}

/// The records of an event as JSON, separated by commas.
pub struct Records {
    /// Length in bytes, if it is known before all records are read.
    pub length: Option<u64>,
    /// The JSON, cut anywhere. A chunk is fetched when it is polled for, so a client that does not read holds at most
    /// one.
    pub chunks: BoxStream<'static, Result<Chunk, StoreError>>,
}

/// The check-ins that this process keeps in memory.
#[derive(Clone, Copy, Debug)]
pub struct MemoryUsage {
    /// How many there are.
    pub check_ins: u64,
    /// Bytes taken by them, by scans that wait to be written, and by cached compressed chunks.
    pub bytes: u64,
    /// Bytes that they may take.
    pub limit: u64,
}

/// Why a store cannot answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The storage does not take writes at the moment. The scan may have been stored nevertheless: sending it again
    /// shows whether it was.
    #[error("the storage is not available: {0}")]
    Unavailable(Arc<str>),
    /// The memory limit is reached: new check-ins are refused, everything else is answered.
    #[error("the check-ins take all of MAX_STORE_MB, or nearly all: raise it, and start again")]
    Full,
    /// A defect of the service.
    #[error("the check-in store failed: {0}")]
    Internal(Arc<dyn std::error::Error + Send + Sync>),
}

/// A store of check-ins.
#[async_trait]
pub trait CheckInStore: Send + Sync {
    /// Checks a ticket in, unless it is in already. Of concurrent scans of one ticket exactly one is accepted.
    ///
    /// Times of acceptance never go back within an event, whatever the system clock does.
    async fn check_in(&self, scan: Scan) -> Result<CheckIn, StoreError>;

    /// Checks tickets in, one after the other, as [`check_in`](Self::check_in) does. All results are known, or none.
    async fn check_in_batch(&self, scans: Vec<Scan>) -> Result<Vec<BatchResult>, StoreError>;

    /// Undoes the check-in of a ticket, which can be checked in again then. Of concurrent requests exactly one does it.
    async fn undo(&self, undo: Undo) -> Result<UndoOutcome, StoreError>;

    /// Undoes all check-ins that stand and match, at once. Returns how many.
    async fn undo_all(&self, undo: BulkUndo) -> Result<u64, StoreError>;

    /// What happened to a ticket, in order.
    async fn history(&self, event: &EventId, ticket: &TicketId) -> Result<Vec<HistoryEntry>, StoreError>;

    /// The entries of `event` whose number is greater than `after`, at most `limit` of them. Whoever goes on from the
    /// last of them misses none.
    async fn changes(&self, event: &EventId, after: u64, limit: usize) -> Result<Changes, StoreError>;

    /// What `event` looks like now.
    async fn summary(&self, event: &EventId) -> Result<Summary, StoreError>;

    /// The number of the last entry of `event`; 0 if it has none.
    async fn version(&self, event: &EventId) -> Result<u64, StoreError>;

    /// The check-ins of `event` so far. An unknown event has none.
    async fn attendance(&self, event: &EventId) -> Result<Attendance, StoreError>;

    /// The [`Record`](crate::record::Record) of a ticket as JSON, if it was checked in.
    async fn record(&self, event: &EventId, ticket: &TicketId) -> Result<Option<Bytes>, StoreError>;

    /// What this process keeps in memory; `None` if it keeps no check-ins itself.
    fn memory_usage(&self) -> Option<MemoryUsage>;

    /// Whether a ticket can be checked in now.
    async fn ready(&self) -> Result<(), StoreError>;
}

/// A store of events and of their lists of tickets.
#[async_trait]
pub trait EventStore: Send + Sync {
    /// All events, oldest first.
    async fn events(&self) -> Result<Vec<Event>, StoreError>;

    /// An event.
    async fn event(&self, id: &EventId) -> Result<Option<Event>, StoreError>;

    /// Adds an event. Its id must be new.
    async fn create_event(&self, event: Event) -> Result<(), StoreError>;

    /// Changes an event. `None` if there is no such event.
    async fn update_event(&self, id: &EventId, change: EventChange) -> Result<Option<Event>, StoreError>;

    /// Removes an event and its list of tickets, if there is such an event. Its check-ins stay.
    async fn delete_event(&self, id: &EventId) -> Result<bool, StoreError>;

    /// Puts tickets on the list of an event: all, or none. Their ids differ. A revoked ticket stays revoked. `None` if
    /// there is no such event.
    async fn put_tickets(
        &self,
        event: &EventId,
        tickets: Vec<NewTicket>,
    ) -> Result<Option<ImportCounts>, StoreError>;

    /// Revokes a ticket. `None` if there is no such event, `Some(false)` if the ticket is not on its list.
    async fn revoke_ticket(&self, event: &EventId, ticket: &TicketId) -> Result<Option<bool>, StoreError>;

    /// A part of the list of an event. `None` if there is no such event.
    async fn tickets(&self, event: &EventId, search: &TicketSearch)
    -> Result<Option<TicketPage>, StoreError>;

    /// What is known of some tickets of an event, in their order; `None` of those that are not on its list.
    async fn ticket_infos(
        &self,
        event: &EventId,
        tickets: &[TicketId],
    ) -> Result<Vec<Option<TicketInfo>>, StoreError>;

    /// What [`offline`](Self::offline) depends on: it changes whenever that does. `None` if there is no such event.
    async fn offline_tag(&self, event: &EventId) -> Result<Option<String>, StoreError>;

    /// What a phone needs to decide about the tickets of an event. `None` if there is no such event.
    async fn offline(&self, event: &EventId) -> Result<Option<Offline>, StoreError>;
}
