//! An entry of the log: what happened to a ticket.

use crate::{
    history::EntryKind,
    record::{Scan, Timestamp},
};

/// What happened to a ticket.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// What it was.
    pub(super) kind: EntryKind,
    /// The scan that did it. Of an undo it has the ids, and who undid.
    pub(super) scan: Scan,
    /// When.
    pub(super) at: Timestamp,
}
