//! attendance-service against many clients that do not read, or do not finish.

use std::time::{Duration, Instant};

use shared_auth::{Role, Secret, TokenIssuer};
use shared_http::testing::{Process, command, fetch, flood};

use crate::SECOND;

const CLIENTS: usize = 600;

/// What a client sends that reads nothing, or that never ends its request.
fn post(path: &str, headers: &str, body: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: t\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
}

fn bodies(path: &str, headers: &str) -> [String; 5] {
    let controls = "\u{1}".repeat(64 * 1024);
    let objects = format!(r#"{{"x":[{}0]}}"#, r#"{"":0},"#.repeat(9000));
    let half = format!(r#"{{"x":"{}"#, "x".repeat(65_000));
    let text = format!("{headers}Content-Type: text/plain\r\n");
    [
        post(path, &text, &controls, controls.len()),
        post(path, headers, &objects, objects.len()),
        post(path, headers, &half, 64 * 1024),
        post(path, headers, "{", 64 * 1024),
        format!("POST {path} HTTP/1.1\r\nHost: t\r\nX-Long: {}", "x".repeat(16_000)),
    ]
}

/// How long `/health` may take: a debug build reads JSON twenty times as slowly.
const AT_MOST: Duration = if cfg!(debug_assertions) { Duration::from_secs(20) } else { SECOND };

/// Whether `process` is well while many clients have sent `bytes`.
async fn holds_out(process: &Process, bytes: String) {
    let what = format!("{:.60}", bytes);
    let clients = flood(process.address, CLIENTS, bytes).await;
    for _ in 0..5 {
        let begin = Instant::now();
        assert_eq!(fetch(process.address, "GET /health", "", "").await.0, 200, "{what}");
        assert!(begin.elapsed() < AT_MOST, "{what}: answered after {:?}", begin.elapsed());
    }
    let megabytes = process.kibibytes("VmHWM") / 1024;
    assert!(megabytes < 96, "{what}: {megabytes} MB");
    drop(clients);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_hundred_clients_that_do_not_read_or_finish_cost_less_than_96_megabytes() {
    rlimit::increase_nofile_limit(4096).unwrap();
    let process = Process::start(command(env!("CARGO_BIN_EXE_attendance-service"))).await;
    let issuer = TokenIssuer::new(&Secret::new("dev-secret"), SECOND * 3600);
    let token = issuer.issue("panitia1", Role::Committee).unwrap();
    let authorization = format!("Authorization: Bearer {token}\r\n");
    for bytes in bodies("/checkins", &authorization) {
        holds_out(&process, bytes).await;
    }

    // A list of 5 MB, which ends in the middle of a chunk.
    let long = "x".repeat(50_000);
    for number in 0..101 {
        let body = format!(r#"{{"event_id":"e","ticket_id":"{number}-{long}"}}"#);
        assert_eq!(fetch(process.address, "POST /checkins", &token, &body).await.0, 200);
    }
    holds_out(&process, format!("GET /attendance/e HTTP/1.1\r\nHost: t\r\n{authorization}\r\n")).await;
}
