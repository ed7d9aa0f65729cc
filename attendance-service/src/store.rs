//! Where check-ins are kept. No HTTP in here: what an outcome means to a client stands in `routes`.

pub mod memory;

use async_trait::async_trait;
use bytes::Bytes;

use crate::record::{EventId, Scan};

/// The outcome of a scan.
#[derive(Debug)]
pub enum CheckIn {
    /// The ticket is in now: its [`Record`](crate::record::Record) as JSON.
    Accepted(Bytes),
    /// It was in before.
    Duplicate,
}

/// Who came to an event, at one moment.
#[derive(Debug)]
pub struct Attendance {
    /// How many.
    pub total: usize,
    /// Their [`Record`](crate::record::Record)s as JSON in order of acceptance, parted by commas and cut anywhere.
    pub records: Vec<Bytes>,
    /// Differs whenever the records of one event differ, also from one life of the store to the next.
    pub version: String,
}

/// The store cannot answer.
#[derive(Debug, thiserror::Error)]
#[error("the check-in store failed: {0}")]
pub struct StoreError(#[from] Box<dyn std::error::Error + Send + Sync>);

/// A place for check-ins.
#[async_trait]
pub trait CheckInStore: Send + Sync {
    /// Checks a ticket in, if it was not before: of all who ask at once one is accepted. The moments of
    /// acceptance never go back within an event, whatever the clock does.
    async fn check_in(&self, scan: Scan) -> Result<CheckIn, StoreError>;

    /// Who came to `event` until now; nobody to an event that nobody heard of.
    async fn attendance(&self, event: &EventId) -> Result<Attendance, StoreError>;
}
