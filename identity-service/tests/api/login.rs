use std::time::{Duration, Instant};

use axum::{Router, http::header::RETRY_AFTER};
use serde_json::{Value, json};
use shared_auth::{Role, Secret, Secrets, TokenVerifier};
use shared_http::testing::{Answer, post};

use crate::{
    LOGIN, SECRET, TOO_LONG, WRONG, app, app_with,
    forge::{now, opened},
    log_in, me, register, token_of,
};

#[tokio::test]
async fn a_login_answers_a_bearer_token() {
    let answer = log_in(&app().await, "panitia1", "secret").await;
    let token = token_of(&answer);
    let body = format!(r#"{{"access_token":"{token}","token_type":"bearer"}}"#);
    assert_eq!(answer.text(), (200, body.as_str()));
    assert_eq!(answer.headers["content-type"], "application/json");
}

#[tokio::test]
async fn a_token_says_who_and_until_when_and_nothing_else() {
    for (minutes, seconds) in [("", 120 * 60), ("1", 60), ("525600", 525_600 * 60)] {
        let app = app_with(&[("token-expire-minutes", minutes)]).await;
        for (username, role) in [("panitia1", "committee"), ("admin1", "admin")] {
            let before = now();
            let token = token_of(&log_in(&app, username, "secret").await);
            let after = now();

            let (header, claims) = opened(&token);
            assert_eq!(header, json!({ "alg": "HS256", "typ": "JWT" }));
            let iat = claims["iat"].as_u64().expect("whole seconds");
            assert!((before..=after).contains(&iat), "{before} <= {iat} <= {after}");
            let expected = json!({ "sub": username, "role": role, "iat": iat, "exp": iat + seconds });
            assert_eq!(claims, expected);
        }
    }
}

#[tokio::test]
async fn any_name_passes_through_the_token_unchanged() {
    let app = app().await;
    for username in [r#"a"b\c"#, "日本語の名前", "🎫🎫🎫", " spaces ", "line\nbreak"] {
        assert_eq!(register(&app, username, "rahasia").await.status, 200, "{username:?}");
        let token = token_of(&log_in(&app, username, "rahasia").await);
        assert_eq!(opened(&token).1["sub"], username);
        assert_eq!(me(&app, &token).await.json()["username"], username);
    }
}

#[tokio::test]
async fn the_other_service_accepts_the_token_by_the_secret_alone() {
    let token = token_of(&log_in(&app().await, "admin1", "secret").await);
    let verify = |secret: &str| {
        TokenVerifier::new(&Secrets { signing: Secret::new(secret), previous: None }).verify(&token)
    };
    let claims = verify(SECRET).expect("a good token");
    assert_eq!((claims.sub.as_str(), claims.role), ("admin1", Role::Admin));
    let other = verify("another secret");
    assert!(other.is_err(), "{other:?}");
}

#[tokio::test]
async fn a_token_of_the_previous_secret_is_good_and_new_ones_are_signed_with_the_new_secret() {
    let old_token = token_of(&log_in(&app().await, "panitia1", "secret").await);
    let rotated = app_with(&[("jwt-secret", "a new secret"), ("jwt-secret-previous", SECRET)]).await;
    let done = app_with(&[("jwt-secret", "a new secret")]).await;
    let new_token = token_of(&log_in(&rotated, "panitia1", "secret").await);
    // The second time it may be remembered.
    for _ in 0..2 {
        assert_eq!(me(&rotated, &old_token).await.status, 200);
        assert_eq!(me(&rotated, &new_token).await.status, 200);
        assert_eq!(me(&done, &new_token).await.status, 200);
        assert_eq!(me(&done, &old_token).await.text(), (401, r#"{"detail":"Invalid token"}"#));
    }
}

#[tokio::test]
async fn an_unknown_user_and_a_wrong_password_are_refused_with_the_same_bytes() {
    let app = app_with(&[("login-guard", "off")]).await;
    let rows = [
        ("panitia1", "Secret"),
        ("panitia1", "secret "),
        ("panitia1", "secre"),
        ("panitia1", ""),
        ("nobody", "secret"),
        ("Panitia1", "secret"),
        ("panitia1 ", "secret"),
        ("", "secret"),
        ("", ""),
        // No stored text contains U+0000, and bcrypt takes both for `secret`.
        ("panitia1", "secret\0"),
        ("panitia1", "secret\0secret"),
        ("panitia1\0", "secret"),
        ("\0", "\0"),
    ];
    for (username, password) in rows {
        let answer = log_in(&app, username, password).await;
        assert_eq!(answer.text(), (400, WRONG), "{username:?} {password:?}");
        assert_eq!(answer.headers["content-type"], "application/json");
    }
}

#[tokio::test]
async fn the_schema_of_a_login_has_no_limits_but_72_bytes_of_password() {
    let app = app().await;
    let rows = [
        ("panitia1", "a".repeat(72), WRONG),
        ("panitia1", "a".repeat(73), TOO_LONG),
        ("panitia1", "é".repeat(36), WRONG),
        ("panitia1", "é".repeat(37), TOO_LONG),
        ("panitia1", "a".repeat(20_000), TOO_LONG),
        ("nobody", "a".repeat(72), WRONG),
        ("nobody", "a".repeat(73), TOO_LONG),
        ("nobody", "é".repeat(37), TOO_LONG),
        (&"n".repeat(20_000), "secret".to_owned(), WRONG),
        ("x", "y".to_owned(), WRONG),
    ];
    for (username, password, body) in rows {
        let answer = log_in(&app, username, &password).await;
        assert_eq!(answer.text(), (400, body), "{username} {password}");
    }
}

#[tokio::test]
async fn demo_users_log_in_only_where_they_are_switched_on() {
    let rows = [
        (&[][..], 200),
        (&[("demo-users", "true")][..], 200),
        (&[("demo-users", "false")][..], 400),
        (&[("app-env", "production"), ("bcrypt-cost", "10"), ("jwt-secret", STRONG)][..], 400),
    ];
    for (settings, status) in rows {
        let app = app_with(settings).await;
        for username in ["panitia1", "admin1"] {
            let answer = log_in(&app, username, "secret").await;
            assert_eq!(answer.status, status, "{settings:?} {username}");
        }
    }
}

const STRONG: &str = "Zk3vQ0y8r1Jt5uLw7nXb2cHd9sGfAePm";

#[tokio::test]
async fn a_login_body_is_checked_like_every_other() {
    let app = app().await;
    let missing = |field: &str, input: Value| json!({"type": "missing", "loc": ["body", field], "msg": "Field required", "input": input});
    let no_text = |field: &str, input: Value| json!({"type": "string_type", "loc": ["body", field], "msg": "Input should be a valid string", "input": input});
    let rows = [
        (json!({}), vec![missing("username", json!({})), missing("password", json!({}))]),
        (json!({"password": "p", "z": 1}), vec![missing("username", json!({"password": "p", "z": 1}))]),
        (json!({"username": "u"}), vec![missing("password", json!({"username": "u"}))]),
        (
            json!({"password": null, "username": 5}),
            vec![no_text("username", json!(5)), no_text("password", json!(null))],
        ),
        (json!({"username": "", "password": ["a"]}), vec![no_text("password", json!(["a"]))]),
        // A role is no field of a login, so it may be anything.
        (
            json!({"role": 5, "password": {}}),
            vec![missing("username", json!({"role": 5, "password": {}})), no_text("password", json!({}))],
        ),
    ];
    for (request, expected) in rows {
        let answer = post(&app, LOGIN).json(&request).send().await;
        let expected = json!({ "detail": expected }).to_string();
        assert_eq!(answer.text(), (422, expected.as_str()), "{request}");
    }
}

#[tokio::test]
async fn after_five_failures_an_account_has_to_wait_whether_it_exists_or_not() {
    let app = app().await;
    let mut refusals = Vec::new();
    for username in ["panitia1", "nobody", "", "a\0b"] {
        for _ in 0..5 {
            assert_eq!(log_in(&app, username, "wrong").await.text(), (400, WRONG), "{username:?}");
        }
        let answer = first_429(&app, username).await;
        let seconds: u64 = answer.header(RETRY_AFTER).parse().expect("seconds");
        assert!((1..=4).contains(&seconds), "{seconds}");
        let body =
            format!(r#"{{"detail":"Terlalu banyak percobaan login, coba lagi dalam {seconds} detik"}}"#);
        assert_eq!(answer.text(), (429, body.as_str()), "{username:?}");
        refusals.push(seconds);
    }
    // The right password is not looked at either, so that nobody learns that it is right.
    assert_eq!(log_in(&app, "panitia1", "secret").await.status, 429, "{refusals:?}");
    assert_eq!(log_in(&app, "admin1", "secret").await.status, 200, "another account");
}

/// At once, unless the test was held up so long that the delay is over by then.
async fn first_429(app: &Router, username: &str) -> Answer {
    for _ in 0..5 {
        let answer = log_in(app, username, "wrong").await;
        if answer.status == 429 {
            return answer;
        }
    }
    panic!("{username:?} may go on for ever");
}

#[tokio::test]
async fn whoever_waited_is_let_in() {
    let app = app().await;
    for _ in 0..5 {
        log_in(&app, "panitia1", "wrong").await;
    }
    let seconds = first_429(&app, "panitia1").await.header(RETRY_AFTER).parse().expect("seconds");
    let begin = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    while log_in(&app, "panitia1", "secret").await.status != 200 {
        assert!(begin.elapsed() < Duration::from_secs(seconds), "not let in after {seconds} seconds");
        tick.tick().await;
    }
}

#[tokio::test]
async fn a_token_is_never_slowed_down() {
    let app = app().await;
    let token = token_of(&log_in(&app, "panitia1", "secret").await);
    for _ in 0..5 {
        log_in(&app, "panitia1", "wrong").await;
    }
    first_429(&app, "panitia1").await;
    assert_eq!(me(&app, &token).await.status, 200);
}

#[tokio::test]
async fn a_password_over_72_bytes_and_a_body_that_breaks_the_schema_do_not_count() {
    let app = app().await;
    for _ in 0..20 {
        assert_eq!(log_in(&app, "panitia1", &"a".repeat(73)).await.text(), (400, TOO_LONG));
        assert_eq!(post(&app, LOGIN).json(&json!({"username": "panitia1"})).send().await.status, 422);
    }
    for _ in 0..5 {
        assert_eq!(log_in(&app, "panitia1", "wrong").await.text(), (400, WRONG));
    }
    assert_eq!(first_429(&app, "panitia1").await.status, 429);
    assert_eq!(log_in(&app, "panitia1", &"a".repeat(73)).await.text(), (400, TOO_LONG));
}

#[tokio::test]
async fn the_guard_can_be_switched_off() {
    let app = app_with(&[("login-guard", "off")]).await;
    for _ in 0..50 {
        assert_eq!(log_in(&app, "panitia1", "wrong").await.text(), (400, WRONG));
    }
    assert_eq!(log_in(&app, "panitia1", "secret").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_logins_at_once_the_right_ones_all_get_in_and_the_wrong_ones_are_counted() {
    let app = app().await;
    for (username, password, expected) in [("admin1", "secret", [40, 0]), ("panitia1", "wrong", [0, 5])] {
        let logins: Vec<_> = (0..40)
            .map(|_| {
                let app = app.clone();
                tokio::spawn(async move {
                    loop {
                        let answer = log_in(&app, username, password).await;
                        // More than may wait at once: they come back.
                        if answer.status != 503 {
                            break answer.status.as_u16();
                        }
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        let mut statuses = Vec::new();
        for login in logins {
            statuses.push(login.await.expect("an answer"));
        }
        let count = |status| statuses.iter().filter(|found| **found == status).count();
        assert_eq!([count(200), count(400)], expected, "{statuses:?}");
        assert_eq!(count(200) + count(400) + count(429), 40, "{statuses:?}");
    }
}
