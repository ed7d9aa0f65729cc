use std::collections::HashSet;

use futures_util::FutureExt;
use proptest::{collection::vec, prelude::*};
use serde_json::Value;
use tokio::task::JoinSet;

use super::{
    event::{EVENT_BYTES, TICKET_BYTES},
    log::{FIRST_RETRACTION_BYTES, MAX_CHUNK, MAX_COPY, RETRACTION_BYTES},
    *,
};
use crate::{
    history::CheckInFilter,
    record::{IdempotencyKey, RecordFields},
};

fn scan(event: &str, ticket: &str) -> Scan {
    Scan::new(EventId(event.to_owned()), TicketId(ticket.to_owned()), "panitia1".into())
}

/// Undoes the check-in of a ticket, and returns the record that stands no more.
fn undo(store: &MemoryCheckInStore, event: &str, ticket: &str) -> Option<Bytes> {
    let Scan { event_id, ticket_id, checked_in_by: by, .. } = scan(event, ticket);
    match store.undo_now(&Undo { event_id, ticket_id, by, is_admin: false }).unwrap() {
        UndoOutcome::Undone(record) => Some(record),
        UndoOutcome::NotCheckedIn => None,
        UndoOutcome::NotAllowed => panic!("panitia1 made all check-ins"),
    }
}

fn unlimited() -> MemoryCheckInStore {
    MemoryCheckInStore::new(u64::MAX)
}

async fn attendance(store: &MemoryCheckInStore, event: &str) -> Attendance {
    store.attendance(&EventId(event.to_owned())).await.unwrap()
}

async fn json(records: Records) -> Vec<u8> {
    let chunks: Vec<_> = records.chunks.map(|chunk| chunk.unwrap().json).collect().await;
    let json = chunks.concat();
    assert_eq!(records.length, Some(json.len() as u64));
    json
}

async fn records(store: &MemoryCheckInStore, event: &str) -> Vec<Value> {
    let Attendance { total, records, .. } = attendance(store, event).await;
    let json = [&b"["[..], &json(records).await, b"]"].concat();
    let records: Vec<Value> = serde_json::from_slice(&json).unwrap();
    assert_eq!(records.len(), total);
    records
}

async fn accepts(store: &MemoryCheckInStore, event: &str, ticket: &str) -> bool {
    matches!(store.check_in(scan(event, ticket)).await.unwrap(), CheckIn::Accepted(_))
}

#[tokio::test]
async fn records_keep_their_order_and_tickets_stay_used_over_many_chunks() {
    let store = unlimited();
    let ticket = |number: usize| format!("{number}-{}", "\"é\n".repeat(number % 300));
    for number in 0..3000 {
        assert!(accepts(&store, "e", &ticket(number)).await);
    }
    for number in 0..3000 {
        assert!(!accepts(&store, "e", &ticket(number)).await);
    }
    let records = records(&store, "e").await;
    assert_eq!(records.len(), 3000);
    for (number, record) in records.iter().enumerate() {
        assert_eq!(record["ticket_id"], ticket(number));
    }
    let moments: Vec<_> = records.iter().map(|record| record["checked_in_at"].as_str().unwrap()).collect();
    assert!(moments.is_sorted());
}

#[tokio::test]
async fn a_ticket_that_begins_or_ends_like_another_is_another() {
    let store = unlimited();
    for ticket in ["a", "ab", "", "a\"", "a\\", "a\",\"checked_in_by", "A", "e\u{301}", "é", " a", "a "] {
        assert!(accepts(&store, "e", ticket).await, "{ticket:?}");
        assert!(!accepts(&store, "e", ticket).await, "{ticket:?}");
        assert!(accepts(&store, "other", ticket).await, "{ticket:?}");
    }
}

#[tokio::test]
async fn a_record_longer_than_a_chunk_has_one_of_its_own() {
    let store = unlimited();
    let long = "x".repeat(2 * MAX_CHUNK);
    for ticket in ["a", &long, "b"] {
        assert!(accepts(&store, "e", ticket).await);
        assert!(!accepts(&store, "e", ticket).await);
    }
    let tickets: Vec<_> =
        records(&store, "e").await.iter().map(|record| record["ticket_id"].clone()).collect();
    assert_eq!(tickets, ["a", &long, "b"]);
}

#[tokio::test]
async fn what_a_reader_reads_ends_where_the_log_ended_when_it_began() {
    let store = unlimited();
    let mut readers = Vec::new();
    // Over more than one chunk, so that readers find chunks full that were not when they began.
    for number in 0..3000 {
        assert!(accepts(&store, "e", &number.to_string()).await);
        if number % 100 == 0 {
            readers.push(attendance(&store, "e").await);
        }
    }
    let all = json(attendance(&store, "e").await.records).await;
    let mut versions = HashSet::new();
    for (number, reader) in readers.into_iter().enumerate() {
        assert_eq!(reader.total, number * 100 + 1);
        assert!(versions.insert(reader.version));
        let json = json(reader.records).await;
        assert!(all.starts_with(&json), "reader {number}");
        assert_eq!(json.iter().filter(|byte| **byte == b'{').count(), reader.total);
    }
}

#[tokio::test]
async fn a_reader_that_reads_slowly_while_others_check_in_gets_every_byte_once() {
    let store = unlimited();
    for number in 0..1500 {
        assert!(accepts(&store, "e", &number.to_string()).await);
    }
    let expected = json(attendance(&store, "e").await.records).await;
    let mut slow = attendance(&store, "e").await.records.chunks;
    let mut read = Vec::new();
    let mut number = 1500;
    while let Some(chunk) = slow.next().await {
        read.extend_from_slice(&chunk.unwrap().json);
        for _ in 0..100 {
            assert!(accepts(&store, "e", &number.to_string()).await);
            number += 1;
        }
    }
    assert_eq!(read, expected);
}

#[tokio::test]
async fn a_thousand_readers_that_came_between_check_ins_hold_little_of_their_own() {
    let store = unlimited();
    for number in 0..3000 {
        assert!(accepts(&store, "e", &number.to_string()).await);
    }
    let mut kept = Vec::new();
    for number in 3000..4000 {
        let full = store.event_state(&EventId("e".to_owned())).unwrap().1.lock().log.full.len();
        // Each has read the full chunks and the first copy of the last one, and nothing else yet.
        let mut chunks = attendance(&store, "e").await.records.chunks;
        let mut next = async || chunks.next().await.unwrap().unwrap().json;
        let mut shared = Vec::new();
        for _ in 0..full {
            shared.push(next().await);
        }
        kept.push((shared, next().await));
        assert!(accepts(&store, "e", &number.to_string()).await);
    }
    let addresses = |shared: &[Bytes]| shared.iter().map(|chunk| chunk.as_ptr()).collect::<Vec<_>>();
    let first = addresses(&kept[0].0);
    assert!(kept[0].0.iter().map(Bytes::len).sum::<usize>() > MAX_CHUNK / 2);
    assert!(kept.iter().all(|(shared, _)| addresses(shared).starts_with(&first)));
    assert!(kept.iter().all(|(_, copy)| copy.len() <= MAX_COPY));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Against a list of the tickets that are in, in order.
    #[test]
    fn after_check_ins_and_retractions_lists_are_what_they_were_when_they_were_asked_for(
        steps in vec((0..30_usize, any::<bool>()), 1..120)
    ) {
        let store = unlimited();
        // Of different lengths, so that there are chunks of several records and of one.
        let ticket = |number: usize| format!("{number}-{}", "x".repeat(number % 7 * number * 20));
        let mut expected: Vec<usize> = Vec::new();
        let mut readers = Vec::new();
        let mut entries = Vec::new();
        for (number, is_retraction) in steps {
            let before = attendance(&store, "e").now_or_never().unwrap();
            let is_in = expected.contains(&number);
            let has_changed = if is_retraction {
                let record = undo(&store, "e", &ticket(number));
                prop_assert_eq!(record.is_some(), is_in);
                let Scan { event_id, ticket_id, .. } = scan("e", &ticket(number));
                prop_assert!(store.record(&event_id, &ticket_id).now_or_never().unwrap().unwrap().is_none());
                entries.extend(is_in.then_some((number, EntryKind::Undone)));
                expected.retain(|other| *other != number);
                is_in
            } else {
                prop_assert_eq!(accepts(&store, "e", &ticket(number)).now_or_never().unwrap(), !is_in);
                expected.extend((!is_in).then_some(number));
                entries.extend((!is_in).then_some((number, EntryKind::CheckedIn)));
                !is_in
            };
            let after = attendance(&store, "e").now_or_never().unwrap();
            prop_assert_eq!(after.total, expected.len());
            prop_assert_eq!(after.version != before.version, has_changed);
            readers.push((after, expected.clone()));
        }
        for (Attendance { records, .. }, expected) in readers {
            let json = [&b"["[..], &json(records).now_or_never().unwrap(), b"]"].concat();
            let records: Vec<Value> = serde_json::from_slice(&json).unwrap();
            let tickets: Vec<_> = records.iter().map(|record| record["ticket_id"].as_str().unwrap()).collect();
            prop_assert_eq!(tickets, expected.iter().map(|number| ticket(*number)).collect::<Vec<_>>());
        }

        let event = EventId("e".to_owned());
        let numbered = || (1..).zip(&entries);
        for after in 0..=entries.len() as u64 {
            for limit in [1, 3, 1000] {
                let changes = store.read_changes(&event, after, limit).unwrap();
                prop_assert_eq!(changes.version, entries.len() as u64);
                let changes = changes.changes.into_iter().map(|change| (change.seq, change.kind, change.ticket_id.0));
                let wanted = numbered().filter(|(seq, _)| *seq > after).take(limit);
                let wanted = wanted.map(|(seq, (number, kind))| (seq, *kind, ticket(*number)));
                prop_assert_eq!(changes.collect::<Vec<_>>(), wanted.collect::<Vec<_>>());
            }
        }
        for number in 0..30 {
            let history = store.read_history(&event, &TicketId(ticket(number))).unwrap();
            let history = history.iter().map(|entry| (entry.seq, entry.kind));
            let wanted = numbered().filter(|(_, (other, _))| *other == number).map(|(seq, (_, kind))| (seq, *kind));
            prop_assert_eq!(history.collect::<Vec<_>>(), wanted.collect::<Vec<_>>());
        }
        let summary = store.read_summary(&event).unwrap();
        prop_assert_eq!(summary.total_checked_in, expected.len() as u64);
        prop_assert_eq!(summary.per_minute.iter().sum::<u32>(), expected.len() as u32);
        let last = summary.last.map(|last| RecordFields::read(&last).unwrap().0.ticket_id.into_owned());
        prop_assert_eq!(last, expected.last().map(|number| ticket(*number)));
    }
}

#[tokio::test]
async fn a_key_stays_with_its_attempt_after_a_retraction() {
    let store = unlimited();
    let first = Scan { idempotency_key: IdempotencyKey::new(b"1"), ..scan("e", "a") };
    let CheckIn::Accepted(record) = store.check_in(first.clone()).await.unwrap() else {
        panic!("not accepted")
    };
    let again = async || store.check_in(first.clone()).await.unwrap();
    assert_eq!(again().await, CheckIn::Replayed { record: record.clone(), stands: true });
    assert_eq!(undo(&store, "e", "a"), Some(record.clone()));
    assert_eq!(undo(&store, "e", "a"), None);
    assert_eq!(again().await, CheckIn::Replayed { record: record.clone(), stands: false });
    assert!(accepts(&store, "e", "a").await);
    assert_eq!(again().await, CheckIn::Replayed { record, stands: false });
}

#[tokio::test]
async fn a_retraction_is_counted_and_is_possible_though_memory_is_full() {
    let store = MemoryCheckInStore::new(1 << 20);
    let mut number = 0;
    while store.check_in(scan("e", &number.to_string())).await.is_ok() {
        number += 1;
    }
    let before = store.budget.taken();
    for number in 0..number {
        assert!(undo(&store, "e", &number.to_string()).is_some());
    }
    let each = RETRACTION_BYTES + past_bytes("panitia1".len(), 0);
    assert_eq!(store.budget.taken(), before + number * each + FIRST_RETRACTION_BYTES);
    assert_eq!(records(&store, "e").await.len(), 0);
}

#[tokio::test]
async fn what_is_allocated_for_records_is_what_is_counted() {
    for ids in [1, 200, 2000, 60_000] {
        let store = MemoryCheckInStore::new(8 << 20);
        let (mut number, mut accepted) = (0, 0);
        // In turns, so that all grow.
        while let Ok(checked_in) =
            store.check_in(scan(&(number % 20).to_string(), &format!("{number}{}", "x".repeat(ids)))).await
        {
            assert!(matches!(checked_in, CheckIn::Accepted(_)));
            (number, accepted) = (number + 1, accepted + 1);
        }
        let events = store.events.read();
        let mut allocated = 0;
        for event in events.values().map(|event| event.lock()) {
            let full: usize = event.log.full.iter().map(|chunk| chunk.json.len()).sum();
            assert!(
                event.log.live as usize == full + event.log.last.len(),
                "no record is longer than its room"
            );
            allocated += full + event.log.last.capacity();
        }
        let counted = store.budget.taken();
        assert!(counted <= 8 << 20 && counted > 7 << 20, "{counted} with {ids}");
        let least = allocated as u64 + accepted * TICKET_BYTES + events.len() as u64 * EVENT_BYTES;
        assert!(
            counted >= least && counted < least + least / 3,
            "{counted} is counted of {least} with {ids}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_all_who_scan_a_ticket_at_once_one_is_accepted() {
    let store = Arc::new(unlimited());
    let mut scans = JoinSet::new();
    for number in 0..4000 {
        let store = store.clone();
        scans.spawn(async move { accepts(&store, "e", &(number % 1000).to_string()).await });
    }
    let accepted = scans.join_all().await.into_iter().filter(|accepted| *accepted).count();
    assert_eq!(accepted, 1000);
    assert_eq!(records(&store, "e").await.len(), 1000);
}

#[test]
fn a_record_and_its_key_are_known_at_the_same_moment() {
    let store = unlimited();
    let scans: Vec<_> = (0..20_000)
        .map(|number: usize| Scan {
            idempotency_key: IdempotencyKey::new(number.to_string().as_bytes()),
            ..scan("e", &number.to_string())
        })
        .collect();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for scan in &scans {
                let entry = Entry { kind: EntryKind::CheckedIn, scan: scan.clone(), at: Timestamp::now() };
                drop(store.apply(&entry).unwrap());
            }
        });
        for scan in &scans {
            let known =
                std::iter::repeat_with(|| store.look_up(scan).unwrap()).find_map(|known| match known {
                    Lookup::Decided(outcome) => Some(outcome),
                    Lookup::Write(..) => None,
                });
            assert!(matches!(known, Some(CheckIn::Replayed { .. })), "{scan:?}: {known:?}");
        }
    });
}

#[tokio::test]
async fn a_guest_who_was_let_in_offline_with_a_used_ticket_is_an_entry_and_the_first_check_in_stands() {
    let store = unlimited();
    let CheckIn::Accepted(first) = store.check_in(scan("e", "a")).await.unwrap() else {
        panic!("not accepted")
    };
    let offline = |key: &str, ticket: &str| Scan {
        idempotency_key: IdempotencyKey::new(key.as_bytes()),
        gate: Some("Gerbang Timur".into()),
        scanned_at: Some("2026-11-24T19:00:00+07:00".into()),
        admitted: true,
        ..scan("e", ticket)
    };
    for _ in 0..2 {
        let outcome = store.check_in(offline("1", "a")).await.unwrap();
        assert_eq!(outcome, CheckIn::Conflict(Some(first.clone())));
    }
    assert_eq!(store.check_in(offline("1", "b")).await.unwrap(), CheckIn::KeyReused);
    assert!(matches!(store.check_in(offline("2", "b")).await.unwrap(), CheckIn::Accepted(_)));

    let event = EventId("e".to_owned());
    let history = store.read_history(&event, &TicketId("a".to_owned())).unwrap();
    let kinds: Vec<_> = history.iter().map(|entry| (entry.seq, entry.kind)).collect();
    assert_eq!(kinds, [(1, EntryKind::CheckedIn), (2, EntryKind::Conflict)]);
    assert_eq!(history[1].gate.as_deref(), Some("Gerbang Timur"));
    assert_eq!(history[1].scanned_at.as_deref(), Some("2026-11-24T19:00:00+07:00"));
    let history = store.read_history(&event, &TicketId("b".to_owned())).unwrap();
    assert_eq!((history[0].seq, history[0].gate.as_deref()), (3, Some("Gerbang Timur")));
    assert_eq!(records(&store, "e").await.len(), 2);

    assert!(undo(&store, "e", "a").is_some());
    let history = store.read_history(&event, &TicketId("a".to_owned())).unwrap();
    assert_eq!(history.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2, 4]);
    assert_eq!(store.check_in(offline("1", "a")).await.unwrap(), CheckIn::Conflict(None), "none stands");
}

#[tokio::test]
async fn many_check_ins_are_undone_at_once_by_user_and_by_time() {
    let store = unlimited();
    for number in 0..2000 {
        let by = if number % 2 == 0 { "panitia1" } else { "panitia2" };
        let scan = Scan { checked_in_by: by.into(), ..scan("e", &number.to_string()) };
        assert!(matches!(store.check_in(scan).await.unwrap(), CheckIn::Accepted(_)));
    }
    let bulk = |by: Option<&str>| BulkUndo {
        event_id: EventId("e".to_owned()),
        by: "admin1".into(),
        filter: CheckInFilter { by: by.map(str::to_owned), ..CheckInFilter::default() },
    };
    assert_eq!(store.undo_all(bulk(Some("panitia1"))).await.unwrap(), 1000);
    assert_eq!(store.undo_all(bulk(Some("panitia1"))).await.unwrap(), 0);
    assert_eq!(records(&store, "e").await.len(), 1000);
    let future = CheckInFilter { after: Some(Timestamp::now().next()), ..CheckInFilter::default() };
    assert_eq!(store.undo_all(BulkUndo { filter: future, ..bulk(None) }).await.unwrap(), 0);
    let past = CheckInFilter { before: Some(Timestamp::now()), ..CheckInFilter::default() };
    assert_eq!(store.undo_all(BulkUndo { filter: past, ..bulk(None) }).await.unwrap(), 1000);
    assert_eq!(store.read_changes(&EventId("e".to_owned()), 3999, 9).unwrap().changes.len(), 1);
    assert!(accepts(&store, "e", "0").await);
}
