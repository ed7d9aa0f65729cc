use std::time::{Duration, Instant};

use axum::{Router, http::header::RETRY_AFTER};
use serde_json::json;
use shared_http::testing::{Answer, post};
use shared_service::{
    on_every_store,
    testing::{
        Store,
        forge::{self, claims, now, opened},
        pages::page,
    },
};
use tokio::task::JoinSet;

use super::{LOGIN, TOO_LONG, WRONG, app, app_with, log_in, me, register, taken, token_of};

on_every_store![any_name_passes_through_the_token_unchanged, demo_users_are_there_where_they_are_switched_on];

#[tokio::test]
async fn a_token_says_who_and_until_when_and_nothing_else() {
    for (minutes, seconds) in [("", 120 * 60), ("1", 60), ("525600", 525_600 * 60)] {
        let app = app_with(Store::Memory, &[("token-expire-minutes", minutes)]).await;
        for (username, role) in [("panitia1", "committee"), ("admin1", "admin")] {
            let before = now();
            let answer = log_in(&app, username, "secret").await;
            let after = now();
            let token = token_of(&answer);
            let body = format!(r#"{{"access_token":"{token}","token_type":"bearer"}}"#);
            assert_eq!(answer.text(), (200, body.as_str()));
            assert_eq!(answer.headers["content-type"], "application/json");

            let (header, claims) = opened(&token);
            assert_eq!(header, json!({ "alg": "HS256", "typ": "JWT" }));
            let iat = claims["iat"].as_u64().expect("whole seconds");
            assert!((before..=after).contains(&iat), "{before} <= {iat} <= {after}");
            let expected = json!({ "sub": username, "role": role, "iat": iat, "exp": iat + seconds });
            assert_eq!(claims, expected);
        }
    }
}

async fn any_name_passes_through_the_token_unchanged(store: Store) {
    let app = app_with(store, &[]).await;
    for username in [r#"a"b\c"#, "日本語の名前", "🎫🎫🎫", " spaces ", "line\nbreak"] {
        assert_eq!(register(&app, username, "rahasia").await.status, 200, "{username:?}");
        let token = token_of(&log_in(&app, username, "rahasia").await);
        assert_eq!(opened(&token).1["sub"], username);
        assert_eq!(me(&app, &token).await.json()["username"], username);
    }
}

async fn demo_users_are_there_where_they_are_switched_on(store: Store) {
    let production = [("app-env", "production"), ("bcrypt-cost", "10"), ("jwt-secret", crate::STRONG)];
    for (settings, are_there) in [
        (&[][..], true),
        (&[("demo-users", "true")], true),
        (&[("demo-users", "false")], false),
        (&production, false),
    ] {
        let app = app_with(store, settings).await;
        let landing_page = page(&app, "/").await;
        for username in ["panitia1", "admin1"] {
            assert_eq!(landing_page.contains(username), are_there, "{settings:?}: {landing_page}");
            let answer = log_in(&app, username, "secret").await;
            assert_eq!(answer.status, if are_there { 200 } else { 400 }, "{settings:?} {username}");
            let answer = register(&app, username, "rahasia").await;
            if are_there {
                assert_eq!(answer.text(), (400, taken(username).as_str()), "{settings:?}");
            } else {
                assert_eq!(answer.status, 200, "{settings:?} {username}");
            }
        }
        assert_eq!(landing_page.contains("secret"), are_there, "{settings:?}: {landing_page}");
    }
}

#[tokio::test]
async fn an_unknown_user_and_a_wrong_password_are_refused_with_the_same_bytes() {
    let app = app_with(Store::Memory, &[("login-guard", "off")]).await;
    for (username, password) in [
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
    ] {
        let answer = log_in(&app, username, password).await;
        assert_eq!(answer.text(), (400, WRONG), "{username:?} {password:?}");
        assert_eq!(answer.headers["content-type"], "application/json");
    }
}

#[tokio::test]
async fn the_schema_of_a_login_has_no_limits_but_72_bytes_of_password() {
    let app = app().await;
    for (username, password, body) in [
        ("panitia1", "a".repeat(72), WRONG),
        ("panitia1", "a".repeat(73), TOO_LONG),
        ("panitia1", "é".repeat(36), WRONG),
        ("panitia1", "é".repeat(37), TOO_LONG),
        ("panitia1", "a".repeat(20_000), TOO_LONG),
        ("nobody", "a".repeat(72), WRONG),
        ("nobody", "é".repeat(37), TOO_LONG),
        (&"n".repeat(20_000), "secret".to_owned(), WRONG),
        ("x", "y".to_owned(), WRONG),
    ] {
        let answer = log_in(&app, username, &password).await;
        assert_eq!(answer.text(), (400, body), "{username} {password}");
    }
}

#[tokio::test]
async fn after_five_failures_an_account_has_to_wait_whether_it_exists_or_not_and_then_is_let_in() {
    let app = app().await;
    for username in ["nobody", "", "a\0b", "panitia1"] {
        for _ in 0..5 {
            assert_eq!(log_in(&app, username, "wrong").await.text(), (400, WRONG), "{username:?}");
        }
        let answer = first_429(&app, username).await;
        let seconds: u64 = answer.header(RETRY_AFTER).parse().expect("seconds");
        assert!((1..=4).contains(&seconds), "{seconds}");
        let body =
            format!(r#"{{"detail":"Terlalu banyak percobaan login, coba lagi dalam {seconds} detik"}}"#);
        assert_eq!(answer.text(), (429, body.as_str()), "{username:?}");
    }
    assert_eq!(me(&app, &forge::token(&claims())).await.status, 200, "a token is never slowed down");
    assert_eq!(log_in(&app, "admin1", "secret").await.status, 200, "another account");

    // The right password is not looked at either, so that nobody learns that it is right. The second wait is longer.
    for (password, let_in) in [("wrong", 400), ("secret", 200)] {
        let answer = first_429(&app, "panitia1").await;
        let seconds = Duration::from_secs(answer.header(RETRY_AFTER).parse().expect("seconds"));
        let (told, mut tick) = (Instant::now(), tokio::time::interval(Duration::from_millis(50)));
        loop {
            let waited = told.elapsed();
            match log_in(&app, "panitia1", password).await.status.as_u16() {
                429 => assert!(waited < seconds, "not let in after {waited:?} of {seconds:?}"),
                status => break assert_eq!(status, let_in),
            }
            tick.tick().await;
        }
    }
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
async fn a_password_over_72_bytes_and_a_body_that_breaks_the_schema_do_not_count() {
    let app = app().await;
    for _ in 0..20 {
        assert_eq!(log_in(&app, "panitia1", &"a".repeat(73)).await.text(), (400, TOO_LONG));
        assert_eq!(post(&app, LOGIN).json(&json!({"username": "panitia1"})).send().await.status, 422);
    }
    for _ in 0..5 {
        assert_eq!(log_in(&app, "panitia1", "wrong").await.text(), (400, WRONG));
    }
    first_429(&app, "panitia1").await;
    assert_eq!(log_in(&app, "panitia1", &"a".repeat(73)).await.text(), (400, TOO_LONG));
}

#[tokio::test]
async fn the_guard_can_be_switched_off() {
    let app = app_with(Store::Memory, &[("login-guard", "off")]).await;
    for _ in 0..50 {
        assert_eq!(log_in(&app, "panitia1", "wrong").await.text(), (400, WRONG));
    }
    assert_eq!(log_in(&app, "panitia1", "secret").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_logins_at_once_the_right_ones_all_get_in_and_the_wrong_ones_are_counted() {
    let app = app().await;
    for (username, password, expected) in [("admin1", "secret", [40, 0]), ("panitia1", "wrong", [0, 5])] {
        let mut logins = JoinSet::new();
        for _ in 0..40 {
            let app = app.clone();
            logins.spawn(async move {
                loop {
                    let status = log_in(&app, username, password).await.status.as_u16();
                    // More than may wait at once: they come back.
                    if status != 503 {
                        break status;
                    }
                    tokio::task::yield_now().await;
                }
            });
        }
        let statuses = logins.join_all().await;
        let count = |status| statuses.iter().filter(|found| **found == status).count();
        assert_eq!([count(200), count(400)], expected, "{statuses:?}");
        assert_eq!(count(200) + count(400) + count(429), 40, "{statuses:?}");
    }
}
