//! The wire contract of identity-service, spoken to the whole router in process: a file a route, and some for what all
//! routes have in common.

mod errors;
mod fuzz;
mod health;
mod login;
mod me;
mod model;
mod pages;
mod register;
mod rehash;
mod schema;

use std::sync::Arc;

use axum::{Extension, Router};
use identity_service::{
    AppState,
    config::{Args, Config},
};
use serde_json::json;
use shared_http::{
    metrics::Registry,
    telemetry::Telemetry,
    testing::{Answer, get, post},
};
use shared_service::testing::{Store, app::args};

use crate::{STRONG, WRONG};

const REGISTER: &str = "/auth/register";
const LOGIN: &str = "/auth/login";
const ME: &str = "/auth/me";

const TOO_LONG: &str =
    r#"{"detail":"Password terlalu panjang (maks 72 bytes). Gunakan password lebih pendek."}"#;
const BAD_ROLE: &str = r#"{"detail":"Invalid role (use 'committee' or 'admin')"}"#;

/// The service as a developer starts it, but for a cheap bcrypt, with its users in memory.
async fn app() -> Router {
    app_with(Store::Memory, &[]).await
}

/// The service with other settings, and with a store that nobody else has.
async fn app_with(store: Store, settings: &[(&str, &str)]) -> Router {
    let directory = tempfile::tempdir().unwrap();
    let app = app_at(&store.new_url(directory.path()).await, settings).await;
    // The directory goes when the last clone of the router does.
    app.layer(Extension(Arc::new(directory)))
}

/// The service with its users at `url`.
pub(crate) async fn app_at(url: &str, settings: &[(&str, &str)]) -> Router {
    let config = config(url, settings);
    let state = AppState::open(&config, &mut Registry::default()).await.unwrap();
    identity_service::app(state, &config, Telemetry::default())
}

pub(crate) fn config(url: &str, settings: &[(&str, &str)]) -> Config {
    let all = [&[("bcrypt-cost", "4"), ("database-url", url)], settings].concat();
    args::<Args>(&all).check().unwrap()
}

pub(crate) async fn register(app: &Router, username: &str, password: &str) -> Answer {
    post(app, REGISTER).json(&json!({ "username": username, "password": password })).send().await
}

/// With a role, and with the token of whoever asks, or none if it is empty.
pub(crate) async fn register_with(
    app: &Router,
    token: &str,
    username: &str,
    password: &str,
    role: &str,
) -> Answer {
    let body = json!({ "username": username, "password": password, "role": role });
    let call = post(app, REGISTER).json(&body);
    if token.is_empty() { call.send().await } else { call.bearer(token).send().await }
}

pub(crate) async fn log_in(app: &Router, username: &str, password: &str) -> Answer {
    post(app, LOGIN).json(&json!({ "username": username, "password": password })).send().await
}

pub(crate) async fn me(app: &Router, token: &str) -> Answer {
    get(app, ME).bearer(token).send().await
}

/// The token of a login that succeeded.
pub(crate) fn token_of(answer: &Answer) -> String {
    let body = answer.json();
    assert_eq!(answer.status, 200, "{body}");
    body["access_token"].as_str().expect("a token").to_owned()
}

pub(crate) fn taken(username: &str) -> String {
    json!({ "detail": format!("User {username} sudah terdaftar") }).to_string()
}
