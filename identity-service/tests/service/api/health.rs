use shared_http::testing::get;

use super::app;

#[tokio::test]
async fn whether_the_service_is_up_and_ready_is_told_without_a_token() {
    let app = app().await;
    for (path, status) in [("/health", "ok"), ("/ready", "ready")] {
        let answer = get(&app, path).send().await;
        let body = format!(r#"{{"status":"{status}","service":"identity-service"}}"#);
        assert_eq!(answer.text(), (200, body.as_str()));
        assert_eq!(answer.headers["content-type"], "application/json");
    }
}
