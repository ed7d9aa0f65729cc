use axum::http::header::CACHE_CONTROL;
use serde_json::json;
use shared_service::{on_every_store, testing::Store};

use super::{admin, app, attempt, batch, check_in, history, read, record, token_of, undo};

on_every_store![the_history_of_a_ticket_tells_everything_in_order];

async fn the_history_of_a_ticket_tells_everything_in_order(store: Store) {
    let app = app(store).await;
    assert!(history(&app, "evt1", "a/b").await.is_empty());
    let first = record(&attempt(&app, "panitia1", "evt1", "a/b", Some("k")).await);
    check_in(&app, "evt1", "other").await;
    let offline = json!({
        "event_id": "evt1", "ticket_id": "a/b", "idempotency_key": "k", "scanned_at": 1_764_590_400.5,
        "admitted": true, "gate": "Gerbang \"A\""
    });
    batch(&app, &token_of("panitia2", "committee"), &[offline]).await;
    assert_eq!(check_in(&app, "evt1", "a/b").await.status, 400, "a duplicate is no entry");
    undo(&app, &admin(), "evt1", "a/b").await;
    let second = record(&check_in(&app, "evt1", "a/b").await);

    let answer = read(&app, "/attendance/evt1/tickets/a%2Fb/history").send().await;
    assert_eq!(answer.header(CACHE_CONTROL), "no-store");
    let entries = answer.json()["entries"].as_array().expect("a list").clone();
    let moments = [1, 2].map(|number: usize| entries[number]["at"].clone());
    let entry = |number: usize, kind, by, at: &_| {
        let seq = &entries[number]["seq"];
        json!({"seq": seq, "kind": kind, "by": by, "at": at, "gate": null, "scanned_at": null})
    };
    let mut conflict = entry(1, "conflict", "panitia2", &moments[0]);
    conflict["gate"] = json!("Gerbang \"A\"");
    conflict["scanned_at"] = json!("2025-12-01T12:00:00.500000Z");
    let expected = json!({"entries": [
        entry(0, "checked_in", "panitia1", &first["checked_in_at"]),
        conflict,
        entry(2, "undone", "admin1", &moments[1]),
        entry(3, "checked_in", "panitia1", &second["checked_in_at"]),
    ]});
    assert_eq!(answer.text(), (200, &*expected.to_string()));
    let numbers: Vec<_> = entries.iter().map(|entry| entry["seq"].as_u64().expect("a number")).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    let times: Vec<_> = entries.iter().map(|entry| entry["at"].as_str().expect("a moment")).collect();
    assert!(times.is_sorted(), "{times:?}");
}
