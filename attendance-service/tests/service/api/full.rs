//! More check-ins than may be held.

use axum::{
    Router,
    http::{StatusCode, header::RETRY_AFTER},
};
use serde_json::{Value, json};
use shared_http::testing::{Answer, get, post};

use super::{CHECK_IN, DUPLICATE, FULL, app_with, attendance, check_in, detail, record, ticket_path};
use shared_service::testing::forge::{claims, token};
use shared_service::{on_every_store, testing::Store};

on_every_store![
    past_the_limit_new_tickets_are_refused_and_everything_else_goes_on,
    events_take_room_too,
    what_is_refused_takes_no_room,
];

async fn with_key(app: &Router, event: &str, ticket: &str, key: &str) -> Answer {
    let body = json!({ "event_id": event, "ticket_id": ticket });
    let request = post(app, CHECK_IN).bearer(&token(&claims())).json(&body);
    request.header("idempotency-key".parse().expect("a name"), key).send().await
}

/// Checks tickets with long ids in until one is refused, and a few more; what was answered to each.
async fn fill(app: &Router, id: impl Fn(usize) -> (String, String)) -> Vec<Answer> {
    let mut answers: Vec<Answer> = Vec::new();
    while answers.len() < 50 && answers.iter().filter(|answer| answer.status != 200).count() < 5 {
        let (event, ticket) = id(answers.len());
        answers.push(check_in(app, &event, &ticket).await);
    }
    answers
}

async fn past_the_limit_new_tickets_are_refused_and_everything_else_goes_on(store: Store) {
    let app = app_with(store, &[("max-store-mb", "1")]).await;
    let first = record(&with_key(&app, "evt1", "T1", "k1").await);
    assert_eq!(get(&app, "/ready").send().await.status, 200);

    let long = "x".repeat(60_000);
    let answers = fill(&app, |number| ("evt1".to_owned(), format!("{number}{long}"))).await;
    let accepted = answers.iter().filter(|answer| answer.status == 200).count();
    if store == Store::Postgres {
        assert_eq!((accepted, get(&app, "/ready").send().await.status.as_u16()), (50, 200));
        return;
    }
    // One MB holds 17 of them.
    assert!((15..=17).contains(&accepted), "{accepted}");
    for (number, answer) in answers.iter().enumerate() {
        if number < accepted {
            assert_eq!(answer.status, 200, "{number}");
        } else {
            assert_eq!(answer.text(), (503, FULL), "{number}");
            assert_eq!(answer.header(RETRY_AFTER), "60", "an operator has to make room");
        }
    }
    let ready = get(&app, "/ready").send().await;
    assert_eq!(ready.status, 503);
    assert_eq!(ready.header(RETRY_AFTER), "60");
    assert!(detail(&ready).as_str().is_some_and(|reason| reason.contains("MAX_STORE_MB")), "{ready:?}");

    // What is known is answered as before.
    assert_eq!(check_in(&app, "evt1", "T1").await.text(), (400, DUPLICATE));
    assert_eq!(record(&with_key(&app, "evt1", "T1", "k1").await), first);
    assert_eq!(with_key(&app, "evt1", "T2", "k1").await.status, 422);
    assert_eq!(get(&app, "/health").send().await.status, 200);
    let ticket = get(&app, &ticket_path("evt1", "T1")).bearer(&token(&claims())).send().await;
    assert_eq!(ticket.json(), first);
    let refused = get(&app, &ticket_path("evt1", "none")).bearer(&token(&claims())).send().await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    let list = attendance(&app, "evt1").await.json();
    assert_eq!(list["total_checked_in"], accepted + 1);
    assert_eq!(list["records"].as_array().map(Vec::len), Some(accepted + 1));
}

async fn events_take_room_too(store: Store) {
    let app = app_with(store, &[("max-store-mb", "1")]).await;
    let long = "e".repeat(60_000);
    let answers = fill(&app, |number| (format!("{number}{long}"), "T1".to_owned())).await;
    let accepted = answers.iter().filter(|answer| answer.status == 200).count();
    // Its id is held twice: by the event, and in its record.
    assert!(
        if store != Store::Postgres { (7..=9).contains(&accepted) } else { accepted == 50 },
        "{accepted}"
    );
}

async fn what_is_refused_takes_no_room(store: Store) {
    let app = app_with(store, &[("max-store-mb", "1")]).await;
    record(&with_key(&app, "evt1", "T1", "k1").await);
    let long = "e".repeat(60_000);
    for number in 0..40 {
        let answer = with_key(&app, &format!("{number}{long}"), "T1", "k1").await;
        assert_eq!(answer.status, 422, "a key that was used for another ticket");
        assert_eq!(check_in(&app, "evt1", "T1").await.text(), (400, DUPLICATE));
    }
    assert_eq!(get(&app, "/ready").send().await.status, 200);
    let list: Value = attendance(&app, "evt1").await.json();
    assert_eq!(list["total_checked_in"], 1);
    assert_eq!(check_in(&app, "evt1", "T2").await.status, 200);
}
