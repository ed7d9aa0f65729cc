use shared_http::testing::get;

use super::app;
use shared_service::testing::Store;

#[tokio::test]
async fn health_names_the_service_and_asks_for_no_token() {
    let answer = get(&app(Store::Memory).await, "/health").send().await;
    assert_eq!(answer.text(), (200, r#"{"status":"ok","service":"attendance"}"#));
    assert_eq!(answer.headers["content-type"], "application/json");
}
