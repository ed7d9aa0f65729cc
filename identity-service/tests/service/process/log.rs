use serde_json::json;
use shared_http::testing::{Process, fetch};

use crate::{LOGIN, ME, REFRESH, REGISTER, STRONG, ask, ask_with, assert_says, json_of, service, token_of};

fn refresh_token_of((status, body): &(u16, String)) -> String {
    assert_eq!(*status, 200, "{body}");
    json_of(body)["refresh_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_log_says_who_did_what_to_whom() {
    let process = Process::start(service(&[])).await;
    let hostile = "si\nti\u{1b}[2J";
    assert_eq!(ask(&process, REGISTER, hostile).await.0, 200);
    let admin = token_of(&process, "admin1", "secret").await;
    let siti = "/users/si%0Ati%1B%5B2J";
    let token = token_of(&process, hostile, "rahasia").await;
    for (head, token, body) in [
        ("PATCH", &admin, r#"{"role":"admin","password":"kata-sandi","active":false}"#),
        ("PATCH", &admin, r#"{"active":true}"#),
        ("PATCH", &admin, r#"{"active":true,"role":"admin"}"#),
        ("POST /auth/password", &token, r#"{"old_password":"kata-sandi","new_password":"kata-sandi-baru"}"#),
        ("POST /auth/passes", &admin, r#"{"name":"gerbang","event_id":"evt 1"}"#),
        ("DELETE", &admin, ""),
    ] {
        let head = if head.contains(' ') { head.to_owned() } else { format!("{head} {siti}") };
        assert_eq!(fetch(process.address, &head, token, body).await.0, 200, "{head} {body}");
    }
    let log = process.finish().await;
    let said: Vec<_> = log.lines().filter_map(|line| line.split_once("identity_service::routes::")).collect();
    let said: Vec<_> = said.into_iter().map(|(_, said)| said).collect();
    let subject = r#"subject="si\nti\u{1b}[2J""#;
    let expected = [
        format!(r#"users: role changed user="admin1" {subject} from="committee" to="admin""#),
        format!(r#"users: user deactivated user="admin1" {subject}"#),
        format!(r#"users: password reset user="admin1" {subject}"#),
        format!(r#"users: user activated user="admin1" {subject}"#),
        r#"change_password: password changed user="si\nti\u{1b}[2J""#.to_owned(),
        r#"passes: gate pass made user="admin1" subject="gerbang" event="evt 1" hours=12"#.to_owned(),
        format!(r#"users: user deleted user="admin1" {subject}"#),
    ];
    assert_eq!(said, expected, "{log}");
    assert_says(&log, &["/auth/passes"]);
}

#[tokio::test]
async fn no_log_at_any_level_holds_a_password_a_token_or_the_secret() {
    let directory = tempfile::tempdir().unwrap();
    for format in ["text", "json"] {
        let url = format!("sqlite://{}/{format}.db", directory.path().display());
        let variables =
            [("JWT_SECRET", STRONG), ("RUST_LOG", "trace"), ("LOG_FORMAT", format), ("DATABASE_URL", &url)];
        let process = Process::start(service(&variables)).await;
        let address = process.address;
        assert_eq!(ask_with(&process, REGISTER, "panitia7", "kata-sandi-rahasia").await.0, 200);
        let token = token_of(&process, "panitia7", "kata-sandi-rahasia").await;
        let forged = format!("{}AAAA", &token[..token.len() - 4]);
        for (bearer, status) in [(&token, 200), (&forged, 401)] {
            assert_eq!(fetch(address, ME, bearer, "").await.0, status);
        }
        ask_with(&process, LOGIN, "panitia7", "kata-sandi-salah").await;
        ask_with(&process, REGISTER, "x", "kata-sandi-pendek").await;
        fetch(address, REGISTER, "", r#"{"password":"kata-sandi-patah""#).await;
        fetch(address, "GET /auth/me?access_token=kata-sandi-di-url", "", "").await;
        let login = r#"{"username":"panitia7","password":"kata-sandi-rahasia","remember":true}"#;
        let first = refresh_token_of(&fetch(address, LOGIN, "", login).await);
        let refresh = json!({ "refresh_token": first }).to_string();
        let second = refresh_token_of(&fetch(address, REFRESH, "", &refresh).await);
        let body = r#"{"old_password":"kata-sandi-rahasia","new_password":"kata-sandi-baru"}"#;
        assert_eq!(fetch(address, "POST /auth/password", &token, body).await.0, 200);
        assert_eq!(fetch(address, REFRESH, "", &refresh).await.0, 401);
        let admin = token_of(&process, "admin1", "secret").await;
        let body = r#"{"name":"gerbang","event_id":"evt1"}"#;
        let (_, pass) = fetch(address, "POST /auth/passes", &admin, body).await;
        let pass = json_of(&pass)["access_token"].as_str().unwrap().to_owned();

        let log = process.finish().await;
        assert!(log.contains("/auth/login"), "trace logs nothing: {log}");
        let signature = token.rsplit('.').next().unwrap();
        for secret in [STRONG, "kata-sandi", &token, signature, &forged, "$2b$", &first, &second, &pass] {
            assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
        }
    }
}
