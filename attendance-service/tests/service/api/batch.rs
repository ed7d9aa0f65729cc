use std::collections::BTreeMap;

use axum::{Router, http::header::CONTENT_TYPE};
use serde_json::{Value, json};
use shared_http::testing::post;
use shared_service::{
    on_every_store,
    testing::{Store, app::detail},
};

use super::{
    LISTED, app, app_at, app_with_list, attempt, attendance, batch, history, look_up, pass, record, revoke,
    token, token_of,
};

on_every_store![
    each_scan_has_its_result_and_the_same_one_when_it_is_sent_again,
    five_hundred_scans_keep_their_order_and_change_nothing_when_they_are_sent_again,
    of_two_phones_with_the_same_tickets_one_gets_each_in,
    a_batch_and_single_scans_share_their_keys,
];

fn scan(event: &str, ticket: &str, key: &str) -> Value {
    json!({ "event_id": event, "ticket_id": ticket, "idempotency_key": key })
}

/// The results of `scans`. A phone sends them again while the storage is not available.
async fn results(app: &Router, token: &str, scans: &[Value]) -> Vec<Value> {
    loop {
        let answer = batch(app, token, scans).await;
        if answer.status == 503 {
            continue;
        }
        assert_eq!((answer.status.as_u16(), answer.header(CONTENT_TYPE)), (200, "application/json"));
        let results = answer.json()["results"].as_array().expect("a list").clone();
        assert_eq!(results.len(), scans.len());
        return results;
    }
}

fn statuses(results: &[Value]) -> Vec<&str> {
    results.iter().map(|result| result["status"].as_str().expect("a status")).collect()
}

async fn each_scan_has_its_result_and_the_same_one_when_it_is_sent_again(store: Store) {
    let tickets = [("T1", Some("Siti"), Some("VIP")), ("T2", None, None), ("T3", None, None)];
    let (app, state) = app_with_list(store, &tickets).await;
    revoke(&state, "T3").await;
    let mut admitted = scan("evt1", "T1", "k7");
    (admitted["admitted"], admitted["gate"]) = (json!("yes"), json!("Gerbang A"));
    admitted["scanned_at"] = json!("2026-12-01 19:00:00+07:00");
    let scans = [
        scan(LISTED, "T1", "k1"),
        scan(LISTED, "T1", "k2"),
        scan(LISTED, "T1", "k1"),
        scan(LISTED, "T2", "k1"),
        scan(LISTED, "T3", "k3"),
        scan(LISTED, "T4", "k4"),
        scan("evt1", "T1", "k5"),
        scan("evt1", "T1", "k6"),
        admitted,
    ];
    for first in ["accepted", "replayed"] {
        let answer = batch(&app, &token(), &scans).await;
        let listed = look_up(&app, LISTED, "T1").await.json();
        let open = look_up(&app, "evt1", "T1").await.json();
        assert_eq!(
            (&listed["checked_in_by"], &open["checked_in_by"]),
            (&json!("panitia1"), &json!("panitia1"))
        );
        let siti = json!({"name": "Siti", "kind": "VIP"});
        let nobody = json!({"name": null, "kind": null});
        let expected = json!({"results": [
            {"ticket_id": "T1", "status": first, "record": listed, "ticket": siti},
            {"ticket_id": "T1", "status": "duplicate", "record": listed, "ticket": siti},
            {"ticket_id": "T1", "status": "replayed", "record": listed, "ticket": siti},
            {"ticket_id": "T2", "status": "key_reused", "ticket": nobody},
            {"ticket_id": "T3", "status": "revoked", "ticket": nobody},
            {"ticket_id": "T4", "status": "unregistered"},
            {"ticket_id": "T1", "status": first, "record": open},
            {"ticket_id": "T1", "status": "duplicate", "record": open},
            {"ticket_id": "T1", "status": "conflict", "record": open},
        ]});
        assert_eq!(answer.text(), (200, &*expected.to_string()));
    }
    let entries = history(&app, "evt1", "T1").await;
    let kinds: Vec<_> = entries.iter().map(|entry| &entry["kind"]).collect();
    assert_eq!(kinds, ["checked_in", "conflict"], "sent twice, and kept once");
    let conflict = (&entries[1]["gate"], &entries[1]["scanned_at"]);
    assert_eq!(conflict, (&json!("Gerbang A"), &json!("2026-12-01T19:00:00+07:00")));
}

async fn five_hundred_scans_keep_their_order_and_change_nothing_when_they_are_sent_again(store: Store) {
    let names: Vec<_> = (0..500).map(|number| format!("T{number}")).collect();
    let tickets: Vec<_> = names.iter().map(|name| (&**name, None, None)).collect();
    let (app, state) = app_with_list(store, &tickets).await;
    revoke(&state, "T7").await;
    let (mut scans, mut expected) = (Vec::new(), Vec::new());
    for number in 0..500 {
        let (event, ticket, status) = match number % 10 {
            5 => (LISTED, format!("T{}", number - 5), "duplicate"),
            6 => (LISTED, format!("unknown {number}"), "unregistered"),
            7 => (LISTED, "T7".to_owned(), "revoked"),
            8 => ("another", format!("T{number}"), "forbidden"),
            9 => (LISTED, format!("T{}", number - 8), "duplicate"),
            _ => (LISTED, format!("T{number}"), "accepted"),
        };
        scans.push(scan(event, &ticket, &format!("k{number}")));
        expected.push((ticket, status));
    }
    for accepted in ["accepted", "replayed"] {
        let results = results(&app, &pass(LISTED), &scans).await;
        for (result, (ticket, status)) in results.iter().zip(&expected) {
            let status = if *status == "accepted" { accepted } else { *status };
            assert_eq!((&result["ticket_id"], &result["status"]), (&json!(ticket), &json!(status)));
            let has_record = matches!(status, "accepted" | "replayed" | "duplicate");
            assert_eq!(result["record"].is_object(), has_record, "{result}");
            assert_eq!(result["record"]["checked_in_by"] == "gerbang", has_record, "{result}");
        }
        let list = attendance(&app, LISTED).await.json();
        assert_eq!(list["total_checked_in"], 250);
        let order = list["records"].as_array().expect("a list").iter().map(|record| &record["ticket_id"]);
        let accepted = expected.iter().filter(|(_, status)| *status == "accepted").map(|(ticket, _)| ticket);
        assert!(order.eq(accepted), "in the order of the scans");
        assert_eq!(attendance(&app, "another").await.json()["total_checked_in"], 0);
    }
}

async fn of_two_phones_with_the_same_tickets_one_gets_each_in(store: Store) {
    let directory = tempfile::tempdir().expect("a directory");
    let url = store.new_url(directory.path()).await;
    let mut doors = vec![app_at(&url, &[]).await];
    if store == Store::Postgres {
        doors.push(app_at(&url, &[]).await);
    }
    let phones = ["panitia1", "panitia2"].map(|user| {
        let app = doors[if user == "panitia1" { 0 } else { doors.len() - 1 }].clone();
        let mut scans: Vec<_> =
            (0..250).map(|number| scan("evt1", &format!("T{number}"), &format!("k{number}"))).collect();
        // So that each holds what the other waits for.
        if user == "panitia2" {
            scans.reverse();
        }
        tokio::spawn(async move {
            let token = token_of(user, "committee");
            (user, results(&app, &token, &scans).await)
        })
    });
    let mut accepted = BTreeMap::new();
    for phone in phones {
        let (user, results) = phone.await.expect("an answer");
        for result in results {
            let by = &result["record"]["checked_in_by"];
            match result["status"].as_str().expect("a status") {
                "accepted" | "replayed" => {
                    assert_eq!(by, user);
                    let ticket = result["ticket_id"].as_str().expect("an id").to_owned();
                    assert!(accepted.insert(ticket, user).is_none(), "{result}");
                }
                status => assert_eq!((status, by == user), ("duplicate", false), "{result}"),
            }
        }
    }
    assert_eq!(accepted.len(), 250);
    let list = attendance(&doors[0], "evt1").await.json();
    assert_eq!(list["total_checked_in"], 250);
    for record in list["records"].as_array().expect("a list") {
        let ticket = record["ticket_id"].as_str().expect("an id");
        assert_eq!(record["checked_in_by"], accepted[ticket]);
    }
}

async fn a_batch_and_single_scans_share_their_keys(store: Store) {
    let app = app(store).await;
    let single = record(&attempt(&app, "panitia1", "evt1", "T1", Some("k1")).await);
    let scans = [scan("evt1", "T1", "k1"), scan("evt1", "T2", "k1"), scan("evt1", "T2", "k2")];
    let found = results(&app, &token(), &scans).await;
    assert_eq!(statuses(&found), ["replayed", "key_reused", "accepted"]);
    assert_eq!(found[0]["record"], single);
    let again = attempt(&app, "panitia1", "evt1", "T2", Some("k2")).await;
    assert_eq!(record(&again), found[2]["record"]);
    let of_another = results(&app, &token_of("panitia2", "committee"), &scans).await;
    assert_eq!(statuses(&of_another), ["duplicate", "duplicate", "duplicate"], "keys are a user's own");
}

#[tokio::test]
async fn a_batch_of_a_gate_pass_for_another_event_never_reaches_the_store() {
    let app = app(Store::Memory).await;
    let scans = [scan("evt1", "T1", "k1"), scan("evt2", "T1", "k1"), scan("evt2", "T2", "k2")];
    let answer = batch(&app, &pass("evt1"), &scans).await.json();
    assert_eq!(answer["results"][0]["status"], "accepted");
    for (number, ticket) in [(1, "T1"), (2, "T2")] {
        assert_eq!(answer["results"][number], json!({"ticket_id": ticket, "status": "forbidden"}));
    }
    assert_eq!(attendance(&app, "evt2").await.json()["total_checked_in"], 0);
}

#[tokio::test]
async fn every_wrong_field_of_every_scan_is_named() {
    let app = app(Store::Memory).await;
    let wrong = json!({
        "event_id": "", "ticket_id": "a\0", "idempotency_key": "a b", "scanned_at": "besok", "admitted": "ja",
        "gate": "g".repeat(101)
    });
    let answer = batch(&app, &token(), &[scan("evt1", "T1", "k"), wrong, json!({})]).await;
    assert_eq!(answer.status, 422);
    let detail = detail(&answer);
    let said: Vec<_> = detail
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| (entry["loc"][2].clone(), entry["loc"][3].clone(), entry["type"].clone()))
        .collect();
    let expected = [
        (1, "event_id", "string_too_short"),
        (1, "ticket_id", "value_error"),
        (1, "idempotency_key", "string_pattern_mismatch"),
        (1, "scanned_at", "datetime_from_date_parsing"),
        (1, "admitted", "bool_parsing"),
        (1, "gate", "string_too_long"),
        (2, "event_id", "missing"),
        (2, "ticket_id", "missing"),
        (2, "idempotency_key", "missing"),
    ];
    assert_eq!(said, expected.map(|(item, field, kind)| (json!(item), json!(field), json!(kind))));
    assert_eq!(attendance(&app, "evt1").await.json()["total_checked_in"], 0, "all or nothing");

    let scans: Vec<_> = (0..501).map(|number| scan("evt1", "T1", &number.to_string())).collect();
    for (scans, kind) in [(&scans[..], "too_long"), (&[], "too_short")] {
        let answer = batch(&app, &token(), scans).await;
        assert_eq!(answer.json()["detail"][0]["type"], kind);
        assert_eq!(answer.status, 422);
    }
}

#[tokio::test]
async fn a_batch_has_one_mebibyte_and_no_more() {
    let app = app(Store::Memory).await;
    let body = |length: usize| {
        let begin = r#"{"scans":[{"event_id":"evt1","idempotency_key":"k","ticket_id":"T1","ignored":""#;
        let end = r#""}]}"#;
        format!("{begin}{}{end}", "x".repeat(length - begin.len() - end.len()))
    };
    for (length, status) in [(1 << 20, 200), ((1 << 20) + 1, 413)] {
        let call = post(&app, "/checkins/batch").bearer(&token()).header(CONTENT_TYPE, "application/json");
        assert_eq!(call.body(body(length)).send().await.status, status);
    }
    for (length, status) in [(16 * 1024, 200), (16 * 1024 + 1, 422)] {
        let scan = scan("evt1", &"x".repeat(length), &length.to_string());
        assert_eq!(batch(&app, &token(), &[scan]).await.status, status, "{length}");
    }
}
