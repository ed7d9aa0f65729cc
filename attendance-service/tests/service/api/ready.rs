use axum::http::{
    Method,
    header::{CONTENT_LENGTH, RETRY_AFTER},
};
use shared_http::testing::{call, get};

use super::{app, check_in};
use shared_service::{on_every_store, testing::Store};

on_every_store![
    a_store_that_takes_writes_is_ready_whoever_asks_and_however_often,
    asking_leaves_no_trace_in_any_list,
];

async fn a_store_that_takes_writes_is_ready_whoever_asks_and_however_often(store: Store) {
    let app = app(store).await;
    for number in 0..20 {
        let answer = get(&app, "/ready").send().await;
        assert_eq!(answer.text(), (200, r#"{"status":"ready","service":"attendance"}"#));
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(answer.header(RETRY_AFTER), "");
        assert_eq!(check_in(&app, "evt1", &number.to_string()).await.status, 200);
    }
    let head = call(&app, Method::HEAD, "/ready").send().await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(head.header(CONTENT_LENGTH), "41");
}

async fn asking_leaves_no_trace_in_any_list(store: Store) {
    let app = app(store).await;
    assert_eq!(get(&app, "/ready").send().await.status, 200);
    let answer = super::attendance(&app, "").await;
    assert_eq!(answer.status, 404);
    assert_eq!(super::attendance(&app, "ready").await.json()["total_checked_in"], 0);
}
