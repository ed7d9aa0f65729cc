//! Where check-ins are kept. No HTTP in here: what an outcome means to a client stands in `routes`.

mod answer;
pub mod memory;
pub mod postgres;
pub mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::{
    gzip::Slot,
    record::{EventId, Scan, TicketId},
};

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

/// A part of a list.
#[derive(Clone)]
pub struct Part {
    /// Its bytes.
    pub json: Bytes,
    /// Where they are kept compressed, if others will read the same part.
    pub slot: Option<Arc<Slot>>,
}

impl From<Bytes> for Part {
    fn from(json: Bytes) -> Self {
        Self { json, slot: None }
    }
}

/// Why a store cannot answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Its storage takes no writes just now. Whether this one was taken shows when it is asked again.
    #[error("the storage is not available: {0}")]
    Unavailable(Arc<str>),
    /// Our fault.
    #[error("the check-in store failed: {0}")]
    Internal(Arc<dyn std::error::Error + Send + Sync>),
}

/// A place for check-ins.
#[async_trait]
pub trait CheckInStore: Send + Sync {
    /// Checks a ticket in, if it was not before: of all who ask at once one is accepted. The moments of
    /// acceptance never go back within an event, whatever the clock does.
    async fn check_in(&self, scan: Scan) -> Result<CheckIn, StoreError>;

    /// Who came to `event` until now; nobody to an event that nobody heard of.
    async fn attendance(&self, event: &EventId) -> Result<Attendance, StoreError>;

    /// The [`Record`](crate::record::Record) of a ticket as JSON, if it was checked in.
    async fn record(&self, event: &EventId, ticket: &TicketId) -> Result<Option<Bytes>, StoreError>;

    /// How many check-ins this process holds itself, if it holds them.
    fn held(&self) -> Option<u64>;

    /// Whether a ticket could be checked in now.
    async fn ready(&self) -> Result<(), StoreError>;
}
