//! Responses without an end, over real sockets.

use std::time::{Duration, Instant};

use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use shared_http::{
    middleware::{Options, stack},
    server::{Endless, Limits},
    testing::{Raw, Server},
};

const SECOND: Duration = Duration::from_secs(1);
const LOOK_ON: &str = "GET /events HTTP/1.1\r\nHost: t\r\n\r\n";
const GET: &str = "GET /quick HTTP/1.1\r\nHost: t\r\n\r\n";

/// Says `first`, and nothing more for ever.
async fn events() -> Response {
    let first = stream::iter([Ok::<_, axum::Error>(Bytes::from_static(b"first"))]);
    let mut response = Body::from_stream(first.chain(stream::pending())).into_response();
    response.extensions_mut().insert(Endless);
    response
}

async fn start(max_connections: usize) -> Server {
    let router = Router::new().route("/events", get(events)).route("/quick", get(async || "quick"));
    let limits = Limits { max_connections, shutdown_grace: SECOND * 60, ..Limits::default() };
    Server::start(stack(router, Options::default()), limits).await
}

async fn look_on(server: &Server) -> Raw {
    let mut looker = Raw::open(server.address, LOOK_ON).await;
    looker.until("first\r\n", SECOND * 8).await;
    looker
}

#[tokio::test]
async fn a_shutdown_ends_a_response_that_has_no_end_and_does_not_wait_for_it() {
    let mut server = start(64).await;
    let mut lookers = [look_on(&server).await, look_on(&server).await];
    let begin = Instant::now();
    server.signal();
    for looker in &mut lookers {
        assert_eq!(looker.rest(SECOND * 8).await, "0\r\n\r\n", "the response is whole");
    }
    server.stopped().await;
    assert!(begin.elapsed() < SECOND * 30, "the grace is a minute");
}

#[tokio::test]
async fn responses_without_an_end_make_room_for_other_connections() {
    let server = start(4).await;
    let mut lookers = Vec::new();
    for _ in 0..4 {
        lookers.push(look_on(&server).await);
    }
    let mut other = Raw::open(server.address, GET).await;
    other.until("quick", SECOND * 8).await;
    let mut ended = 0;
    for looker in &mut lookers {
        ended += usize::from(looker.is_closed(SECOND / 10).await);
    }
    assert!((1..4).contains(&ended), "{ended}: one made room, and not all had to");
}

#[tokio::test]
async fn after_a_response_that_has_no_end_for_the_server_the_connection_is_used_again() {
    let finite = async || {
        let mut response = "whole".into_response();
        response.extensions_mut().insert(Endless);
        response
    };
    let router = Router::new().route("/finite", get(finite)).route("/quick", get(async || "quick"));
    let server = Server::start(stack(router, Options::default()), Limits::default()).await;
    let mut client = Raw::open(server.address, "GET /finite HTTP/1.1\r\nHost: t\r\n\r\n").await;
    client.until("whole", SECOND * 8).await;
    client.send(GET).await;
    client.until("quick", SECOND * 8).await;
}
