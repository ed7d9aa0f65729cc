//! Whatever is asked in whatever order, the answers are those of a model that fits on a page.

mod expected;

use axum::{Router, http::header::CONTENT_TYPE};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};
use shared_http::testing::Answer;
use shared_service::{
    on_every_store,
    testing::{Store, property::for_all},
};

use self::expected::{Entry, Model, Outcome, Scan};
use super::{
    ABSENT, DUPLICATE, LISTED, NOT_YOURS, REPLAYED, REUSED, REVOKED, UNREGISTERED, admin, app_with_list,
    attempt, attendance, batch,
    changes::{digest, followed},
    history, list, look_up, record, revoke, token_of, undo, undo_all,
};

on_every_store![any_sequence_of_requests_agrees_with_the_model];

#[derive(Clone, Debug)]
enum Request {
    CheckIn(Scan),
    /// All by the same user, and with keys.
    Batch(Vec<Scan>),
    Undo {
        event: &'static str,
        ticket: &'static str,
        by: &'static str,
        is_admin: bool,
    },
    UndoAll {
        event: &'static str,
        by: &'static str,
    },
    Revoke,
    Attendance(&'static str),
    Ticket(&'static str, &'static str),
    History(&'static str, &'static str),
    Changes(&'static str),
}

/// Few of each, so that they meet; and whatever two of them have in common, they are not the same: neither where an
/// event ends and a ticket begins, nor where a user ends and a key begins.
fn requests() -> impl Strategy<Value = Vec<Request>> {
    let event = || select(vec!["evt", "evt1", "a/b", LISTED, LISTED]);
    let ticket = || select(vec!["1T", "T", "🎫"]);
    let person = || select(vec!["a", "ab", ""]);
    let key = select(vec!["bc", "c", "C", "d", "e"]);
    let admitted = prop::bool::weighted(0.3);
    let scan = (event(), ticket(), person(), key, admitted)
        .prop_map(|(event, ticket, by, key, admitted)| Scan { event, ticket, by, key: Some(key), admitted });
    let without_ticket = prop::bool::weighted(0.05);
    let single =
        (scan.clone(), prop::bool::weighted(0.6), without_ticket).prop_map(|(scan, has_key, has_none)| {
            let ticket = if has_none { "" } else { scan.ticket };
            Request::CheckIn(Scan { key: scan.key.filter(|_| has_key), admitted: false, ticket, ..scan })
        });
    let several = (person(), prop::collection::vec(scan, 1..6));
    prop::collection::vec(
        prop_oneof![
            6 => single,
            3 => several.prop_map(|(by, scans)| {
                Request::Batch(scans.into_iter().map(|scan| Scan { by, ..scan }).collect())
            }),
            4 => (event(), ticket(), person(), any::<bool>())
                .prop_map(|(event, ticket, by, is_admin)| Request::Undo { event, ticket, by, is_admin }),
            1 => (event(), person()).prop_map(|(event, by)| Request::UndoAll { event, by }),
            1 => Just(Request::Revoke),
            1 => event().prop_map(Request::Attendance),
            1 => (event(), ticket()).prop_map(|(event, ticket)| Request::Ticket(event, ticket)),
            1 => (event(), ticket()).prop_map(|(event, ticket)| Request::History(event, ticket)),
            1 => event().prop_map(Request::Changes),
        ],
        1..48,
    )
}

async fn check_in(app: &Router, model: &mut Model, scan: &Scan) {
    let answer = attempt(app, scan.by, scan.event, scan.ticket, scan.key).await;
    assert_eq!(answer.header(CONTENT_TYPE), "application/json", "{scan:?}");
    let outcome = model.outcome(scan);
    let (expected, replayed) = match &outcome {
        _ if scan.ticket.is_empty() => ((422, answer.text().1), ""),
        Outcome::Accepted => ((200, answer.text().1), ""),
        Outcome::Replayed(index) => ((200, &*model.entries[*index].answer), "true"),
        Outcome::KeyReused => ((422, REUSED), ""),
        Outcome::Unregistered => ((400, UNREGISTERED), ""),
        Outcome::Revoked => ((400, REVOKED), ""),
        Outcome::Duplicate | Outcome::Conflict | Outcome::KnownConflict => ((400, DUPLICATE), ""),
    };
    assert_eq!((answer.text(), answer.header(REPLAYED)), (expected, replayed), "{scan:?}");
    if answer.status == 200 && outcome == Outcome::Accepted {
        model.add(scan, "checked_in", record(&answer), answer.text().1);
    }
}

async fn send_batch(app: &Router, model: &mut Model, scans: &[Scan]) {
    let body = |scan: &Scan| {
        json!({
            "event_id": scan.event, "ticket_id": scan.ticket, "idempotency_key": scan.key,
            "admitted": scan.admitted
        })
    };
    let bodies: Vec<_> = scans.iter().map(body).collect();
    let answer = batch(app, &token_of(scans[0].by, "committee"), &bodies).await;
    assert_eq!(answer.status, 200, "{scans:?}");
    let answer = answer.json();
    let results = answer["results"].as_array().expect("results");
    assert_eq!(results.len(), scans.len());
    let mut outcomes = Vec::new();
    for (scan, result) in scans.iter().zip(results) {
        let outcome = model.outcome(scan);
        match outcome {
            Outcome::Accepted => {
                let record = result["record"].clone();
                let answer = json!({"status": "checked_in", "record": record}).to_string();
                model.add(scan, "checked_in", record, &answer);
            }
            Outcome::Conflict => model.add(scan, "conflict", Value::Null, ""),
            _ => {}
        }
        outcomes.push(outcome);
    }
    for (number, (scan, outcome)) in scans.iter().zip(outcomes).enumerate() {
        let mut expected = json!({"ticket_id": scan.ticket, "status": outcome.status()});
        // That stands after the whole batch.
        if let Some(record) = model.record(scan.event, scan.ticket) {
            expected["record"] = record.clone();
        }
        if scan.event == LISTED && scan.ticket != "🎫" {
            expected["ticket"] = json!({"name": null, "kind": scan.ticket});
        }
        assert_eq!(results[number].to_string(), expected.to_string(), "{number} of {scans:?}");
    }
}

async fn undo_one(
    app: &Router,
    model: &mut Model,
    (event, ticket): (&str, &str),
    by: &'static str,
    is_admin: bool,
) {
    let token = token_of(by, if is_admin { "admin" } else { "committee" });
    let answer = undo(app, &token, event, ticket).await;
    let Some(index) = model.standing(event, ticket) else {
        return assert_eq!(answer.text(), (404, ABSENT), "{event} {ticket}");
    };
    if !is_admin && model.entries[index].scan.by != by {
        return assert_eq!(answer.text(), (403, NOT_YOURS), "{event} {ticket}");
    }
    let expected = json!({"status": "undone", "record": model.undo(index, by)}).to_string();
    assert_eq!(answer.text(), (200, &*expected), "{event} {ticket}");
}

async fn undo_all_of(app: &Router, model: &mut Model, event: &str, by: &str) {
    let answer: Answer = undo_all(app, &admin(), event, &json!({ "by": by })).await;
    let of = |entry: &Entry| entry.stands && (entry.scan.event, entry.scan.by) == (event, by);
    let which: Vec<_> = (0..model.entries.len()).filter(|index| of(&model.entries[*index])).collect();
    assert_eq!(answer.text(), (200, &*json!({"undone": which.len()}).to_string()), "{event} {by}");
    for index in which {
        model.undo(index, "admin1");
    }
}

async fn agrees(app: &Router, state: &attendance_service::AppState, model: &mut Model, request: &Request) {
    match request {
        Request::CheckIn(scan) => check_in(app, model, scan).await,
        Request::Batch(scans) => send_batch(app, model, scans).await,
        Request::Undo { event, ticket, by, is_admin } => {
            undo_one(app, model, (event, ticket), by, *is_admin).await;
        }
        Request::UndoAll { event, by } => undo_all_of(app, model, event, by).await,
        Request::Revoke => {
            revoke(state, "1T").await;
            model.is_revoked = true;
        }
        Request::Attendance(event) => {
            let standing = model.of_event(event).filter(|entry| entry.stands);
            let expected = list(event, &standing.map(|entry| entry.record.clone()).collect::<Vec<_>>());
            assert_eq!(attendance(app, event).await.text(), (200, &*expected), "{request:?}");
        }
        Request::Ticket(event, ticket) => {
            let record = model.record(event, ticket).map(ToString::to_string);
            let expected = record.as_deref().map_or((404, ABSENT), |record| (200, record));
            assert_eq!(look_up(app, event, ticket).await.text(), expected, "{request:?}");
        }
        Request::History(event, ticket) => {
            let entries = history(app, event, ticket).await;
            let told: Vec<_> = entries.iter().map(|entry| (&entry["kind"], &entry["by"])).collect();
            let of_ticket = model.of_event(event).filter(|entry| entry.scan.ticket == *ticket);
            let expected: Vec<_> = of_ticket.map(|entry| (json!(entry.kind), json!(entry.scan.by))).collect();
            assert!(told.into_iter().eq(expected.iter().map(|(kind, by)| (kind, by))), "{entries:?}");
        }
        Request::Changes(event) => {
            let told = followed(app, event, 3).await;
            let told: Vec<_> =
                told.iter().map(|entry| (entry["kind"].clone(), entry["digest"].clone())).collect();
            let expected = model.of_event(event);
            let expected: Vec<_> =
                expected.map(|entry| (json!(entry.kind), json!(digest(event, entry.scan.ticket)))).collect();
            assert_eq!(told, expected, "{request:?}");
        }
    }
}

async fn any_sequence_of_requests_agrees_with_the_model(store: Store) {
    for_all(48, &requests(), async |requests| {
        let tickets = [("T", None, Some("T")), ("1T", None, Some("1T"))];
        let (app, state) = app_with_list(store, &tickets).await;
        let mut model = Model::default();
        for request in &requests {
            agrees(&app, &state, &mut model, request).await;
        }
    });
}
