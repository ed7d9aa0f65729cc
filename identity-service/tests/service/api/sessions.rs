//! Sessions: refresh tokens, and what ends them.

use axum::{
    Router,
    http::{Method, header::WWW_AUTHENTICATE},
};
use serde_json::{Value, json};
use shared_http::testing::{Answer, call, post};
use shared_service::{
    on_every_store,
    testing::{Store, forge::opened},
};
use tokio::task::JoinSet;

use super::{
    LOGIN, LOGOUT, Later, PASSWORD, admin, app_with_clock, log_in, refresh, refresh_token_of, register,
    remembered, token_as, token_of,
};

on_every_store![
    a_refresh_gives_new_tokens_of_the_user_as_it_is_now,
    a_used_token_gives_the_session_on_for_30_seconds_and_ends_it_after_that,
    two_phones_that_refresh_at_once_both_go_on,
    what_ends_the_sessions_of_a_user_ends_all_of_them_and_no_others,
    a_name_that_is_registered_again_has_no_sessions_of_its_first_owner,
    thirty_days_without_use_end_a_session,
    the_17th_session_ends_the_one_that_was_not_used_for_longest,
];

const DAY: u64 = 24 * 3600;
pub(crate) const ENDED: &str = r#"{"detail":"Sesi berakhir, silakan login lagi"}"#;

/// The service with budi and siti, and nobody who counts logins.
async fn service(store: Store) -> (Router, Later) {
    let (app, later) = app_with_clock(store, &[("login-guard", "off")]).await;
    for username in ["budi", "siti"] {
        assert_eq!(register(&app, username, "rahasia").await.status, 200);
    }
    (app, later)
}

async fn renewed(app: &Router, token: &str) -> String {
    refresh_token_of(&refresh(app, token).await)
}

async fn assert_ended(app: &Router, token: &str, why: &str) {
    let answer = refresh(app, token).await;
    assert_eq!(answer.text(), (401, ENDED), "{why}");
    assert_eq!(answer.header(WWW_AUTHENTICATE), "Bearer");
}

/// What an admin does to a user.
async fn change(app: &Router, method: Method, username: &str, body: Value) -> Answer {
    let token = token_as("admin1", "admin");
    call(app, method, &format!("/users/{username}")).bearer(&token).json(&body).send().await
}

#[tokio::test]
async fn a_refresh_token_is_for_whoever_asks_for_one() {
    let (app, _) = service(Store::Memory).await;
    for (remember, is_given) in [
        (json!(true), true),
        (json!("yes"), true),
        (json!(1), true),
        (json!(false), false),
        (json!(null), false),
    ] {
        let body = json!({ "username": "budi", "password": "rahasia", "remember": remember });
        let answer = post(&app, LOGIN).json(&body).send().await;
        let token = token_of(&answer);
        let refresh_token = answer.json()["refresh_token"].as_str().map(str::to_owned);
        let expected = match &refresh_token {
            Some(refresh) => {
                format!(r#"{{"access_token":"{token}","token_type":"bearer","refresh_token":"{refresh}"}}"#)
            }
            None => format!(r#"{{"access_token":"{token}","token_type":"bearer"}}"#),
        };
        assert_eq!((answer.text().1, refresh_token.is_some()), (&*expected, is_given), "{remember}");
    }
    let body = json!({ "username": "budi", "password": "wrong", "remember": true });
    assert_eq!(post(&app, LOGIN).json(&body).send().await.text(), (400, crate::WRONG));
    let body = json!({ "username": "budi", "password": "rahasia", "remember": "besok" });
    let kind = post(&app, LOGIN).json(&body).send().await.json()["detail"][0]["type"].clone();
    assert_eq!(kind, "bool_parsing");
}

#[tokio::test]
async fn what_is_no_refresh_token_is_refused_and_logs_out_all_the_same() {
    let (app, _) = service(Store::Memory).await;
    let token = remembered(&app, "budi", "rahasia").await;
    let access = token_of(&log_in(&app, "budi", "rahasia").await);
    for other in ["", "x", &access, &token[1..], &format!("{token}A"), &"A".repeat(43), "\0", "é"] {
        assert_ended(&app, other, other).await;
        let answer = post(&app, LOGOUT).json(&json!({ "refresh_token": other })).send().await;
        assert_eq!(answer.text(), (200, r#"{"status":"logged_out"}"#), "{other}");
    }
    renewed(&app, &token).await;
}

async fn a_refresh_gives_new_tokens_of_the_user_as_it_is_now(store: Store) {
    let (app, _) = service(store).await;
    let first = remembered(&app, "budi", "rahasia").await;
    let answer = refresh(&app, &first).await;
    let (access, second) = (token_of(&answer), refresh_token_of(&answer));
    let expected =
        format!(r#"{{"access_token":"{access}","token_type":"bearer","refresh_token":"{second}"}}"#);
    assert_eq!(answer.text(), (200, &*expected));
    assert_eq!((first.len(), second.len()), (43, 43));
    assert_ne!(first, second);
    let claims = opened(&access).1;
    assert_eq!((&claims["sub"], &claims["role"]), (&json!("budi"), &json!("committee")));
    // As long as that of a login.
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 7200);

    // A demo user, who is an admin, is remembered too.
    let token = remembered(&app, "admin1", "secret").await;
    let answer = refresh(&app, &token).await;
    assert_eq!(opened(&token_of(&answer)).1["role"], "admin");
}

async fn a_used_token_gives_the_session_on_for_30_seconds_and_ends_it_after_that(store: Store) {
    let (app, later) = service(store).await;
    let other = remembered(&app, "budi", "rahasia").await;
    let first = remembered(&app, "budi", "rahasia").await;
    let second = renewed(&app, &first).await;
    later.by(25);
    let again = renewed(&app, &first).await;
    assert_eq!(again, second, "the answer that was lost");
    let third = renewed(&app, &again).await;
    assert_eq!(renewed(&app, &first).await, third, "and the newest, whatever was used meanwhile");
    later.by(7);
    assert_ended(&app, &first, "used 32 s ago").await;
    assert_ended(&app, &third, "the newest of the same session").await;
    assert_ended(&app, &second, "and the one before it").await;
    renewed(&app, &other).await;
}

async fn two_phones_that_refresh_at_once_both_go_on(store: Store) {
    let (app, later) = service(store).await;
    let mut token = remembered(&app, "budi", "rahasia").await;
    for _ in 0..5 {
        let mut phones = JoinSet::new();
        for _ in 0..12 {
            let (app, token) = (app.clone(), token.clone());
            phones.spawn(async move { renewed(&app, &token).await });
        }
        let tokens = phones.join_all().await;
        assert!(tokens.iter().all(|of_phone| *of_phone == tokens[0] && *of_phone != token), "{tokens:?}");
        token = tokens[0].clone();
        later.by(7200);
    }
}

async fn what_ends_the_sessions_of_a_user_ends_all_of_them_and_no_others(store: Store) {
    let (app, _) = service(store).await;
    let siti = remembered(&app, "siti", "rahasia").await;
    let mut password = "rahasia";
    for what in ["password", "reset", "role", "deactivation", "removal"] {
        let sessions = [remembered(&app, "budi", password).await, remembered(&app, "budi", password).await];
        let used = sessions[0].clone();
        let newest = renewed(&app, &used).await;
        let answer = match what {
            "password" => {
                let body = json!({ "old_password": password, "new_password": "kata-sandi" });
                password = "kata-sandi";
                let token = token_as("budi", "committee");
                post(&app, PASSWORD).bearer(&token).json(&body).send().await
            }
            "reset" => {
                password = "gerbang-timur";
                change(&app, Method::PATCH, "budi", json!({ "password": password })).await
            }
            "role" => change(&app, Method::PATCH, "budi", json!({ "role": "admin" })).await,
            "deactivation" => change(&app, Method::PATCH, "budi", json!({ "active": false })).await,
            _ => change(&app, Method::DELETE, "budi", json!({})).await,
        };
        assert_eq!(answer.status, 200, "{what}: {answer:?}");
        for token in [&used, &newest, &sessions[1]] {
            assert_ended(&app, token, what).await;
        }
        if what == "deactivation" {
            assert_eq!(log_in(&app, "budi", password).await.text(), (400, crate::WRONG));
            let answer = change(&app, Method::PATCH, "budi", json!({ "active": true })).await;
            assert_eq!(answer.status, 200);
            assert_ended(&app, &newest, "active again, and still ended").await;
        }
    }
    // What is no change ends nothing.
    let token = remembered(&app, "siti", "rahasia").await;
    let same = json!({ "role": "Committee", "active": true });
    for body in [json!({}), same, json!({ "role": null, "active": null, "password": null })] {
        assert_eq!(change(&app, Method::PATCH, "siti", body).await.status, 200);
    }
    renewed(&app, &token).await;
    renewed(&app, &siti).await;

    // A logout ends one session, with any token that was ever one of its.
    let (first, other) =
        (remembered(&app, "siti", "rahasia").await, remembered(&app, "siti", "rahasia").await);
    let second = renewed(&app, &first).await;
    for token in [&first, &first] {
        let answer = post(&app, LOGOUT).json(&json!({ "refresh_token": token })).send().await;
        assert_eq!(answer.text(), (200, r#"{"status":"logged_out"}"#));
    }
    assert_ended(&app, &first, "logged out").await;
    assert_ended(&app, &second, "logged out").await;
    renewed(&app, &other).await;
    assert_eq!(log_in(&app, "siti", "rahasia").await.status, 200);
    // Nor does a demo user go on.
    let demo = remembered(&app, "panitia1", "secret").await;
    assert_eq!(change(&app, Method::PATCH, "panitia1", json!({ "role": "admin" })).await.status, 200);
    assert_ended(&app, &demo, "a demo user with a new role").await;
    admin(&app).await;
}

async fn a_name_that_is_registered_again_has_no_sessions_of_its_first_owner(store: Store) {
    let (app, _) = service(store).await;
    let token = remembered(&app, "budi", "rahasia").await;
    assert_eq!(change(&app, Method::DELETE, "budi", json!({})).await.status, 200);
    assert_eq!(register(&app, "budi", "orang-lain").await.status, 200);
    assert_ended(&app, &token, "of another owner").await;
    remembered(&app, "budi", "orang-lain").await;
}

async fn thirty_days_without_use_end_a_session(store: Store) {
    let (app, later) = service(store).await;
    let (used, unused) =
        (remembered(&app, "budi", "rahasia").await, remembered(&app, "budi", "rahasia").await);
    later.by(29 * DAY);
    let used = renewed(&app, &used).await;
    later.by(DAY + 60);
    assert_ended(&app, &unused, "not used for 30 days").await;
    let used = renewed(&app, &used).await;
    later.by(30 * DAY + 60);
    assert_ended(&app, &used, "not used for 30 days").await;
}

async fn the_17th_session_ends_the_one_that_was_not_used_for_longest(store: Store) {
    let (app, _) = service(store).await;
    let other = remembered(&app, "siti", "rahasia").await;
    let mut tokens = Vec::new();
    for _ in 0..16 {
        tokens.push(remembered(&app, "budi", "rahasia").await);
    }
    tokens[0] = renewed(&app, &tokens[0]).await;
    tokens.push(remembered(&app, "budi", "rahasia").await);
    for (number, token) in tokens.iter().enumerate() {
        match number {
            1 => assert_ended(&app, token, "the least recently used").await,
            _ => drop(renewed(&app, token).await),
        }
    }
    renewed(&app, &other).await;
}
