//! The server and the middleware, over real sockets, with clients that are slow, silent or send no HTTP.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::Path,
    http::{HeaderName, StatusCode},
    routing::{get, post},
};
use serde::Serialize;
use shared_http::{
    ValidJson,
    client::{ClientAddr, TrustedProxies},
    json::{Fields, Schema, text},
    middleware::{Cors, Options, stack},
    server::Limits,
    testing::{self, Raw, Server},
};
use tokio::{
    task::JoinSet,
    time::{interval, sleep, timeout},
};

const SECOND: Duration = Duration::from_secs(1);
const GET: &str = "GET /quick HTTP/1.1\r\nHost: t\r\n\r\n";
const GET_SLOW: &str = "GET /slow HTTP/1.1\r\nHost: t\r\n\r\n";

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

fn app(deadline: Duration) -> Router {
    let router = Router::new()
        .route("/quick", get(async || "quick"))
        .route(
            "/slow",
            get(async || {
                sleep(SECOND).await;
                "slow"
            }),
        )
        .route("/panic", get(async || -> StatusCode { panic!("a test panics") }))
        .route("/echo", post(async |ValidJson(echo): ValidJson<Echo>| Json(echo)))
        .route(
            "/client",
            get(async |client: Option<ClientAddr>| {
                client.map_or_else(String::new, |client| client.0.to_string())
            }),
        )
        .route("/long/{length}", get(async |Path(length): Path<usize>| "x".repeat(length)))
        .route("/refuse", post(async || (StatusCode::UNAUTHORIZED, "refused")));
    stack(router, options(Cors::Off, deadline))
}

fn options(cors: Cors, deadline: Duration) -> Options {
    let trusted_proxies = TrustedProxies::parse("127.0.0.2").unwrap_or_default();
    Options { cors, deadline, trusted_proxies, ..Options::default() }
}

fn limits() -> Limits {
    Limits { request_timeout: SECOND * 2, ..Limits::default() }
}

async fn start(limits: Limits) -> Server {
    Server::start(app(limits.request_timeout), limits).await
}

/// Checks that a client which connects and sends a request is answered within a second.
async fn assert_served(server: &Server) {
    let begin = Instant::now();
    let mut client = Raw::open(server.address, GET).await;
    let answer = client.until("quick", SECOND * 5).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(begin.elapsed() < SECOND, "served after {:?}", begin.elapsed());
}

#[tokio::test]
async fn clients_that_never_finish_a_request_head_are_closed_in_time_and_delay_no_other() {
    let server = start(limits()).await;
    let mut hostile = Vec::new();
    for bytes in
        ["", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET /quick HTT", "GET /quick HTTP/1.1\r\nHost: t\r\n"]
    {
        hostile.push(Raw::open(server.address, bytes).await);
    }
    let mut idle = Raw::open(server.address, GET).await;
    idle.until("quick", SECOND).await;
    hostile.push(idle);

    assert_served(&server).await;
    for client in &mut hostile {
        client.rest(SECOND * 4).await;
    }
}

#[tokio::test]
async fn a_head_that_arrives_a_byte_at_a_time_is_closed_at_its_time_out() {
    let server = start(limits()).await;
    let mut client = Raw::open(server.address, "GET /quick HTTP/1.1\r\nHost: ").await;
    let mut tick = interval(SECOND / 10);
    let begin = Instant::now();
    let dripping = async {
        loop {
            tick.tick().await;
            client.send("a").await;
            if timeout(Duration::from_millis(1), client.rest(SECOND)).await.is_ok() {
                break;
            }
        }
    };
    timeout(SECOND * 5, dripping).await.expect("closed in spite of the dripping");
    assert!(begin.elapsed() > SECOND, "closed after {:?}", begin.elapsed());
    assert_served(&server).await;
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_answered_408() {
    let server = start(limits()).await;
    let head = "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 20\r\n\r\n{";
    let mut client = Raw::open(server.address, head).await;
    assert_served(&server).await;
    let answer = client.rest(SECOND * 4).await;
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
    assert!(
        answer.ends_with(r#"{"detail":"The request did not arrive in time. Please send it again."}"#),
        "{answer}"
    );
}

#[tokio::test]
async fn an_answer_that_is_not_ready_in_time_is_503_with_retry_after() {
    let server = Server::start(app(SECOND / 10), limits()).await;
    let mut client =
        Raw::open(server.address, "GET /slow HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").await;
    let answer = client.rest(SECOND * 4).await;
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
    assert!(answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
    assert!(
        answer.ends_with(r#"{"detail":"The service could not answer in time. Please try again."}"#),
        "{answer}"
    );
}

#[tokio::test]
async fn when_no_more_connections_may_be_open_the_one_that_has_waited_longest_is_closed() {
    let server = start(Limits { max_connections: 16, request_timeout: SECOND * 60, ..limits() }).await;
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(Raw::open(server.address, "").await);
    }
    for _ in 0..20 {
        assert_served(&server).await;
    }
    // They are closed long before their time-out, to make room for others.
    for client in &mut idle[..180] {
        assert_eq!(client.rest(SECOND).await, "");
    }
}

#[tokio::test]
async fn connections_that_are_always_busy_make_room_for_others_and_lose_no_answer() {
    let server = start(Limits { max_connections: 16, request_timeout: SECOND * 60, ..limits() }).await;
    let address = server.address;
    let mut busy = JoinSet::new();
    for _ in 0..24 {
        busy.spawn(async move {
            let mut client = Raw::open(address, GET_SLOW).await;
            loop {
                match client.until("slow", SECOND * 20).await {
                    // The server says that it closes after this response: no request is lost.
                    answer if answer.contains("connection: close") => {
                        client = Raw::open(address, GET_SLOW).await;
                    }
                    _ => client.send(GET_SLOW).await,
                }
            }
        });
    }
    for _ in 0..3 {
        let mut client = Raw::open_from(Ipv4Addr::new(127, 0, 0, 3).into(), address, GET).await;
        let answer = client.until("quick", SECOND * 20).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    assert!(busy.try_join_next().is_none(), "an answer was lost");
}

#[tokio::test]
async fn a_flood_of_bodies_that_drip_makes_room_for_others_too() {
    let server = start(Limits { max_connections: 16, request_timeout: SECOND * 60, ..limits() }).await;
    let head = "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\n{";
    let mut dripping = Vec::new();
    for _ in 0..100 {
        dripping.push(Raw::open(server.address, head).await);
    }
    for _ in 0..5 {
        for client in &mut dripping {
            client.send(" ").await;
        }
        assert_served(&server).await;
    }
}

#[tokio::test]
async fn a_client_that_pauses_in_the_middle_of_an_answer_gets_the_whole_of_it() {
    // The budget is larger than all answers together.
    let mut server = start(Limits { buffered: 256 << 20, ..limits() }).await;
    let mut pausing = Vec::new();
    for length in (0..20).map(|step| 5_000_000 + step * 7_000) {
        let request = format!("GET /long/{length} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
        pausing.push((length, Raw::open(server.address, request).await));
    }
    // The pause is longer than the request time-out, and goes on during a drain.
    sleep(SECOND * 3).await;
    server.signal();
    sleep(SECOND / 2).await;
    for (length, client) in &mut pausing {
        let answer = client.rest(SECOND * 5).await;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(body.len(), *length);
    }
}

#[tokio::test]
async fn a_drain_does_not_wait_for_a_client_that_has_read_its_answer() {
    let mut server = start(limits()).await;
    let mut slow = Raw::open(server.address, "GET /long/9000000 HTTP/1.1\r\nHost: t\r\n\r\n").await;
    slow.until("\r\n\r\n", SECOND).await;
    server.signal();
    let begin = Instant::now();
    assert_eq!(slow.rest(SECOND * 5).await.len(), 9_000_000);
    server.stopped().await;
    assert!(begin.elapsed() < SECOND * 2, "drained after {:?}", begin.elapsed());
}

#[tokio::test]
async fn a_connection_whose_request_is_being_handled_is_never_closed() {
    let server = start(Limits { max_connections: 4, ..limits() }).await;
    let slow = "GET /slow HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
    let mut working = Vec::new();
    for _ in 0..3 {
        working.push(Raw::open(server.address, slow).await);
    }
    let mut others = Vec::new();
    for _ in 0..20 {
        others.push(Raw::open(server.address, "").await);
    }
    assert_served(&server).await;
    for client in &mut working {
        assert!(client.rest(SECOND * 3).await.ends_with("slow"));
    }
}

#[tokio::test]
async fn a_drain_answers_requests_in_flight_and_ends_in_time_though_clients_are_silent() {
    let mut server =
        start(Limits { shutdown_grace: SECOND * 4, request_timeout: SECOND * 60, ..limits() }).await;
    let mut silent = Raw::open(server.address, "").await;
    let mut half_head = Raw::open(server.address, "GET /quick HTT").await;
    let mut half_body =
        Raw::open(server.address, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 20\r\n\r\n{").await;
    let mut idle = Raw::open(server.address, GET).await;
    idle.until("quick", SECOND).await;
    let mut slow = Raw::open(server.address, "GET /slow HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert_served(&server).await;

    let begin = Instant::now();
    server.signal();
    assert!(slow.rest(SECOND * 3).await.ends_with("slow"));
    let address = server.address;
    server.stopped().await;
    assert!(begin.elapsed() < SECOND * 4, "drained after {:?}", begin.elapsed());
    for client in [&mut silent, &mut half_head, &mut half_body, &mut idle] {
        client.rest(SECOND).await;
    }
    tokio::net::TcpStream::connect(address).await.expect_err("nobody listens any more");
}

#[tokio::test]
async fn an_idle_server_drains_at_once() {
    let mut server = start(limits()).await;
    assert_served(&server).await;
    let begin = Instant::now();
    server.signal();
    server.stopped().await;
    assert!(begin.elapsed() < SECOND, "drained after {:?}", begin.elapsed());
}

#[tokio::test]
async fn a_panic_costs_one_request_and_not_the_service() {
    let server = start(limits()).await;
    let mut client =
        Raw::open(server.address, "GET /panic HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").await;
    let answer = client.rest(SECOND).await;
    assert!(answer.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{answer}");
    assert!(answer.ends_with(r#"{"detail":"Internal Server Error"}"#), "{answer}");
    assert_served(&server).await;
}

#[tokio::test]
async fn a_client_that_sends_ten_megabytes_gets_its_answer_nevertheless() {
    let server = start(limits()).await;
    for (path, status) in
        [("/refuse", "401 Unauthorized"), ("/echo", "413 Payload Too Large"), ("/none", "404 Not Found")]
    {
        for framing in ["Content-Length: 10485760", "Transfer-Encoding: chunked"] {
            let head = format!("POST {path} HTTP/1.1\r\nHost: t\r\n{framing}\r\n\r\n");
            let mut client = Raw::open(server.address, head).await;
            let block = " ".repeat(0x10000);
            for _ in 0..160 {
                if framing.starts_with("Transfer") {
                    client.send("10000\r\n").await;
                }
                client.send(&block).await;
                if framing.starts_with("Transfer") {
                    client.send("\r\n").await;
                }
            }
            client.send("0\r\n\r\n").await;
            let answer = client.rest(SECOND * 5).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{path} {framing}: {answer}");
        }
    }
}

#[tokio::test]
async fn many_requests_share_one_connection() {
    let server = start(limits()).await;
    let mut client = Raw::open(server.address, GET).await;
    for _ in 0..10 {
        client.until("quick", SECOND).await;
        client.send(GET).await;
    }
    client.send(GET.repeat(2)).await;
    for _ in 0..3 {
        client.until("quick", SECOND).await;
    }
}

#[tokio::test]
async fn a_malformed_request_is_answered_like_any_other_error() {
    let server = start(limits()).await;
    let not_http = r#"{"detail":"The request is not valid HTTP/1.1."}"#;
    let too_large = r#"{"detail":"The request's path and headers are too large (at most 16 KiB)."}"#;
    let long = format!("GET /quick HTTP/1.1\r\nHost: t\r\nX-Long: {}\r\n\r\n", "a".repeat(2_000_000));
    for (head, status, body) in [
        ("GARBAGE\r\n\r\n", "400 Bad Request", not_http),
        ("GET /quick HTTP/9.9\r\nHost: t\r\n\r\n", "400 Bad Request", not_http),
        ("GET /quick HTTP/1.1\r\nHo st: t\r\n\r\n", "400 Bad Request", not_http),
        ("GET / quick HTTP/1.1\r\nHost: t\r\n\r\n", "400 Bad Request", not_http),
        (
            "POST /echo HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "400 Bad Request",
            not_http,
        ),
        (&long, "431 Request Header Fields Too Large", too_large),
    ] {
        for before in ["", GET] {
            let mut client = Raw::open(server.address, before).await;
            if !before.is_empty() {
                client.until("quick", SECOND).await;
            }
            client.send(head).await;
            let answer = client.rest(SECOND * 5).await;
            let (said, content) = answer.split_once("\r\n\r\n").expect("a whole head");
            assert!(said.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{head:.50}: {answer}");
            assert_eq!(content, body, "{head:.50}");
            for header in [
                "content-type: application/json",
                &format!("content-length: {}", body.len()),
                "connection: close",
                "x-content-type-options: nosniff",
            ] {
                assert!(said.contains(&format!("\r\n{header}")), "{header} is missing in {answer}");
            }
            assert!(said.contains("\r\nx-request-id: ") && said.contains(" GMT"), "{answer}");
        }
    }
    // A request before it, sent together with it, is answered too.
    let answer = Raw::open(server.address, format!("{GET}GARBAGE\r\n\r\n")).await.rest(SECOND * 5).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 400 Bad Request\r\n").count(), 1, "{answer}");
    assert_served(&server).await;
}

#[tokio::test]
async fn a_well_formed_request_id_comes_back_and_any_other_is_replaced() {
    let id = HeaderName::from_static("x-request-id");
    let app = app(SECOND);
    let answer = testing::get(&app, "/quick").header(id.clone(), "gate-7_A.b").send().await;
    assert_eq!(answer.header(id.clone()), "gate-7_A.b");

    let mut made = Vec::new();
    for given in [String::new(), "a b".into(), "a\u{e9}".into(), "a".repeat(65), "\"><script>".into()] {
        let answer = testing::get(&app, "/quick").header(id.clone(), &given).send().await;
        made.push(answer.header(id.clone()).to_owned());
        assert_ne!(made.last(), Some(&given));
    }
    made.push(testing::get(&app, "/none").send().await.header(id).to_owned());
    made.sort();
    made.dedup();
    assert_eq!(made.len(), 6, "every request has an id of its own: {made:?}");
}

#[tokio::test]
async fn a_client_is_its_peer_unless_a_trusted_proxy_says_otherwise() {
    let ask = "GET /client HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: 198.51.100.1\r\nConnection: close\r\n\r\n";
    let server = start(limits()).await;
    for (peer, client) in [("127.0.0.3", "127.0.0.3"), ("127.0.0.2", "198.51.100.1")] {
        let mut connection = Raw::open_from(peer.parse().unwrap(), server.address, ask).await;
        let answer = connection.rest(SECOND * 5).await;
        assert!(answer.ends_with(&format!("\r\n\r\n{client}")), "{answer}");
    }
    // In process there is no peer.
    assert_eq!(testing::get(&app(SECOND), "/client").send().await.body, "");
}

#[tokio::test]
async fn cors_headers_are_sent_to_the_origins_that_were_named_and_to_no_other() {
    let header = HeaderName::from_static;
    let named = Cors::Origins(vec!["https://gate.example.org".parse().unwrap()]);
    for (cors, origin, allowed) in [
        (Cors::Off, "https://gate.example.org", ""),
        (named.clone(), "https://gate.example.org", "https://gate.example.org"),
        (named, "https://evil.example.org", ""),
        (Cors::AnyOrigin, "https://evil.example.org", "*"),
    ] {
        let app = stack(Router::new().route("/quick", get(async || "quick")), options(cors.clone(), SECOND));
        let answer = testing::get(&app, "/quick").header(header("origin"), origin).send().await;
        assert_eq!(answer.header(header("access-control-allow-origin")), allowed);
        let exposed = answer.header(header("access-control-expose-headers"));
        assert_eq!(exposed.contains("idempotency-replayed"), cors != Cors::Off, "{exposed}");
        let of_no_page = testing::get(&app, "/quick").send().await;
        assert_eq!(of_no_page.header(header("access-control-expose-headers")), "");

        let preflight = testing::call(&app, axum::http::Method::OPTIONS, "/quick")
            .header(header("origin"), origin)
            .header(header("access-control-request-method"), "GET")
            .header(header("access-control-request-headers"), "authorization")
            .send()
            .await;
        assert_eq!(preflight.header(header("access-control-allow-origin")), allowed);
        let taken = preflight.header(header("access-control-allow-headers"));
        assert_eq!(taken.contains("idempotency-key"), cors != Cors::Off, "{taken}");
        let methods = if cors == Cors::Off { "" } else { "GET,HEAD,POST,PUT,PATCH,DELETE" };
        assert_eq!(preflight.header(header("access-control-allow-methods")), methods);
    }
}

#[tokio::test]
async fn an_options_that_is_no_preflight_is_answered_by_the_routes_whether_there_is_cors_or_not() {
    let header = HeaderName::from_static;
    for cors in [Cors::Off, Cors::AnyOrigin, Cors::Origins(vec!["https://gate.example.org".parse().unwrap()])]
    {
        let app = stack(Router::new().route("/quick", get(async || "quick")), options(cors.clone(), SECOND));
        for (path, status, name, value) in [
            ("/quick", 405, "allow", "GET,HEAD"),
            ("/quick/?a=b", 307, "location", "/quick?a=b"),
            ("/nothing", 404, "content-type", "application/json"),
        ] {
            let answer = testing::call(&app, axum::http::Method::OPTIONS, path)
                .header(header("origin"), "https://gate.example.org")
                .header(header("x-request-id"), "gate-7.2")
                .send()
                .await;
            assert_eq!(answer.status, status, "{cors} {path}");
            assert_eq!(answer.header(header(name)), value, "{cors} {path}");
            assert_eq!(answer.header(header("x-request-id")), "gate-7.2", "{cors} {path}");
        }
        let preflight = testing::call(&app, axum::http::Method::OPTIONS, "/quick/")
            .header(header("access-control-request-method"), "GET")
            .send()
            .await;
        assert_eq!(preflight.status, if cors == Cors::Off { 307 } else { 200 }, "{cors}");
    }
}
