//! What waits in the queue of the writer.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::{
    history::{BulkUndo, Undo},
    record::Scan,
    store::{
        CheckIn, StoreError, UndoOutcome,
        budget::Reservation,
        change::{Change, Changed},
        reply::Reply,
    },
};

/// What clients ask of the writer.
pub(super) enum Job {
    /// To check a ticket in.
    CheckIn(QueuedScan),
    /// To undo a check-in.
    Undo(Undo, Reply<UndoOutcome>),
    /// To undo many at once.
    UndoAll(BulkUndo, Reply<u64>),
    /// To change the events or a list of tickets.
    Change(Change, Reply<Changed>),
    /// Whether the file takes writes.
    Probe(Reply<()>),
}

/// A scan that waits to be written, and the memory that is reserved for it.
pub(super) struct QueuedScan {
    pub(super) scan: Scan,
    pub(super) reply: ScanReply,
    pub(super) reservation: Reservation,
}

/// Who waits for the outcome of a scan.
pub(super) enum ScanReply {
    /// A client that sent this scan alone.
    Alone(Reply<CheckIn>),
    /// A client that sent a batch: the outcome is one of many.
    OfBatch(Arc<BatchReply>, usize),
}

impl ScanReply {
    pub(super) fn send(self, outcome: Result<CheckIn, StoreError>) {
        match self {
            Self::Alone(reply) => reply.send(outcome),
            Self::OfBatch(batch, index) => batch.set(index, outcome),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Alone(reply) => reply.is_closed(),
            Self::OfBatch(batch, _) => batch.is_closed(),
        }
    }
}

/// Collects the outcomes of a batch, and sends them when all are there.
pub(super) struct BatchReply(Mutex<Outcomes>);

struct Outcomes {
    outcomes: Vec<Option<CheckIn>>,
    missing: usize,
    /// `None` once it was answered.
    reply: Option<Reply<Vec<CheckIn>>>,
}

impl BatchReply {
    /// Waits for the outcomes that are not known yet.
    pub(super) fn new(outcomes: Vec<Option<CheckIn>>, reply: Reply<Vec<CheckIn>>) -> Self {
        let missing = outcomes.iter().filter(|outcome| outcome.is_none()).count();
        Self(Mutex::new(Outcomes { outcomes, missing, reply: Some(reply) }))
    }

    fn set(&self, index: usize, outcome: Result<CheckIn, StoreError>) {
        let mut all = self.0.lock();
        match outcome {
            Ok(outcome) => {
                all.outcomes[index] = Some(outcome);
                all.missing -= 1;
                if all.missing == 0
                    && let Some(reply) = all.reply.take()
                {
                    reply.send(Ok(all.outcomes.drain(..).flatten().collect()));
                }
            }
            // The client sends all of them again, under the same keys.
            Err(error) => {
                if let Some(reply) = all.reply.take() {
                    reply.send(Err(error));
                }
            }
        }
    }

    fn is_closed(&self) -> bool {
        self.0.lock().reply.as_ref().is_none_or(Reply::is_closed)
    }
}

impl Job {
    /// Answers that the storage is not available.
    pub(super) fn refuse(self, reason: &Arc<str>) {
        let error = StoreError::Unavailable(Arc::clone(reason));
        match self {
            Self::CheckIn(queued) => queued.reply.send(Err(error)),
            Self::Undo(_, reply) => reply.send(Err(error)),
            Self::UndoAll(_, reply) => reply.send(Err(error)),
            Self::Change(_, reply) => reply.send(Err(error)),
            Self::Probe(reply) => reply.send(Err(error)),
        }
    }
}
