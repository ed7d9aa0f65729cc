//! Bodies of megabytes, over real sockets: they have the time and the memory to arrive, and no more.

use std::time::{Duration, Instant};

use axum::{Router, routing::put};
use shared_http::{
    RawBody,
    body::LONGEST_BODY,
    middleware::{Options, stack},
    server::Limits,
    testing::{Raw, Server},
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

const SECOND: Duration = Duration::from_secs(1);

async fn start() -> Server {
    let handler = async |RawBody { bytes, .. }: RawBody<LONGEST_BODY>| bytes.len().to_string();
    let slow = async |RawBody { .. }: RawBody<LONGEST_BODY>| sleep(SECOND * 60).await;
    let router = Router::new().route("/list", put(handler)).route("/slow", put(slow));
    let limits = Limits { request_timeout: SECOND, ..Limits::default() };
    let options = Options { deadline: SECOND, ..Options::default() };
    Server::start(stack(router, options), limits).await
}

fn head(path: &str, length: usize) -> String {
    format!("PUT {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n")
}

/// Sends `length` bytes in `parts` with `pause` behind each, and returns the answer.
async fn send(server: &Server, path: &str, length: usize, parts: usize, pause: Duration) -> String {
    let mut client = Raw::open(server.address, head(path, length)).await;
    let part = vec![b' '; length / parts];
    for _ in 0..parts {
        client.send(&part).await;
        sleep(pause).await;
    }
    client.rest(SECOND * 30).await
}

#[tokio::test]
async fn a_long_body_may_take_longer_than_a_request() {
    let server = start().await;
    let answer = send(&server, "/list", LONGEST_BODY, 16, SECOND / 5).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n8388608"), "{answer}");
    let answer = send(&server, "/list", LONGEST_BODY + 16, 1, Duration::ZERO).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("(at most 8 MiB)"), "{answer}");
}

#[tokio::test]
async fn a_body_that_stops_or_drips_is_cut_in_time() {
    let server = start().await;
    // 96 KiB have three seconds, and a body that is no longer than any other none.
    for (length, least, most) in [(96 << 10, 3, 8), (64 << 10, 1, 3)] {
        let begin = Instant::now();
        let mut client = Raw::open(server.address, head("/list", length)).await;
        client.send("  ").await;
        let answer = client.rest(SECOND * 20).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        let took = begin.elapsed();
        assert!(SECOND * least <= took && took <= SECOND * most, "{length}: {took:?}");
    }
}

#[tokio::test]
async fn the_time_of_a_long_body_is_not_the_time_of_its_handler() {
    let server = start().await;
    let begin = Instant::now();
    let answer = send(&server, "/slow", LONGEST_BODY, 1, Duration::ZERO).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(begin.elapsed() < SECOND * 10, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn many_long_bodies_at_once_are_refused_and_not_kept() {
    let server = start().await;
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let mut client = Raw::open(server.address, head("/list", LONGEST_BODY)).await;
        clients.spawn(async move {
            client.send(vec![b' '; LONGEST_BODY]).await;
            timeout(SECOND * 30, client.rest(SECOND * 30)).await.expect("an answer")
        });
    }
    let answers = clients.join_all().await;
    let with = |status: &str| answers.iter().filter(|answer| answer.starts_with(status)).count();
    // 24 MiB hold one body of 8 MiB, which counts twice, and a part of others.
    assert_eq!(with("HTTP/1.1 200") + with("HTTP/1.1 503"), 8, "{answers:?}");
    assert!(with("HTTP/1.1 503") > 0, "{answers:?}");
    // What was refused is given back.
    let answer = send(&server, "/list", LONGEST_BODY, 1, Duration::ZERO).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
