use axum::http::{
    Method,
    header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
};
use shared_http::testing::{call, get};
use shared_service::{on_every_store, testing::Store};

use super::{app, attendance, check_in};

on_every_store![a_store_that_takes_writes_is_ready_whoever_asks_and_however_often];

#[tokio::test]
async fn health_names_the_service_and_asks_for_no_token() {
    let answer = get(&app(Store::Memory).await, "/health").send().await;
    assert_eq!(answer.text(), (200, r#"{"status":"ok","service":"attendance"}"#));
    assert_eq!(answer.header(CONTENT_TYPE), "application/json");
}

async fn a_store_that_takes_writes_is_ready_whoever_asks_and_however_often(store: Store) {
    let app = app(store).await;
    for number in 0..20 {
        let answer = get(&app, "/ready").send().await;
        assert_eq!(answer.text(), (200, r#"{"status":"ready","service":"attendance"}"#));
        assert_eq!((answer.header(CONTENT_TYPE), answer.header(RETRY_AFTER)), ("application/json", ""));
        assert_eq!(check_in(&app, "evt1", &number.to_string()).await.status, 200);
    }
    let head = call(&app, Method::HEAD, "/ready").send().await;
    assert_eq!((head.text(), head.header(CONTENT_LENGTH)), ((200, ""), "41"));
    // Asking leaves no trace in any list.
    for (event, total) in [("evt1", 20), ("ready", 0)] {
        assert_eq!(attendance(&app, event).await.json()["total_checked_in"], total);
    }
}
