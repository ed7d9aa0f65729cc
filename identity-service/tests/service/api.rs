//! The wire contract of identity-service, spoken to the whole router in process: a file a route, and some for what all
//! routes have in common.

mod errors;
mod fuzz;
mod health;
mod login;
mod me;
mod model;
mod pages;
mod passes;
mod password;
mod register;
mod rehash;
mod roles;
mod schema;
mod sessions;
mod users;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Extension, Router};
use identity_service::{
    AppState,
    clock::{Clock, Micros},
    config::{Args, Config},
};
use serde_json::json;
use shared_http::{
    metrics::Registry,
    telemetry::Telemetry,
    testing::{Answer, get, post},
};
use shared_service::testing::{
    Store,
    app::args,
    forge::{now, token},
};

use crate::{STRONG, WRONG};

const REGISTER: &str = "/auth/register";
const LOGIN: &str = "/auth/login";
const ME: &str = "/auth/me";
const PASSWORD: &str = "/auth/password";
const REFRESH: &str = "/auth/refresh";
const LOGOUT: &str = "/auth/logout";
const PASSES: &str = "/auth/passes";
const USERS: &str = "/users";

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

/// How much later it is for a service than the clock of the machine shows, in seconds.
#[derive(Clone, Default)]
pub(crate) struct Later(Arc<AtomicU64>);

impl Later {
    pub(crate) fn by(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

/// The service with its users at `url`, and its clock.
pub(crate) async fn app_and_clock(url: &str, settings: &[(&str, &str)]) -> (Router, Later) {
    let config = config(url, settings);
    let state = AppState::open(&config, &mut Registry::default()).await.unwrap();
    let later = Later::default();
    let shift = later.clone();
    let earliest = state.people.latest_use().await.unwrap().unwrap_or_default();
    let clock = Clock::new(earliest, move || {
        Micros::of_machine() + Duration::from_secs(shift.0.load(Ordering::Relaxed))
    });
    let state = AppState { clock: Arc::new(clock), ..state };
    (identity_service::app(state, &config, Telemetry::default()), later)
}

/// The service with a store that nobody else has, and its clock.
async fn app_with_clock(store: Store, settings: &[(&str, &str)]) -> (Router, Later) {
    let directory = tempfile::tempdir().unwrap();
    let (app, later) = app_and_clock(&store.new_url(directory.path()).await, settings).await;
    // The directory goes when the last clone of the router does.
    (app.layer(Extension(Arc::new(directory))), later)
}

/// A token of the demo admin.
pub(crate) async fn admin(app: &Router) -> String {
    token_of(&log_in(app, "admin1", "secret").await)
}

/// A token that says so, whoever is registered.
pub(crate) fn token_as(username: &str, role: &str) -> String {
    token(&json!({ "sub": username, "role": role, "iat": now(), "exp": now() + 3600 }))
}

/// Logs in, and asks to be remembered: the refresh token.
pub(crate) async fn remembered(app: &Router, username: &str, password: &str) -> String {
    let body = json!({ "username": username, "password": password, "remember": true });
    refresh_token_of(&post(app, LOGIN).json(&body).send().await)
}

pub(crate) async fn refresh(app: &Router, token: &str) -> Answer {
    post(app, REFRESH).json(&json!({ "refresh_token": token })).send().await
}

pub(crate) fn refresh_token_of(answer: &Answer) -> String {
    let body = answer.json();
    assert_eq!(answer.status, 200, "{body}");
    body["refresh_token"].as_str().expect("a refresh token").to_owned()
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
