//! What waits in the queue of the writer.

use std::sync::Arc;

use crate::{
    record::Scan,
    store::{CheckIn, StoreError, budget::Reservation, reply::Reply},
};

/// What clients ask of the writer.
pub(super) enum Job {
    /// To check a ticket in.
    CheckIn(Queued),
    /// Whether the file takes writes.
    Probe(Reply<()>),
}

/// A scan that waits to be written, and the memory that is reserved for it.
pub(super) struct Queued {
    pub(super) scan: Scan,
    pub(super) reply: Reply<CheckIn>,
    pub(super) _reservation: Reservation,
}

impl Job {
    /// Answers that the storage is not available.
    pub(super) fn refuse(self, reason: &Arc<str>) {
        let error = StoreError::Unavailable(Arc::clone(reason));
        match self {
            Self::CheckIn(queued) => queued.reply.send(Err(error)),
            Self::Probe(reply) => reply.send(Err(error)),
        }
    }
}
