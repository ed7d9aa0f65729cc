use std::sync::Arc;

use axum::http::header::ETAG;
use serde_json::json;
use shared_service::{
    on_every_store,
    testing::{Store, app::detail},
};
use tokio::sync::Semaphore;

use super::{
    ABSENT, DUPLICATE, NOT_YOURS, REPLAYED, admin, app, attempt, attendance, batch, changes, check_in,
    history, list, look_up, pass, record, token, token_of, undo, undo_all,
};

on_every_store![
    after_an_undo_the_ticket_is_as_good_as_new,
    who_checked_a_ticket_in_may_undo_that_and_so_may_an_admin,
    a_key_stays_with_its_attempt_after_an_undo,
    whatever_happens_at_once_check_ins_and_undos_of_a_ticket_alternate,
    all_check_ins_of_a_user_or_of_a_time_are_undone_at_once,
];

async fn after_an_undo_the_ticket_is_as_good_as_new(store: Store) {
    let app = app(store).await;
    let kept = record(&check_in(&app, "evt1", "T0").await);
    let first = record(&check_in(&app, "evt1", "T1").await);
    let before = attendance(&app, "evt1").await.header(ETAG).to_owned();

    let expected = json!({"status": "undone", "record": first}).to_string();
    assert_eq!(undo(&app, &token(), "evt1", "T1").await.text(), (200, &*expected));
    assert_eq!(undo(&app, &token(), "evt1", "T1").await.text(), (404, ABSENT));
    assert_eq!(look_up(&app, "evt1", "T1").await.text(), (404, ABSENT));
    let after = attendance(&app, "evt1").await;
    assert_eq!(after.text(), (200, &*list("evt1", std::slice::from_ref(&kept))));
    assert_ne!(after.header(ETAG), before);

    let second = record(&check_in(&app, "evt1", "T1").await);
    assert_ne!(second["checked_in_at"], first["checked_in_at"]);
    let again = attendance(&app, "evt1").await;
    assert_eq!(again.text(), (200, &*list("evt1", &[kept, second])));
    assert!(![&*before, after.header(ETAG)].contains(&again.header(ETAG)));
    assert_eq!(check_in(&app, "evt1", "T1").await.text(), (400, DUPLICATE));
    let kinds: Vec<_> = history(&app, "evt1", "T1").await.iter().map(|entry| entry["kind"].clone()).collect();
    assert_eq!(kinds, ["checked_in", "undone", "checked_in"]);
    assert_eq!(undo(&app, &token(), "evt2", "T1").await.text(), (404, ABSENT), "another event");
}

async fn who_checked_a_ticket_in_may_undo_that_and_so_may_an_admin(store: Store) {
    let app = app(store).await;
    let [one, two] = ["panitia1", "panitia2"].map(|user| token_of(user, "committee"));
    check_in(&app, "evt1", "T1").await;
    assert_eq!(undo(&app, &two, "evt1", "T1").await.text(), (403, NOT_YOURS));
    assert_eq!(undo(&app, &pass("evt1"), "evt1", "T1").await.text(), (403, NOT_YOURS));
    assert_eq!(undo(&app, &one, "evt1", "T1").await.status, 200);
    attempt(&app, "panitia2", "evt1", "T1", None).await;
    assert_eq!(undo(&app, &one, "evt1", "T1").await.text(), (403, NOT_YOURS));
    assert_eq!(undo(&app, &admin(), "evt1", "T1").await.status, 200);
    let by: Vec<_> = history(&app, "evt1", "T1").await.iter().map(|entry| entry["by"].clone()).collect();
    assert_eq!(by, ["panitia1", "panitia1", "panitia2", "admin1"]);

    let scan = json!({"event_id": "evt1", "ticket_id": "T2", "idempotency_key": "k"});
    assert_eq!(batch(&app, &pass("evt1"), &[scan]).await.json()["results"][0]["status"], "accepted");
    assert_eq!(undo(&app, &one, "evt1", "T2").await.text(), (403, NOT_YOURS));
    assert_eq!(undo(&app, &pass("evt1"), "evt1", "T2").await.status, 200, "a gate undoes what it did");
}

async fn a_key_stays_with_its_attempt_after_an_undo(store: Store) {
    let app = app(store).await;
    let first = attempt(&app, "panitia1", "evt1", "T1", Some("k1")).await;
    undo(&app, &token(), "evt1", "T1").await;
    let again = attempt(&app, "panitia1", "evt1", "T1", Some("k1")).await;
    assert_eq!((again.text(), again.header(REPLAYED)), (first.text(), "true"));
    let scan = json!({"event_id": "evt1", "ticket_id": "T1", "idempotency_key": "k1"});
    let result = batch(&app, &token(), std::slice::from_ref(&scan)).await.json()["results"][0].clone();
    assert_eq!(result, json!({"ticket_id": "T1", "status": "replayed"}), "its record does not stand");
    assert_eq!(look_up(&app, "evt1", "T1").await.text(), (404, ABSENT), "a retry does not let in again");

    let second = attempt(&app, "panitia1", "evt1", "T1", Some("k2")).await;
    assert_eq!((second.status.as_u16(), second.header(REPLAYED)), (200, ""));
    assert_eq!(attempt(&app, "panitia1", "evt1", "T1", Some("k1")).await.text(), first.text());
    assert_eq!(look_up(&app, "evt1", "T1").await.json(), record(&second));
}

async fn whatever_happens_at_once_check_ins_and_undos_of_a_ticket_alternate(store: Store) {
    let app = app(store).await;
    let under_way = Arc::new(Semaphore::new(50));
    let requests: Vec<_> = (0..500)
        .map(|number| {
            let (app, under_way) = (app.clone(), Arc::clone(&under_way));
            tokio::spawn(async move {
                let _permit = under_way.acquire().await.expect("a semaphore");
                // In no order: neither is a multiple of the other.
                let is_undo = number * 7 % 5 < 2 || number % 3 == 0;
                let answer = if is_undo {
                    undo(&app, &admin(), "evt1", "T1").await
                } else {
                    check_in(&app, "evt1", "T1").await
                };
                let expected: &[(u16, &str)] = if is_undo { &[(404, ABSENT)] } else { &[(400, DUPLICATE)] };
                let is_done = answer.status == 200;
                // A disk of a busy machine may take longer than the service waits.
                assert!(is_done || expected.contains(&answer.text()) || answer.status == 503, "{answer:?}");
                (is_undo, is_done)
            })
        })
        .collect();
    let (mut check_ins, mut undos) = (0, 0);
    for request in requests {
        match request.await.expect("an answer") {
            (false, true) => check_ins += 1,
            (true, true) => undos += 1,
            _ => {}
        }
    }
    let entries = history(&app, "evt1", "T1").await;
    for (number, entry) in entries.iter().enumerate() {
        assert_eq!(entry["kind"], ["checked_in", "undone"][number % 2], "{number}");
    }
    let numbers: Vec<_> = entries.iter().map(|entry| entry["seq"].as_u64().expect("a number")).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    // What was not known in time may have been done nevertheless.
    assert!(entries.len() >= check_ins + undos && check_ins > 0 && undos > 0, "{check_ins} {undos}");
    let is_in = entries.last().expect("an entry")["kind"] == "checked_in";
    assert_eq!(look_up(&app, "evt1", "T1").await.status == 200, is_in);
    assert_eq!(attendance(&app, "evt1").await.json()["total_checked_in"], usize::from(is_in));
    assert_eq!(changes(&app, "evt1", 0, 1000).await["version"], *numbers.last().expect("an entry"));
}

async fn all_check_ins_of_a_user_or_of_a_time_are_undone_at_once(store: Store) {
    let app = app(store).await;
    let mut records = Vec::new();
    for number in 0..12 {
        let user = ["panitia1", "panitia2"][number % 2];
        records.push(record(&attempt(&app, user, "evt1", &format!("T{number}"), None).await));
    }
    attempt(&app, "panitia1", "evt2", "T0", None).await;
    let at = |number: usize| records[number]["checked_in_at"].clone();
    let left = async || {
        let list = attendance(&app, "evt1").await.json();
        let records = list["records"].as_array().expect("a list").clone();
        assert_eq!(list["total_checked_in"], records.len());
        records
            .iter()
            .map(|record| record["ticket_id"].as_str().expect("an id").to_owned())
            .collect::<Vec<_>>()
    };
    for (body, undone, remaining) in [
        (json!({"by": "nobody"}), 0, (0..12).collect::<Vec<_>>()),
        (json!({"by": "panitia1", "after": at(8)}), 2, vec![0, 1, 2, 3, 4, 5, 6, 7, 9, 11]),
        // At this moment or later, and before that one.
        (json!({"after": at(2), "before": at(5)}), 3, vec![0, 1, 5, 6, 7, 9, 11]),
        (json!({"before": "2000-01-01"}), 0, vec![0, 1, 5, 6, 7, 9, 11]),
        (json!({"by": "panitia2", "after": null}), 5, vec![0, 6]),
        (json!({"after": "2000-01-01T00:00:00"}), 2, vec![]),
        (json!({"after": 0}), 0, vec![]),
    ] {
        let answer = undo_all(&app, &admin(), "evt1", &body).await;
        assert_eq!(answer.text(), (200, &*json!({"undone": undone}).to_string()), "{body}");
        let remaining: Vec<_> = remaining.iter().map(|number| format!("T{number}")).collect();
        assert_eq!(left().await, remaining, "{body}");
    }
    assert_eq!(attendance(&app, "evt2").await.json()["total_checked_in"], 1, "another event");
    assert_eq!(changes(&app, "evt1", 0, 1000).await["changes"].as_array().map(Vec::len), Some(24));
    let entries = history(&app, "evt1", "T0").await;
    assert_eq!((&entries[1]["kind"], &entries[1]["by"]), (&json!("undone"), &json!("admin1")));
}

#[tokio::test]
async fn what_is_to_be_undone_has_to_be_said() {
    let app = app(Store::Memory).await;
    check_in(&app, "evt1", "T1").await;
    for body in [json!({}), json!({"by": null, "after": null}), json!({"user": "panitia1"})] {
        let answer = undo_all(&app, &admin(), "evt1", &body).await;
        assert_eq!(answer.status, 422);
        let msg = "Value error, at least one of by, after and before is needed";
        let entry = json!({"type": "value_error", "loc": ["body"], "msg": msg, "input": body});
        assert_eq!(detail(&answer), json!([entry]));
    }
    let body = json!({"by": "a\0", "after": "besok", "before": true});
    let detail = detail(&undo_all(&app, &admin(), "evt1", &body).await);
    let kinds: Vec<_> = detail.as_array().expect("a list").iter().map(|entry| &entry["type"]).collect();
    assert_eq!(kinds, ["value_error", "datetime_from_date_parsing", "datetime_type"]);
    assert_eq!(undo_all(&app, &token(), "evt1", &json!({"by": "panitia1"})).await.status, 403);
    assert_eq!(attendance(&app, "evt1").await.json()["total_checked_in"], 1);
}
