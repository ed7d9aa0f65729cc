//! Reading what happened to the tickets of an event.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::{
    Changes, EventId, EventState, HistoryEntry, MemoryCheckInStore, StoreError, Summary, TicketId, Timestamp,
    ids, internal,
    log::ScannedRecord,
    past::{CheckInRef, Origin, PastKind},
    ticket_list::{ListedTicket, TicketList},
};
use crate::{
    digest::Salt,
    history::{Change, EntryKind},
    record::RecordFields,
    store::Offline,
};

impl MemoryCheckInStore {
    pub(super) fn read_history(
        &self,
        event: &EventId,
        ticket: &TicketId,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let prefix = ids(event, ticket)?;
        let hash = self.hash(ticket);
        let Some((_, event)) = self.event_state(event) else { return Ok(Vec::new()) };
        let event = event.lock();
        let is_of = |position| event.log.at(position).starts_with(prefix.ids());
        let mut entries = Vec::new();
        if let Some(check_in) = event.find(hash, prefix.ids()) {
            entries.push(check_in_entry(&event, check_in)?);
        }
        for past in event.past.of_ticket(hash, is_of) {
            let (gate, scanned_at) = texts(past.origin.as_deref());
            let (seq, kind, by, at) = (past.seq, past.kind.into(), Arc::clone(&past.by), past.at);
            entries.push(HistoryEntry { seq, kind, by, at, gate, scanned_at });
            if past.kind == PastKind::Undone {
                entries.push(check_in_entry(&event, past.check_in)?);
            }
        }
        entries.sort_unstable_by_key(|entry| entry.seq);
        Ok(entries)
    }

    pub(super) fn read_changes(
        &self,
        event: &EventId,
        after: u64,
        limit: usize,
    ) -> Result<Changes, StoreError> {
        let Some((_, event)) = self.event_state(event) else {
            return Ok(Changes { version: 0, changes: Vec::new() });
        };
        let (version, records, past, mut changes) = {
            let event = event.lock();
            let past = event.past.after(after);
            let change = |seq, kind, position| {
                let (record, _) = RecordFields::read(event.log.at(position)).map_err(internal)?;
                Ok(Change { seq, kind, ticket_id: TicketId(record.ticket_id.into_owned()) })
            };
            let changes = past.iter().take(limit);
            let changes = changes.map(|past| change(past.seq, past.kind.into(), past.check_in.position));
            let changes = changes.collect::<Result<Vec<_>, StoreError>>()?;
            (event.log.seq, event.log.records, event.past.len() - past.len(), changes)
        };
        // Every entry is a record or a past entry, so the numbers that no past entry has are those of the records.
        let first = after.saturating_sub(past as u64) as u32 + 1;
        if after < version && first <= records {
            let mut numbers = (after + 1..=version)
                .filter({
                    let taken: Vec<u64> = changes.iter().map(|change| change.seq).collect();
                    move |seq| taken.binary_search(seq).is_err()
                })
                .take(limit);
            each_record(&event, first, version, |record| {
                let Some(seq) = numbers.next() else { return Ok(false) };
                let ticket_id = TicketId(record.fields.ticket_id.into_owned());
                changes.push(Change { seq, kind: EntryKind::CheckedIn, ticket_id });
                Ok(true)
            })?;
        }
        changes.sort_unstable_by_key(|change| change.seq);
        changes.truncate(limit);
        Ok(Changes { version, changes })
    }

    pub(super) fn read_summary(&self, event: &EventId) -> Result<Summary, StoreError> {
        let event = self.event_state(event).map_or_else(Arc::default, |(_, event)| event);
        let (version, total, registered, per_minute) = {
            let event = event.lock();
            let registered = event.list.as_ref().map(|list| list.valid() as u64);
            (event.log.seq, event.len() as u64, registered, event.arrivals.at(Timestamp::now()))
        };
        let last = if total == 0 { None } else { last_standing(&event, version)? };
        Ok(Summary { version, total_checked_in: total, registered, last, per_minute })
    }

    /// Calls `each` with the records of `event` that stand now, in order.
    pub(super) fn each_standing(
        &self,
        event: &EventId,
        mut each: impl FnMut(&RecordFields<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Some((_, event)) = self.event_state(event) else { return Ok(()) };
        let seq = event.lock().log.seq;
        each_record(&event, 1, seq, |record| {
            if !record.is_retracted {
                each(&record.fields)?;
            }
            Ok(true)
        })
    }
}

/// The entry of a check-in.
fn check_in_entry(event: &EventState, check_in: CheckInRef) -> Result<HistoryEntry, StoreError> {
    let (record, _) = RecordFields::read(event.log.at(check_in.position)).map_err(internal)?;
    let (gate, scanned_at) = texts(event.origin(check_in));
    let at = record.at().map_err(internal)?;
    let (seq, kind, by) = (check_in.seq.into(), EntryKind::CheckedIn, record.checked_in_by.into());
    Ok(HistoryEntry { seq, kind, by, at, gate, scanned_at })
}

fn texts(origin: Option<&Origin>) -> (Option<String>, Option<String>) {
    let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
    origin.map_or((None, None), |origin| (text(&origin.gate), text(&origin.scanned_at)))
}

/// Calls `each` with the records from number `first` on, until it returns false. Those that the log did not have at the
/// entry `seq` are left out. The event is locked for one chunk at a time, and not while `each` is called.
fn each_record(
    event: &Mutex<EventState>,
    first: u32,
    seq: u64,
    mut each: impl FnMut(ScannedRecord<'_>) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let last = {
        let event = event.lock();
        let later = (event.log.seq - seq) - event.past.after(seq).len() as u64;
        event.log.records - later as u32
    };
    let mut next = first;
    while next <= last {
        let chunk = event.lock().log.scan(next, seq);
        for record in chunk.records() {
            let record = record.map_err(internal)?;
            if record.number < next {
                continue;
            }
            if record.number > last {
                return Ok(());
            }
            next = record.number + 1;
            if !each(record)? {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The last record that stood at the entry `seq`.
fn last_standing(event: &Mutex<EventState>, seq: u64) -> Result<Option<Bytes>, StoreError> {
    let mut last = event.lock().log.records;
    while last > 0 {
        let chunk = event.lock().log.scan(last, seq);
        let mut standing = None;
        for record in chunk.records() {
            let record = record.map_err(internal)?;
            if !record.is_retracted && record.number <= last {
                standing = Some(record.position);
            }
        }
        if let Some(position) = standing {
            return Ok(Some(event.lock().log.record(position)));
        }
        last = chunk.records_before();
    }
    Ok(None)
}

/// What a phone needs to decide about the tickets of the event.
pub(super) fn offline(event: &Mutex<EventState>, salt: &Salt) -> Result<Offline, StoreError> {
    let (version, list) = {
        let event = event.lock();
        (event.log.seq, event.list.clone())
    };
    let mut used = Vec::new();
    each_record(event, 1, version, |record| {
        if !record.is_retracted {
            used.push(salt.digest(&record.fields.ticket_id));
        }
        Ok(true)
    })?;
    used.sort_unstable();
    let digests = |list: &TicketList, is_wanted: fn(&ListedTicket<'_>) -> bool| {
        let tickets = list.iter().filter(is_wanted);
        let mut digests: Vec<_> = tickets.map(|ticket| salt.digest(ticket.id)).collect();
        digests.sort_unstable();
        digests
    };
    let tickets = list.as_ref().map(|list| digests(list, |_| true));
    let revoked = list.as_ref().map(|list| digests(list, |ticket| ticket.is_revoked)).unwrap_or_default();
    Ok(Offline { version, tickets, revoked, used })
}
