//! attendance-service as its operator meets it: the binary, its settings and its limits.

use std::{
    net::SocketAddr,
    process::{Output, Stdio},
    time::Instant,
};

use serde_json::{Value, json};
use shared_auth::{Role, Secret, TokenIssuer};
use shared_http::testing::{Process, Raw, command, fetch};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

use crate::{BINARY, SECOND};

fn service(variables: &[(&str, &str)]) -> Command {
    let mut command = command(BINARY);
    command.envs(variables.iter().copied());
    command
}

fn token() -> String {
    TokenIssuer::new(&Secret::new("dev-secret"), SECOND * 3600).issue("panitia1", Role::Committee).unwrap()
}

#[tokio::test]
async fn every_mistake_in_the_settings_is_named_at_once_with_exit_status_78() {
    let mut command = service(&[("APP_ENV", "staging"), ("PORT", "http"), ("JWT_ALG", "none")]);
    let Output { status, stderr, .. } = command.output().await.unwrap();
    assert_eq!(status.code(), Some(78));
    let said = String::from_utf8(stderr).unwrap();
    for sentence in [
        r#"APP_ENV is "staging"; it may be development or production"#,
        r#"PORT is "http"; it may be a port number, 0 to 65535"#,
        r#"JWT_ALG is "none"; it may be HS256"#,
    ] {
        assert!(said.contains(sentence), "{sentence}\n is missing in\n{said}");
    }
}

#[tokio::test]
async fn help_names_every_variable() {
    let Output { status, stdout, .. } = service(&[]).arg("--help").output().await.unwrap();
    assert!(status.success());
    let help = String::from_utf8(stdout).unwrap();
    for variable in [
        "APP_ENV",
        "HOST",
        "PORT",
        "JWT_SECRET",
        "JWT_SECRET_FILE",
        "JWT_SECRET_PREVIOUS",
        "JWT_SECRET_PREVIOUS_FILE",
        "JWT_ALG",
        "CORS_ALLOWED_ORIGINS",
        "TRUSTED_PROXIES",
        "CLIENT_ADDRESS_HEADER",
        "METRICS_ADDR",
        "LOG_FORMAT",
        "RUST_LOG",
        "MAX_CONNECTIONS",
        "MAX_STORE_MB",
        "REQUEST_TIMEOUT_SECONDS",
        "SHUTDOWN_GRACE_SECONDS",
    ] {
        assert!(help.contains(&format!("[env: {variable}")), "{variable} is missing in\n{help}");
    }
}

#[tokio::test]
async fn the_doctor_looks_at_the_service_that_runs_whatever_its_own_environment_says() {
    const STRONG: &str = "3mFq0b6Jw1Zc8Yt5Rk2Nv7Xs4Lp9Hd0G";
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/", directory.path().display());
    let production = [
        ("APP_ENV", "production"),
        ("HOST", "127.0.0.1"),
        ("JWT_SECRET", STRONG),
        ("DATABASE_URL", &url),
        ("TRUSTED_PROXIES", "127.0.0.1,172.16.0.0/12"),
    ];
    let running = Process::start(service(&production)).await;
    let port = running.address.port().to_string();
    let doctor = async |variables: &[(&str, &str)]| {
        let output = service(variables).env("PORT", &port).arg("doctor").output().await.unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (status, said) = doctor(&[]).await;
    assert_eq!(status, Some(0), "{said}");
    let file = format!("{}/attendance.db", directory.path().display());
    for line in [
        format!("on port {port}, process {} of user ", running.id()),
        format!(r#"note  setting: DATABASE_URL is "sqlite://{file}" in the running service, and "memory:" in"#),
        r#"note  setting: TRUSTED_PROXIES is "127.0.0.1/32,172.16.0.0/12" in the running service, and "none""#
            .to_owned(),
        "ok    environment: production".to_owned(),
        format!("ok    store: {file}: whole"),
    ] {
        assert!(said.contains(&line), "{line}\n is missing in\n{said}");
    }
    assert!(!said.contains("store: memory") && !said.contains(STRONG), "{said}");
    let (status, said) = doctor(&production).await;
    assert_eq!(status, Some(0), "{said}");
    // With settings that no service starts with it still looks at the one that runs.
    let (status, said) = doctor(&[("APP_ENV", "production")]).await;
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("WRONG configuration: JWT_SECRET is not set"), "{said}");
    assert!(said.contains(&format!("ok    store: {file}: whole")), "{said}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_doctor_tells_that_the_service_runs_and_takes_no_check_ins() {
    let process = Process::start(service(&[("MAX_STORE_MB", "1")])).await;
    let (port, url) = (process.address.port().to_string(), format!("http://{}", process.address));
    let doctor = async || {
        let mut command = service(&[("PORT", &port)]);
        let output = command.args(["doctor", "--peer", &url]).output().await.unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(doctor().await.contains("ok    ready: "), "{}", doctor().await);
    let (token, long) = (token(), "x".repeat(30_000));
    let mut status = 200;
    for number in 0..100 {
        let body = format!(r#"{{"event_id":"e","ticket_id":"{number}-{long}"}}"#);
        (status, _) = fetch(process.address, "POST /checkins", &token, &body).await;
        if status != 200 {
            break;
        }
    }
    assert_eq!(status, 503);
    let said = doctor().await;
    for line in [
        "WRONG ready: the check-ins take all of MAX_STORE_MB, or nearly all: raise it, and start again; see to that\n"
            .to_owned(),
        format!(
            "WRONG peer: {url} is attendance-service itself; name identity-service, such as http://127.0.0.1:18081\n"
        ),
    ] {
        assert!(said.contains(&line), "{line}\n is missing in\n{said}");
    }
}

#[tokio::test]
async fn two_hundred_idle_clients_under_a_limit_of_64_files_lock_nobody_out() {
    let mut shell = command("sh");
    shell.args(["-c", "ulimit -n 64 && exec \"$0\"", BINARY]).env("REQUEST_TIMEOUT_SECONDS", "3");
    let process = Process::start(shell).await;
    let mut idle = Vec::new();
    for number in 0..200 {
        let bytes =
            ["", "GET /health HTT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "POST /checkins HTTP/1.1\r\n"]
                [number % 4];
        idle.push(Raw::open(process.address, bytes).await);
    }
    for _ in 0..5 {
        let begin = Instant::now();
        assert_eq!(fetch(process.address, "GET /health", "", "").await.0, 200);
        assert!(begin.elapsed() < SECOND, "{:?}", begin.elapsed());
    }
    for client in &mut idle {
        client.rest(SECOND * 5).await;
    }
    process.log_with("the limit on open files (ulimit -n) allows fewer connections").await;
}

#[tokio::test]
async fn with_no_file_left_to_open_it_waits_and_goes_on_when_there_is() {
    let process = Process::start(service(&[])).await;
    assert_eq!(fetch(process.address, "GET /health", "", "").await.0, 200);
    let may_open =
        |files| rlimit::prlimit(process.id() as i32, rlimit::Resource::NOFILE, Some((files, 1024)), None);
    // What is open stays open; nothing can be added to stdin, stdout and stderr.
    may_open(3).unwrap();
    let waiting = tokio::spawn(fetch_health(process.address));
    process.log_with("cannot accept connections; trying on").await;
    may_open(1024).unwrap();
    assert_eq!(waiting.await.unwrap(), 200);
}

async fn fetch_health(address: SocketAddr) -> u16 {
    fetch(address, "GET /health", "", "").await.0
}

#[tokio::test]
async fn an_id_of_ten_thousand_characters_fits_into_a_path() {
    let process = Process::start(service(&[])).await;
    let (address, token) = (process.address, token());
    let event = "x".repeat(10_000);
    let body = format!(r#"{{"event_id":"{event}","ticket_id":"{event}"}}"#);
    assert_eq!(fetch(address, "POST /checkins", &token, &body).await.0, 200);
    let (status, list) = fetch(address, &format!("GET /attendance/{event}"), &token, "").await;
    assert_eq!(status, 200);
    assert!(list.starts_with(&format!(r#"{{"event_id":"{event}","total_checked_in":1,"#)));
}

#[tokio::test]
async fn no_log_at_any_level_holds_a_token_or_the_secret() {
    let secret = "3mFq0b6Jw1Zc8Yt5Rk2Nv7Xs4Lp9Hd0G";
    let process = Process::start(service(&[("RUST_LOG", "trace"), ("JWT_SECRET", secret)])).await;
    let token =
        TokenIssuer::new(&Secret::new(secret), SECOND * 60).issue("panitia1", Role::Committee).unwrap();
    let forged = format!("{}AAAA", &token[..token.len() - 4]);
    let body = r#"{"event_id":"e","ticket_id":"t"}"#;
    for (token, expected) in [(&token, 200), (&token, 400), (&forged, 401)] {
        assert_eq!(fetch(process.address, "POST /checkins", token, body).await.0, expected);
        fetch(process.address, "GET /attendance/e", token, "").await;
    }
    let log = process.finish().await;
    assert!(log.contains("/checkins"), "trace logs nothing: {log}");
    for secret in [secret, &token, &forged, token.rsplit('.').next().unwrap()] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}

#[tokio::test]
async fn a_request_leaves_one_line_in_the_access_log() {
    let variables = [
        ("LOG_FORMAT", "json"),
        ("TRUSTED_PROXIES", "127.0.0.1"),
        ("CLIENT_ADDRESS_HEADER", "CF-Connecting-IP"),
    ];
    let process = Process::start(service(&variables)).await;
    let head = "Connection: close\r\nX-Request-Id: gate-7.1\r\nCF-Connecting-IP: 198.51.100.7\r\n\
                CF-Ray: 8f1c-SIN\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
    let body = r#"{"event_id":"rahasia/1","ticket_id":"t"}"#;
    let check_in = format!(
        "POST /checkins?key=rahasia HTTP/1.1\r\nHost: t\r\n{head}Authorization: Bearer {}\r\nContent-Length: {}\r\n\r\n{body}",
        token(),
        body.len()
    );
    let answer = Raw::open(process.address, check_in).await.rest(SECOND * 5).await;
    let sent = answer.split_once("\r\n\r\n").unwrap().1.len();
    let lost = "GET /rahasia HTTP/1.1\r\nHost: t\r\nConnection: close\r\nX-Request-Id: no good\r\nCF-Ray: \"\r\n\r\n";
    Raw::open(process.address, lost).await.rest(SECOND * 5).await;
    // Compressed, and so as long as it turns out to be.
    let list = format!(
        "GET /attendance/rahasia%2F1 HTTP/1.1\r\nHost: t\r\nConnection: close\r\nAccept-Encoding: gzip\r\nAuthorization: Bearer {}\r\n\r\n",
        token()
    );
    Raw::open(process.address, list).await.rest(SECOND * 5).await;
    fetch(process.address, "GET /health", "", "").await;
    fetch(process.address, "GET /ready", "", "").await;

    let log = process.finish().await;
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lines: Vec<_> = lines.into_iter().filter(|line| line["target"] == "access").collect();
    assert_eq!(lines.len(), 3, "health is not worth a line: {log}");
    let mut checked_in = lines[0].clone();
    for changing in ["timestamp", "microseconds"] {
        assert!(checked_in.as_object_mut().unwrap().remove(changing).is_some(), "{changing}");
    }
    assert_eq!(
        checked_in,
        json!({
            "level": "INFO", "message": "request", "target": "access", "id": "gate-7.1", "method": "POST",
            "route": "/checkins", "status": 200, "bytes": sent, "client": "198.51.100.7", "user": "panitia1",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "cf_ray": "8f1c-SIN",
        })
    );
    assert_eq!((&lines[1]["route"], &lines[1]["status"]), (&json!("none"), &json!(404)));
    assert!(lines[1]["id"].as_str().unwrap().parse::<u64>().is_ok() && lines[1].get("cf_ray").is_none());
    assert_eq!(lines[2]["route"], "/attendance/{event_id}");
    assert!(lines[2]["bytes"].as_u64().unwrap() > 50, "{}", lines[2]);
    assert!(!log.contains("rahasia"), "{log}");
}

#[tokio::test]
async fn a_preflight_is_logged_counted_and_has_the_headers_of_every_answer() {
    let variables = [
        ("CORS_ALLOWED_ORIGINS", "https://gate.example.org"),
        ("METRICS_ADDR", "127.0.0.1:0"),
        ("LOG_FORMAT", "json"),
    ];
    let process = Process::start(service(&variables)).await;
    let preflight = "OPTIONS /checkins HTTP/1.1\r\nHost: t\r\nConnection: close\r\nOrigin: https://gate.example.org\r\n\
                     Access-Control-Request-Method: POST\r\nX-Request-Id: gate-7.2\r\n\r\n";
    let answer = Raw::open(process.address, preflight).await.rest(SECOND * 5).await;
    for header in [
        "HTTP/1.1 200 OK\r\n",
        "\r\naccess-control-allow-origin: https://gate.example.org\r\n",
        "\r\nx-request-id: gate-7.2\r\n",
        "\r\nx-content-type-options: nosniff\r\n",
        "\r\nreferrer-policy: no-referrer\r\n",
    ] {
        assert!(answer.contains(header), "{header:?} is missing in {answer}");
    }
    let log = process.log();
    let address = log.split_once("http://").unwrap().1.split_once("/metrics").unwrap().0;
    let (_, metrics) = fetch(address.parse().unwrap(), "GET /metrics", "", "").await;
    let sample = r#"http_request_duration_seconds_count{method="OPTIONS",route="/checkins",status="200"} 1"#;
    assert!(metrics.contains(sample), "{metrics}");

    let log = process.finish().await;
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines: Vec<_> = lines.filter(|line| line["target"] == "access").collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert_eq!((&lines[0]["method"], &lines[0]["route"]), (&json!("OPTIONS"), &json!("/checkins")));
    assert_eq!((&lines[0]["id"], &lines[0]["status"]), (&json!("gate-7.2"), &json!(200)));
}

/// The lines of the access log, and how many it says that it left out for `client`.
fn access_lines(log: &str, client: &str) -> (usize, u64) {
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let written = lines.iter().filter(|line| line["target"] == "access").count();
    let left_out =
        lines.iter().filter(|line| line["client"] == client).filter_map(|line| line["lines"].as_u64());
    (written, left_out.sum())
}

#[tokio::test]
async fn a_flood_without_a_token_washes_nothing_away_and_what_was_left_out_is_counted() {
    let process = Process::start(service(&[("LOG_FORMAT", "json")])).await;
    let unknown = "GET /none HTTP/1.1\r\nHost: t\r\n\r\n".repeat(99)
        + "GET /none HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
    for _ in 0..50 {
        let answers = Raw::open(process.address, &unknown).await.rest(SECOND * 30).await;
        assert_eq!(answers.matches("HTTP/1.1 404 ").count(), 100);
    }
    // A gate does not notice.
    for number in 0..300 {
        let body = format!(r#"{{"event_id":"e","ticket_id":"{number}"}}"#);
        assert_eq!(fetch(process.address, "POST /checkins", &token(), &body).await.0, 200);
    }
    let log = process.finish().await;
    assert_eq!(log.matches(r#""route":"/checkins""#).count(), 300);
    let (written, left_out) = access_lines(&log, "127.0.0.1");
    assert_eq!(written as u64 + left_out, 5300);
    // On a slow machine the flood takes more than one period.
    assert!(left_out > 0 && written < 300 + 5000 / 2, "{written} lines, {left_out} left out");
}

#[tokio::test]
async fn a_log_that_nobody_reads_holds_up_neither_a_request_nor_the_end() {
    let mut command = service(&[("RUST_LOG", "debug"), ("PORT", "0")]);
    let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let address: SocketAddr = loop {
        let line = lines.next_line().await.unwrap().unwrap();
        if let Some((_, rest)) = line.split_once("is ready address=") {
            break rest.split_once(' ').unwrap().0.parse().unwrap();
        }
    };
    // Many times what a pipe holds, of lines of the access log and of events: a head that is none is one.
    let check_in = format!("POST /checkins HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {}\r\n", token());
    for number in 0..100 {
        let body = format!(r#"{{"event_id":"e","ticket_id":"{number}"}}"#);
        let request = format!("{check_in}Content-Length: {}\r\n\r\n{body}", body.len());
        let requests = request.repeat(19) + &request.replace("Host: t", "Host: t\r\nConnection: close");
        Raw::open(address, requests).await.rest(SECOND * 30).await;
        for _ in 0..10 {
            Raw::open(address, "no head\r\n\r\n").await.rest(SECOND * 30).await;
        }
    }
    assert_eq!(fetch(address, "GET /health", "", "").await.0, 200);
    let kill = Command::new("kill").args(["-TERM", &child.id().unwrap().to_string()]).status().await.unwrap();
    assert!(kill.success());
    let status = timeout(SECOND * 8, child.wait()).await.expect("ended within its grace").unwrap();
    assert_eq!(status.code(), Some(0));
    drop(lines);
}

#[tokio::test]
async fn the_access_log_can_be_switched_off_and_the_health_checks_on() {
    for (filter, lines) in [("info,access=off", 0), ("warn", 0), ("access=debug", 2), ("info", 1)] {
        // The service has to say where it listens.
        let filter = format!("{filter},attendance_service=info");
        let process = Process::start(service(&[("RUST_LOG", &filter)])).await;
        fetch(process.address, "GET /health", "", "").await;
        fetch(process.address, "GET /none", "", "").await;
        let log = process.finish().await;
        assert_eq!(log.matches(" access: request ").count(), lines, "{filter}: {log}");
    }
}

#[tokio::test]
async fn what_is_no_request_leaves_a_line_and_is_counted() {
    let process = Process::start(service(&[("LOG_FORMAT", "json"), ("METRICS_ADDR", "127.0.0.1:0")])).await;
    let log = process.log();
    let metrics = log.split_once("metrics=http://").or(log.split_once(r#""metrics":"http://"#)).unwrap().1;
    let metrics: SocketAddr = metrics.split_once("/metrics").unwrap().0.parse().unwrap();
    let long = format!("GET / HTTP/1.1\r\nX-Long: {}\r\n\r\n", "a".repeat(20_000));
    let mut sent = Vec::new();
    for head in ["\u{16}\u{3}\u{1}\r\n\r\n", &long] {
        let answer = Raw::open(process.address, head).await.rest(SECOND * 5).await;
        sent.push(answer.split_once("\r\n\r\n").unwrap().1.len());
    }
    let (_, shown) = fetch(metrics, "GET /metrics", "", "").await;
    for status in [400, 431] {
        let sample = format!(
            r#"http_request_duration_seconds_count{{method="other",route="none",status="{status}"}} 1"#
        );
        assert!(shown.contains(&sample), "{sample}\n is missing in\n{shown}");
    }

    let log = process.finish().await;
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines: Vec<_> = lines.filter(|line| line["target"] == "access").collect();
    assert_eq!(lines.len(), 2, "{log}");
    for (line, (status, bytes)) in lines.iter().zip([400, 431].into_iter().zip(sent)) {
        assert_eq!((&line["method"], &line["route"]), (&json!("other"), &json!("none")));
        assert_eq!((&line["status"], &line["bytes"]), (&json!(status), &json!(bytes)));
        assert_eq!(line["client"], "127.0.0.1");
    }
}

#[tokio::test]
async fn metrics_are_shown_on_a_listener_of_their_own_only() {
    let process = Process::start(service(&[("METRICS_ADDR", "127.0.0.1:0")])).await;
    let log = process.log();
    let address = log.split_once("metrics=http://").unwrap().1.split_once("/metrics").unwrap().0;
    let address: SocketAddr = address.parse().unwrap();
    let body = r#"{"event_id":"e","ticket_id":"t"}"#;
    for expected in [200, 400, 400] {
        assert_eq!(fetch(process.address, "POST /checkins", &token(), body).await.0, expected);
    }
    let (status, metrics) = fetch(address, "GET /metrics", "", "").await;
    assert_eq!(status, 200);
    for sample in [
        r#"http_request_duration_seconds_count{method="POST",route="/checkins",status="200"} 1"#,
        r#"http_request_duration_seconds_count{method="POST",route="/checkins",status="400"} 2"#,
        r#"tixgo_check_ins_total{outcome="accepted"} 1"#,
        r#"tixgo_check_ins_total{outcome="duplicate"} 2"#,
        "tixgo_records 1.0",
        "tixgo_store_limit_bytes 268435456.0",
        "# EOF",
    ] {
        assert!(metrics.contains(sample), "{sample}\n is missing in\n{metrics}");
    }
    assert_eq!(fetch(process.address, "GET /metrics", "", "").await.0, 404);
    assert_eq!(fetch(address, "GET /checkins", "", "").await.0, 404);
}

#[tokio::test]
async fn a_signal_ends_it_with_status_0() {
    let mut process = Process::start(service(&[])).await;
    fetch(process.address, "GET /health", "", "").await;
    process.signal("TERM").await;
    assert_eq!(process.ended(SECOND * 5).await, Some(0));
    assert!(process.log().contains("ready"));
}

#[tokio::test]
async fn hostile_bodies_get_json_errors_and_leave_the_memory_flat() {
    let process = Process::start(service(&[])).await;
    let (address, token) = (process.address, token());
    let check_in = async |body: &str| fetch(address, "POST /checkins", &token, body).await;
    check_in(r#"{"event_id":"e","ticket_id":"t"}"#).await;
    let before = process.kibibytes("VmHWM");

    let ten_megabytes = format!(r#"{{"event_id":"{}"}}"#, "x".repeat(10 << 20));
    let ten_thousand_levels = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let many_keys = format!("{{{}}}", r#""k":1,"#.repeat(9_000).trim_end_matches(','));
    let many_items = format!("[{}]", "[],".repeat(20_000).trim_end_matches(','));
    for _ in 0..10 {
        for (body, expected) in
            [(&ten_megabytes, 413), (&ten_thousand_levels, 400), (&many_keys, 422), (&many_items, 422)]
        {
            let (status, answer) = check_in(body).await;
            assert_eq!(status, expected);
            assert!(answer.starts_with(r#"{"detail":"#), "{answer}");
        }
    }
    let grown = process.kibibytes("VmHWM") - before;
    assert!(grown < 16 * 1024, "grown by {grown} KiB");
}

#[tokio::test]
async fn a_slow_reader_of_a_long_list_holds_up_no_check_in() {
    let process = Process::start(service(&[])).await;
    let (address, token) = (process.address, token());
    let long = "x".repeat(30_000);
    for number in 0..200 {
        let body = format!(r#"{{"event_id":"e","ticket_id":"{number}-{long}"}}"#);
        assert_eq!(fetch(address, "POST /checkins", &token, &body).await.0, 200);
    }
    let request = format!(
        "GET /attendance/e HTTP/1.1\r\nHost: t\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    let mut slow = Raw::open(address, request).await;
    slow.until("\r\n\r\n", SECOND).await;

    let begin = Instant::now();
    let (status, _) = fetch(address, "POST /checkins", &token, r#"{"event_id":"e","ticket_id":"t"}"#).await;
    assert_eq!(status, 200);
    assert!(begin.elapsed() < SECOND, "{:?}", begin.elapsed());
    assert!(slow.rest(SECOND * 10).await.ends_with("}]}"));
}
