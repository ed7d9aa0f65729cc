//! The wire contract of attendance-service, spoken to the whole router in process: a file a route, and one for what all
//! routes have in common.

mod at_once;
mod attendance;
mod check_in;
mod errors;
mod full;
mod health;
mod idempotency;
mod ids;
mod model;
mod pages;
mod schema;
mod tokens;

use std::{fmt::Write, sync::Arc};

use attendance_service::{AppState, config::Args};
use axum::{Extension, Router, http::HeaderName};
use serde_json::{Value, json};
use shared_http::{
    metrics::Registry,
    telemetry::Telemetry,
    testing::{Answer, Call, get, post},
};
use shared_service::testing::{Store, app::args, forge};

use crate::{DUPLICATE, FULL};

const CHECK_IN: &str = "/checkins";
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The answer to a key that was used for another ticket.
const REUSED: &str = r#"{"detail":"Idempotency-Key sudah dipakai untuk ticket lain"}"#;
/// The answer about a ticket that is not checked in.
const ABSENT: &str = r#"{"detail":"Ticket belum check-in"}"#;

/// The service as a developer starts it.
async fn app(store: Store) -> Router {
    app_with(store, &[]).await
}

/// The service with other settings than [`app`].
async fn app_with(store: Store, settings: &[(&str, &str)]) -> Router {
    let directory = tempfile::tempdir().expect("a directory");
    let app = app_at(&store.new_url(directory.path()).await, settings).await;
    // The directory goes when the last clone of the router does.
    app.layer(Extension(Arc::new(directory)))
}

/// The service with its check-ins at `url`.
async fn app_at(url: &str, settings: &[(&str, &str)]) -> Router {
    let args: Args = args(&[&[("database-url", url)], settings].concat());
    let config = args.check().expect("settings that are right");
    let state = AppState::open(&config, &mut Registry::default()).await.expect("a store");
    attendance_service::app(state, &config, Telemetry::default())
}

/// A good token of `panitia1`.
fn token() -> String {
    forge::token(&forge::claims())
}

/// Scans a ticket with the token of `panitia1`.
async fn check_in(app: &Router, event: &str, ticket: &str) -> Answer {
    attempt(app, "panitia1", event, ticket, None).await
}

/// Scans a ticket with the token of `user`, and with `key`.
async fn attempt(app: &Router, user: &str, event: &str, ticket: &str, key: Option<&str>) -> Answer {
    let mut claims = forge::claims();
    claims["sub"] = json!(user);
    let body = json!({ "event_id": event, "ticket_id": ticket });
    let call = post(app, CHECK_IN).bearer(&forge::token(&claims)).json(&body);
    key.into_iter().fold(call, |call, key| call.header(KEY, key)).send().await
}

/// A `GET` with a good token.
fn read(app: &Router, path: &str) -> Call {
    get(app, path).bearer(&token())
}

/// Who came to `event`, whatever characters it has.
async fn attendance(app: &Router, event: &str) -> Answer {
    read(app, &path(event)).send().await
}

/// When and by whom a ticket was checked in.
async fn look_up(app: &Router, event: &str, ticket: &str) -> Answer {
    read(app, &format!("{}/tickets/{}", path(event), escaped(ticket))).send().await
}

/// The path of an event, every byte of its id escaped.
fn path(event: &str) -> String {
    format!("/attendance/{}", escaped(event))
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
