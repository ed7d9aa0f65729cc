//! Floods of logins, over real sockets from several loopback addresses, and whether others can still log in.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use shared_http::testing::{Process, Raw, fetch};
use tokio::{
    task::JoinSet,
    time::{interval, sleep, timeout},
};

use crate::{LOGIN, REGISTER, SECOND, WHOLE_MACHINE, ask, ask_with, eventually, service};

/// A client that takes no part in the attack.
const HONEST: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));

/// Low enough that the time limits of these tests leave room for other work of this machine, and high enough that a
/// connection or two keep every worker busy.
const COST: (&str, &str) = ("BCRYPT_COST", "9");

async fn start(variables: &[(&str, &str)]) -> Process {
    Process::start(service(&[&[("METRICS_ADDR", "127.0.0.1:0")], variables].concat())).await
}

fn login(username: &str, password: &str) -> String {
    post("/auth/login", username, password)
}

fn post(path: &str, username: &str, password: &str) -> String {
    let body = format!(r#"{{"username":"{username}","password":"{password}"}}"#);
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n{body}")
}

async fn log_in_from(source: IpAddr, address: SocketAddr, username: &str, password: &str) -> u16 {
    let mut raw = Raw::open_from(source, address, login(username, password)).await;
    status(&mut raw).await
}

/// The status of a response, which is read to its end.
async fn status(raw: &mut Raw) -> u16 {
    let response = raw.until("}", SECOND * 60).await;
    response[9..12].parse().unwrap()
}

/// Connections that log in again and again: `source` is the address of each, and `credentials` are the name and password
/// of each request.
fn attack(
    address: SocketAddr,
    connections: usize,
    source: impl Fn(usize) -> [u8; 4],
    credentials: impl Fn(usize, usize) -> (String, &'static str) + Send + Sync + 'static,
) -> JoinSet<()> {
    let credentials = Arc::new(credentials);
    let mut attackers = JoinSet::new();
    for number in 0..connections {
        let (source, credentials) = (IpAddr::from(source(number)), Arc::clone(&credentials));
        attackers.spawn(async move {
            let mut raw = Raw::open_from(source, address, "").await;
            for request in 0.. {
                let (username, password) = credentials(number, request);
                raw.send(login(&username, password)).await;
                let status = status(&mut raw).await;
                assert!([200, 400, 429, 503].contains(&status), "{status}");
                if status == 429 || status == 503 {
                    // Leaves the processors time for more than refusals.
                    sleep(SECOND / 50).await;
                }
            }
        });
    }
    attackers
}

/// How many of 15 honest logins, each from the address that `source` says, succeed at the first try, once the attack
/// has filled the queue. At [`COST`] one takes a quarter of a second; the rest of the time limit is for a machine that
/// is busy with other tests.
async fn honest_logins(process: &Process, source: impl Fn(u8) -> IpAddr) -> usize {
    let metrics = metrics_address(process);
    let is_full = async || metric(metrics, "tixgo_bcrypt_refusals_total").await > 300;
    eventually("the queue is full", is_full).await;
    let mut tries = interval(SECOND / 3);
    let mut succeeded = 0;
    for number in 0..15 {
        tries.tick().await;
        let begin = Instant::now();
        assert_eq!(fetch(process.address, "GET /health", "", "").await.0, 200);
        assert!(begin.elapsed() < SECOND * 5, "/health took {:?}", begin.elapsed());
        let login = log_in_from(source(number), process.address, "panitia1", "secret");
        succeeded += usize::from(timeout(SECOND * 10, login).await == Ok(200));
    }
    succeeded
}

fn metrics_address(process: &Process) -> SocketAddr {
    let log = process.log();
    let (_, address) = log.split_once("metrics=http://").unwrap();
    address.split_once("/metrics").unwrap().0.parse().unwrap()
}

async fn metric(metrics: SocketAddr, name: &str) -> u64 {
    let (_, text) = fetch(metrics, "GET /metrics", "", "").await;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{text}"));
    line.trim().parse().unwrap()
}

#[tokio::test]
async fn three_accounts_with_right_passwords_keep_nobody_else_from_logging_in() {
    let _guard = WHOLE_MACHINE.lock().await;
    let process = start(&[COST]).await;
    for username in ["satu", "dua", "tiga"] {
        assert_eq!(ask(&process, REGISTER, username).await.0, 200);
    }
    let accounts = |number: usize, _: usize| (["satu", "dua", "tiga"][number % 3].to_owned(), "rahasia");
    let _attack = attack(process.address, 36, |_| [127, 0, 0, 2], accounts);
    let succeeded = honest_logins(&process, |_| HONEST).await;
    assert!(succeeded >= 12, "{succeeded} of 15");
}

#[tokio::test]
async fn any_number_of_names_keeps_nobody_else_from_logging_in() {
    let _guard = WHOLE_MACHINE.lock().await;
    let unknown = |number, request| (format!("nobody-{number}-{request}"), "wrong");
    for guard in ["on", "off"] {
        let process = start(&[COST, ("LOGIN_GUARD", guard)]).await;
        let _attack = attack(process.address, 36, |_| [127, 0, 0, 2], unknown);
        let succeeded = honest_logins(&process, |_| HONEST).await;
        assert!(succeeded >= 12, "{succeeded} of 15, the guard is {guard}");
    }
    // From a hundred addresses, and each honest login from an address of its own.
    let process = start(&[COST]).await;
    let _attack = attack(process.address, 100, |number| [127, 0, 1, number as u8 + 1], unknown);
    let succeeded = honest_logins(&process, |number| [127, 0, 2, number + 1].into()).await;
    assert!(succeeded >= 12, "{succeeded} of 15");
}

/// Sends each of `requests`, and hangs up once bcrypt has begun; returns when bcrypt has finished.
async fn hang_up_once_bcrypt_has_begun(process: &Process, requests: impl IntoIterator<Item = String>) {
    let metrics = metrics_address(process);
    for (number, request) in (1..).zip(requests) {
        let raw = Raw::open(process.address, request).await;
        let has_begun = async || metric(metrics, "tixgo_bcrypt_wait_seconds_count").await == number;
        eventually("bcrypt has begun", has_begun).await;
        drop(raw);
    }
    let is_idle = async || metric(metrics, "tixgo_bcrypt_queue").await == 0;
    eventually("nothing is worked on", is_idle).await;
}

#[tokio::test]
async fn disconnecting_once_bcrypt_has_begun_does_not_undo_a_failed_login() {
    let process = start(&[("BCRYPT_COST", "11")]).await;
    hang_up_once_bcrypt_has_begun(&process, vec![login("panitia1", "wrong"); 5]).await;
    for password in ["wrong", "secret"] {
        let (status, answer) = ask_with(&process, LOGIN, "panitia1", password).await;
        assert_eq!(status, 429, "{answer}");
    }
}

#[tokio::test]
async fn disconnecting_once_bcrypt_has_begun_does_not_undo_a_registration() {
    let process = start(&[("BCRYPT_COST", "11"), ("REGISTRATIONS_PER_HOUR", "3")]).await;
    let names = ["panitia-1", "panitia-2", "panitia-3"];
    hang_up_once_bcrypt_has_begun(&process, names.map(|name| post("/auth/register", name, "rahasia"))).await;
    let (status, answer) = ask(&process, REGISTER, "panitia-4").await;
    assert_eq!(status, 429, "{answer}");
    for name in names {
        eventually("the name is taken", async || ask(&process, REGISTER, name).await.0 == 400).await;
    }
}

#[tokio::test]
async fn disconnecting_in_the_queue_is_no_attempt() {
    let process = start(&[("BCRYPT_COST", "14"), ("REQUEST_TIMEOUT_SECONDS", "60")]).await;
    let metrics = metrics_address(&process);
    let workers = std::thread::available_parallelism().unwrap().get().saturating_sub(1).max(1);
    let mut busy = Vec::new();
    for number in 0..workers {
        busy.push(Raw::open(process.address, login(&format!("nobody-{number}"), "wrong")).await);
    }
    let queue = async || metric(metrics, "tixgo_bcrypt_queue").await as usize;
    eventually("every worker is busy", async || queue().await == workers).await;
    let mut waiting = Vec::new();
    for _ in 0..10 {
        waiting.push(Raw::open(process.address, login("panitia1", "wrong")).await);
    }
    eventually("ten wait", async || queue().await == workers + 10).await;
    drop(waiting);
    for mut raw in busy {
        assert_eq!(status(&mut raw).await, 400);
    }
    assert_eq!(log_in_from(HONEST, process.address, "panitia1", "secret").await, 200);
    assert_eq!(metric(metrics, "tixgo_bcrypt_wait_seconds_count").await as usize, workers + 1);
}
