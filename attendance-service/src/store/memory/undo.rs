//! Undoing check-ins.

use super::{
    Applied, CheckInRef, Entry, EventState, Lookup, MemoryCheckInStore, StoreError, UndoOutcome,
    event::past_bytes,
    ids, internal,
    log::{FIRST_RETRACTION_BYTES, RETRACTION_BYTES},
};
use crate::{
    history::{BulkUndo, EntryKind, Undo},
    record::{RecordFields, Scan, TicketId, Timestamp},
};

impl MemoryCheckInStore {
    /// Looks a request to undo a check-in up.
    pub(in crate::store) fn look_up_undo(
        &self,
        undo: &Undo,
        now: Timestamp,
    ) -> Result<Lookup<UndoOutcome>, StoreError> {
        let prefix = ids(&undo.event_id, &undo.ticket_id)?;
        let Some((_, event)) = self.event_state(&undo.event_id) else {
            return Ok(Lookup::Decided(UndoOutcome::NotCheckedIn));
        };
        let event = event.lock();
        Ok(match judge(undo, &event, event.find(self.hash(&undo.ticket_id), prefix.ids()), now)? {
            Ok(_) => Lookup::Write(EntryKind::Undone, 0),
            Err(outcome) => Lookup::Decided(outcome),
        })
    }

    pub(super) fn undo_now(&self, undo: &Undo) -> Result<UndoOutcome, StoreError> {
        let prefix = ids(&undo.event_id, &undo.ticket_id)?;
        let hash = self.hash(&undo.ticket_id);
        let Some((_, event)) = self.event_state(&undo.event_id) else { return Ok(UndoOutcome::NotCheckedIn) };
        let mut event = event.lock();
        let now = Timestamp::now();
        match judge(undo, &event, event.find(hash, prefix.ids()), now)? {
            Err(outcome) => Ok(outcome),
            Ok(check_in) => {
                let at = self.clock.next(event.latest, now);
                Ok(UndoOutcome::Undone(event.retract(hash, check_in, &undo.by, at, &self.budget)))
            }
        }
    }

    /// The undos of all check-ins that stand and match, if there is memory for them.
    pub(in crate::store) fn entries_to_undo(
        &self,
        undo: &BulkUndo,
        now: Timestamp,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        // The undos are kept, and until then a copy of the ids is.
        let mut bytes = FIRST_RETRACTION_BYTES;
        let mut at = self.next_timestamp(&undo.event_id, None, now);
        self.each_standing(&undo.event_id, |record| {
            if undo.filter.matches(&record.checked_in_by, record.at().map_err(internal)?) {
                let ids = undo.event_id.0.len() + record.ticket_id.len() + size_of::<Entry>();
                bytes += RETRACTION_BYTES + past_bytes(undo.by.len(), 0) + 2 * ids as u64;
                if !self.budget.has(bytes) {
                    return Err(self.full());
                }
                let ticket = TicketId(record.ticket_id.clone().into_owned());
                let scan = Scan::new(undo.event_id.clone(), ticket, undo.by.clone());
                entries.push(Entry { kind: EntryKind::Undone, scan, at });
                at = at.next();
            }
            Ok(())
        })?;
        Ok(entries)
    }

    /// Applies undos of one event at once: nobody sees some of them without the others. Returns how many check-ins are
    /// undone: those of tickets that are not checked in any more are left out.
    pub(in crate::store) fn apply_undos(&self, entries: &[Entry]) -> Result<u64, StoreError> {
        let Some((_, event)) = entries.first().and_then(|entry| self.event_state(&entry.scan.event_id))
        else {
            return Ok(0);
        };
        let mut event = event.lock();
        let mut undone = 0;
        for Entry { scan, at, .. } in entries {
            let prefix = ids(&scan.event_id, &scan.ticket_id)?;
            let hash = self.hash(&scan.ticket_id);
            if let Some(check_in) = event.find(hash, prefix.ids()) {
                let at = self.clock.next(event.latest, *at);
                event.retract(hash, check_in, &scan.checked_in_by, at, &self.budget);
                undone += 1;
            }
        }
        Ok(undone)
    }
}

impl From<Applied> for UndoOutcome {
    fn from(applied: Applied) -> Self {
        match applied {
            Applied::Undone(record) => Self::Undone(record),
            Applied::CheckedIn(_) | Applied::Conflict(_) | Applied::Contradicted => Self::NotCheckedIn,
        }
    }
}

/// The check-in that `undo` undoes, or why it undoes none. `check_in` is the one that stands.
fn judge(
    undo: &Undo,
    event: &EventState,
    check_in: Option<CheckInRef>,
    now: Timestamp,
) -> Result<Result<CheckInRef, UndoOutcome>, StoreError> {
    let Some(check_in) = check_in else { return Ok(Err(UndoOutcome::NotCheckedIn)) };
    let (record, _) = RecordFields::read(event.log.at(check_in.position)).map_err(internal)?;
    let at = record.at().map_err(internal)?;
    let is_allowed = undo.is_allowed(&record.checked_in_by, at, now);
    Ok(if is_allowed { Ok(check_in) } else { Err(UndoOutcome::NotAllowed) })
}
