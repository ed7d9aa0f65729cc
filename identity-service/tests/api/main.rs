//! The wire contract of identity-service, spoken to the whole router in process: a file per route,
//! and some for what all routes have in common. One story for every store:
//! `api_….rs` tell it to the others.

#![expect(clippy::expect_used, reason = "a test that cannot go on should say where")]

mod errors;
pub(crate) mod forge;
mod fuzz;
mod health;
mod login;
mod me;
mod model;
mod pages;
mod register;
mod rehash;
mod schema;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use axum::{Extension, Router};
use clap::Parser;
use identity_service::{
    AppState,
    config::{Args, Config},
};
use serde_json::{Value, json};
use shared_http::{
    metrics::Registry,
    telemetry::Telemetry,
    testing::{Answer, get, post},
};
use shared_store::testing::new_database;

/// What the tokens of these tests are signed with.
pub(crate) const SECRET: &str = "a secret of the tests";

pub(crate) const REGISTER: &str = "/auth/register";
pub(crate) const LOGIN: &str = "/auth/login";
pub(crate) const ME: &str = "/auth/me";

pub(crate) const TOO_LONG: &str =
    r#"{"detail":"Password terlalu panjang (maks 72 bytes). Gunakan password lebih pendek."}"#;
pub(crate) const WRONG: &str = r#"{"detail":"Username atau password salah"}"#;
pub(crate) const BAD_ROLE: &str = r#"{"detail":"Invalid role (use 'committee' or 'admin')"}"#;

/// The service as a developer starts it, but for a cheap bcrypt.
pub(crate) async fn app() -> Router {
    app_with(&[]).await
}

/// The service with other settings than [`app`].
pub(crate) async fn app_with(settings: &[(&str, &str)]) -> Router {
    let directory = tempfile::tempdir().expect("a directory");
    let app = app_on(&new_store(directory.path()).await, settings).await;
    // The directory goes when the last clone of the router does.
    app.layer(Extension(Arc::new(directory)))
}

/// Where a service may keep users that nobody else has: in `directory`, if it has to be somewhere.
pub(crate) async fn new_store(directory: &Path) -> String {
    match env!("CARGO_CRATE_NAME") {
        "api_sqlite" => format!("sqlite://{}/", directory.display()),
        "api_postgres" => new_database().await,
        _ => "memory:".to_owned(),
    }
}

/// The service with its users at `database_url`.
pub(crate) async fn app_on(database_url: &str, settings: &[(&str, &str)]) -> Router {
    let config = config(database_url, settings);
    let state = AppState::open(&config, &mut Registry::default()).await.expect("a store");
    identity_service::app(state, &config, Telemetry::default())
}

pub(crate) fn config(database_url: &str, settings: &[(&str, &str)]) -> Config {
    // Flags win over the environment, so every setting is one: the environment that the tests happen to
    // run in must not decide. An empty setting is an unset one.
    let mut all = BTreeMap::from([
        ("admin-password-file", ""),
        ("admin-username", ""),
        ("app-env", "development"),
        ("bcrypt-cost", "4"),
        ("client-address-header", ""),
        ("cors-allowed-origins", ""),
        ("database-url", database_url),
        ("demo-users", ""),
        ("host", ""),
        ("jwt-alg", ""),
        ("jwt-secret", SECRET),
        ("jwt-secret-file", ""),
        ("jwt-secret-previous", ""),
        ("jwt-secret-previous-file", ""),
        ("log-format", ""),
        ("login-guard", ""),
        ("max-connections", ""),
        ("metrics-addr", ""),
        ("port", ""),
        ("registration", ""),
        ("registrations-per-hour", ""),
        // Far beyond what a test takes on the slowest machine.
        ("request-timeout-seconds", "600"),
        ("rust-log", ""),
        ("shutdown-grace-seconds", ""),
        ("token-expire-minutes", ""),
        ("trusted-proxies", ""),
    ]);
    all.extend(settings.iter().copied());
    let flags = all.into_iter().map(|(name, value)| format!("--{name}={value}"));
    let args = Args::try_parse_from(["identity-service".to_owned()].into_iter().chain(flags));
    args.expect("flags that clap knows").check().expect("settings that are right")
}

pub(crate) async fn register(app: &Router, username: &str, password: &str) -> Answer {
    post(app, REGISTER).json(&json!({ "username": username, "password": password })).send().await
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

/// The `detail` of an error, once it is sure that the error has the form that all errors have.
pub(crate) fn detail(answer: &Answer) -> Value {
    assert_eq!(answer.headers["content-type"], "application/json", "{answer:?}");
    let body = answer.json();
    let fields = body.as_object().expect("an object");
    assert_eq!(fields.keys().collect::<Vec<_>>(), ["detail"], "{body}");
    body["detail"].clone()
}
