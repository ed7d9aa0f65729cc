//! attendance-service as its operator meets it: the program, its settings and its limits.

use std::{fs, net::SocketAddr, process::Stdio, time::Instant};

use serde_json::{Value, json};
use shared_auth::{Role, Secret, TokenIssuer};
use shared_http::testing::{Process, Raw, command, fetch};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

use crate::{
    BINARY, MEASURING, SECOND,
    gate::{Gate, scan, token},
    metrics, metrics_address, start,
};

const STRONG: &str = "3mFq0b6Jw1Zc8Yt5Rk2Nv7Xs4Lp9Hd0G";

/// The program with these variables in its environment.
fn with(variables: &[(&str, &str)]) -> Command {
    let mut command = command(BINARY);
    command.envs(variables.iter().copied());
    command
}

fn assert_contains(said: &str, parts: &[impl AsRef<str>]) {
    for part in parts.iter().map(AsRef::as_ref) {
        assert!(said.contains(part), "{part}\n is missing in\n{said}");
    }
}

/// The lines of a log in JSON, and those of the access log among them.
fn lines(log: &str) -> (Vec<Value>, Vec<Value>) {
    let all: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let access = all.iter().filter(|line| line["target"] == "access").cloned().collect();
    (all, access)
}

/// Sends the head of a request that closes the connection: the whole answer.
async fn ask(process: &Process, head: &str) -> String {
    let request = format!("{head}\r\nHost: t\r\nConnection: close\r\n\r\n");
    Raw::open(process.address, request).await.rest(SECOND * 5).await
}

#[tokio::test]
async fn every_mistake_in_the_settings_is_named_at_once_with_exit_status_78() {
    let output =
        with(&[("APP_ENV", "staging"), ("PORT", "http"), ("JWT_ALG", "none")]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8(output.stderr).unwrap();
    let mistakes = [
        r#"APP_ENV is "staging"; it may be development or production"#,
        r#"PORT is "http"; it may be a port number, 0 to 65535"#,
        r#"JWT_ALG is "none"; it may be HS256"#,
    ];
    assert_contains(&said, &mistakes);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_doctor_tells_that_the_service_runs_and_takes_no_check_ins() {
    let (process, mut gate) = start(with(&[("MAX_STORE_MB", "1"), ("METRICS_ADDR", "127.0.0.1:0")])).await;
    let (port, url) = (process.address.port().to_string(), format!("http://{}", process.address));
    let doctor = async || {
        let mut command = with(&[("PORT", &port)]);
        let output = command.args(["doctor", "--peer", &url]).output().await.unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_contains(&doctor().await, &["ok    ready: "]);
    let long = "x".repeat(30_000);
    let mut accepted = 0;
    while gate.check_in("e", &format!("{accepted}-{long}"), None).await.status == 200 {
        accepted += 1;
        assert!(accepted < 100, "never full");
    }
    assert_contains(&metrics(&process).await, &[r#"tixgo_check_ins_total{outcome="full"} 1"#]);
    let full = "WRONG ready: the check-ins take all of MAX_STORE_MB, or nearly all: raise it, and start again; see to that\n";
    let peer = format!(
        "WRONG peer: {url} is attendance-service itself; name identity-service, such as http://127.0.0.1:18081\n"
    );
    assert_contains(&doctor().await, &[full, &peer]);
}

#[tokio::test]
async fn two_hundred_idle_clients_under_a_limit_of_64_files_lock_nobody_out() {
    let _turn = MEASURING.lock().await;
    let mut shell = command("sh");
    shell.args(["-c", "ulimit -n 64 && exec \"$0\"", BINARY]).env("REQUEST_TIMEOUT_SECONDS", "3");
    let process = Process::start(shell).await;
    let beginnings =
        ["", "GET /health HTT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "POST /checkins HTTP/1.1\r\n"];
    let mut idle = Vec::new();
    for bytes in beginnings.iter().cycle().take(200) {
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
    let process = Process::start(with(&[])).await;
    assert_eq!(fetch(process.address, "GET /health", "", "").await.0, 200);
    let may_open =
        |files| rlimit::prlimit(process.id() as i32, rlimit::Resource::NOFILE, Some((files, 1024)), None);
    // What is open stays open; nothing can be added to stdin, stdout and stderr.
    may_open(3).unwrap();
    let address = process.address;
    let waiting = tokio::spawn(async move { fetch(address, "GET /health", "", "").await.0 });
    process.log_with("cannot accept connections; trying on").await;
    may_open(1024).unwrap();
    assert_eq!(waiting.await.unwrap(), 200);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn where_there_is_but_one_core_lists_are_compressed_too() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let (_, cores) = status.split_once("Cpus_allowed_list:\t").expect("the cores that we may use");
    let first: String = cores.chars().take_while(char::is_ascii_digit).collect();
    let mut on_one_core = command("taskset");
    on_one_core.args(["--cpu-list", &first, BINARY]);
    let (process, mut gate) = start(on_one_core).await;
    gate.check_in("e", "t", None).await.record();
    let list =
        format!("GET /attendance/e HTTP/1.1\r\nAccept-Encoding: gzip\r\nAuthorization: Bearer {}", token());
    let answer = ask(&process, &list).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\ncontent-encoding: gzip\r\n"), "{answer}");
}

#[tokio::test]
async fn an_id_of_ten_thousand_characters_fits_into_a_path() {
    let (_process, mut gate) = start(with(&[])).await;
    let event = "x".repeat(10_000);
    gate.check_in(&event, &event, None).await.record();
    assert_eq!(gate.records(&event).await.len(), 1);
}

#[tokio::test]
async fn no_log_at_any_level_holds_a_token_or_the_secret() {
    let process = Process::start(with(&[("RUST_LOG", "trace"), ("JWT_SECRET", STRONG)])).await;
    let issuer = TokenIssuer::new(&Secret::new(STRONG), SECOND * 60);
    let token = issuer.issue("panitia1", Role::Committee).unwrap();
    let forged = format!("{}AAAA", &token[..token.len() - 4]);
    let body = r#"{"event_id":"e","ticket_id":"t"}"#;
    for (token, expected) in [(&token, 200), (&token, 400), (&forged, 401)] {
        assert_eq!(fetch(process.address, "POST /checkins", token, body).await.0, expected);
        fetch(process.address, "GET /attendance/e", token, "").await;
    }
    let log = process.finish().await;
    assert!(log.contains("/checkins"), "trace logs nothing: {log}");
    for secret in [STRONG, &token, &forged, token.rsplit('.').next().unwrap()] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}

#[tokio::test]
async fn a_request_leaves_one_line_in_the_access_log() {
    let address_header = ("CLIENT_ADDRESS_HEADER", "CF-Connecting-IP");
    let process =
        Process::start(with(&[("LOG_FORMAT", "json"), ("TRUSTED_PROXIES", "127.0.0.1"), address_header]))
            .await;
    let head = "Connection: close\r\nX-Request-Id: gate-7.1\r\nCF-Connecting-IP: 198.51.100.7\r\n\
                CF-Ray: 8f1c-SIN\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nHost";
    let check_in = scan("rahasia/1", "t", None, &token()).replace("/checkins", "/checkins?key=rahasia");
    let check_in = check_in.replacen("Host", head, 1);
    let answer = Raw::open(process.address, check_in).await.rest(SECOND * 5).await;
    let sent = answer.split_once("\r\n\r\n").unwrap().1.len();
    ask(&process, "GET /rahasia HTTP/1.1\r\nX-Request-Id: no good\r\nCF-Ray: \"").await;
    // Compressed, and so as long as it turns out to be.
    let list = "GET /attendance/rahasia%2F1 HTTP/1.1\r\nAccept-Encoding: gzip\r\nAuthorization: Bearer";
    ask(&process, &format!("{list} {}", token())).await;
    fetch(process.address, "GET /health", "", "").await;
    fetch(process.address, "GET /ready", "", "").await;

    let log = process.finish().await;
    assert!(!log.contains("rahasia"), "{log}");
    let (_, mut lines) = lines(&log);
    assert_eq!(lines.len(), 3, "health is not worth a line: {log}");
    for changing in ["timestamp", "microseconds"] {
        assert!(lines[0].as_object_mut().unwrap().remove(changing).is_some(), "{changing}");
    }
    assert_eq!(
        lines[0],
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
}

#[tokio::test]
async fn what_reaches_no_route_is_logged_and_counted_and_has_the_headers_of_every_answer() {
    let process = Process::start(with(&[
        ("CORS_ALLOWED_ORIGINS", "https://gate.example.org"),
        ("METRICS_ADDR", "127.0.0.1:0"),
        ("LOG_FORMAT", "json"),
    ]))
    .await;
    let preflight = "OPTIONS /checkins HTTP/1.1\r\nOrigin: https://gate.example.org\r\n\
                     Access-Control-Request-Method: POST\r\nX-Request-Id: gate-7.2";
    let preflight = ask(&process, preflight).await;
    let headers = [
        "HTTP/1.1 200 OK\r\n",
        "\r\naccess-control-allow-origin: https://gate.example.org\r\n",
        "\r\nx-request-id: gate-7.2\r\n",
        "\r\nx-content-type-options: nosniff\r\n",
        "\r\nreferrer-policy: no-referrer\r\n",
    ];
    assert_contains(&preflight, &headers);
    // No request at all: a handshake of TLS, and a head that is too long.
    let long = format!("GET / HTTP/1.1\r\nX-Long: {}\r\n\r\n", "a".repeat(20_000));
    let mut answers = vec![preflight];
    for head in ["\u{16}\u{3}\u{1}\r\n\r\n", &long] {
        answers.push(Raw::open(process.address, head).await.rest(SECOND * 5).await);
    }
    let expected = [("OPTIONS", "/checkins", 200), ("other", "none", 400), ("other", "none", 431)];
    let shown = metrics(&process).await;
    for (method, route, status) in expected {
        let labels = format!(r#"{{method="{method}",route="{route}",status="{status}"}}"#);
        assert_contains(&shown, &[format!("http_request_duration_seconds_count{labels} 1")]);
    }

    let log = process.finish().await;
    let (_, lines) = lines(&log);
    assert_eq!(lines.len(), expected.len(), "{log}");
    assert_eq!(lines[0]["id"], "gate-7.2");
    for ((line, (method, route, status)), answer) in lines.iter().zip(expected).zip(answers) {
        let logged = ["method", "route", "status", "bytes", "client"].map(|field| line[field].clone());
        let bytes = answer.split_once("\r\n\r\n").unwrap().1.len();
        assert_eq!(Value::from(&logged[..]), json!([method, route, status, bytes, "127.0.0.1"]));
    }
}

#[tokio::test]
async fn a_flood_without_a_token_washes_nothing_away_and_what_was_left_out_is_counted() {
    let (process, mut gate) = start(with(&[("LOG_FORMAT", "json")])).await;
    let unknown = "GET /none HTTP/1.1\r\nHost: t\r\n\r\n".repeat(99)
        + "GET /none HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
    for _ in 0..50 {
        let answers = Raw::open(process.address, &unknown).await.rest(SECOND * 30).await;
        assert_eq!(answers.matches("HTTP/1.1 404 ").count(), 100);
    }
    // A gate does not notice.
    for number in 0..300 {
        gate.check_in("e", &number.to_string(), None).await.record();
    }
    let log = process.finish().await;
    assert_eq!(log.matches(r#""route":"/checkins""#).count(), 300);
    let (all, access) = lines(&log);
    let of_client = all.iter().filter(|line| line["client"] == "127.0.0.1");
    let left_out: u64 = of_client.filter_map(|line| line["lines"].as_u64()).sum();
    let written = access.len() as u64;
    assert_eq!(written + left_out, 5300);
    // On a slow machine the flood takes more than one period.
    assert!(left_out > 0 && written < 300 + 5000 / 2, "{written} lines, {left_out} left out");
}

#[tokio::test]
async fn a_log_that_nobody_reads_holds_up_neither_a_request_nor_the_end() {
    let mut command = with(&[("RUST_LOG", "debug"), ("PORT", "0")]);
    let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let address: SocketAddr = loop {
        let line = lines.next_line().await.unwrap().unwrap();
        if let Some((_, rest)) = line.split_once("is ready address=") {
            break rest.split_once(' ').unwrap().0.parse().unwrap();
        }
    };
    // Many times what a pipe holds, of lines of the access log and of events: a head that is none is one.
    for number in 0..100 {
        let request = scan("e", &number.to_string(), None, &token());
        let requests = request.repeat(19) + &request.replacen("Host", "Connection: close\r\nHost", 1);
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
        let process = Process::start(with(&[("RUST_LOG", &filter)])).await;
        fetch(process.address, "GET /health", "", "").await;
        fetch(process.address, "GET /none", "", "").await;
        let log = process.finish().await;
        assert_eq!(log.matches(" access: request ").count(), lines, "{filter}: {log}");
    }
}

#[tokio::test]
async fn metrics_are_shown_on_a_listener_of_their_own_only() {
    let (process, mut gate) = start(with(&[("METRICS_ADDR", "127.0.0.1:0")])).await;
    for expected in [200, 400, 400] {
        assert_eq!(gate.check_in("e", "t", None).await.status, expected);
    }
    let samples = [
        r#"http_request_duration_seconds_count{method="POST",route="/checkins",status="200"} 1"#,
        r#"http_request_duration_seconds_count{method="POST",route="/checkins",status="400"} 2"#,
        r#"tixgo_check_ins_total{outcome="accepted"} 1"#,
        r#"tixgo_check_ins_total{outcome="duplicate"} 2"#,
        "tixgo_records 1.0",
        "tixgo_store_limit_bytes 268435456.0",
        "# EOF",
    ];
    assert_contains(&metrics(&process).await, &samples);
    assert_eq!(fetch(process.address, "GET /metrics", "", "").await.0, 404);
    assert_eq!(fetch(metrics_address(&process), "GET /checkins", "", "").await.0, 404);
}

#[tokio::test]
async fn hostile_bodies_get_json_errors_and_leave_the_memory_flat() {
    let (process, mut gate) = start(with(&[])).await;
    gate.check_in("e", "t", None).await.record();
    let before = process.kibibytes("VmHWM");

    let ten_megabytes = format!(r#"{{"event_id":"{}"}}"#, "x".repeat(10 << 20));
    let ten_thousand_levels = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let many_keys = format!("{{{}}}", r#""k":1,"#.repeat(9_000).trim_end_matches(','));
    let many_items = format!("[{}]", "[],".repeat(20_000).trim_end_matches(','));
    for _ in 0..10 {
        for (body, expected) in
            [(&ten_megabytes, 413), (&ten_thousand_levels, 400), (&many_keys, 422), (&many_items, 422)]
        {
            let (status, answer) = fetch(process.address, "POST /checkins", &gate.token, body).await;
            assert_eq!(status, expected);
            assert!(answer.starts_with(r#"{"detail":"#), "{answer}");
        }
    }
    let grown = process.kibibytes("VmHWM") - before;
    assert!(grown < 16 * 1024, "grown by {grown} KiB");
}

#[tokio::test]
async fn a_slow_reader_of_a_long_list_holds_up_no_check_in() {
    let _turn = MEASURING.lock().await;
    let (process, mut gate) = start(with(&[])).await;
    let long = "x".repeat(30_000);
    for number in 0..200 {
        gate.check_in("e", &format!("{number}-{long}"), None).await.record();
    }
    let authorization = format!("Connection: close\r\nAuthorization: Bearer {}", gate.token);
    let request = format!("GET /attendance/e HTTP/1.1\r\nHost: t\r\n{authorization}\r\n\r\n");
    let mut slow = Raw::open(process.address, request).await;
    slow.until("\r\n\r\n", SECOND).await;

    let begin = Instant::now();
    Gate::open(process.address).await.check_in("e", "t", None).await.record();
    assert!(begin.elapsed() < SECOND, "{:?}", begin.elapsed());
    assert!(slow.rest(SECOND * 10).await.ends_with("}]}"));
}
