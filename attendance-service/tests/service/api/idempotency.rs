use axum::{Router, http::HeaderName};
use serde_json::json;
use shared_http::testing::{Answer, post};

use super::{CHECK_IN, DUPLICATE, app, attendance, check_in, list, record};
use shared_service::testing::forge::{claims, token};
use shared_service::{on_every_store, testing::Store};

on_every_store![
    the_same_attempt_again_gets_the_same_bytes_again,
    a_key_is_good_for_one_ticket_of_one_event,
    everybody_has_keys_of_their_own,
    a_scan_without_a_key_is_no_attempt_of_anybody,
    keys_are_told_apart_character_by_character,
    a_key_that_is_none_is_refused_by_name_and_nothing_is_recorded,
    of_a_long_key_only_the_beginning_is_echoed,
    of_50_requests_with_one_key_at_once_all_get_the_one_record,
    a_retry_that_overtakes_the_answer_is_never_called_a_duplicate,
    of_many_keys_for_one_ticket_at_once_one_gets_in,
    of_many_tickets_under_one_key_at_once_one_gets_in,
];

pub(crate) const KEY: HeaderName = HeaderName::from_static("idempotency-key");

pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Of a key that named an attempt at another ticket.
pub(crate) const REUSED: &str = r#"{"detail":"Idempotency-Key sudah dipakai untuk ticket lain"}"#;

/// An attempt of `user` that is called `key`.
async fn attempt(app: &Router, user: &str, event: &str, ticket: &str, key: &str) -> Answer {
    let mut claims = claims();
    claims["sub"] = json!(user);
    let body = json!({ "event_id": event, "ticket_id": ticket });
    post(app, CHECK_IN).bearer(&token(&claims)).header(KEY, key).json(&body).send().await
}

/// Sends all at once; the answers in the order of the attempts.
async fn at_once(app: &Router, attempts: Vec<(&'static str, String, String)>) -> Vec<Answer> {
    let tasks: Vec<_> = attempts
        .into_iter()
        .map(|(user, ticket, key)| {
            let app = app.clone();
            tokio::spawn(async move { attempt(&app, user, "evt1", &ticket, &key).await })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.expect("an answer"));
    }
    answers
}

async fn the_same_attempt_again_gets_the_same_bytes_again(store: Store) {
    let app = app(store).await;
    let first = attempt(&app, "panitia1", "evt1", "T1", "k").await;
    let made = record(&first);
    assert_eq!(first.header(REPLAYED), "");
    assert_eq!(check_in(&app, "evt1", "T2").await.status, 200);
    for _ in 0..3 {
        let again = attempt(&app, "panitia1", "evt1", "T1", "k").await;
        assert_eq!(again.text(), first.text());
        assert_eq!(again.header(REPLAYED), "true");
        assert_eq!(again.headers["content-type"], "application/json");
    }
    let body = attendance(&app, "evt1").await.json();
    assert_eq!((&body["total_checked_in"], &body["records"][0]), (&2.into(), &made));
}

async fn a_key_is_good_for_one_ticket_of_one_event(store: Store) {
    let app = app(store).await;
    let first = attempt(&app, "panitia1", "evt1", "T1", "k").await;
    assert_eq!(check_in(&app, "evt1", "used").await.status, 200);
    for (event, ticket) in [("evt1", "T2"), ("evt2", "T1"), ("evt1", "T"), ("evt1", "T11"), ("evt1", "used")]
    {
        let answer = attempt(&app, "panitia1", event, ticket, "k").await;
        assert_eq!(answer.text(), (422, REUSED), "{event} {ticket}");
        assert_eq!(answer.header(REPLAYED), "");
    }
    // None of them used up a ticket or the key.
    assert_eq!(attempt(&app, "panitia1", "evt1", "T2", "another").await.status, 200);
    assert_eq!(attempt(&app, "panitia1", "evt1", "T1", "k").await.text(), first.text());
    assert_eq!(attendance(&app, "evt2").await.json()["total_checked_in"], 0);
}

async fn everybody_has_keys_of_their_own(store: Store) {
    let app = app(store).await;
    let first = attempt(&app, "panitia1", "evt1", "T1", "k").await;
    assert_eq!(first.status, 200);
    let answer = attempt(&app, "panitia2", "evt1", "T1", "k").await;
    assert_eq!(answer.text(), (400, DUPLICATE), "nobody else's attempt");
    let second = attempt(&app, "panitia2", "evt1", "T2", "k").await;
    assert_eq!(second.status, 200);
    for (user, ticket, made) in [("panitia1", "T1", &first), ("panitia2", "T2", &second)] {
        let again = attempt(&app, user, "evt1", ticket, "k").await;
        assert_eq!((again.text(), again.header(REPLAYED)), (made.text(), "true"));
    }
    // A user and a key never run into each other.
    assert_eq!(attempt(&app, "ab", "evt1", "T3", "c").await.status, 200);
    assert_eq!(attempt(&app, "a", "evt1", "T4", "bc").await.status, 200);
    assert_eq!(attempt(&app, "", "evt1", "T5", "abc").await.status, 200);
}

async fn a_scan_without_a_key_is_no_attempt_of_anybody(store: Store) {
    let app = app(store).await;
    let first = record(&check_in(&app, "evt1", "T1").await);
    for answer in [check_in(&app, "evt1", "T1").await, attempt(&app, "panitia1", "evt1", "T1", "k").await] {
        assert_eq!(answer.text(), (400, DUPLICATE));
        assert_eq!(answer.header(REPLAYED), "");
    }
    // The key of a refused attempt is as good as new.
    let second = record(&attempt(&app, "panitia1", "evt1", "T2", "k").await);
    assert_eq!(check_in(&app, "evt1", "T2").await.text(), (400, DUPLICATE));
    assert_eq!(attendance(&app, "evt1").await.text(), (200, list("evt1", &[first, second]).as_str()));
}

async fn keys_are_told_apart_character_by_character(store: Store) {
    let app = app(store).await;
    let (longest, other) = ("k".repeat(128), "k".repeat(127) + "K");
    let keys =
        ["k", "K", "!", "~", "\"", "'", "a,b", "a;b", "0", "00", "null", "k'--", "%20", &longest, &other];
    for (number, key) in keys.iter().enumerate() {
        let answer = attempt(&app, "panitia1", "evt1", &number.to_string(), key).await;
        assert_eq!((answer.status.as_u16(), answer.header(REPLAYED)), (200, ""), "{key}");
    }
    for (number, key) in keys.iter().enumerate() {
        let answer = attempt(&app, "panitia1", "evt1", &number.to_string(), key).await;
        assert_eq!((answer.status.as_u16(), answer.header(REPLAYED)), (200, "true"), "{key}");
    }
}

async fn a_key_that_is_none_is_refused_by_name_and_nothing_is_recorded(store: Store) {
    let app = app(store).await;
    let (long, longest) = ("k".repeat(129), "k".repeat(8190));
    let rows: [&[&[u8]]; 10] = [
        &[b""],
        &[b" "],
        &[b"a b"],
        &[b"a\tb"],
        &["\u{e9}".as_bytes()],
        &["🎫".as_bytes()],
        &[b"\xff"],
        &[long.as_bytes()],
        &[longest.as_bytes()],
        &[b"a", b"a"],
    ];
    for values in rows {
        let body = json!({ "event_id": "evt1", "ticket_id": "T1" });
        let call = post(&app, CHECK_IN).bearer(&token(&claims())).json(&body);
        let answer = values.iter().fold(call, |call, value| call.header(KEY, value)).send().await;
        let body = answer.json();
        assert_eq!(answer.status, 422, "{values:?}: {body}");
        assert_eq!(body["detail"].as_array().map(Vec::len), Some(1), "{body}");
        let entry = &body["detail"][0];
        assert_eq!(entry["loc"], json!(["header", "idempotency-key"]), "{body}");
        assert_eq!(entry["input"], String::from_utf8_lossy(values[0]).as_ref(), "{body}");
        assert!(entry["type"].is_string() && entry["msg"].is_string(), "{body}");
    }
    assert_eq!(attendance(&app, "evt1").await.json()["total_checked_in"], 0);
}

async fn of_a_long_key_only_the_beginning_is_echoed(store: Store) {
    let body = json!({ "event_id": "evt1", "ticket_id": "T1" });
    let call = post(&app(store).await, CHECK_IN).bearer(&token(&claims())).json(&body);
    let answer = call.header(KEY, "k".repeat(9000)).send().await;
    assert_eq!(answer.status, 422);
    assert_eq!(answer.json()["detail"][0]["input"], format!("\"{}…", "k".repeat(255)));
}

async fn of_50_requests_with_one_key_at_once_all_get_the_one_record(store: Store) {
    let app = app(store).await;
    let answers = at_once(&app, vec![("panitia1", "T1".to_owned(), "k".to_owned()); 50]).await;
    let made = record(&answers[0]);
    assert!(answers.iter().all(|answer| answer.text() == answers[0].text()), "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.header(REPLAYED).is_empty()).count(), 1);
    assert_eq!(attendance(&app, "evt1").await.text(), (200, list("evt1", &[made]).as_str()));
}

async fn a_retry_that_overtakes_the_answer_is_never_called_a_duplicate(store: Store) {
    let app = app(store).await;
    // Every attempt four times, spread so that retries arrive at any moment of somebody else's commit.
    let all =
        (0..4).flat_map(|_| (0..500).map(|ticket| ("panitia1", format!("T{ticket}"), format!("k{ticket}"))));
    let answers = at_once(&app, all.collect()).await;
    for answer in &answers {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(answers.iter().filter(|answer| answer.header(REPLAYED).is_empty()).count(), 500);
    assert_eq!(attendance(&app, "evt1").await.json()["total_checked_in"], 500);
}

async fn of_many_keys_for_one_ticket_at_once_one_gets_in(store: Store) {
    let app = app(store).await;
    let attempts =
        (0..200).map(|key| (["panitia1", "panitia2"][key % 2], "T1".to_owned(), format!("k{}", key / 2)));
    let answers = at_once(&app, attempts.collect()).await;
    let (mut records, mut refused) = (Vec::new(), 0);
    for answer in &answers {
        assert_eq!(answer.header(REPLAYED), "");
        match answer.status.as_u16() {
            400 => {
                assert_eq!(answer.text(), (400, DUPLICATE));
                refused += 1;
            }
            _ => records.push(record(answer)),
        }
    }
    assert_eq!((records.len(), refused), (1, 199));
    assert_eq!(attendance(&app, "evt1").await.text(), (200, list("evt1", &records).as_str()));
}

async fn of_many_tickets_under_one_key_at_once_one_gets_in(store: Store) {
    let app = app(store).await;
    let attempts = (0..200).map(|ticket| ("panitia1", format!("T{ticket}"), "k".to_owned()));
    let answers = at_once(&app, attempts.collect()).await;
    let (made, others): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert!(others.iter().all(|answer| answer.text() == (422, REUSED)), "{others:?}");
    let records: Vec<_> = made.into_iter().map(record).collect();
    assert_eq!(records.len(), 1);
    assert_eq!(attendance(&app, "evt1").await.text(), (200, list("evt1", &records).as_str()));
}
