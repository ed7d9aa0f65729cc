//! Many clients that do not read, or do not finish.

use std::time::{Duration, Instant};

use shared_http::testing::{Process, fetch, flood};

const CLIENTS: usize = 600;

/// How long `/health` may take: a debug build reads JSON twenty times as slowly.
const AT_MOST: Duration = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 1 });

/// What makes a service hold 64 KiB, or read that much JSON, for each client that sends it to `path` with `headers`.
pub fn requests(path: &str, headers: &str) -> [String; 5] {
    let post = |headers: &str, body: &str, length: usize| {
        format!("POST {path} HTTP/1.1\r\nHost: t\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
    };
    let controls = "\u{1}".repeat(64 * 1024);
    let objects = format!(r#"{{"x":[{}0]}}"#, r#"{"":0},"#.repeat(9000));
    let half = format!(r#"{{"x":"{}"#, "x".repeat(65_000));
    let text = format!("{headers}Content-Type: text/plain\r\n");
    [
        post(&text, &controls, controls.len()),
        post(headers, &objects, objects.len()),
        post(headers, &half, 64 * 1024),
        post(headers, "{", 64 * 1024),
        format!("POST {path} HTTP/1.1\r\nHost: t\r\nX-Long: {}", "x".repeat(16_000)),
    ]
}

/// Checks that `process` answers, and stays below 96 MB, while 600 clients have sent `request` and read nothing.
pub async fn holds_out(process: &Process, request: String) {
    let what = format!("{request:.60}");
    let clients = flood(process.address, CLIENTS, request).await;
    for _ in 0..5 {
        let begin = Instant::now();
        assert_eq!(fetch(process.address, "GET /health", "", "").await.0, 200, "{what}");
        assert!(begin.elapsed() < AT_MOST, "{what}: answered after {:?}", begin.elapsed());
    }
    let megabytes = process.kibibytes("VmHWM") / 1024;
    assert!(megabytes < 96, "{what}: {megabytes} MB");
    drop(clients);
}
