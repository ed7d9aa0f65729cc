//! Applying entries of the log on the disk.

use bytes::Bytes;

use super::{
    Entry, KeyEntry, KeyUse, MemoryCheckInStore, StoreError, conflict_bytes, event::origin_bytes,
    event::record_bytes, keys::KEY_BYTES, keys::fingerprint, log::NewChunk, prefix,
};
use crate::history::EntryKind;

/// What applying an entry did.
pub(in crate::store) enum Applied {
    /// A check-in: its record.
    CheckedIn(Bytes),
    /// An undo: the record that stands no more.
    Undone(Bytes),
    /// A conflict: the record that stands.
    Conflict(Bytes),
    /// Nothing: what is in memory contradicts it.
    Contradicted,
}

impl MemoryCheckInStore {
    /// Applies an entry that was read from the disk, even if that exceeds the budget.
    pub(in crate::store) fn load(&self, entry: &Entry) -> Result<Applied, StoreError> {
        self.apply_in(entry, |chunk| chunk.wanted)
    }

    /// Applies an entry that has just been written to the disk. Its bytes must be reserved.
    pub(in crate::store) fn apply(&self, entry: &Entry) -> Result<Applied, StoreError> {
        let is_free = |bytes: usize| self.budget.has(record_bytes(Some(bytes)));
        // Reserved is only what the record needs by itself.
        self.apply_in(entry, |chunk| if is_free(chunk.wanted) { chunk.wanted } else { chunk.needed })
    }

    fn apply_in(
        &self,
        Entry { kind, scan, at }: &Entry,
        capacity: impl FnOnce(NewChunk) -> usize,
    ) -> Result<Applied, StoreError> {
        let hash = self.hash(&scan.ticket_id);
        let prefix = prefix(scan)?;
        let (index, event) = self.event_or_new(&scan.event_id, |bytes| {
            self.budget.take(bytes);
            Ok(())
        })?;
        let fingerprint = scan.idempotency_key.as_ref().map(|key| fingerprint(&scan.checked_in_by, key));
        // Before the event: see the order of locks above.
        let keys = fingerprint.map(|fingerprint| (self.keys.lock(), fingerprint));
        let key = if keys.is_some() { KEY_BYTES } else { 0 };
        let mut event = event.lock();
        let (applied, entry) = match (kind, event.find(hash, prefix.ids())) {
            (EntryKind::CheckedIn, None) => {
                let chunk = event.new_chunk(&prefix).map(capacity);
                self.budget.take(record_bytes(chunk) + key + origin_bytes(scan));
                let (record, check_in) = event.accept(hash, prefix, *at, chunk, &self.budget);
                event.set_origin(check_in, scan);
                (Applied::CheckedIn(record), KeyEntry::CheckIn(check_in.position))
            }
            (EntryKind::Undone, Some(check_in)) => {
                let record = event.retract(hash, check_in, &scan.checked_in_by, *at, &self.budget);
                return Ok(Applied::Undone(record));
            }
            (EntryKind::Conflict, Some(check_in)) => {
                self.budget.take(conflict_bytes(scan));
                let conflict = event.add_conflict(scan, hash, check_in, *at);
                (Applied::Conflict(event.log.record(check_in.position)), KeyEntry::Conflict(conflict))
            }
            _ => return Ok(Applied::Contradicted),
        };
        if let Some((mut keys, fingerprint)) = keys {
            keys.insert(fingerprint, KeyUse { event: index, entry });
        }
        Ok(applied)
    }
}
