//! The server when clients want more memory or more connections than there are.

#![expect(clippy::unwrap_used, reason = "clippy knows test functions, not what they call")]

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::Path,
    routing::{get, post},
};
use futures_util::stream;
use serde::Serialize;
use shared_http::{
    ValidJson,
    client::TrustedProxies,
    json::{Fields, Schema, text},
    middleware::{Options, stack},
    server::Limits,
    testing::{Raw, Server, fetch},
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

const SECOND: Duration = Duration::from_secs(1);

/// A client that is not locked out is served within this, also on a busy machine. It is far less than the time-outs.
const IN_TIME: Duration = Duration::from_secs(8);

/// The address of many clients, and of one.
const MANY: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ONE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

#[derive(Serialize)]
struct Echo {
    text: String,
}

impl Schema for Echo {
    const DESCRIPTION: &'static str = "What comes back.";

    fn read(fields: &mut Fields<'_>) -> Self {
        Self { text: fields.get(text("text")) }
    }
}

async fn start(limits: Limits) -> Server {
    let router = Router::new()
        .route("/quick", get(async || "quick"))
        .route("/long/{length}", get(async |Path(length): Path<usize>| "x".repeat(length)))
        .route(
            "/work",
            get(async || {
                sleep(SECOND * 3).await;
                "done"
            }),
        )
        .route("/page", get(async || Bytes::from_static(&[b'x'; 400_000])))
        .route(
            "/pages",
            get(async || {
                let pages = stream::unfold(0, async |number| {
                    sleep(SECOND * 3 * number).await;
                    let page = *["first", "done"].get(number as usize)?;
                    Some((Ok::<_, std::io::Error>(page), number + 1))
                });
                Body::from_stream(pages)
            }),
        )
        .route("/echo", post(async |ValidJson(echo): ValidJson<Echo>| Json(echo)));
    Server::start(stack(router, Options::default()), limits).await
}

fn get_request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n")
}

#[tokio::test]
async fn while_memory_is_short_clients_that_do_not_read_are_closed_and_others_are_served() {
    let server = start(Limits { buffered: 4 << 20, ..Limits::default() }).await;
    let mut hostile = Vec::new();
    for _ in 0..20 {
        hostile.push(Raw::open_from(MANY, server.address, get_request("/long/400000")).await);
    }
    for _ in 0..10 {
        assert_eq!(fetch(server.address, "GET /quick", "", "").await, (200, "quick".to_owned()));
    }
    // Their memory is free again long before the ten minutes that a client may take while memory is not short.
    let request = "GET /long/3900000 HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
    let answered =
        async { while Raw::open(server.address, request).await.rest(SECOND * 20).await.len() < 3_900_000 {} };
    timeout(SECOND * 20, answered).await.expect("room for an answer");
    for client in &mut hostile {
        assert!(client.is_closed(SECOND * 5).await);
    }
}

#[tokio::test]
async fn buffers_of_the_kernel_for_clients_that_do_not_read_leave_the_memory_to_others() {
    let server = start(Limits { buffered: 1 << 20, ..Limits::default() }).await;
    // All get the same static page: only the kernel holds 128 KiB for each.
    let mut hostile = Vec::new();
    for _ in 0..20 {
        hostile.push(Raw::open_from(MANY, server.address, get_request("/page")).await);
    }
    for client in &mut hostile {
        client.until("\r\n\r\n", SECOND * 5).await;
    }
    let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(60_000));
    for _ in 0..10 {
        let (status, body) = fetch(server.address, "GET /long/100000", "", "").await;
        assert_eq!((status, body.len()), (200, 100_000));
        assert_eq!(fetch(server.address, "POST /echo", "", &large).await.0, 200);
    }
}

#[tokio::test]
async fn while_memory_is_short_only_as_many_are_closed_as_needed_and_those_of_one_address_first() {
    let server = start(Limits { buffered: 4 << 20, ..Limits::default() }).await;
    let close = "GET /long/400000 HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
    // This client stalls longest, but is the only one of its address.
    let mut slow = Raw::open_from(ONE, server.address, close).await;
    slow.until("\r\n\r\n", SECOND * 5).await;
    let mut hostile = Vec::new();
    for _ in 0..20 {
        hostile.push(Raw::open_from(MANY, server.address, get_request("/long/400000")).await);
    }
    let answered = async {
        while Raw::open(server.address, close).await.rest(SECOND * 20).await.len() < 400_000 {
            sleep(SECOND / 10).await;
        }
    };
    // The first answer may come before all clients are connected.
    sleep(SECOND * 4).await;
    timeout(SECOND * 20, answered).await.expect("room for an answer");
    assert_eq!(slow.rest(SECOND * 20).await.len(), 400_000);
    let mut closed = 0;
    for client in &mut hostile {
        closed += usize::from(client.is_closed(SECOND).await);
    }
    assert!((11..20).contains(&closed), "{closed} closed");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_not_closed_while_memory_is_not_short() {
    let server = start(Limits { buffered: 4 << 20, ..Limits::default() }).await;
    let mut slow = Raw::open_from(MANY, server.address, get_request("/long/400000")).await;
    slow.until("\r\n\r\n", SECOND).await;
    sleep(SECOND * 4).await;
    assert_eq!(slow.until("x", SECOND).await, "x");
}

#[tokio::test]
async fn while_memory_is_short_large_bodies_are_refused_and_small_ones_are_not() {
    let server = start(Limits { buffered: 1 << 20, ..Limits::default() }).await;
    let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(60_000));
    let head = format!("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n", large.len());
    let mut hostile = Vec::new();
    for _ in 0..20 {
        hostile.push(Raw::open(server.address, format!("{head}{}", &large[..59_000])).await);
    }
    let refused = async {
        loop {
            let (status, body) = fetch(server.address, "POST /echo", "", &large).await;
            if status == 503 {
                break body;
            }
        }
    };
    let body = timeout(SECOND * 5, refused).await.expect("a refusal");
    assert_eq!(body, r#"{"detail":"The service is busy. Please try again."}"#);
    let small = format!(r#"{{"text":"{}"}}"#, "x".repeat(4000));
    assert_eq!(fetch(server.address, "POST /echo", "", &small).await, (200, small));

    let mut refused = 0;
    for mut client in hostile {
        // There is room for half of them: each still has to send the rest of its body.
        client.send(&large[59_000..]).await;
        let head = client.until("\r\n\r\n", SECOND * 5).await;
        refused += usize::from(head.starts_with("HTTP/1.1 503 ") && head.contains("retry-after: 1\r\n"));
    }
    assert!((8..20).contains(&refused), "{refused} refused");
    assert_eq!(fetch(server.address, "POST /echo", "", &large).await, (200, large));
}

#[tokio::test]
async fn the_memory_of_a_body_is_free_again_when_its_connection_is_closed_for_another() {
    let limits = Limits { max_connections: 16, request_timeout: SECOND * 60, ..Limits::default() };
    let server = start(Limits { buffered: 1 << 20, ..limits }).await;
    let body = format!(r#"{{"text":"{}"}}"#, "x".repeat(20_000));
    let head = format!("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n", body.len());
    // There is memory for 16 of these bodies, but not for half of all.
    let mut dripping = Vec::new();
    for _ in 0..100 {
        dripping.push(Raw::open(server.address, format!("{head}{}", &body[..19_000])).await);
    }
    for client in &mut dripping[..84] {
        assert!(client.is_closed(IN_TIME).await);
    }
    let answered = async { while fetch(server.address, "POST /echo", "", &body).await.0 != 200 {} };
    timeout(SECOND * 20, answered).await.expect("memory for a body");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_takes_all_connections_locks_out_no_other() {
    // More than may be open: the others wait to be accepted. Both ends are in this process.
    const DRIPPING: usize = 1100;
    rlimit::increase_nofile_limit(4096).expect("a limit");
    let server = start(Limits { request_timeout: SECOND * 60, ..Limits::default() }).await;
    let address = server.address;
    let opened = Arc::new(AtomicUsize::new(0));
    let mut attack = JoinSet::new();
    for _ in 0..DRIPPING {
        let opened = opened.clone();
        attack.spawn(async move {
            loop {
                let mut client = Raw::open_from(MANY, address, "GET /quick HTTP/1.1\r\nX: ").await;
                opened.fetch_add(1, Ordering::Relaxed);
                while !client.is_closed(SECOND / 2).await {
                    client.send("a").await;
                }
            }
        });
    }
    let opened_more = async |count: usize| {
        let wanted = opened.load(Ordering::Relaxed) + count;
        let opened = async {
            while opened.load(Ordering::Relaxed) < wanted {
                sleep(SECOND / 20).await;
            }
        };
        timeout(SECOND * 30, opened).await.expect("an attack");
    };
    opened_more(DRIPPING).await;

    // A gate keeps its connection open. It is idle until its connection has waited longer than any other.
    let mut gate = Raw::open_from(ONE, address, "").await;
    for _ in 0..4 {
        gate.send(get_request("/quick")).await;
        gate.until("quick", IN_TIME).await;
        opened_more(DRIPPING).await;
    }
    // And new connections of its address are accepted.
    for _ in 0..10 {
        Raw::open_from(ONE, address, get_request("/quick")).await.until("quick", IN_TIME).await;
    }
}

#[tokio::test]
async fn connections_that_wait_for_the_handler_are_not_closed_however_many_their_address_has() {
    // So does a connection whose next chunk of the response is not ready yet.
    for path in ["/work", "/pages"] {
        let server = start(Limits { max_connections: 16, ..Limits::default() }).await;
        let mut working = Vec::new();
        for _ in 0..12 {
            working.push(Raw::open_from(MANY, server.address, get_request(path)).await);
        }
        let mut others = Vec::new();
        for _ in 0..20 {
            let mut other = Raw::open_from(ONE, server.address, get_request("/quick")).await;
            other.until("quick", SECOND * 2).await;
            others.push(other);
        }
        for client in &mut working {
            client.until("done", SECOND * 8).await;
        }
    }
}

#[tokio::test]
async fn the_connections_of_a_trusted_proxy_do_not_count_as_those_of_one_client() {
    let proxies = TrustedProxies::parse("127.0.0.1").unwrap_or_default();
    let limits = Limits { max_connections: 16, request_timeout: SECOND * 60, proxies, ..Limits::default() };
    let server = start(limits).await;
    let mut proxy = Vec::new();
    for _ in 0..10 {
        let mut connection = Raw::open_from(MANY, server.address, get_request("/quick")).await;
        connection.until("quick", SECOND * 5).await;
        proxy.push(connection);
    }
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(Raw::open_from(ONE, server.address, "").await);
        // A connection that has just been opened is not closed.
        sleep(SECOND / 20).await;
    }
    // Connections are accepted one after the other.
    let mut last = Raw::open_from(ONE, server.address, get_request("/quick")).await;
    last.until("quick", SECOND * 5).await;
    for connection in &mut proxy {
        connection.send(get_request("/quick")).await;
        connection.until("quick", SECOND * 5).await;
    }
}

/// What the kernel holds for the clients of `server`, in the order in which they connected: the state of each
/// connection as `/proc/net/tcp` names it, and the bytes that were not acknowledged.
fn held_by_kernel(server: &Server, clients: &[Raw]) -> Vec<Option<(String, u64)>> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = |field: &str| u16::from_str_radix(field.split_once(':').unwrap().1, 16).unwrap();
    let connections: Vec<Vec<_>> =
        table.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    let of = |client: &Raw| {
        let is_it = |fields: &&Vec<&str>| {
            port(fields[1]) == server.address.port() && port(fields[2]) == client.local_port()
        };
        let fields = connections.iter().find(is_it)?;
        let unacknowledged = fields[4].split_once(':').unwrap().0;
        Some((fields[3].to_owned(), u64::from_str_radix(unacknowledged, 16).unwrap()))
    };
    clients.iter().map(of).collect()
}

/// Polls until `found` returns something.
async fn eventually<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let polling = async {
        loop {
            if let Some(found) = found() {
                return found;
            }
            sleep(SECOND / 20).await;
        }
    };
    timeout(SECOND * 60, polling).await.unwrap()
}

#[tokio::test]
async fn the_kernel_holds_a_bounded_part_of_an_answer_and_less_once_many_are_connected() {
    let server = start(Limits { buffered: 256 << 20, ..Limits::default() }).await;
    let mut clients = Vec::new();
    for _ in 0..12 {
        let mut client = Raw::open(server.address, get_request("/long/4000000")).await;
        client.until("\r\n\r\n", SECOND * 5).await;
        clients.push(client);
    }
    let mut before = Vec::new();
    let held = eventually(|| {
        let now: Vec<_> = held_by_kernel(&server, &clients).into_iter().map(|held| held.unwrap().1).collect();
        // No send buffer changes any more: all writes are blocked.
        let is_still = now == before && !now.contains(&0);
        before.clone_from(&now);
        is_still.then_some(now)
    })
    .await;
    // The last segment may begin below the bound and end above it; on loopback it is of 64 KiB.
    let bound = |kibibytes: u64| (kibibytes + 64) << 10;
    assert!(held[..8].iter().all(|bytes| *bytes <= bound(416)), "{held:?}");
    assert!(held[8..].iter().all(|bytes| *bytes <= bound(128)), "{held:?}");
    assert!(held[0] > bound(128), "the first eight have more room: {held:?}");
}

#[tokio::test]
async fn the_kernel_drops_what_a_client_has_not_read_of_a_connection_that_is_closed() {
    let server = start(Limits::default()).await;
    let request = "GET /long/100000 HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
    let client = [Raw::open_from(ONE, server.address, request).await];
    // 04 is FIN_WAIT1: the server has closed, and the client has yet to acknowledge.
    eventually(|| held_by_kernel(&server, &client)[0].as_ref().filter(|(state, _)| state == "04").cloned())
        .await;
    // Without a limit the kernel would keep it for many minutes.
    eventually(|| held_by_kernel(&server, &client)[0].is_none().then_some(())).await;
}
