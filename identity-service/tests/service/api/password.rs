//! One's own new password.

use axum::Router;
use serde_json::{Value, json};
use shared_http::testing::{Answer, post};
use shared_service::{on_every_store, testing::Store};
use tokio::task::JoinSet;

use super::{PASSWORD, TOO_LONG, app, app_with, log_in, register, token_as};

on_every_store![whoever_knows_the_old_password_sets_a_new_one];

const WRONG_OLD: &str = r#"{"detail":"Password lama salah"}"#;

async fn change(app: &Router, username: &str, body: Value) -> Answer {
    post(app, PASSWORD).bearer(&token_as(username, "committee")).json(&body).send().await
}

fn passwords(old: &str, new: &str) -> Value {
    json!({ "old_password": old, "new_password": new })
}

async fn whoever_knows_the_old_password_sets_a_new_one(store: Store) {
    let app = app_with(store, &[("login-guard", "off")]).await;
    assert_eq!(register(&app, "budi", "rahasia").await.status, 200);
    let answer = change(&app, "budi", passwords("rahasia", "kata-sandi")).await;
    assert_eq!(answer.text(), (200, r#"{"status":"changed"}"#));
    assert_eq!(log_in(&app, "budi", "rahasia").await.status, 400);
    assert_eq!(log_in(&app, "budi", "kata-sandi").await.status, 200);
    let long = "é".repeat(37);
    for (username, old, new, expected) in [
        ("budi", "rahasia", "gerbang", (400, WRONG_OLD)),
        ("budi", "", "gerbang", (400, WRONG_OLD)),
        ("nobody", "kata-sandi", "gerbang", (400, WRONG_OLD)),
        ("budi", "kata-sandi\0", "gerbang", (400, WRONG_OLD)),
        ("budi", &long, "gerbang", (400, TOO_LONG)),
        ("budi", "kata-sandi", &long, (400, TOO_LONG)),
    ] {
        assert_eq!(change(&app, username, passwords(old, new)).await.text(), expected, "{old} {new}");
    }
    assert_eq!(
        change(&app, "budi", json!({ "old_password": 1, "new_password": "a\0b" })).await.text(),
        (
            422,
            r#"{"detail":[{"type":"string_type","loc":["body","old_password"],"msg":"Input should be a valid string","input":1},{"type":"string_too_short","loc":["body","new_password"],"msg":"String should have at least 4 characters","input":"a\u0000b","ctx":{"min_length":4}}]}"#
        )
    );
    assert_eq!(log_in(&app, "budi", "kata-sandi").await.status, 200, "unchanged");
    // The same password again is allowed, and so is that of a demo user.
    assert_eq!(change(&app, "budi", passwords("kata-sandi", "kata-sandi")).await.status, 200);
    assert_eq!(change(&app, "panitia1", passwords("secret", "kata-sandi")).await.status, 200);
    assert_eq!(log_in(&app, "panitia1", "kata-sandi").await.status, 200);

    // Of changes at once one is made, or one after the other: the password is the one that was answered last.
    let mut changes = JoinSet::new();
    for number in 0..8 {
        let app = app.clone();
        changes.spawn(async move {
            let new = format!("sandi-{number}");
            let answer = change(&app, "budi", passwords("kata-sandi", &new)).await;
            (answer.status.as_u16(), new)
        });
    }
    let made: Vec<_> = changes.join_all().await.into_iter().filter(|(status, _)| *status == 200).collect();
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(log_in(&app, "budi", &made[0].1).await.status, 200);
}

#[tokio::test]
async fn an_inactive_user_has_no_old_password() {
    let app = app_with(Store::Memory, &[("login-guard", "off")]).await;
    let body = json!({ "active": false });
    let path = "/users/panitia1";
    let admin = token_as("admin1", "admin");
    let call = shared_http::testing::call(&app, axum::http::Method::PATCH, path);
    assert_eq!(call.bearer(&admin).json(&body).send().await.status, 200);
    assert_eq!(change(&app, "panitia1", passwords("secret", "kata-sandi")).await.text(), (400, WRONG_OLD));
}

#[tokio::test]
async fn wrong_old_passwords_are_counted_with_those_of_logins() {
    let app = app().await;
    for _ in 0..2 {
        assert_eq!(change(&app, "panitia1", passwords("wrong", "kata-sandi")).await.text(), (400, WRONG_OLD));
        assert_eq!(log_in(&app, "panitia1", "wrong").await.status, 400);
    }
    assert_eq!(log_in(&app, "panitia1", "wrong").await.status, 400);
    for _ in 0..5 {
        let answer = change(&app, "panitia1", passwords("wrong", "kata-sandi")).await;
        if answer.status == 429 {
            let detail = answer.json()["detail"].to_string();
            assert!(detail.contains("Terlalu banyak percobaan login, coba lagi dalam"), "{detail}");
            return assert_eq!(log_in(&app, "panitia1", "secret").await.status, 429);
        }
    }
    panic!("it may go on for ever");
}
