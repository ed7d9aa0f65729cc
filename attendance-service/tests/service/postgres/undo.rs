//! Undos: each is carried out once, whatever happens to the connection, and lists that have begun do not notice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use attendance_service::{
    history::{BulkUndo, CheckInFilter, EntryKind, UNDO_SECONDS, Undo},
    store::{CheckIn, CheckInStore, UndoOutcome},
};
use futures_util::{StreamExt, TryStreamExt};
use shared_store::testing::execute;
use tokio::{task::JoinSet, time::timeout};

use super::{
    database,
    store::{
        accept, changes, digest, event, history, list, losing_answer_to, open, scan, text, ticket,
        two_replicas, undo, undone,
    },
};
use crate::SECOND;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn check_ins_and_undos_of_one_ticket_alternate() {
    let (_turn, url) = database().await;
    let replicas = two_replicas(&url).await;
    let counts = Arc::new([const { AtomicUsize::new(0) }; 2]);
    let mut tasks = JoinSet::new();
    for task in 0..40 {
        let (store, counts) = (replicas[task / 2 % 2].clone(), counts.clone());
        tasks.spawn(async move {
            // Who wins is up to the scheduler, so they go on until both have happened often.
            for number in 0.. {
                if number >= 25 && counts[1].load(Relaxed) >= 20 {
                    break;
                }
                let has_happened = if task % 2 == 0 {
                    let key = format!("{task}-{number}");
                    matches!(store.check_in(scan("T1", Some(&key))).await.unwrap(), CheckIn::Accepted(_))
                } else {
                    matches!(store.undo(undo("T1")).await.unwrap(), UndoOutcome::Undone(_))
                };
                counts[task % 2].fetch_add(has_happened.into(), Relaxed);
            }
        });
    }
    timeout(SECOND * 60, tasks.join_all()).await.expect("undos that happen");
    let entries = history(&replicas[0], "T1").await;
    for (index, entry) in entries.iter().enumerate() {
        let expected = if index % 2 == 0 { EntryKind::CheckedIn } else { EntryKind::Undone };
        assert_eq!(entry.kind, expected, "{entries:?}");
    }
    let [check_ins, undos] = [&counts[0], &counts[1]].map(|count| count.load(Relaxed));
    println!("{check_ins} check-ins, {undos} undos");
    assert_eq!((entries.len().div_ceil(2), entries.len() / 2), (check_ins, undos));
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn who_may_undo_and_what_is_left() {
    let (_turn, url) = database().await;
    let store = open(&url).await;
    let by = |name: &str| Undo { by: name.into(), is_admin: false, ..undo("T1") };
    assert_eq!(store.undo(by("panitia1")).await.unwrap(), UndoOutcome::NotCheckedIn);
    let CheckIn::Accepted(first) = store.check_in(scan("T1", Some("k"))).await.unwrap() else { panic!() };
    let before = list(&store).await.1;
    assert_eq!(store.undo(by("panitia2")).await.unwrap(), UndoOutcome::NotAllowed);
    assert_eq!(store.undo(by("panitia1")).await.unwrap(), UndoOutcome::Undone(first.clone()));
    assert_eq!(store.undo(by("panitia1")).await.unwrap(), UndoOutcome::NotCheckedIn);
    assert_eq!(store.record(&event("evt1"), &ticket("T1")).await.unwrap(), None);
    let (total, after, _) = list(&store).await;
    assert!(total == 0 && after != before);
    let replayed = CheckIn::Replayed { record: first.clone(), stands: false };
    assert_eq!(store.check_in(scan("T1", Some("k"))).await.unwrap(), replayed);

    let second = accept(&store, "T1").await;
    assert_ne!(second, text(&first));
    let long_ago = format!(
        "UPDATE attendance.check_ins SET checked_in_at = now() - interval '{} seconds'",
        UNDO_SECONDS + 1
    );
    execute(&url, &long_ago).await;
    assert_eq!(store.undo(by("panitia1")).await.unwrap(), UndoOutcome::NotAllowed);
    undone(&store, "T1").await;
    let entries = history(&store, "T1").await;
    let who: Vec<_> = entries.iter().map(|entry| (entry.kind, &*entry.by)).collect();
    use EntryKind::{CheckedIn, Undone};
    let expected =
        [(CheckedIn, "panitia1"), (Undone, "panitia1"), (CheckedIn, "panitia1"), (Undone, "admin1")];
    assert_eq!(who, expected);
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn many_are_undone_at_once_by_user_and_by_time() {
    let (_turn, url) = database().await;
    let store = open(&url).await;
    let mut times = Vec::new();
    for number in 0..30 {
        accept(&store, number).await;
        times.push(history(&store, number).await[0].at);
    }
    let count = async |filter| {
        store.undo_all(BulkUndo { event_id: event("evt1"), by: "admin1".into(), filter }).await.unwrap()
    };
    let by = |name: &str| CheckInFilter { by: Some(name.to_owned()), ..CheckInFilter::default() };
    assert_eq!(count(by("panitia2")).await, 0);
    assert_eq!(changes(&store, 100).await.len(), 30, "nothing happened");
    assert_eq!(
        count(CheckInFilter { after: Some(times[10]), before: Some(times[20]), ..by("panitia1") }).await,
        10
    );
    assert_eq!(count(CheckInFilter { before: Some(times[15]), ..CheckInFilter::default() }).await, 10);
    assert_eq!(count(by("panitia1")).await, 10);
    assert_eq!((list(&store).await.0, changes(&store, 7).await.len()), (0, 60));
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_list_that_has_begun_stays_as_it_was() {
    let (_turn, url) = database().await;
    let store = open(&url).await;
    let batch = |numbers: std::ops::Range<usize>| {
        numbers.map(|number| scan(number, Some(&number.to_string()))).collect::<Vec<_>>()
    };
    for first in [0, 500] {
        store.check_in_batch(batch(first..first + 500)).await.unwrap();
    }
    undone(&store, 900).await;
    let (total, version, before) = list(&store).await;
    assert_eq!(total, 999);

    let begun = store.attendance(&event("evt1")).await.unwrap();
    assert_eq!((begun.total, &begun.version), (999, &version));
    let mut chunks = begun.records.chunks;
    let mut json = text(&chunks.next().await.unwrap().unwrap().json);
    // Of what was read, of what will be, of what begins again; and one that was undone before, which comes back.
    for number in [5, 700, 999, 300] {
        undone(&store, number).await;
    }
    for number in [5, 700, 900] {
        accept(&store, number).await;
    }
    undone(&store, 5).await;
    json += &text(&chunks.next().await.unwrap().unwrap().json);
    let after = attendance_service::record::Timestamp::from_micros(0);
    let all = BulkUndo {
        event_id: event("evt1"),
        by: "admin1".into(),
        filter: CheckInFilter { after, ..CheckInFilter::default() },
    };
    assert_eq!(store.undo_all(all).await.unwrap(), 997);
    accept(&store, "last").await;
    let rest: Vec<_> = chunks.try_collect().await.unwrap();
    json.extend(rest.iter().map(|chunk| text(&chunk.json)));
    assert_eq!(json, before);
    assert_eq!(list(&store).await.0, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn an_undo_whose_answer_is_lost_is_done_once_and_known() {
    let (_turn, url) = database().await;
    let direct = open(&url).await;
    let record = accept(&direct, "T1").await;
    // Its name is in the message that carries the undo out.
    let lossy = open(&losing_answer_to(&url, "who-has-bad-luck").await).await;
    let undo_it = Undo { by: "who-has-bad-luck".into(), ..undo("T1") };
    let UndoOutcome::Undone(undone) = lossy.undo(undo_it).await.unwrap() else { panic!() };
    assert_eq!(text(&undone), record);
    assert_eq!(history(&direct, "T1").await.len(), 2);

    for number in 0..10 {
        accept(&direct, number).await;
    }
    let lossy = open(&losing_answer_to(&url, "COMMIT").await).await;
    let filter = CheckInFilter { by: Some("panitia1".to_owned()), ..CheckInFilter::default() };
    let all = BulkUndo { event_id: event("evt1"), by: "admin1".into(), filter };
    assert_eq!(lossy.undo_all(all).await.unwrap(), 10);
    assert_eq!(changes(&direct, 100).await.len(), 22);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_statement_that_comes_late_does_not_bring_back_what_was_undone() {
    let (_turn, url) = database().await;
    let store = open(&url).await;
    accept(&store, "other").await;
    // Two statements of one attempt wait for the event. The first one is carried out, and undone, before the second one.
    let mut blocker = sqlx::postgres::PgConnection::connect(&url).await.unwrap();
    use sqlx::{Connection, Executor};
    blocker.execute("BEGIN; SELECT FROM attendance.logs FOR UPDATE").await.unwrap();
    let late = {
        let store = store.clone();
        tokio::spawn(async move { store.check_in(scan("T1", Some("k"))).await })
    };
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    while sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut blocker).await.unwrap() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // What the other statement and the undo have done, in the transaction that holds the lock.
    let done = "INSERT INTO attendance.past_entries (event, seq, kind, ticket, attempt, event_id, ticket_id, done_by,
            done_at, idempotency_key, undone)
        SELECT event, 2, 0, $1, $2, event_id, 'T1', 'panitia1', now(), 'k', 3 FROM attendance.check_ins";
    sqlx::query(done)
        .bind(digest(&[b"evt1", b"T1"]))
        .bind(digest(&[b"panitia1", b"k"]))
        .execute(&mut blocker)
        .await
        .unwrap();
    blocker.execute("UPDATE attendance.logs SET seq = 3, undos = 1; COMMIT").await.unwrap();
    let outcome = late.await.unwrap().unwrap();
    assert!(matches!(outcome, CheckIn::Replayed { stands: false, .. }), "{outcome:?}");
    assert_eq!(store.record(&event("evt1"), &ticket("T1")).await.unwrap(), None);
}
