//! The wire contract of attendance-service, spoken to the whole router in process: a file per route,
//! and one for what all routes have in common. One story for every store:
//! `api_….rs` tell it to the others.

#![expect(clippy::expect_used, reason = "a test that cannot go on should say where")]

mod attendance;
mod check_in;
mod errors;
pub(crate) mod forge;
mod full;
mod health;
pub(crate) mod idempotency;
mod model;
mod pages;
mod ready;
mod schema;
pub(crate) mod ticket;
mod tokens;

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use attendance_service::{AppState, config::Args};
use axum::{Extension, Router};
use clap::Parser;
use serde_json::{Value, json};
use shared_http::{
    metrics::Registry,
    telemetry::Telemetry,
    testing::{Answer, get, post},
};
use shared_store::testing::new_database;

/// What the tokens of these tests are signed with.
pub(crate) const SECRET: &str = "a secret of the tests";

pub(crate) const CHECK_IN: &str = "/checkins";

pub(crate) const DUPLICATE: &str = r#"{"detail":"Ticket sudah pernah check-in"}"#;

/// The service as a developer starts it.
pub(crate) async fn app() -> Router {
    app_with(&[]).await
}

/// The service with other settings than [`app`].
pub(crate) async fn app_with(settings: &[(&str, &str)]) -> Router {
    // Flags win over the environment, so every setting is one: the environment that the tests happen to
    // run in must not decide. An empty setting is an unset one.
    let directory = tempfile::tempdir().expect("a directory");
    let database_url = match env!("CARGO_CRATE_NAME") {
        "api_sqlite" => format!("sqlite://{}/", directory.path().display()),
        "api_postgres" => new_database().await,
        _ => "memory:".to_owned(),
    };
    let mut all = BTreeMap::from([
        ("app-env", "development"),
        ("client-address-header", ""),
        ("cors-allowed-origins", ""),
        ("database-url", &database_url),
        ("host", ""),
        ("jwt-alg", ""),
        ("jwt-secret", SECRET),
        ("jwt-secret-file", ""),
        ("jwt-secret-previous", ""),
        ("jwt-secret-previous-file", ""),
        ("log-format", ""),
        ("max-connections", ""),
        ("max-store-mb", ""),
        ("metrics-addr", ""),
        ("port", ""),
        // Far beyond what a test takes on the slowest machine.
        ("request-timeout-seconds", "600"),
        ("rust-log", ""),
        ("shutdown-grace-seconds", ""),
        ("trusted-proxies", ""),
    ]);
    all.extend(settings.iter().copied());
    let flags = all.into_iter().map(|(name, value)| format!("--{name}={value}"));
    let args = Args::try_parse_from(["attendance-service".to_owned()].into_iter().chain(flags));
    let config = args.expect("flags that clap knows").check().expect("settings that are right");
    let state = AppState::open(&config, &mut Registry::default()).await.expect("a store");
    let app = attendance_service::app(state, &config, Telemetry::default());
    // The directory goes when the last clone of the router does.
    app.layer(Extension(Arc::new(directory)))
}

/// Scans a ticket with the token of `panitia1`.
pub(crate) async fn check_in(app: &Router, event: &str, ticket: &str) -> Answer {
    let body = json!({ "event_id": event, "ticket_id": ticket });
    post(app, CHECK_IN).bearer(&forge::token(&forge::claims())).json(&body).send().await
}

/// Who came to `event`, whatever characters it has.
pub(crate) async fn attendance(app: &Router, event: &str) -> Answer {
    get(app, &path(event)).bearer(&forge::token(&forge::claims())).send().await
}

/// The path of an event, every byte of its id escaped.
pub(crate) fn path(event: &str) -> String {
    format!("/attendance/{}", escaped(event))
}

/// The path of a ticket, every byte of both ids escaped.
pub(crate) fn ticket_path(event: &str, ticket: &str) -> String {
    format!("{}/tickets/{}", path(event), escaped(ticket))
}

fn escaped(id: &str) -> String {
    id.bytes().fold(String::new(), |mut path, byte| {
        write!(path, "%{byte:02X}").expect("a string takes everything");
        path
    })
}

/// The record of a check-in that succeeded.
pub(crate) fn record(answer: &Answer) -> Value {
    let body = answer.json();
    assert_eq!((answer.status.as_u16(), &body["status"]), (200, &"checked_in".into()), "{body}");
    body["record"].clone()
}

/// What `/attendance` answers of these `records`, to the byte.
pub(crate) fn list(event: &str, records: &[Value]) -> String {
    json!({ "event_id": event, "total_checked_in": records.len(), "records": records }).to_string()
}

/// The `detail` of an error, once it is sure that the error has the form that all errors have.
pub(crate) fn detail(answer: &Answer) -> Value {
    assert_eq!(answer.headers["content-type"], "application/json", "{answer:?}");
    let body = answer.json();
    let fields = body.as_object().expect("an object");
    assert_eq!(fields.keys().collect::<Vec<_>>(), ["detail"], "{body}");
    body["detail"].clone()
}
