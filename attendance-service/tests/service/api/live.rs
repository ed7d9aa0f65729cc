use axum::{
    Router,
    http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};
use serde_json::{Value, json};
use shared_http::{
    server::Limits,
    testing::{Opened, Raw, Server},
};
use shared_service::{on_every_store, testing::Store};
use tokio::time::{Instant, interval, timeout};

use super::{
    LISTED, app, app_with, app_with_list, attempt, check_in, look_up, pass, path, read, record, revoke,
    token, undo,
};
use crate::{IN_TIME, SECOND};

on_every_store![whoever_looks_on_sees_each_state_as_it_changes];

/// A client that looks on at `event`.
async fn look_on(app: &Router, event: &str) -> Opened {
    let opened = read(app, &format!("{}/live", path(event))).open().await;
    assert_eq!(opened.status, 200);
    opened
}

/// The next state that is sent.
async fn state(looker: &mut Opened) -> Value {
    loop {
        let event = looker.next(SECOND * 20).await.expect("a stream without an end");
        let event = std::str::from_utf8(&event).expect("UTF-8").to_owned();
        if event == ":\n\n" {
            continue;
        }
        let data = event.strip_prefix("event: state\ndata: ").and_then(|event| event.strip_suffix("\n\n"));
        let data = data.unwrap_or_else(|| panic!("{event:?}"));
        assert!(!data.contains('\n'), "{data}");
        return serde_json::from_str(data).expect("JSON");
    }
}

async fn whoever_looks_on_sees_each_state_as_it_changes(store: Store) {
    let (app, ticket_list) = app_with_list(store, &[("T1", None, None), ("T2", None, None)]).await;
    revoke(&ticket_list, "T2").await;
    let mut looker = look_on(&app, LISTED).await;
    assert_eq!(looker.headers[CONTENT_TYPE], "text/event-stream");
    assert_eq!(looker.headers[CACHE_CONTROL], "no-store");
    assert_eq!(looker.headers["x-accel-buffering"], "no");
    let none = vec![0; 60];
    let first = state(&mut looker).await;
    let expected = json!({
        "version": 0, "total_checked_in": 0, "registered": 1, "last": null, "per_minute": none
    });
    assert_eq!(first.to_string(), expected.to_string(), "in this order");

    let before = Instant::now();
    let made = record(&check_in(&app, LISTED, "T1").await);
    let second = state(&mut looker).await;
    assert!(before.elapsed() < IN_TIME);
    assert!(second["version"].as_u64() > Some(0), "{second}");
    assert_eq!((&second["total_checked_in"], &second["last"]), (&json!(1), &made));
    let minutes: Vec<_> = second["per_minute"].as_array().expect("a list").iter().rev().take(2).collect();
    assert!(minutes == [&json!(1), &json!(0)] || minutes == [&json!(0), &json!(1)], "{second}");

    let mut late = look_on(&app, LISTED).await;
    assert_eq!(state(&mut late).await, second, "whoever comes later has the state at once");
    undo(&app, &token(), LISTED, "T1").await;
    for looker in [&mut looker, &mut late] {
        let third = state(looker).await;
        assert!(third["version"].as_u64() > second["version"].as_u64(), "{third}");
        assert_eq!((&third["total_checked_in"], &third["last"]), (&json!(0), &json!(null)));
    }

    let mut open = look_on(&app, "evt1").await;
    assert_eq!(state(&mut open).await["registered"], json!(null), "an event without a list");
}

#[tokio::test]
async fn a_state_is_sent_at_most_once_a_second_and_then_it_is_the_newest() {
    let app = app(Store::Memory).await;
    let mut looker = look_on(&app, "evt1").await;
    state(&mut looker).await;
    let begin = Instant::now();
    let mut states = 0;
    for number in 0..2000 {
        check_in(&app, "evt1", &format!("T{number}")).await;
    }
    loop {
        states += 1;
        if state(&mut looker).await["total_checked_in"] == 2000 {
            break;
        }
    }
    // The first of them a second after the one that came at once.
    assert!(states <= begin.elapsed().as_secs() + 1, "{states} in {:?}", begin.elapsed());
}

#[tokio::test]
async fn sixty_four_may_look_on_at_an_event_and_who_goes_makes_room() {
    let app = app(Store::Memory).await;
    let mut lookers = Vec::new();
    for _ in 0..64 {
        lookers.push(look_on(&app, "evt1").await);
    }
    let refused = read(&app, "/attendance/evt1/live").send().await;
    assert_eq!((refused.status.as_u16(), refused.header(RETRY_AFTER)), (503, "1"));
    drop(look_on(&app, "evt2").await);
    lookers.pop();
    let _last = look_on(&app, "evt1").await;
    assert_eq!(read(&app, "/attendance/evt1/live").send().await.status, 503);
}

#[tokio::test]
async fn a_quarter_of_the_connections_may_look_on_however_many_events_there_are() {
    let app = app_with(Store::Memory, &[("max-connections", "64")]).await;
    let mut lookers = Vec::new();
    for number in 0..16 {
        lookers.push(look_on(&app, &format!("evt{number}")).await);
    }
    assert_eq!(read(&app, "/attendance/another/live").send().await.status, 503);
    assert_eq!(check_in(&app, "evt1", "T1").await.status, 200);
    assert_eq!(look_up(&app, "evt1", "T1").await.status, 200);
    lookers.pop();
    assert_eq!(look_on(&app, "another").await.status, 200);
}

fn request(event: &str, token: &str) -> String {
    format!("GET /attendance/{event}/live HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {token}\r\n\r\n")
}

#[tokio::test]
async fn a_client_that_disconnects_makes_room() {
    let app = app_with(Store::Memory, &[("max-connections", "4")]).await;
    let server = Server::start(app.clone(), Limits::default()).await;
    let mut looker = Raw::open(server.address, request("evt1", &pass("evt1"))).await;
    looker.until("\n\n", IN_TIME).await;
    assert_eq!(read(&app, "/attendance/evt2/live").send().await.status, 503);
    drop(looker);
    let mut ticks = interval(SECOND / 50);
    let has_room = async {
        while read(&app, "/attendance/evt2/live").open().await.status != 200 {
            ticks.tick().await;
        }
    };
    timeout(IN_TIME, has_room).await.expect("room");
}

#[tokio::test]
async fn a_shutdown_ends_the_streams_at_once() {
    let app = app(Store::Memory).await;
    attempt(&app, "panitia1", "evt1", "T1", None).await;
    let limits = Limits { shutdown_grace: SECOND * 60, ..Limits::default() };
    let mut server = Server::start(app, limits).await;
    let mut looker = Raw::open(server.address, request("evt1", &token())).await;
    looker.until("\n\n", IN_TIME).await;
    server.signal();
    let rest = looker.rest(IN_TIME).await;
    assert!(rest.ends_with("0\r\n\r\n"), "a whole response: {rest}");
    timeout(IN_TIME, server.stopped()).await.expect("no grace is needed");
}
