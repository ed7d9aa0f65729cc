//! More check-ins than may be held.

use axum::{Router, http::header::RETRY_AFTER};
use shared_http::testing::{Answer, get};
use shared_service::{
    on_every_store,
    testing::{Store, app::detail},
};

use super::{ABSENT, DUPLICATE, FULL, REUSED, app_with, attempt, attendance, check_in, look_up, record};

on_every_store![past_the_limit_new_tickets_are_refused_and_everything_else_goes_on];

/// `evt1` has a ticket `T1`, with the key `k1`.
async fn app(store: Store) -> (Router, Answer) {
    let app = app_with(store, &[("max-store-mb", "1")]).await;
    let first = attempt(&app, "panitia1", "evt1", "T1", Some("k1")).await;
    assert_eq!(get(&app, "/ready").send().await.status, 200);
    (app, first)
}

/// Checks tickets with long ids in until five are refused: how many were not.
async fn fill(app: &Router, store: Store, id: impl Fn(usize) -> (String, String)) -> usize {
    let (mut accepted, mut refused) = (0, 0);
    while accepted < 50 && refused < 5 {
        let (event, ticket) = id(accepted + refused);
        let answer = check_in(app, &event, &ticket).await;
        if answer.status == 200 {
            assert_eq!(refused, 0, "there was no room before");
            accepted += 1;
        } else {
            // An operator has to make room.
            assert_eq!((answer.text(), answer.header(RETRY_AFTER)), ((503, FULL), "60"));
            refused += 1;
        }
    }
    // PostgreSQL holds its own, and the setting says nothing of it.
    assert_eq!(refused, if store == Store::Postgres { 0 } else { 5 });
    accepted
}

async fn past_the_limit_new_tickets_are_refused_and_everything_else_goes_on(store: Store) {
    let (app, first) = app(store).await;
    let long = "x".repeat(60_000);
    let accepted = fill(&app, store, |number| ("evt1".to_owned(), format!("{number}{long}"))).await;
    let ready = get(&app, "/ready").send().await;
    if store == Store::Postgres {
        assert_eq!(ready.status, 200);
    } else {
        // One MB holds 17 of them.
        assert!((15..=17).contains(&accepted), "{accepted}");
        assert_eq!((ready.status.as_u16(), ready.header(RETRY_AFTER)), (503, "60"));
        assert!(detail(&ready).as_str().is_some_and(|reason| reason.contains("MAX_STORE_MB")), "{ready:?}");
    }

    // What is known is answered as before.
    assert_eq!(check_in(&app, "evt1", "T1").await.text(), (400, DUPLICATE));
    assert_eq!(attempt(&app, "panitia1", "evt1", "T1", Some("k1")).await.text(), first.text());
    assert_eq!(attempt(&app, "panitia1", "evt1", "T2", Some("k1")).await.text(), (422, REUSED));
    assert_eq!(get(&app, "/health").send().await.status, 200);
    assert_eq!(look_up(&app, "evt1", "T1").await.json(), record(&first));
    assert_eq!(look_up(&app, "evt1", "none").await.text(), (404, ABSENT));
    let list = attendance(&app, "evt1").await.json();
    assert_eq!(list["total_checked_in"], accepted + 1);
    assert_eq!(list["records"].as_array().map(Vec::len), Some(accepted + 1));
}

#[tokio::test]
async fn events_take_room_too() {
    let (app, _) = app(Store::Memory).await;
    let long = "e".repeat(60_000);
    let accepted = fill(&app, Store::Memory, |number| (format!("{number}{long}"), "T1".to_owned())).await;
    // Its id is held twice: by the event, and in its record.
    assert!((7..=9).contains(&accepted), "{accepted}");
}

#[tokio::test]
async fn what_is_refused_takes_no_room() {
    let (app, _) = app(Store::Memory).await;
    let long = "e".repeat(60_000);
    for number in 0..40 {
        let answer = attempt(&app, "panitia1", &format!("{number}{long}"), "T1", Some("k1")).await;
        assert_eq!(answer.text(), (422, REUSED), "a key that was used for another ticket");
        assert_eq!(check_in(&app, "evt1", "T1").await.text(), (400, DUPLICATE));
    }
    assert_eq!(get(&app, "/ready").send().await.status, 200);
    assert_eq!(attendance(&app, "evt1").await.json()["total_checked_in"], 1);
    assert_eq!(check_in(&app, "evt1", "T2").await.status, 200);
}
