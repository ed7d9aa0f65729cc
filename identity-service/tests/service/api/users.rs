//! The users, as admins see and change them.

use axum::{Router, http::Method};
use identity_service::{
    AppState,
    store::{User, Username, demo::demo_users},
};
use serde_json::{Value, json};
use shared_auth::Role;
use shared_http::{
    metrics::Registry,
    testing::{Answer, call, get},
};
use shared_service::{on_every_store, testing::Store};
use tokio::task::JoinSet;

use super::{
    BAD_ROLE, TOO_LONG, USERS, app_with, config, log_in, me, register, register_with, taken, token_as,
    token_of,
};

on_every_store![
    all_users_are_listed_in_order_of_name,
    an_admin_changes_what_is_given_and_nothing_else,
    an_inactive_user_is_as_unknown_as_one_who_never_was,
    the_last_active_admin_stays_one,
    of_two_admins_who_are_demoted_at_once_one_stays,
    demo_users_are_changed_as_others_are,
    a_list_is_as_long_as_there_are_users,
];

const LAST_ADMIN: &str = r#"{"detail":"Harus ada minimal satu admin aktif"}"#;
const UNKNOWN: &str = r#"{"detail":"User tidak ditemukan"}"#;

async fn list(app: &Router) -> Vec<Value> {
    let answer = get(app, USERS).bearer(&token_as("kepala", "admin")).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json().as_array().expect("a list").clone()
}

fn names(users: &[Value]) -> Vec<&str> {
    users.iter().map(|user| user["username"].as_str().expect("a name")).collect()
}

async fn change(app: &Router, username: &str, body: Value) -> Answer {
    let path = format!("/users/{username}");
    call(app, Method::PATCH, &path).bearer(&token_as("kepala", "admin")).json(&body).send().await
}

async fn remove(app: &Router, username: &str) -> Answer {
    let path = format!("/users/{username}");
    call(app, Method::DELETE, &path).bearer(&token_as("kepala", "admin")).send().await
}

/// Nobody but these, with the password `rahasia`.
async fn app_of(store: Store, users: &[(&str, &str)]) -> Router {
    let app = app_with(store, &[("demo-users", "false"), ("login-guard", "off")]).await;
    for (username, role) in users {
        assert_eq!(register_with(&app, "", username, "rahasia", role).await.status, 200, "{username}");
    }
    app
}

async fn all_users_are_listed_in_order_of_name(store: Store) {
    let app = app_of(store, &[]).await;
    assert!(list(&app).await.is_empty());
    let app =
        app_of(store, &[("siti", "admin"), ("Wati", "committee"), ("siti2", "admin"), ("山田太", "admin")])
            .await;
    let users = list(&app).await;
    assert_eq!(names(&users), ["Wati", "siti", "siti2", "山田太"], "byte by byte");
    let created_at = users[0]["created_at"].as_str().unwrap().to_owned();
    let expected =
        json!({ "username": "Wati", "role": "committee", "active": true, "created_at": created_at });
    assert_eq!(users[0].to_string(), expected.to_string(), "in this order of fields");
    let form: String = created_at.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(form, "0000-00-00T00:00:00.000000Z");
    assert!(created_at.as_str() > "2026", "{created_at}");
    let times: Vec<_> = ["siti", "Wati", "siti2"]
        .map(|name| users.iter().find(|user| user["username"] == name).unwrap()["created_at"].to_string())
        .into();
    assert!(times.is_sorted(), "{times:?}");
}

async fn an_admin_changes_what_is_given_and_nothing_else(store: Store) {
    let app = app_of(store, &[("kepala", "admin"), ("siti", "committee")]).await;
    let before = list(&app).await.swap_remove(1);
    let answer = change(&app, "siti", json!({})).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, before.clone()));
    let mut expected = before;
    for (body, field, value) in [
        (json!({ "role": " ADMIN " }), "role", json!("admin")),
        (json!({ "active": "off", "role": null }), "active", json!(false)),
        (json!({ "active": true }), "active", json!(true)),
        (json!({ "password": "kata-sandi" }), "role", json!("admin")),
        (json!({ "role": "committee", "active": null }), "role", json!("committee")),
    ] {
        let answer = change(&app, "siti", body.clone()).await;
        expected[field] = value;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, expected.clone()), "{body}");
        assert_eq!(list(&app).await[1], expected, "{body}");
    }
    assert_eq!(log_in(&app, "siti", "rahasia").await.status, 400);
    assert_eq!(log_in(&app, "siti", "kata-sandi").await.status, 200);

    let too_long = "a".repeat(73);
    for (username, body, expected) in [
        ("nobody", json!({ "role": "admin" }), (404, UNKNOWN)),
        ("nobody", json!({ "password": "kata-sandi" }), (404, UNKNOWN)),
        ("Siti", json!({}), (404, UNKNOWN)),
        ("%00", json!({}), (404, UNKNOWN)),
        // The body comes before what is there.
        ("nobody", json!({ "role": "owner" }), (400, BAD_ROLE)),
        ("siti", json!({ "role": "" }), (400, BAD_ROLE)),
        ("nobody", json!({ "password": too_long, "role": "owner" }), (400, TOO_LONG)),
        ("%ff", json!({}), (400, r#"{"detail":"username in the path must be percent-encoded UTF-8"}"#)),
    ] {
        assert_eq!(change(&app, username, body).await.text(), expected, "{username}");
    }
    let body = json!({ "role": 5, "active": "besok", "password": "abc" });
    assert_eq!(
        change(&app, "nobody", body).await.text(),
        (
            422,
            r#"{"detail":[{"type":"string_type","loc":["body","role"],"msg":"Input should be a valid string","input":5},{"type":"bool_parsing","loc":["body","active"],"msg":"Input should be a valid boolean, unable to interpret input","input":"besok"},{"type":"string_too_short","loc":["body","password"],"msg":"String should have at least 4 characters","input":"abc","ctx":{"min_length":4}}]}"#
        )
    );
    for username in ["nobody", "%00", "%2F"] {
        assert_eq!(remove(&app, username).await.text(), (404, UNKNOWN), "{username}");
    }
    assert_eq!(remove(&app, "siti").await.text(), (200, r#"{"status":"deleted","username":"siti"}"#));
    assert_eq!(remove(&app, "siti").await.text(), (404, UNKNOWN));
    assert_eq!(names(&list(&app).await), ["kepala"]);
}

async fn an_inactive_user_is_as_unknown_as_one_who_never_was(store: Store) {
    let app = app_of(store, &[("kepala", "admin"), ("a/b c%é", "committee")]).await;
    let path = "a%2Fb%20c%25%C3%A9";
    let token = token_of(&log_in(&app, "a/b c%é", "rahasia").await);
    assert_eq!(change(&app, path, json!({ "active": false })).await.status, 200);
    for password in ["rahasia", "wrong"] {
        assert_eq!(log_in(&app, "a/b c%é", password).await.text(), (400, crate::WRONG));
    }
    assert_eq!(register(&app, "a/b c%é", "rahasia").await.text(), (400, taken("a/b c%é").as_str()));
    // Its tokens are good until they expire, for the services do not ask each other.
    assert_eq!(me(&app, &token).await.status, 200);
    assert_eq!(change(&app, path, json!({ "active": true })).await.status, 200);
    assert_eq!(log_in(&app, "a/b c%é", "rahasia").await.status, 200);
    let answer = remove(&app, path).await;
    assert_eq!(answer.text(), (200, r#"{"status":"deleted","username":"a/b c%é"}"#));
    assert_eq!(log_in(&app, "a/b c%é", "rahasia").await.text(), (400, crate::WRONG));
    assert_eq!(register(&app, "a/b c%é", "lain-lagi").await.status, 200);
}

async fn the_last_active_admin_stays_one(store: Store) {
    let app = app_of(store, &[("kepala", "admin"), ("wakil", "admin"), ("siti", "committee")]).await;
    assert_eq!(change(&app, "wakil", json!({ "active": false })).await.status, 200);
    for body in [
        json!({ "role": "committee" }),
        json!({ "active": false }),
        json!({ "active": false, "password": "kata-sandi" }),
    ] {
        assert_eq!(change(&app, "kepala", body.clone()).await.text(), (409, LAST_ADMIN), "{body}");
    }
    assert_eq!(remove(&app, "kepala").await.text(), (409, LAST_ADMIN));
    assert_eq!(log_in(&app, "kepala", "rahasia").await.status, 200, "nothing of it was done");
    // What leaves it an admin is allowed, and so is what is done to an inactive one.
    assert_eq!(change(&app, "kepala", json!({ "role": "admin", "active": true })).await.status, 200);
    assert_eq!(change(&app, "wakil", json!({ "role": "committee" })).await.status, 200);
    assert_eq!(change(&app, "siti", json!({ "role": "admin" })).await.status, 200);
    assert_eq!(remove(&app, "kepala").await.status, 200);
    assert_eq!(remove(&app, "siti").await.text(), (409, LAST_ADMIN));
}

async fn of_two_admins_who_are_demoted_at_once_one_stays(store: Store) {
    let app = app_of(store, &[("kepala", "admin"), ("wakil", "admin")]).await;
    for round in 0..12 {
        let mut changes = JoinSet::new();
        for username in ["kepala", "wakil"] {
            let app = app.clone();
            changes.spawn(async move {
                let body =
                    if round % 2 == 0 { json!({ "role": "committee" }) } else { json!({ "active": false }) };
                change(&app, username, body).await.status.as_u16()
            });
        }
        let mut statuses = changes.join_all().await;
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "round {round}");
        for username in ["kepala", "wakil"] {
            let body = json!({ "role": "admin", "active": true });
            assert_eq!(change(&app, username, body).await.status, 200);
        }
    }
}

async fn demo_users_are_changed_as_others_are(store: Store) {
    let app = app_with(store, &[("login-guard", "off")]).await;
    assert_eq!(names(&list(&app).await), ["admin1", "panitia1"]);
    assert_eq!(remove(&app, "admin1").await.text(), (409, LAST_ADMIN));
    assert_eq!(register_with(&app, "", "budi", "rahasia", "admin").await.status, 200);
    assert_eq!(names(&list(&app).await), ["admin1", "budi", "panitia1"]);
    assert_eq!(change(&app, "admin1", json!({ "active": false })).await.json()["active"], false);
    assert_eq!(log_in(&app, "admin1", "secret").await.status, 400);
    assert_eq!(change(&app, "budi", json!({ "role": "committee" })).await.text(), (409, LAST_ADMIN));
    let body = json!({ "role": "admin", "password": "kata-sandi" });
    assert_eq!(change(&app, "panitia1", body).await.json()["role"], "admin");
    assert_eq!(log_in(&app, "panitia1", "secret").await.status, 400);
    assert_eq!(log_in(&app, "panitia1", "kata-sandi").await.status, 200);
    assert_eq!(remove(&app, "budi").await.status, 200);
    assert_eq!(remove(&app, "panitia1").await.text(), (409, LAST_ADMIN));
    assert_eq!(remove(&app, "admin1").await.status, 200);
    assert_eq!(names(&list(&app).await), ["panitia1"]);
    // The name is free.
    assert_eq!(register_with(&app, "", "admin1", "rahasia", "admin").await.status, 200);
    assert_eq!(names(&list(&app).await), ["admin1", "panitia1"]);
    assert_eq!(log_in(&app, "admin1", "rahasia").await.status, 200);
}

async fn a_list_is_as_long_as_there_are_users(store: Store) {
    let directory = tempfile::tempdir().unwrap();
    let config = config(&store.new_url(directory.path()).await, &[("demo-users", "true")]);
    let state = AppState::open(&config, &mut Registry::default()).await.unwrap();
    let hash = demo_users(config.bcrypt_cost).swap_remove(0).password;
    for number in 0..1001 {
        let username = Username(format!("user{number}"));
        let user = User { username, role: Role::Committee, password: hash.clone() };
        state.users.register(user).await.unwrap();
    }
    let users = state.people.list().await.unwrap();
    assert_eq!(users.len(), 1003);
    assert!(users.is_sorted_by(|one, next| one.user.username.0 < next.user.username.0));
    if store != Store::Postgres {
        assert_eq!(state.users.count(), Some(1003));
        state.people.remove(&Username("user7".to_owned())).await.unwrap();
        state.people.remove(&Username("panitia1".to_owned())).await.unwrap();
        assert_eq!(state.users.count(), Some(1001));
    }
}
