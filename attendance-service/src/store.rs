//! Where check-ins are kept. No HTTP in here: what an outcome means to a client stands in `routes`.

mod budget;
pub mod memory;
mod moments;
mod part;
pub mod postgres;
mod reply;
pub mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

pub use self::{
    budget::Budget,
    part::{Part, Slot},
};
use crate::record::{EventId, Scan, TicketId};

/// The outcome of a scan.
#[derive(Clone, Debug)]
pub enum CheckIn {
    /// The ticket is in now: its [`Record`](crate::record::Record) as JSON.
    Accepted(Bytes),
    /// It was in before, by this same attempt: the record that was made then.
    Replayed(Bytes),
    /// It was in before.
    Duplicate,
    /// The attempt has the idempotency key of another one, for another ticket.
    KeyReused,
}

/// Who came to an event, at one moment.
pub struct Attendance {
    /// How many.
    pub total: usize,
    /// Their [`Record`](crate::record::Record)s, in order of acceptance.
    pub records: Records,
    /// Differs whenever the records of one event differ, also from one life of the store to the next.
    pub version: String,
}

/// The records of an event as JSON, separated by commas.
pub struct Records {
    /// How many bytes, where that is known before all are read.
    pub length: Option<u64>,
    /// The bytes, cut anywhere. A part is fetched when it is asked for: a client that reads nothing holds one.
    pub parts: BoxStream<'static, Result<Part, StoreError>>,
}

/// What a process holds.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// How many check-ins.
    pub check_ins: u64,
    /// The memory that they take, and those that are on their way to the disk.
    pub bytes: u64,
    /// The memory that they may take.
    pub limit: u64,
}

/// Why a store cannot answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Its storage takes no writes just now. Whether this one was taken shows when it is asked again.
    #[error("the storage is not available: {0}")]
    Unavailable(Arc<str>),
    /// It may hold no more. Whatever it holds is answered as ever.
    #[error("the check-ins take all of MAX_STORE_MB, or nearly all: raise it, and start again")]
    Full,
    /// Our fault.
    #[error("the check-in store failed: {0}")]
    Internal(Arc<dyn std::error::Error + Send + Sync>),
}

/// A place for check-ins.
#[async_trait]
pub trait CheckInStore: Send + Sync {
    /// Checks a ticket in, if it was not before: of all who ask at once one is accepted. The moments of
    /// acceptance go on within an event, whatever the clock does; two may be equal where two write at once.
    async fn check_in(&self, scan: Scan) -> Result<CheckIn, StoreError>;

    /// Who came to `event` until now; nobody to an event that nobody heard of.
    async fn attendance(&self, event: &EventId) -> Result<Attendance, StoreError>;

    /// The [`Record`](crate::record::Record) of a ticket as JSON, if it was checked in.
    async fn record(&self, event: &EventId, ticket: &TicketId) -> Result<Option<Bytes>, StoreError>;

    /// What this process holds itself, if it holds anything.
    fn held(&self) -> Option<Held>;

    /// Whether a ticket could be checked in now.
    async fn ready(&self) -> Result<(), StoreError>;
}
