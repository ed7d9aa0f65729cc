//! The wire contract of attendance-service, spoken to the whole router in process: a file a route, and one for what all
//! routes have in common.

mod at_once;
mod attendance;
mod batch;
mod changes;
mod check_in;
mod csv;
mod errors;
mod events;
mod full;
mod generate;
mod health;
mod history;
mod idempotency;
mod ids;
mod import;
mod import_corpus;
mod live;
mod model;
mod offline;
mod pages;
mod qr;
mod roles;
mod schema;
mod tickets;
mod tokens;
mod undo;
mod web;

use std::{fmt::Write, sync::Arc};

use attendance_service::{
    AppState,
    config::Args,
    event::Event,
    record::{EventId, TicketId, Timestamp},
    ticket::NewTicket,
};
use axum::{
    Extension, Router,
    http::{HeaderName, Method, header::CONTENT_TYPE},
};
use serde_json::{Value, json};
use shared_http::{
    metrics::Registry,
    telemetry::Telemetry,
    testing::{Answer, Call, call, get, post},
};
use shared_service::testing::{Store, app::args, forge, roles::gate_claims};

use crate::{DUPLICATE, FULL};

const CHECK_IN: &str = "/checkins";
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The answer to a key that was used for another ticket.
const REUSED: &str = r#"{"detail":"Idempotency-Key sudah dipakai untuk ticket lain"}"#;
/// The answer about a ticket that is not checked in.
const ABSENT: &str = r#"{"detail":"Ticket belum check-in"}"#;
/// The answers about a ticket that is not on the list of its event, and about one that is good no more.
const UNREGISTERED: &str = r#"{"detail":"Ticket tidak terdaftar"}"#;
const REVOKED: &str = r#"{"detail":"Ticket dibatalkan"}"#;
/// The answer to an undo of somebody else's check-in.
const NOT_YOURS: &str = r#"{"detail":"Check-in ini hanya dapat dibatalkan oleh admin"}"#;

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
    open(url, settings).await.0
}

async fn open(url: &str, settings: &[(&str, &str)]) -> (Router, AppState) {
    let args: Args = args(&[&[("database-url", url)], settings].concat());
    let config = args.check().expect("settings that are right");
    let state = AppState::open(&config, &mut Registry::default()).await.expect("a store");
    (
        attendance_service::app(state.clone(), &config, Telemetry::default())
            .expect("the files of the pages"),
        state,
    )
}

/// An event that has a list of tickets.
const LISTED: &str = "0b8fa9a6-5d0f-4a6e-9d6c-3f1f6a4b2c11";

/// The service with the event [`LISTED`], which has `tickets` on its list: id, name and kind.
async fn app_with_list(store: Store, tickets: &[(&str, Option<&str>, Option<&str>)]) -> (Router, AppState) {
    let directory = tempfile::tempdir().expect("a directory");
    let (app, state) = open(&store.new_url(directory.path()).await, &[]).await;
    let id = EventId(LISTED.to_owned());
    let event = Event {
        id: id.clone(),
        title: "Konser".to_owned(),
        description: None,
        location: None,
        start_time: None,
        end_time: None,
        created_by: "admin1".to_owned(),
        created_at: Timestamp::now(),
    };
    state.events.create_event(event).await.expect("a new event");
    let ticket = |(id, name, kind): &(&str, Option<&str>, Option<&str>)| NewTicket {
        ticket_id: TicketId((*id).to_owned()),
        name: Some(name.map(str::to_owned)),
        kind: Some(kind.map(str::to_owned)),
    };
    let tickets = tickets.iter().map(ticket).collect();
    state.events.put_tickets(&id, tickets).await.expect("a list").expect("an event");
    (app.layer(Extension(Arc::new(directory))), state)
}

/// Revokes a ticket of the event [`LISTED`].
async fn revoke(state: &AppState, ticket: &str) {
    let (event, ticket) = (EventId(LISTED.to_owned()), TicketId(ticket.to_owned()));
    assert_eq!(state.events.revoke_ticket(&event, &ticket).await.expect("a list"), Some(true));
}

/// A good token of `panitia1`.
fn token() -> String {
    forge::token(&forge::claims())
}

/// A good token of a user.
fn token_of(user: &str, role: &str) -> String {
    let mut claims = forge::claims();
    (claims["sub"], claims["role"]) = (json!(user), json!(role));
    forge::token(&claims)
}

/// A good token of an admin.
fn admin() -> String {
    token_of("admin1", "admin")
}

/// A gate pass for `event`.
fn pass(event: &str) -> String {
    forge::token(&gate_claims(event))
}

/// Creates an event, and returns its id.
async fn create_event(app: &Router, title: &str) -> String {
    let answer = post(app, "/events").bearer(&admin()).json(&json!({ "title": title })).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["id"].as_str().expect("an id").to_owned()
}

/// Puts tickets on the list of an event: lines of CSV behind the header line.
async fn import(app: &Router, event: &str, lines: &str) -> Answer {
    let call = call(app, Method::PUT, &format!("/events/{event}/tickets")).bearer(&admin());
    call.header(CONTENT_TYPE, "text/csv").body(format!("ticket_id,name,kind\n{lines}")).send().await
}

/// A `GET` with the token of an admin.
fn read_as_admin(app: &Router, path: &str) -> Call {
    get(app, path).bearer(&admin())
}

/// Undoes the check-in of a ticket.
async fn undo(app: &Router, token: &str, event: &str, ticket: &str) -> Answer {
    let path = format!("{}/tickets/{}", path(event), escaped(ticket));
    call(app, Method::DELETE, &path).bearer(token).send().await
}

/// Undoes all check-ins of `event` that `body` describes.
async fn undo_all(app: &Router, token: &str, event: &str, body: &Value) -> Answer {
    post(app, &format!("{}/undo", path(event))).bearer(token).json(body).send().await
}

/// Sends a batch of scans.
async fn batch(app: &Router, token: &str, scans: &[Value]) -> Answer {
    post(app, "/checkins/batch").bearer(token).json(&json!({ "scans": scans })).send().await
}

/// What happened to a ticket.
async fn history(app: &Router, event: &str, ticket: &str) -> Vec<Value> {
    let answer = read(app, &format!("{}/tickets/{}/history", path(event), escaped(ticket))).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["entries"].as_array().expect("a list").clone()
}

/// What happened to the tickets of `event` after entry `after`.
async fn changes(app: &Router, event: &str, after: u64, limit: usize) -> Value {
    let path = format!("{}/changes?after={after}&limit={limit}", path(event));
    let answer = read(app, &path).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
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
