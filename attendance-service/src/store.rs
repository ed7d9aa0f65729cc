//! Where check-ins are kept. Knows no HTTP: `routes` decides what an outcome means to a client.

mod budget;
mod chunk;
mod clock;
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
use crate::record::{EventId, Scan, TicketId};

/// The outcome of a scan.
#[derive(Clone, Debug)]
pub enum CheckIn {
    /// The ticket is checked in now: its [`Record`](crate::record::Record) as JSON.
    Accepted(Bytes),
    /// The same attempt checked the ticket in before: the record that was made then.
    Replayed(Bytes),
    /// Another attempt checked the ticket in before.
    Duplicate,
    /// The idempotency key was used before, for another ticket.
    KeyReused,
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
    /// Times of acceptance never go back within an event, whatever the system clock does. Two can be equal if two
    /// processes write at once.
    async fn check_in(&self, scan: Scan) -> Result<CheckIn, StoreError>;

    /// The check-ins of `event` so far. An unknown event has none.
    async fn attendance(&self, event: &EventId) -> Result<Attendance, StoreError>;

    /// The [`Record`](crate::record::Record) of a ticket as JSON, if it was checked in.
    async fn record(&self, event: &EventId, ticket: &TicketId) -> Result<Option<Bytes>, StoreError>;

    /// What this process keeps in memory; `None` if it keeps no check-ins itself.
    fn memory_usage(&self) -> Option<MemoryUsage>;

    /// Whether a ticket can be checked in now.
    async fn ready(&self) -> Result<(), StoreError>;
}
