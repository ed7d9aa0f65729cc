//! What happens in an event is a log, whose readers miss nothing, however many replicas write to it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

use attendance_service::{
    history::{BulkUndo, Change, CheckInFilter, EntryKind},
    store::{CheckIn, CheckInStore},
};
use shared_store::{Migration, Migrations, postgres::Database, testing::execute};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

use super::{
    all_are_numbered, database,
    store::{
        Store, accept, admitted, assert_possible, changes, digest, event, history, list, open, scan, ticket,
        two_replicas, undo, undone,
    },
};
use crate::gate::Chance;

/// Follows the changes until `is_over`, and then to the end.
async fn follow(store: Store, limit: usize, is_over: Arc<AtomicBool>) -> Vec<Change> {
    let mut all: Vec<Change> = Vec::new();
    loop {
        let was_over = is_over.load(Relaxed);
        let after = all.last().map_or(0, |last| last.seq);
        let next = store.changes(&event("evt1"), after, limit).await.unwrap();
        assert!(next.changes.iter().all(|change| change.seq <= next.version));
        if was_over && next.changes.is_empty() {
            return all;
        }
        all.extend(next.changes);
    }
}

/// Does what gates and admins do, to few tickets so that they are often in each other's way.
async fn disturb(store: Store, writer: usize) {
    let mut chance = Chance::new();
    for number in 0..150 {
        let id = chance.below(40);
        let key = format!("{writer}-{number}");
        match chance.below(20) {
            0..8 => drop(store.check_in(scan(id, Some(&key))).await.unwrap()),
            8..12 => drop(store.undo(undo(id)).await.unwrap()),
            12..15 => drop(store.check_in(admitted(id, &key)).await.unwrap()),
            15..19 => {
                let scans = (0..20).map(|place| match place % 3 {
                    0 => admitted(chance.below(40), &format!("{key}-{place}")),
                    _ => scan(chance.below(40), Some(&format!("{key}-{place}"))),
                });
                assert_eq!(store.check_in_batch(scans.collect()).await.unwrap().len(), 20);
            }
            _ => {
                let filter = CheckInFilter { by: Some("panitia1".to_owned()), ..CheckInFilter::default() };
                let undo = BulkUndo { event_id: event("evt1"), by: "admin1".into(), filter };
                store.undo_all(undo).await.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn whoever_follows_the_changes_sees_every_entry_once_and_in_one_order() {
    let (_turn, url) = database().await;
    let replicas = two_replicas(&url).await;
    let is_over = Arc::new(AtomicBool::default());
    let mut readers = JoinSet::new();
    for (reader, limit) in [1, 7, 100, 1000].into_iter().enumerate() {
        readers.spawn(follow(replicas[reader % 2].clone(), limit, is_over.clone()));
    }
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        writers.spawn(disturb(replicas[writer % 2].clone(), writer));
    }
    writers.join_all().await;
    is_over.store(true, Relaxed);
    let followed = readers.join_all().await;

    let all = changes(&replicas[0], 1000).await;
    for seen in followed {
        assert_eq!(seen, all);
    }
    let kinds = [EntryKind::CheckedIn, EntryKind::Undone, EntryKind::Conflict];
    let numbers = kinds.map(|kind| all.iter().filter(|change| change.kind == kind).count());
    println!("check-ins, undos, conflicts: {numbers:?}");
    assert!(numbers.iter().all(|number| *number > 50), "{numbers:?}");

    let standing = assert_possible(&all);
    let (total, _, json) = list(&replicas[1]).await;
    assert_eq!(total, standing.len());
    assert!(standing.keys().all(|id| json.contains(&format!(r#""ticket_id":"{id}""#))));
    let summary = replicas[0].summary(&event("evt1")).await.unwrap();
    assert_eq!(summary.total_checked_in, standing.len() as u64);
    assert_eq!(summary.version, all.last().unwrap().seq);
    assert_eq!(summary.version, replicas[1].version(&event("evt1")).await.unwrap());
    assert_eq!(summary.per_minute.iter().sum::<u32>() as usize, standing.len());
    // Times do not go back either.
    let mut entries = Vec::new();
    for id in 0..40 {
        let of_ticket = history(&replicas[0], id).await;
        let of_all = all.iter().filter(|change| change.ticket_id == ticket(id));
        assert!(of_all.map(|change| (change.seq, change.kind)).eq(of_ticket.iter().map(|e| (e.seq, e.kind))));
        entries.extend(of_ticket);
    }
    entries.sort_by_key(|entry| entry.seq);
    assert!(entries.is_sorted_by_key(|entry| entry.at));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_batch_that_is_sent_twice_is_known_and_so_is_one_that_two_send_at_once() {
    let (_turn, url) = database().await;
    let replicas = two_replicas(&url).await;
    let batch = |name: &str| {
        let key = |number: usize| format!("{name}{number}");
        (0..500).map(|number| scan(number, Some(&key(number)))).collect::<Vec<_>>()
    };
    let outcomes = async |store: &Store, name: &str| -> Vec<CheckIn> {
        let results = store.check_in_batch(batch(name)).await.unwrap();
        results.into_iter().map(|result| result.outcome).collect()
    };
    let begin = Instant::now();
    let first = outcomes(&replicas[0], "a").await;
    println!("a batch of 500: {:?}", begin.elapsed());
    let again = outcomes(&replicas[1], "a").await;
    for (first, again) in first.iter().zip(&again) {
        let CheckIn::Accepted(record) = first else { panic!("{first:?}") };
        assert_eq!(*again, CheckIn::Replayed { record: record.clone(), stands: true });
    }
    undone(&replicas[0], 7).await;
    assert!(matches!(outcomes(&replicas[1], "a").await[7], CheckIn::Replayed { stands: false, .. }));

    let filter = CheckInFilter { by: Some("panitia1".to_owned()), ..CheckInFilter::default() };
    let undo = BulkUndo { event_id: event("evt1"), by: "admin1".into(), filter };
    assert_eq!(replicas[0].undo_all(undo).await.unwrap(), 499);
    for round in 0..10 {
        let (b, c) = (format!("b{round}-"), format!("c{round}-"));
        let (b, c) = tokio::join!(outcomes(&replicas[0], &b), outcomes(&replicas[1], &c));
        for (number, outcomes) in b.iter().zip(&c).enumerate() {
            match outcomes {
                (CheckIn::Accepted(first), CheckIn::Duplicate(stands))
                | (CheckIn::Duplicate(stands), CheckIn::Accepted(first)) => assert_eq!(stands, first),
                other => panic!("{round} {number}: {other:?}"),
            }
        }
        let filter = CheckInFilter::default();
        let undo = BulkUndo { event_id: event("evt1"), by: "admin1".into(), filter };
        assert_eq!(replicas[1].undo_all(undo).await.unwrap(), 500);
    }
    assert!(assert_possible(&changes(&replicas[0], 1000).await).is_empty());
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn scans_of_a_batch_are_decided_one_after_the_other() {
    let (_turn, url) = database().await;
    let store = open(&url).await;
    accept(&store, "in").await;
    let scans = vec![
        scan("new", Some("k1")),
        scan("new", Some("k1")),
        scan("new", Some("k2")),
        admitted("new", "k3"),
        admitted("new", "k3"),
        scan("other", Some("k3")),
        scan("in", Some("k4")),
        scan("third", Some("k4")),
        scan("fourth", Some("k4")),
    ];
    let outcomes = async || {
        let results = store.check_in_batch(scans.clone()).await.unwrap();
        results.into_iter().map(|result| result.outcome).collect::<Vec<_>>()
    };
    let first = outcomes().await;
    let CheckIn::Accepted(record) = &first[0] else { panic!("{first:?}") };
    let replayed = CheckIn::Replayed { record: record.clone(), stands: true };
    let conflict = CheckIn::Conflict(Some(record.clone()));
    assert_eq!(first[1], replayed);
    assert_eq!(first[2], CheckIn::Duplicate(record.clone()));
    assert_eq!([&first[3], &first[4]], [&conflict, &conflict]);
    assert_eq!(first[5], CheckIn::KeyReused);
    assert!(matches!(first[6], CheckIn::Duplicate(_)));
    assert!(matches!(first[7], CheckIn::Accepted(_)));
    assert_eq!(first[8], CheckIn::KeyReused);
    // Sent again, the key of the first scan of each ticket decides. A conflict is one entry.
    let again = outcomes().await;
    assert_eq!([&again[0], &again[3], &again[5]], [&replayed, &conflict, &CheckIn::KeyReused]);
    assert_eq!(again[6], CheckIn::KeyReused);
    let kinds: Vec<_> = history(&store, "new").await.into_iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [EntryKind::CheckedIn, EntryKind::Conflict]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn what_the_release_before_writes_is_numbered_too() {
    let (_turn, url) = database().await;
    let store = open(&url).await;
    accept(&store, "new").await;
    let old = "INSERT INTO attendance.check_ins
            (ticket, attempt, event, event_id, ticket_id, checked_in_by, checked_in_at)
        SELECT sha256(n::text::bytea), sha256(n::text::bytea), event, event_id, n, 'panitia1', now()
        FROM attendance.check_ins, generate_series(1, 12000) AS n";
    execute(&url, old).await;
    all_are_numbered(&url).await;
    accept(&store, "newer").await;
    let all = changes(&store, 1000).await;
    assert_eq!((all.len(), all[12_001].seq), (12_002, 12_002));
    assert_eq!(list(&store).await.0, 12_002);
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn check_ins_of_the_release_before_become_entries_in_order() {
    let (_turn, url) = database().await;
    let sql = include_str!("../../../migrations/postgres/1_check_ins.sql");
    let before = || Migrations::new(&[Migration { name: "check ins", sql, min_reader: 1 }]);
    Database::open(&url, "attendance", before()).await.unwrap();
    // Inserted in an order that is not that of their times, as two processes may.
    let insert = "INSERT INTO attendance.check_ins
            (ticket, attempt, event, event_id, ticket_id, checked_in_by, checked_in_at)
        SELECT sha256((event || ticket)::bytea), sha256(('a' || event || ticket)::bytea), sha256(event::bytea), event,
            ticket, 'panitia1', to_timestamp(1000000000 - ticket::integer)
        FROM unnest(ARRAY['evt1', 'evt2']) AS event, (SELECT n::text AS ticket FROM generate_series(1, 7000) AS n) AS n";
    execute(&url, insert).await;
    // The keys of the tables, which SQL cannot make so easily.
    let mut database = PgConnection::connect(&url).await.unwrap();
    for id in ["evt1", "evt2"] {
        let update = "UPDATE attendance.check_ins SET event = $1 WHERE event_id = $2";
        sqlx::query(update).bind(digest(&[id.as_bytes()])).bind(id).execute(&mut database).await.unwrap();
    }
    let replicas = two_replicas(&url).await;
    let newest_first = changes(&replicas[0], 1000).await;
    assert_eq!(newest_first.len(), 7000);
    assert!(newest_first.iter().rev().zip(1..).all(|(change, number)| change.ticket_id == ticket(number)));
    assert!(newest_first.is_sorted_by_key(|change| change.seq));
    assert_eq!(replicas[1].version(&event("evt2")).await.unwrap(), 7000);
    accept(&replicas[1], "new").await;
    let (total, _, json) = list(&replicas[0]).await;
    assert!(total == 7001 && json.find(r#""ticket_id":"7000""#) < json.find(r#""ticket_id":"6999""#));
    // That release starts again, and sees what stands.
    Database::open(&url, "attendance", before()).await.unwrap();
}
