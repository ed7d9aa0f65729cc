//! The wire contract of attendance-service, spoken to the whole router in process: a file a route, and one for what all
//! routes have in common.

mod attendance;
mod check_in;
mod errors;
mod full;
mod health;
mod idempotency;
mod model;
mod pages;
mod ready;
mod schema;
mod ticket;
mod tokens;

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use attendance_service::{AppState, config::Args};
use axum::{Extension, Router};
use clap::Parser;
use proptest::{
    strategy::Strategy,
    test_runner::{Config as ProptestConfig, TestRunner},
};
use serde_json::{Value, json};
use shared_http::{
    metrics::Registry,
    telemetry::Telemetry,
    testing::{Answer, get, post},
};
use shared_service::testing::{Store, forge};
use tokio::{runtime::Handle, task::block_in_place};

use crate::{DUPLICATE, FULL};

const CHECK_IN: &str = "/checkins";

/// The service as a developer starts it.
async fn app(store: Store) -> Router {
    app_with(store, &[]).await
}

/// The service with other settings than [`app`].
async fn app_with(store: Store, settings: &[(&str, &str)]) -> Router {
    // Flags win over the environment, so every setting is one: the environment that the tests happen to
    // run in must not decide. An empty setting is an unset one.
    let directory = tempfile::tempdir().expect("a directory");
    let database_url = store.new_url(directory.path()).await;
    let mut all = BTreeMap::from([
        ("app-env", "development"),
        ("client-address-header", ""),
        ("cors-allowed-origins", ""),
        ("database-url", &database_url),
        ("host", ""),
        ("jwt-alg", ""),
        ("jwt-secret", forge::SECRET),
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

/// Runs `test` with many values of `strategy`, and with simpler ones once it fails.
fn for_all<S: Strategy>(cases: u32, strategy: &S, test: impl AsyncFn(S::Value)) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(strategy, |value| {
        block_in_place(|| Handle::current().block_on(test(value)));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// Scans a ticket with the token of `panitia1`.
async fn check_in(app: &Router, event: &str, ticket: &str) -> Answer {
    let body = json!({ "event_id": event, "ticket_id": ticket });
    post(app, CHECK_IN).bearer(&forge::token(&forge::claims())).json(&body).send().await
}

/// Who came to `event`, whatever characters it has.
async fn attendance(app: &Router, event: &str) -> Answer {
    get(app, &path(event)).bearer(&forge::token(&forge::claims())).send().await
}

/// The path of an event, every byte of its id escaped.
fn path(event: &str) -> String {
    format!("/attendance/{}", escaped(event))
}

/// The path of a ticket, every byte of both ids escaped.
fn ticket_path(event: &str, ticket: &str) -> String {
    format!("{}/tickets/{}", path(event), escaped(ticket))
}

fn escaped(id: &str) -> String {
    id.bytes().fold(String::new(), |mut path, byte| {
        write!(path, "%{byte:02X}").expect("a string takes everything");
        path
    })
}

/// The record of a check-in that succeeded.
fn record(answer: &Answer) -> Value {
    let body = answer.json();
    assert_eq!((answer.status.as_u16(), &body["status"]), (200, &"checked_in".into()), "{body}");
    body["record"].clone()
}

/// What `/attendance` answers of these `records`, to the byte.
fn list(event: &str, records: &[Value]) -> String {
    json!({ "event_id": event, "total_checked_in": records.len(), "records": records }).to_string()
}

/// The `detail` of an error, once it is sure that the error has the form that all errors have.
fn detail(answer: &Answer) -> Value {
    assert_eq!(answer.headers["content-type"], "application/json", "{answer:?}");
    let body = answer.json();
    let fields = body.as_object().expect("an object");
    assert_eq!(fields.keys().collect::<Vec<_>>(), ["detail"], "{body}");
    body["detail"].clone()
}
