use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use attendance_service::{digest::Salt, record::EventId};
use axum::{Router, http::header::CACHE_CONTROL};
use serde_json::{Value, json};
use shared_service::{
    on_every_store,
    testing::{Store, app::detail, forge::encoded},
};

use super::{admin, app, app_at, batch, changes, check_in, read, token, token_of, undo};

on_every_store![
    changes_tell_what_happened_to_which_ticket,
    who_follows_the_changes_with_any_limit_misses_none,
];

/// What stands for a ticket.
pub(super) fn digest(event: &str, ticket: &str) -> String {
    encoded(Salt::of(&EventId(event.to_owned())).digest(ticket))
}

async fn changes_tell_what_happened_to_which_ticket(store: Store) {
    let app = app(store).await;
    let none = json!({"version": 0, "changes": []});
    assert_eq!(changes(&app, "evt1", 0, 100).await, none);
    check_in(&app, "evt1", "T1").await;
    check_in(&app, "evt2", "T1").await;
    undo(&app, &token(), "evt1", "T1").await;
    check_in(&app, "evt1", "T2").await;
    let admitted = json!({"event_id": "evt1", "ticket_id": "T2", "idempotency_key": "k", "admitted": true});
    batch(&app, &admin(), &[admitted]).await;

    let all = read(&app, "/attendance/evt1/changes").send().await;
    assert_eq!(all.header(CACHE_CONTROL), "no-store");
    let all = all.json();
    let entries = all["changes"].as_array().expect("a list");
    let seqs: Vec<_> = entries.iter().map(|entry| entry["seq"].as_u64().expect("a number")).collect();
    let entry = |number: usize, kind: &str, ticket: &str| json!({"seq": seqs[number], "kind": kind, "digest": digest("evt1", ticket)});
    let expected = json!({"version": seqs[3], "changes": [
        entry(0, "checked_in", "T1"),
        entry(1, "undone", "T1"),
        entry(2, "checked_in", "T2"),
        entry(3, "conflict", "T2"),
    ]});
    assert_eq!(all, expected);
    assert!(seqs.is_sorted_by(|one, next| one < next), "{seqs:?}");
    for (known, seq) in seqs.iter().enumerate() {
        let rest = changes(&app, "evt1", *seq, 100).await;
        assert_eq!(rest, json!({"version": seqs[3], "changes": &entries[known + 1..]}));
        let next = changes(&app, "evt1", *seq, 1).await;
        let end = (known + 2).min(4);
        assert_eq!(next, json!({"version": seqs[3], "changes": &entries[known + 1..end]}));
    }
    assert_eq!(changes(&app, "evt1", seqs[3] + 100, 100).await, json!({"version": seqs[3], "changes": []}));
}

/// All changes of `event`, read with this `limit`.
pub(super) async fn followed(app: &Router, event: &str, limit: usize) -> Vec<Value> {
    let (mut entries, mut known) = (Vec::new(), 0);
    loop {
        let answer = changes(app, event, known, limit).await;
        let next = answer["changes"].as_array().expect("a list");
        entries.extend_from_slice(next);
        known = next.last().map_or(known, |entry| entry["seq"].as_u64().expect("a number"));
        if answer["version"] == known {
            return entries;
        }
        assert!(!next.is_empty(), "there is more, and it is not told");
    }
}

/// Follows the changes until `is_over` and there are no more.
async fn follow(app: Router, limit: usize, is_over: Arc<AtomicBool>) -> Vec<Value> {
    let (mut entries, mut known): (Vec<Value>, u64) = (Vec::new(), 0);
    loop {
        let was_over = is_over.load(Ordering::Relaxed);
        let answer = changes(&app, "evt1", known, limit).await;
        let next = answer["changes"].as_array().expect("a list");
        assert!(next.len() <= limit);
        let version = answer["version"].as_u64().expect("a number");
        for entry in next {
            let seq = entry["seq"].as_u64().expect("a number");
            assert!(known < seq && seq <= version, "{known} {seq} {version}");
            known = seq;
            entries.push(entry.clone());
        }
        if was_over && known == version {
            return entries;
        }
        assert!(!next.is_empty() || known == version, "there is more, and it is not told");
        tokio::task::yield_now().await;
    }
}

async fn who_follows_the_changes_with_any_limit_misses_none(store: Store) {
    let directory = tempfile::tempdir().expect("a directory");
    let url = store.new_url(directory.path()).await;
    let mut doors = vec![app_at(&url, &[]).await];
    if store == Store::Postgres {
        doors.push(app_at(&url, &[]).await);
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = [1, 2, 7, 1000]
        .into_iter()
        .zip(doors.iter().cycle())
        .map(|(limit, door)| tokio::spawn(follow(door.clone(), limit, is_over.clone())))
        .collect();
    let writers: Vec<_> = (0..4)
        .zip(doors.iter().cloned().cycle())
        .map(|(writer, door)| {
            tokio::spawn(async move {
                let token = token_of(&format!("panitia{writer}"), "committee");
                for round in 0..12 {
                    let scans: Vec<_> = (0..8)
                        .map(|number| {
                            let id = format!("{writer}-{round}-{number}");
                            json!({"event_id": "evt1", "ticket_id": id, "idempotency_key": id})
                        })
                        .collect();
                    while batch(&door, &token, &scans).await.status == 503 {}
                    while undo(&door, &token, "evt1", &format!("{writer}-{round}-3")).await.status == 503 {}
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("a writer");
    }
    is_over.store(true, Ordering::Relaxed);
    let mut told = Vec::new();
    for reader in readers {
        told.push(reader.await.expect("a reader"));
    }
    assert!(told.windows(2).all(|readers| readers[0] == readers[1]), "all are told the same");
    let count = |kind: &str| told[0].iter().filter(|entry| entry["kind"] == kind).count();
    assert_eq!((count("checked_in"), count("undone")), (4 * 12 * 8, 4 * 12));
    let tickets: BTreeSet<_> = told[0].iter().map(|entry| entry["digest"].to_string()).collect();
    assert_eq!(tickets.len(), 4 * 12 * 8);
}

#[tokio::test]
async fn a_cursor_that_is_none_is_refused_by_name() {
    let app = app(Store::Memory).await;
    let parsing = "Input should be a valid integer, unable to parse string as an integer";
    for (query, name, kind, msg) in [
        ("after=x", "after", "int_parsing", parsing),
        ("after=", "after", "int_parsing", parsing),
        ("after=-1", "after", "greater_than_equal", "Input should be greater than or equal to 0"),
        ("limit=0", "limit", "greater_than_equal", "Input should be greater than or equal to 1"),
        ("limit=1001", "limit", "less_than_equal", "Input should be less than or equal to 1000"),
    ] {
        let answer = read(&app, &format!("/attendance/evt1/changes?{query}")).send().await;
        assert_eq!(answer.status, 422, "{query}");
        let entry = &detail(&answer)[0];
        let expected = (&json!(["query", name]), &json!(kind), &json!(msg));
        assert_eq!((&entry["loc"], &entry["type"], &entry["msg"]), expected);
    }
    for query in ["after=0&limit=1000", "limit=1", "other=x", "after=5&after=0", "after=9223372036854775807"]
    {
        let answer = read(&app, &format!("/attendance/evt1/changes?{query}")).send().await;
        assert_eq!(answer.text(), (200, r#"{"version":0,"changes":[]}"#), "{query}");
    }
}
