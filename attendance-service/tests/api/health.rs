use shared_http::testing::get;

use crate::app;

#[tokio::test]
async fn health_names_the_service_and_asks_for_no_token() {
    let answer = get(&app().await, "/health").send().await;
    assert_eq!(answer.text(), (200, r#"{"status":"ok","service":"attendance"}"#));
    assert_eq!(answer.headers["content-type"], "application/json");
}
