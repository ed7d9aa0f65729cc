//! What happened besides the check-ins: undos, and conflicts. Each is an entry of its event, and is kept in order.

use std::sync::Arc;

use hashbrown::HashTable;

use super::{event::widen_hash, log::LogPosition};
use crate::{history::EntryKind, record::Timestamp};

/// What an entry takes besides its texts, at most: itself in a list that doubles when it grows and leaves a hole of half
/// its size, its number in the table of tickets, and what the allocator adds to each text.
pub(super) const PAST_ENTRY_BYTES: u64 = 3 * size_of::<PastEntry>() as u64 + 5 * 16 / 7 + 80;

/// Undos and conflicts of one event, in order.
#[derive(Default)]
pub(super) struct PastEntries {
    entries: Vec<PastEntry>,
    /// The last entry of each ticket that has one, as its index.
    last_of_ticket: HashTable<u32>,
}

/// An undo or a conflict.
pub(super) struct PastEntry {
    /// The number of the entry within its event.
    pub(super) seq: u64,
    pub(super) kind: PastKind,
    /// The check-in that was undone, or that stood when its ticket came again.
    pub(super) check_in: CheckInRef,
    pub(super) by: Arc<str>,
    pub(super) at: Timestamp,
    pub(super) origin: Option<Box<Origin>>,
    /// A part of the hash of the ticket's id.
    hash: u32,
    /// The entry before it of the same ticket, as its index.
    previous: Option<u32>,
}

/// What kind of entry it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PastKind {
    Undone,
    Conflict,
}

impl From<PastKind> for EntryKind {
    fn from(kind: PastKind) -> Self {
        match kind {
            PastKind::Undone => Self::Undone,
            PastKind::Conflict => Self::Conflict,
        }
    }
}

/// A check-in: where its record begins, and the number of its entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct CheckInRef {
    pub(super) position: LogPosition,
    pub(super) seq: u32,
}

/// What a client says about the origin of a scan.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Origin {
    pub(super) gate: Option<Box<str>>,
    pub(super) scanned_at: Option<Box<str>>,
}

impl Origin {
    /// `None` if the client says nothing.
    pub(super) fn new(gate: Option<&str>, scanned_at: Option<&str>) -> Option<Box<Self>> {
        let is_known = gate.is_some() || scanned_at.is_some();
        is_known.then(|| Box::new(Self { gate: gate.map(Box::from), scanned_at: scanned_at.map(Box::from) }))
    }

    /// What it takes, in bytes.
    pub(super) fn bytes(gate: Option<&str>, scanned_at: Option<&str>) -> u64 {
        let texts: usize = [gate, scanned_at].into_iter().flatten().map(|text| text.len() + 16).sum();
        if texts == 0 { 0 } else { (size_of::<Self>() + 16 + texts) as u64 }
    }
}

impl PastEntries {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entry at `index`.
    pub(super) fn get(&self, index: u32) -> Option<&PastEntry> {
        self.entries.get(index as usize)
    }

    /// The entries after the one numbered `seq`.
    pub(super) fn after(&self, seq: u64) -> &[PastEntry] {
        &self.entries[self.entries.partition_point(|entry| entry.seq <= seq)..]
    }

    /// The last entry of a ticket. `is_of` tells whether a check-in is one of the ticket.
    fn last(&self, hash: u32, is_of: impl Fn(LogPosition) -> bool) -> Option<u32> {
        let is_same = |index: &u32| {
            self.get(*index).is_some_and(|entry| entry.hash == hash && is_of(entry.check_in.position))
        };
        self.last_of_ticket.find(widen_hash(hash), is_same).copied()
    }

    /// The entries of a ticket, newest first.
    pub(super) fn of_ticket(
        &self,
        hash: u32,
        is_of: impl Fn(LogPosition) -> bool,
    ) -> impl Iterator<Item = &PastEntry> {
        let mut next = self.last(hash, is_of);
        std::iter::from_fn(move || {
            let entry = self.get(next?)?;
            next = entry.previous;
            Some(entry)
        })
    }

    /// Adds an entry. Returns its index.
    #[expect(clippy::too_many_arguments, reason = "what an entry is made of")]
    pub(super) fn push(
        &mut self,
        seq: u64,
        kind: PastKind,
        check_in: CheckInRef,
        by: Arc<str>,
        at: Timestamp,
        origin: Option<Box<Origin>>,
        hash: u32,
        is_of: impl Fn(LogPosition) -> bool,
    ) -> u32 {
        let index = self.entries.len() as u32;
        let previous = self.last(hash, is_of);
        self.entries.push(PastEntry { seq, kind, check_in, by, at, origin, hash, previous });
        let entries = &self.entries;
        let hash_of = |index: &u32| widen_hash(entries[*index as usize].hash);
        match previous {
            Some(previous) => {
                if let Some(last) = self.last_of_ticket.find_mut(widen_hash(hash), |last| *last == previous) {
                    *last = index;
                }
            }
            None => drop(self.last_of_ticket.insert_unique(widen_hash(hash), index, hash_of)),
        }
        index
    }
}
