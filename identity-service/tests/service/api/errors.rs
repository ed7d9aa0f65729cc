//! What is refused before a route of the contract has its say.

use axum::http::{
    Method,
    header::{CACHE_CONTROL, WWW_AUTHENTICATE},
};
use serde_json::json;
use shared_http::testing::{call, get, post};
use shared_service::testing::{forge, routes};

use super::{
    LOGIN, LOGOUT, ME, PASSES, PASSWORD, REFRESH, REGISTER, USERS, admin, app, log_in, me, refresh,
    remembered, token_of,
};

#[tokio::test]
async fn unknown_paths_are_not_found_with_any_method() {
    let near = ["/nothing", "/auth", "/auth/", "/auth/Login", "/auth/me/x", "/Health", "/auth/nothing/"];
    let strange =
        ["//", "//health/", "//evil.example.org/", "//health", "/checkins", "/auth%2Flogin", "/%ff"];
    routes::unknown_paths_are_not_found_with_any_method(&app().await, &[near, strange].concat()).await;
}

#[tokio::test]
async fn slashes_at_the_end_lead_to_the_path_itself() {
    let own =
        ["/health", "/ready", ME, REGISTER, LOGIN, PASSWORD, REFRESH, LOGOUT, PASSES, USERS, "/users/budi"];
    let pages = ["/docs", "/redoc", "/redoc/redoc.css", "/openapi.json"];
    routes::slashes_at_the_end_lead_to_the_path_itself(&app().await, &[&own[..], &pages].concat()).await;
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let own = [
        (ME, &["GET", "HEAD"][..]),
        (REGISTER, &["POST"]),
        (LOGIN, &["POST"]),
        (PASSWORD, &["POST"]),
        (REFRESH, &["POST"]),
        (LOGOUT, &["POST"]),
        (PASSES, &["POST"]),
        (USERS, &["GET", "HEAD"]),
        ("/users/budi", &["DELETE", "PATCH"]),
    ];
    routes::a_wrong_method_is_told_the_right_ones(&app().await, &own).await;
}

#[tokio::test]
async fn head_is_answered_like_get_without_the_body() {
    let app = app().await;
    let token = forge::token(&forge::claims());
    routes::head_is_answered_like_get_without_the_body(&app, &[ME], &token).await;
    let head = call(&app, Method::HEAD, ME).send().await;
    assert_eq!((head.status.as_u16(), head.header(WWW_AUTHENTICATE)), (401, "Bearer"));
}

#[tokio::test]
async fn no_body_is_too_long_or_too_deep_to_be_refused() {
    let app = app().await;
    let token = admin(&app).await;
    for (path, field) in [
        (REGISTER, "password"),
        (LOGIN, "password"),
        (PASSWORD, "new_password"),
        (REFRESH, "refresh_token"),
        (LOGOUT, "refresh_token"),
        (PASSES, "name"),
    ] {
        routes::a_body_has_64_kib_and_no_more(&app, path, &token).await;
        routes::no_depth_of_nesting_breaks_the_service(&app, path, &token, field).await;
    }
}

#[tokio::test]
async fn no_answer_may_be_sniffed_or_named_as_a_referrer() {
    routes::no_answer_may_be_sniffed_or_named_as_a_referrer(&app().await, &[ME, LOGIN]).await;
}

#[tokio::test]
async fn nobody_keeps_a_token_or_who_it_belongs_to() {
    let app = app().await;
    let login = log_in(&app, "panitia1", "secret").await;
    let me = me(&app, &token_of(&login)).await;
    let refreshed = refresh(&app, &remembered(&app, "panitia1", "secret").await).await;
    let token = admin(&app).await;
    let users = get(&app, USERS).bearer(&token).send().await;
    let pass = post(&app, PASSES).bearer(&token).json(&json!({ "name": "a", "event_id": "b" })).send().await;
    for answer in [login, me, refreshed, users, pass] {
        assert_eq!((answer.status.as_u16(), answer.header(CACHE_CONTROL)), (200, "no-store"), "{answer:?}");
    }
}
