//! identity-service as its operator meets it: the binary, its settings, its log and its signals.

use std::{
    io::{Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Output, Stdio},
    time::Instant,
};

use serde_json::Value;
use shared_http::testing::{Process, Raw, command, fetch};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    process::Command,
    time::timeout,
};

use crate::SECOND;

const STRONG: &str = "3mFq0b6Jw1Zc8Yt5Rk2Nv7Xs4Lp9Hd0G";
const OTHER: &str = "b7Xe1Kq9Tz4Wm6Gh2Ua8Pc5Ds0Fj3LyR";
const PANITIA1: &str = r#"{"username":"panitia1","password":"secret"}"#;

fn service(variables: &[(&str, &str)]) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_identity-service"));
    command.envs(variables.iter().copied());
    command
}

/// For a service that must not start: its exit status and what it says.
async fn refusal(mut command: Command) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command.env("PORT", "0").output().await.unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[tokio::test]
async fn every_mistake_in_the_settings_is_named_at_once_with_exit_status_78() {
    let mut command = service(&[
        ("HOST", "localhost"),
        ("JWT_ALG", "RS256"),
        ("TOKEN_EXPIRE_MINUTES", "0"),
        ("BCRYPT_COST", "3"),
        ("DATABASE_URL", "users.db"),
        ("LOGIN_GUARD", "loud"),
        ("REGISTRATION", "friends"),
        ("REGISTRATIONS_PER_HOUR", "-1"),
        ("ADMIN_USERNAME", "me"),
        ("DEMO_USERS", "maybe"),
        ("CORS_ALLOWED_ORIGINS", "gate.example.org"),
        ("TRUSTED_PROXIES", "cloudflare"),
        ("CLIENT_ADDRESS_HEADER", "Forwarded"),
        ("LOG_FORMAT", "xml"),
        ("RUST_LOG", "loud"),
        ("MAX_CONNECTIONS", "many"),
        ("REQUEST_TIMEOUT_SECONDS", "-1"),
        ("SHUTDOWN_GRACE_SECONDS", "1.5"),
    ]);
    let Output { status, stderr, .. } = command.env("PORT", "65536").output().await.unwrap();
    assert_eq!(status.code(), Some(78));
    let said = String::from_utf8(stderr).unwrap();
    for sentence in [
        r#"HOST is "localhost"; it may be an IP address such as 127.0.0.1 or 0.0.0.0"#,
        r#"PORT is "65536"; it may be a port number, 0 to 65535"#,
        r#"JWT_ALG is "RS256"; it may be HS256"#,
        r#"TOKEN_EXPIRE_MINUTES is "0"; it may be a whole number from 1 to 525600"#,
        r#"BCRYPT_COST is "3"; it may be a whole number from 4 to 15"#,
        "DATABASE_URL may be memory:, sqlite:// and an absolute path",
        r#"LOGIN_GUARD is "loud"; it may be on or off"#,
        r#"REGISTRATION is "friends"; it may be open, committee, admin or closed"#,
        r#"REGISTRATIONS_PER_HOUR is "-1"; it may be a whole number from 0 to 1000000"#,
        r#"ADMIN_USERNAME is "me"; it may be a name of 3 to 50 characters"#,
        r#"DEMO_USERS is "maybe"; it may be true or false"#,
        r#"CORS_ALLOWED_ORIGINS is "gate.example.org"; it may be * or origins separated by commas"#,
        r#"TRUSTED_PROXIES is "cloudflare"; it may be addresses and networks separated by commas"#,
        r#"CLIENT_ADDRESS_HEADER is "Forwarded"; it may be the name of a header that holds one address"#,
        r#"LOG_FORMAT is "xml"; it may be text or json"#,
        r#"RUST_LOG is "loud"; it may be error, warn, info"#,
        r#"MAX_CONNECTIONS is "many"; it may be a whole number from 1 to 100000"#,
        r#"REQUEST_TIMEOUT_SECONDS is "-1"; it may be a whole number from 1 to 3600"#,
        r#"SHUTDOWN_GRACE_SECONDS is "1.5"; it may be a whole number from 0 to 3600"#,
    ] {
        assert!(said.contains(sentence), "{sentence}\n is missing in\n{said}");
    }
}

#[tokio::test]
async fn production_refuses_a_secret_that_is_missing_short_or_published_and_does_not_show_it() {
    for (secret, complaint) in [
        ("", "JWT_SECRET is not set"),
        ("dev-secret", "JWT_SECRET is an example from the documentation"),
        ("0123456789abcdef0123456789abcde", "JWT_SECRET is shorter than 32 bytes"),
        ("please-change-me-to-a-long-random-string", "JWT_SECRET is an example from the documentation"),
    ] {
        let (status, said) = refusal(service(&[("APP_ENV", "production"), ("JWT_SECRET", secret)])).await;
        assert_eq!(status, Some(78), "{said}");
        assert!(said.contains(complaint) && said.contains("openssl rand"), "{said}");
        assert!(secret.is_empty() || !said.contains(secret), "{said}");
    }
}

#[tokio::test]
async fn production_refuses_a_cheap_password_hash() {
    let variables = [("APP_ENV", "production"), ("JWT_SECRET", STRONG), ("BCRYPT_COST", "9")];
    let (status, said) = refusal(service(&variables)).await;
    assert_eq!(status, Some(78));
    assert!(said.contains(r#"BCRYPT_COST is "9"; it may be a whole number from 10 to 15"#), "{said}");
}

#[tokio::test]
async fn production_logs_json_and_has_no_demo_users() {
    let process = Process::start(service(&[("APP_ENV", "production"), ("JWT_SECRET", STRONG)])).await;
    assert_eq!(process.address.ip().to_string(), "0.0.0.0");
    let ready: Value = serde_json::from_str(process.log().lines().last().unwrap()).unwrap();
    assert_eq!(ready["environment"], "production");
    assert_eq!(ready["store"], "memory");
    assert_eq!(ready["demo_users"], "off");

    let address = ([127, 0, 0, 1], process.address.port()).into();
    let (status, body) = fetch(address, "POST /auth/login", "", PANITIA1).await;
    assert_eq!((status, body.as_str()), (400, r#"{"detail":"Username atau password salah"}"#));
    let (_, page) = fetch(address, "GET /", "", "").await;
    assert!(!page.contains("panitia1"));
}

#[tokio::test]
async fn the_log_tells_where_users_are_kept_and_production_that_a_restart_forgets_them() {
    let directory = tempfile::tempdir().unwrap();
    let there = directory.path().to_str().unwrap();
    let file = format!("sqlite://{there}/users.db");
    let rows = [
        (("APP_ENV", "production"), "", "memory".to_owned(), true),
        (("APP_ENV", "production"), "memory:", "memory".to_owned(), true),
        (
            ("APP_ENV", "production"),
            &format!("sqlite://{there}"),
            format!("sqlite {there}/identity.db"),
            false,
        ),
        (("APP_ENV", "development"), &file, format!("sqlite {there}/users.db"), false),
        (("APP_ENV", "development"), "", "memory".to_owned(), false),
    ];
    for (environment, url, store, forgets) in rows {
        let variables = [
            environment,
            ("JWT_SECRET", STRONG),
            ("DATABASE_URL", url),
            ("HOST", "127.0.0.1"),
            ("LOG_FORMAT", "json"),
        ];
        let process = Process::start(service(&variables)).await;
        let ready: Value = serde_json::from_str(process.log().lines().last().unwrap()).unwrap();
        assert_eq!(ready["store"], store);
        fetch(process.address, "GET /health", "", "").await;
        let log = process.log();
        assert_eq!(log.contains("a restart forgets them; set DATABASE_URL"), forgets, "{log}");
    }
}

#[tokio::test]
async fn development_listens_on_loopback_has_demo_users_and_warns_of_its_secret() {
    let process = Process::start(service(&[])).await;
    assert_eq!(process.address.ip().to_string(), "127.0.0.1");
    let (_, page) = fetch(process.address, "GET /", "", "").await;
    assert!(page.contains("panitia1") && page.contains("admin1"));
    let log = process.log();
    assert!(log.contains("environment=development") && log.contains(r#"demo_users="on""#), "{log}");
    fetch(process.address, "GET /health", "", "").await;
    assert!(process.log().contains("JWT_SECRET is the development secret"), "{}", process.log());
}

#[tokio::test]
async fn starting_does_not_wait_for_the_hashes_of_demo_users() {
    // At this cost a single hash takes seconds.
    let begin = Instant::now();
    let process = Process::start(service(&[("BCRYPT_COST", "15")])).await;
    assert_eq!(fetch(process.address, "GET /health", "", "").await.0, 200);
    assert!(begin.elapsed() < SECOND, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn demo_users_can_log_in_at_every_cost() {
    for cost in 4..=12 {
        let process = Process::start(service(&[("BCRYPT_COST", &cost.to_string())])).await;
        assert_eq!(fetch(process.address, "POST /auth/login", "", PANITIA1).await.0, 200, "cost {cost}");
    }
}

#[tokio::test]
async fn a_dotenv_file_is_read_and_overrides_neither_the_environment_nor_a_flag() {
    let directory = tempfile::tempdir().unwrap();
    let dotenv = "BCRYPT_COST=99\nDEMO_USERS=maybe\nLOG_FORMAT=xml\nJWT_SECRET='one of \"many\"'\n";
    std::fs::write(directory.path().join(".env"), dotenv).unwrap();
    let mut command = service(&[("DEMO_USERS", "false")]);
    command.args(["--log-format", "text"]).current_dir(directory.path());
    let (status, said) = refusal(command).await;
    assert_eq!(status, Some(78));
    assert!(said.contains(r#"BCRYPT_COST is "99""#), "{said}");
    assert!(!said.contains("DEMO_USERS") && !said.contains("LOG_FORMAT"), "{said}");
}

#[tokio::test]
async fn production_leaves_a_dotenv_file_alone_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let dotenv = format!("DEMO_USERS=true\nLOG_FORMAT=text\nJWT_SECRET={STRONG}\n");
    std::fs::write(directory.path().join(".env"), dotenv).unwrap();
    let mut command = service(&[("APP_ENV", "production")]);
    command.current_dir(directory.path());
    let (status, said) = refusal(command).await;
    assert_eq!(status, Some(78), "{said}");
    assert!(
        said.contains("JWT_SECRET is not set") && said.contains(".env of the working directory is not read"),
        "{said}"
    );

    let mut command = service(&[("APP_ENV", "production"), ("HOST", "127.0.0.1"), ("JWT_SECRET", OTHER)]);
    command.current_dir(directory.path());
    let log = Process::start(command).await.finish().await;
    assert_eq!(log.matches(".env of the working directory is not read").count(), 1, "{log}");
    assert!(log.contains(r#""demo_users":"off""#), "JSON, and no demo users: {log}");

    // A file that says so itself is read.
    let dotenv = format!("APP_ENV=production\nHOST=127.0.0.1\nJWT_SECRET={STRONG}\n");
    std::fs::write(directory.path().join(".env"), dotenv).unwrap();
    let mut command = service(&[]);
    command.current_dir(directory.path());
    let log = Process::start(command).await.finish().await;
    assert!(log.contains(r#""environment":"production""#) && !log.contains("is not read"), "{log}");
}

#[tokio::test]
async fn a_setting_that_nobody_reads_is_named_with_the_one_that_may_be_meant() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(".env"), "TRUSTED_PROXY=kata-sandi\nIDENTITY_PORT=1\n").unwrap();
    let mut command =
        service(&[("DATABSE_URL", "postgres://kata-sandi"), ("PORTS", "1"), ("BCRYPT_COST", "4")]);
    command.current_dir(directory.path());
    let log = Process::start(command).await.finish().await;
    for sentence in [
        "DATABSE_URL is set, and nothing reads it; is DATABASE_URL meant?",
        "TRUSTED_PROXY is set, and nothing reads it; is TRUSTED_PROXIES meant?",
    ] {
        assert!(log.contains(sentence), "{sentence}\n is missing in\n{log}");
    }
    assert_eq!(log.matches("nothing reads it").count(), 2, "{log}");
    assert!(!log.contains("kata-sandi"), "{log}");

    // It may be why the service does not start.
    let (_, said) = refusal(service(&[("APP_ENV", "production"), ("JWT_SECRT", STRONG)])).await;
    assert!(said.contains("JWT_SECRT is set, and nothing reads it; is JWT_SECRET meant?"), "{said}");
}

#[tokio::test]
async fn a_broken_dotenv_file_is_named_and_not_quoted() {
    let directory = tempfile::tempdir().unwrap();
    for (text, line) in [
        ("JWT_SECRET=it is hidden here\n", 1),
        ("# A comment\nCORS_ALLOWED_ORIGINS='*\n'\n\nJWT_SECRET=it is hidden here\nHOST=a\n", 5),
        ("HOST=127.0.0.1\r\nhidden\r\n", 2),
        ("\nJWT_SECRET=\"hidden\n\nHOST=127.0.0.1\n", 2),
        (&format!("CORS_ALLOWED_ORIGINS={}\nit is hidden", "a".repeat(20_000)), 2),
    ] {
        std::fs::write(directory.path().join(".env"), text).unwrap();
        let mut command = service(&[]);
        command.current_dir(directory.path());
        let (status, said) = refusal(command).await;
        assert_eq!(status, Some(78));
        let wanted = format!("line {line} of .env is not NAME=value");
        assert!(said.contains(&wanted) && !said.contains("hidden"), "{wanted}\n is missing in\n{said}");
    }
}

#[tokio::test]
async fn the_secret_can_come_from_a_file_and_a_bad_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("good"), format!("{STRONG}\n")).unwrap();
    std::fs::write(path("empty"), "\n").unwrap();

    let production = ("APP_ENV", "production");
    let process = Process::start(service(&[production, ("JWT_SECRET_FILE", &path("good"))])).await;
    drop(process);
    for (file, complaint) in [("empty", "which is empty"), ("none", "which cannot be read")] {
        let (status, said) = refusal(service(&[production, ("JWT_SECRET_FILE", &path(file))])).await;
        assert_eq!(status, Some(78));
        assert!(said.contains("JWT_SECRET_FILE") && said.contains(complaint), "{said}");
    }
    let both = [production, ("JWT_SECRET", STRONG), ("JWT_SECRET_FILE", &path("good"))];
    let (status, said) = refusal(service(&both)).await;
    assert_eq!(status, Some(78));
    assert!(
        said.contains(
            "JWT_SECRET and JWT_SECRET_FILE are both set; unset one of them, in the environment or in .env"
        ),
        "{said}"
    );
}

#[tokio::test]
async fn a_mistake_about_the_previous_secret_is_named_and_neither_secret_shown() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("old").to_str().unwrap().to_owned();
    std::fs::write(&file, format!("{STRONG}\n")).unwrap();
    let rows: [(&[(&str, &str)], &str); 7] = [
        (&[("JWT_SECRET_PREVIOUS", STRONG)], "JWT_SECRET_PREVIOUS is the same secret as JWT_SECRET"),
        (&[("JWT_SECRET_PREVIOUS_FILE", &file)], "JWT_SECRET_PREVIOUS_FILE is the same secret as JWT_SECRET"),
        (
            &[("JWT_SECRET_PREVIOUS", "0123456789abcdef0123456789abcde")],
            "JWT_SECRET_PREVIOUS is shorter than 32 bytes; in production",
        ),
        (
            &[("JWT_SECRET_PREVIOUS", "dev-secret")],
            "JWT_SECRET_PREVIOUS is an example from the documentation",
        ),
        (
            &[("JWT_SECRET_PREVIOUS", OTHER), ("JWT_SECRET_PREVIOUS_FILE", &file)],
            "JWT_SECRET_PREVIOUS and JWT_SECRET_PREVIOUS_FILE are both set; unset one of them",
        ),
        (
            &[("JWT_SECRET_PREVIOUS_FILE", "nowhere")],
            r#"JWT_SECRET_PREVIOUS_FILE is "nowhere", which cannot be read"#,
        ),
        (&[("JWT_SECRET", ""), ("JWT_SECRET_PREVIOUS", OTHER)], "JWT_SECRET is not set"),
    ];
    for (variables, complaint) in rows {
        let mut command = service(&[("APP_ENV", "production"), ("JWT_SECRET", STRONG)]);
        command.envs(variables.iter().copied());
        let (status, said) = refusal(command).await;
        assert_eq!(status, Some(78), "{said}");
        assert!(said.contains(complaint), "{complaint}\n is missing in\n{said}");
        assert!(!said.contains(STRONG) && !said.contains(OTHER), "{said}");
    }
}

#[tokio::test]
async fn a_new_secret_logs_nobody_out_while_the_previous_one_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("old").to_str().unwrap().to_owned();
    std::fs::write(&file, format!("{STRONG}\n")).unwrap();
    let start = async |variables: &[(&str, &str)]| {
        let mut command =
            service(&[("APP_ENV", "production"), ("HOST", "127.0.0.1"), ("DEMO_USERS", "true")]);
        command.envs(variables.iter().copied());
        Process::start(command).await
    };
    let before = start(&[("JWT_SECRET", STRONG)]).await;
    let (_, body) = fetch(before.address, "POST /auth/login", "", PANITIA1).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    let token = body["access_token"].as_str().unwrap();
    for (variables, expected) in [
        (&[("JWT_SECRET", OTHER), ("JWT_SECRET_PREVIOUS", STRONG)][..], 200),
        (&[("JWT_SECRET", OTHER), ("JWT_SECRET_PREVIOUS_FILE", &file)][..], 200),
        (&[("JWT_SECRET", OTHER)][..], 401),
    ] {
        let process = start(variables).await;
        assert_eq!(fetch(process.address, "GET /auth/me", token, "").await.0, expected, "{variables:?}");
        assert_eq!(process.log().contains("tokens of JWT_SECRET_PREVIOUS are accepted too"), expected == 200);
    }
}

#[tokio::test]
async fn help_names_every_variable_and_shows_no_secret() {
    let mut command = service(&[("JWT_SECRET", STRONG), ("JWT_SECRET_PREVIOUS", OTHER)]);
    let Output { status, stdout, .. } = command.arg("--help").output().await.unwrap();
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
        "TOKEN_EXPIRE_MINUTES",
        "BCRYPT_COST",
        "LOGIN_GUARD",
        "REGISTRATION",
        "REGISTRATIONS_PER_HOUR",
        "ADMIN_USERNAME",
        "ADMIN_PASSWORD_FILE",
        "DATABASE_URL",
        "DEMO_USERS",
        "CORS_ALLOWED_ORIGINS",
        "TRUSTED_PROXIES",
        "CLIENT_ADDRESS_HEADER",
        "METRICS_ADDR",
        "LOG_FORMAT",
        "RUST_LOG",
        "MAX_CONNECTIONS",
        "REQUEST_TIMEOUT_SECONDS",
        "SHUTDOWN_GRACE_SECONDS",
    ] {
        assert!(help.contains(&format!("[env: {variable}")), "{variable} is missing in\n{help}");
    }
    assert!(!help.contains(STRONG));
}

/// The URL of what answers `/health` as `service` does, and everything else as told.
async fn peer(service: &str, status: &str, body: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = |status: &str, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let health = answer("200 OK", &format!(r#"{{"status":"ok","service":"{service}"}}"#));
    let other = answer(status, body);
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && client.read_buf(&mut head).await.unwrap() > 0 {}
            let answer = if head.starts_with(b"GET /health ") { &health } else { &other };
            client.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    url
}

#[tokio::test]
async fn the_doctor_tells_a_peer_that_is_the_wrong_one_or_not_ready() {
    let itself = peer("identity-service", "200 OK", "{}").await;
    let stranger = peer("nginx", "200 OK", "{}").await;
    let full =
        peer("attendance", "503 Service Unavailable", r#"{"detail":"the disk is full\u001b[2J"}"#).await;
    let there = "write http://127.0.0.1:18082, in containers http://attendance:8000\n";
    for (url, line) in [
        (
            &*itself,
            format!(
                "{itself} is identity-service itself; name attendance-service, such as http://127.0.0.1:18082\n"
            ),
        ),
        (
            &stranger,
            format!(
                "{stranger} is no attendance-service; name attendance-service, such as http://127.0.0.1:18082\n"
            ),
        ),
        (&full, format!("{full} runs, but is not ready: the disk is full\\u{{1b}}[2J; see to that\n")),
        ("localhost:18082", format!("\"localhost:18082\" is no http:// address; {there}")),
        ("https://gate.example.org", format!("\"https://gate.example.org\" is no http:// address; {there}")),
    ] {
        let mut command = service(&[("PORT", "1")]);
        let output = command.args(["doctor", "--peer", url]).output().await.unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let line = format!("WRONG peer: {line}");
        assert!(said.ends_with(&line), "{line}\n is missing in\n{said}");
    }
}

#[tokio::test]
async fn the_doctor_names_a_mistyped_setting() {
    let variables = [("PORT", "1"), ("DATABSE_URL", "postgres://kata-sandi")];
    let output = service(&variables).arg("doctor").output().await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.starts_with(
            "WRONG configuration: DATABSE_URL is set, and nothing reads it; is DATABASE_URL meant?\n"
        ),
        "{said}"
    );
    assert!(!said.contains("every setting can be used") && !said.contains("kata-sandi"), "{said}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_doctor_judges_the_secret_of_the_service_that_runs() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret").to_str().unwrap().to_owned();
    std::fs::write(&file, STRONG).unwrap();
    let running = Process::start(service(&[("JWT_SECRET_FILE", &file)])).await;
    let (_, said) = doctor(running.address.port(), &[]).await;
    assert!(said.contains("ok    secret: strong enough\n") && !said.contains("WRONG secret"), "{said}");

    let weak = [("JWT_SECRET", "Kx93nf"), ("JWT_SECRET_PREVIOUS", "dev-secret")];
    let running = Process::start(service(&weak)).await;
    let (_, said) = doctor(running.address.port(), &[("JWT_SECRET", STRONG)]).await;
    for line in [
        "WRONG secret: JWT_SECRET is shorter than 32 bytes; in production it must be",
        "WRONG secret: JWT_SECRET_PREVIOUS is the development secret, known to everybody; in production it must be",
    ] {
        assert!(said.contains(line), "{line}\n is missing in\n{said}");
    }
    assert!(!said.contains("ok    secret") && !said.contains("Kx93nf"), "{said}");
}

#[tokio::test]
async fn the_doctor_finds_nothing_wrong_where_nothing_is() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/", directory.path().display());
    let good = [("APP_ENV", "production"), ("JWT_SECRET", STRONG), ("DATABASE_URL", &url)];
    // A service that runs is no obstacle.
    let running = Process::start(service(
        &[&good[..], &[("HOST", "127.0.0.1"), ("ADMIN_USERNAME", "kepala")]].concat(),
    ))
    .await;
    let peer = peer("attendance", "200 OK", "{}").await;
    let port = running.address.port().to_string();
    let mut doctor = service(&[&good[..], &[("HOST", "127.0.0.1"), ("ADMIN_USERNAME", "kepala")]].concat());
    let output = doctor.env("PORT", &port).args(["doctor", "--peer", &peer]).output().await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    for line in [
        "ok    configuration: every setting can be used",
        "ok    running: identity-service ",
        "ok    environment: production",
        "ok    secret: strong enough",
        "note  tokens: good for 120 minutes, which is shorter than an evening",
        "ok    disk: ",
        "identity.db: whole, 1 users, the newest kepala (admin)",
        "ok    registration: committee",
        "ok    demo users: off",
        "ok    clock: 20",
        "ok    ready: ",
        "ok    peer: http://127.0.0.1",
    ] {
        assert!(said.contains(line), "{line}\n is missing in\n{said}");
    }
    assert!(!said.contains("WRONG") && !said.contains(STRONG), "{said}");
}

#[tokio::test]
async fn the_doctor_insists_on_the_proxies_and_their_header_behind_the_tunnel() {
    let wrong = "WRONG proxies: behind the tunnel clients cannot be told apart";
    let (proxies, header) =
        (("TRUSTED_PROXIES", "172.16.0.0/12"), ("CLIENT_ADDRESS_HEADER", "CF-Connecting-IP"));
    for (variables, line) in [
        (&[][..], wrong),
        (&[proxies], wrong),
        (&[header], wrong),
        (&[proxies, header], "ok    proxies: cf-connecting-ip is believed from 172.16.0.0/12"),
    ] {
        let mut command = service(variables);
        let output =
            command.env("COMPOSE_PROFILES", "observability,tunnel").arg("doctor").output().await.unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains(line), "{line}\n is missing in\n{said}");
    }
}

#[tokio::test]
async fn the_doctor_names_everything_that_is_wrong_and_the_way_out() {
    let nothing = "http://127.0.0.1:1";
    let nowhere = ("PORT", "1");
    let output = service(&[nowhere]).args(["doctor", "--peer", nothing]).output().await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for line in [
        "note  running: no identity-service runs on port 1 of this machine",
        "WRONG environment: development, with friendly defaults; set APP_ENV=production",
        "WRONG secret: JWT_SECRET is not set",
        "WRONG store: memory, which a restart forgets; set DATABASE_URL",
        "WRONG registration: open",
        "WRONG demo users: ",
        "WRONG peer: http://127.0.0.1:1/health cannot be reached",
    ] {
        assert!(said.contains(line), "{line}\n is missing in\n{said}");
    }
    assert!(String::from_utf8(output.stderr).unwrap().contains("6 wrong"), "{said}");

    // Settings with which the service would not start, and a disk that is not there.
    let output = service(&[nowhere, ("APP_ENV", "production")]).arg("doctor").output().await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.code() == Some(1) && said.contains("WRONG configuration: JWT_SECRET is not set"),
        "{said}"
    );
    let lost = [nowhere, ("DATABASE_URL", "sqlite:///nowhere/users.db")];
    let lost = service(&lost).arg("doctor").output().await.unwrap();
    let said = String::from_utf8(lost.stdout).unwrap();
    assert!(said.contains("WRONG disk: /nowhere takes no writes"), "{said}");
}

/// What the doctor with these settings says of the service that serves on `port`, and its exit status.
async fn doctor(port: u16, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = service(variables);
    let output = command.env("PORT", port.to_string()).arg("doctor").output().await.unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[tokio::test]
async fn the_doctor_looks_at_the_service_that_runs_whatever_its_own_environment_says() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/", directory.path().display());
    let production = [
        ("APP_ENV", "production"),
        ("HOST", "127.0.0.1"),
        ("JWT_SECRET", STRONG),
        ("REGISTRATION", "admin"),
        ("TOKEN_EXPIRE_MINUTES", "720"),
        ("DATABASE_URL", &url),
    ];
    let running = Process::start(service(&production)).await;
    let port = running.address.port();
    let (status, said) = doctor(port, &[]).await;
    assert_eq!(status, Some(0), "{said}");
    let file = format!("{}/identity.db", directory.path().display());
    for line in [
        format!("on port {port}, process {} of user ", running.id()),
        r#"note  setting: APP_ENV is "production" in the running service, and "development" in this"#
            .to_owned(),
        format!(
            r#"note  setting: DATABASE_URL is "sqlite://{file}" in the running service, and "memory:" in"#
        ),
        r#"note  setting: DEMO_USERS is "false" in the running service, and "true" in"#.to_owned(),
        "ok    environment: production".to_owned(),
        "ok    tokens: good for 720 minutes".to_owned(),
        format!("ok    store: {file}: whole"),
        "ok    demo users: off".to_owned(),
    ] {
        assert!(said.contains(&line), "{line}\n is missing in\n{said}");
    }
    assert!(!said.contains("store: memory") && !said.contains("setting: HOST"), "{said}");
    assert_eq!(doctor(port, &production).await.0, Some(0));

    // The other way round: good settings here are no comfort.
    let running = Process::start(service(&[("HOST", "0.0.0.0")])).await;
    let loopback = ([127, 0, 0, 1], running.address.port()).into();
    fetch(loopback, "GET /health", "", "").await;
    assert!(running.log().contains("anybody can log in as panitia1"), "{}", running.log());
    let (status, said) = doctor(running.address.port(), &production).await;
    assert_eq!(status, Some(1), "{said}");
    for line in [
        "WRONG environment: development",
        "WRONG secret: JWT_SECRET is the development secret, known to everybody; in production it must be",
        "WRONG store: memory, which a restart forgets",
        "WRONG registration: open",
        "WRONG demo users: anybody who reaches 0.0.0.0 can log in as panitia1 or admin1",
    ] {
        assert!(said.contains(line), "{line}\n is missing in\n{said}");
    }
    // A service of another port is named.
    let (_, said) = doctor(1, &production).await;
    assert!(
        said.contains("no identity-service runs on port 1 of this machine; one does with PORT="),
        "{said}"
    );
}

/// A question to the running service, as anybody on this machine may put it.
#[cfg(target_os = "linux")]
fn question(process: &Process) -> std::os::unix::net::UnixStream {
    use std::os::{linux::net::SocketAddrExt, unix::net};
    let name = format!("tixgo/identity-service/{}", process.address.port());
    net::UnixStream::connect_addr(&net::SocketAddr::from_abstract_name(name).unwrap()).unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_settings_that_are_shown_hold_no_secret_and_whoever_does_not_read_holds_nobody_up() {
    use std::io::Read;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password").to_str().unwrap().to_owned();
    std::fs::write(&file, "kata sandi rahasia").unwrap();
    let process = Process::start(service(&[
        ("JWT_SECRET", STRONG),
        ("JWT_SECRET_PREVIOUS", OTHER),
        ("ADMIN_USERNAME", "kepala"),
        ("ADMIN_PASSWORD_FILE", &file),
    ]))
    .await;
    let silent: Vec<_> = (0..100).map(|_| question(&process)).collect();
    let mut answer = question(&process);
    answer.set_read_timeout(Some(SECOND * 20)).unwrap();
    let mut shown = String::new();
    answer.read_to_string(&mut shown).unwrap();
    drop(silent);
    assert!(shown.contains(r#""JWT_SECRET":"strong","JWT_SECRET_PREVIOUS":"strong""#), "{shown}");
    for secret in [STRONG, OTHER, "rahasia"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn another_user_of_the_machine_is_told_no_settings() {
    const NOBODY: u32 = 65534;
    let process = Process::start(service(&[])).await;
    let mut command = service(&[("PORT", &process.address.port().to_string())]);
    // Only root can be somebody else.
    let Ok(output) = command.arg("doctor").uid(NOBODY).output().await else {
        return println!("SKIPPED: the doctor of another user (only root can be one)");
    };
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("WRONG running: the process ") && said.contains("ask as that user, or as root"),
        "{said}"
    );
    assert!(said.contains("\nnote  what follows is about this environment\n"), "{said}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn root_believes_only_the_process_that_serves_on_the_port() {
    const NOBODY: u32 = 65534;
    if Command::new("true").uid(NOBODY).status().await.is_err() {
        return println!("SKIPPED: another user who takes the name (only root can be one)");
    }
    // Takes the name, and a port of an address that nobody serves on.
    let mut other = service(&[("HOST", "127.0.0.2"), ("APP_ENV", "production"), ("JWT_SECRET", STRONG)]);
    let other = Process::start({
        other.uid(NOBODY);
        other
    })
    .await;
    let port = other.address.port().to_string();
    let mut command = service(&[("PORT", &port)]);
    let mut real = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut log = BufReader::new(real.stderr.take().unwrap()).lines();
    let unasked = async {
        while let Some(line) = log.next_line().await.unwrap() {
            if line.contains("doctor cannot ask") {
                return line;
            }
        }
        panic!("it ended")
    };
    let unasked = timeout(SECOND * 20, unasked).await.expect("a complaint");
    assert!(unasked.contains("ERROR") && unasked.contains(&format!("/{port}; ss -xlp")), "{unasked}");

    let (status, said) = doctor(other.address.port(), &[]).await;
    let disbelief = format!(
        "WRONG running: process {} of user {NOBODY} answers for identity-service, and is not what listens on port {port}",
        other.id()
    );
    assert!(status == Some(1) && said.contains(&disbelief), "{said}");
    assert!(!said.contains("environment: production"), "{said}");

    real.kill().await.unwrap();
    let (_, said) = doctor(other.address.port(), &[]).await;
    let belief = format!("on port {port}, process {} of user {NOBODY};", other.id());
    assert!(said.contains(&belief) && said.contains("ok    environment: production"), "{said}");
}

#[tokio::test]
async fn a_service_that_cannot_start_ends_though_nobody_reads_why() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut filler = theirs.try_clone().unwrap();
    filler.set_nonblocking(true).unwrap();
    while filler.write(&[b'x'; 1024]).is_ok() {}
    filler.set_nonblocking(false).unwrap();
    drop(filler);

    let mut command = service(&[("PORT", "http")]);
    let mut child = command.stderr(Stdio::from(OwnedFd::from(theirs))).kill_on_drop(true).spawn().unwrap();
    let status = timeout(SECOND * 20, child.wait()).await.expect("an end").unwrap();
    assert_eq!(status.code(), Some(78));
    ours.set_nonblocking(true).unwrap();
    let mut first = [0; 1];
    ours.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"x", "it was full");
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_way_out() {
    let process = Process::start(service(&[])).await;
    let mut command = service(&[("PORT", &process.address.port().to_string())]);
    let Output { status, stderr, .. } = command.output().await.unwrap();
    assert_eq!(status.code(), Some(1));
    let said = String::from_utf8(stderr).unwrap();
    assert!(
        said.contains(&format!("cannot listen on {}", process.address)) && said.contains("set HOST and PORT"),
        "{said}"
    );
}

#[tokio::test]
async fn the_health_check_tells_a_service_that_is_up_from_one_that_is_not() {
    let mut process = Process::start(service(&[])).await;
    let port = process.address.port().to_string();
    let check = async || {
        let mut command = service(&[("PORT", &port), ("HOST", "0.0.0.0"), ("APP_ENV", "production")]);
        command.arg("healthcheck").output().await.unwrap()
    };
    assert_eq!(check().await.status.code(), Some(0));
    process.signal("TERM").await;
    process.ended(SECOND * 5).await;
    let Output { status, stderr, .. } = check().await;
    assert_eq!(status.code(), Some(1));
    let said = String::from_utf8(stderr).unwrap();
    assert!(said.contains(&format!("http://127.0.0.1:{port}/health cannot be reached")), "{said}");
}

#[tokio::test]
async fn a_signal_drains_answers_what_is_in_flight_and_ends_with_status_0() {
    for signal in ["TERM", "INT"] {
        let mut process =
            Process::start(service(&[("BCRYPT_COST", "12"), ("SHUTDOWN_GRACE_SECONDS", "12")])).await;
        let address = process.address;
        let _half_head = Raw::open(address, "GET /health HTT").await;
        let head = "POST /auth/login HTTP/1.1\r\nHost: t\r\nContent-Length: 43\r\n\r\n";
        let _half_body = Raw::open(address, format!("{head}{{")).await;
        let mut slow = Raw::open(address, format!("{head}{PANITIA1}")).await;
        // Answered by the same loop: what was sent before it has been read.
        fetch(address, "GET /health", "", "").await;

        let begin = Instant::now();
        process.signal(signal).await;
        let answer = slow.rest(SECOND * 11).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert_eq!(process.ended(SECOND * 12).await, Some(0));
        assert!(begin.elapsed() < SECOND * 12, "{:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn a_shutdown_does_not_outlast_its_grace_for_a_password_that_is_being_hashed() {
    let mut process =
        Process::start(service(&[("BCRYPT_COST", "15"), ("SHUTDOWN_GRACE_SECONDS", "0")])).await;
    let login = format!("POST /auth/login HTTP/1.1\r\nHost: t\r\nContent-Length: 43\r\n\r\n{PANITIA1}");
    let _hashing = Raw::open(process.address, login).await;
    fetch(process.address, "GET /health", "", "").await;
    process.signal("TERM").await;
    assert_eq!(process.ended(SECOND).await, Some(0));
}

#[tokio::test]
async fn no_log_at_any_level_holds_a_password_a_token_or_the_secret() {
    let directory = tempfile::tempdir().unwrap();
    for format in ["text", "json"] {
        let variables = [
            ("JWT_SECRET", STRONG),
            ("RUST_LOG", "trace"),
            ("LOG_FORMAT", format),
            ("BCRYPT_COST", "4"),
            ("DATABASE_URL", &format!("sqlite://{}/{format}.db", directory.path().display())),
        ];
        let process = Process::start(service(&variables)).await;
        let address = process.address;
        let credentials = r#"{"username":"panitia7","password":"kata-sandi-rahasia"}"#;
        assert_eq!(fetch(address, "POST /auth/register", "", credentials).await.0, 200);
        let (_, body) = fetch(address, "POST /auth/login", "", credentials).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        let token = body["access_token"].as_str().unwrap();
        assert_eq!(fetch(address, "GET /auth/me", token, "").await.0, 200);
        let forged = format!("{}AAAA", &token[..token.len() - 4]);
        assert_eq!(fetch(address, "GET /auth/me", &forged, "").await.0, 401);
        fetch(address, "POST /auth/login", "", r#"{"username":"panitia7","password":"kata-sandi-salah"}"#)
            .await;
        fetch(address, "POST /auth/register", "", r#"{"username":"x","password":"kata-sandi-pendek"}"#).await;
        fetch(address, "POST /auth/register", "", r#"{"password":"kata-sandi-patah""#).await;
        fetch(address, "GET /auth/me?access_token=kata-sandi-di-url", "", "").await;

        let log = process.finish().await;
        assert!(log.contains("/auth/login"), "trace logs nothing: {log}");
        let signature = token.rsplit('.').next().unwrap();
        for secret in [STRONG, "kata-sandi", token, signature, &forged, "$2b$"] {
            assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
        }
    }
}

#[tokio::test]
async fn an_unknown_user_and_a_wrong_password_take_the_same_time() {
    let process = Process::start(service(&[("BCRYPT_COST", "9"), ("LOGIN_GUARD", "off")])).await;
    let time = async |username: &str| {
        let body = format!(r#"{{"username":"{username}","password":"wrong"}}"#);
        let begin = Instant::now();
        let answer = fetch(process.address, "POST /auth/login", "", &body).await;
        assert_eq!(answer, (400, r#"{"detail":"Username atau password salah"}"#.to_owned()));
        begin.elapsed()
    };
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for _ in 0..30 {
        known.push(time("panitia1").await);
        unknown.push(time("nobody").await);
    }
    known.sort();
    unknown.sort();
    let ratio = known[15].as_secs_f64() / unknown[15].as_secs_f64();
    assert!((0.8..1.25).contains(&ratio), "medians: known {:?}, unknown {:?}", known[15], unknown[15]);
}

#[tokio::test]
async fn a_flood_of_logins_is_refused_beyond_the_queue_and_leaves_the_rest_responsive() {
    for guard in ["on", "off"] {
        flood(guard).await;
    }
}

/// A hundred logins at once that fail, each of a name of its own and all from one address.
async fn flood(guard: &str) {
    let process = Process::start(service(&[("BCRYPT_COST", "10"), ("LOGIN_GUARD", guard)])).await;
    let address = process.address;
    let begin = Instant::now();
    let logins: Vec<_> = (0..100)
        .map(|number| {
            tokio::spawn(async move {
                let body = format!(r#"{{"username":"nobody-{number}","password":"wrong"}}"#);
                fetch(address, "POST /auth/login", "", &body).await.0
            })
        })
        .collect();
    assert_eq!(fetch(address, "GET /health", "", "").await.0, 200);
    let health = begin.elapsed();
    let mut answers = Vec::new();
    for login in logins {
        answers.push(login.await.unwrap());
    }
    let count = |status| answers.iter().filter(|answer| **answer == status).count();
    assert!(count(400) >= 9 && count(503) > 0 && count(400) + count(503) == 100, "{answers:?}");
    assert!(health < SECOND, "{health:?}");
    assert_eq!(fetch(address, "POST /auth/login", "", PANITIA1).await.0, 200);
}

/// The status of a login that says it comes from `claimed`.
async fn log_in_from(process: &Process, claimed: &str, username: &str, password: &str) -> u16 {
    let body = format!(r#"{{"username":"{username}","password":"{password}"}}"#);
    let request = format!(
        "POST /auth/login HTTP/1.1\r\nHost: t\r\nConnection: close\r\nCF-Connecting-IP: 192.0.2.1\r\n\
         X-Forwarded-For: {claimed}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = Raw::open(process.address, request).await.rest(SECOND * 30).await;
    answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer:.500}"))
}

#[tokio::test]
async fn a_thousand_failures_from_one_peer_are_of_one_client_whatever_its_headers_say() {
    let process = Process::start(service(&[("BCRYPT_COST", "4")])).await;
    let fail = async |number: usize| {
        let claimed = format!("198.51.{}.{}", number / 250, number % 250);
        log_in_from(&process, &claimed, &format!("user{number}"), "wrong").await
    };
    for number in 0..100 {
        assert_eq!(fail(number).await, 400, "{number}");
    }
    let before = process.kibibytes("VmHWM");
    let begin = Instant::now();
    let mut looked_at = 0;
    for number in 100..1000 {
        match fail(number).await {
            429 => {}
            400 => looked_at += 1,
            status => panic!("{status}"),
        }
    }
    // One a second, at the very most.
    assert!(looked_at <= begin.elapsed().as_secs() + 1, "{looked_at} in {:?}", begin.elapsed());
    let grown = process.kibibytes("VmHWM") - before;
    assert!(grown < 1024, "grown by {grown} KiB");
}

#[tokio::test]
async fn clients_behind_a_trusted_proxy_are_counted_apart() {
    let trusting = ("TRUSTED_PROXIES", "127.0.0.1");
    let process = Process::start(service(&[("BCRYPT_COST", "4"), trusting])).await;
    for number in 0..1000 {
        let claimed = format!("198.51.{}.{}", number / 250, number % 250);
        let status = log_in_from(&process, &claimed, &format!("user{number}"), "wrong").await;
        assert_eq!(status, 400, "{number}");
    }
    for number in 0..100 {
        log_in_from(&process, "203.0.113.1", &format!("name{number}"), "wrong").await;
    }
    assert_eq!(log_in_from(&process, "203.0.113.1", "panitia1", "secret").await, 429);
    assert_eq!(log_in_from(&process, "203.0.113.2", "panitia1", "secret").await, 200);
}

#[tokio::test]
async fn who_mistypes_twenty_times_is_noticed_by_nobody_else_at_the_same_address() {
    let process = Process::start(service(&[("BCRYPT_COST", "4")])).await;
    for number in 0..30 {
        let body = format!(r#"{{"username":"user{number}","password":"rahasia"}}"#);
        assert_eq!(fetch(process.address, "POST /auth/register", "", &body).await.0, 200);
    }
    for number in 0..29 {
        log_in_from(&process, "", "user29", "wrong").await;
        let username = format!("user{number}");
        assert_eq!(log_in_from(&process, "", &username, "rahasia").await, 200, "{username}");
    }
}

#[tokio::test]
async fn an_account_under_attack_lets_in_the_device_that_logged_in_before() {
    let trusting = ("TRUSTED_PROXIES", "127.0.0.1");
    let process = Process::start(service(&[("BCRYPT_COST", "4"), trusting])).await;
    let owner = async |claimed: &str| log_in_from(&process, claimed, "panitia1", "secret").await;
    assert_eq!(owner("203.0.113.1").await, 200);
    for number in 0..100 {
        log_in_from(&process, &format!("198.51.100.{number}"), "panitia1", "wrong").await;
    }
    assert_eq!(owner("203.0.113.2").await, 429, "from elsewhere");
    for _ in 0..10 {
        assert_eq!(owner("203.0.113.1").await, 200);
    }
}

#[tokio::test]
async fn a_mistake_about_the_password_of_the_first_admin_is_named_and_the_password_is_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let long = file("long", &"sandi".repeat(15));
    for (name, path, complaint) in [
        ("kepala", file("empty", "\n"), "which holds no password of at least 4 characters"),
        ("kepala", file("short", "abc\n"), "which holds no password of at least 4 characters"),
        ("kepala", long.clone(), "which holds more than 72 bytes"),
        ("kepala", "/nowhere".to_owned(), "which cannot be read"),
        ("", file("good", "kata sandi"), "ADMIN_PASSWORD_FILE is set and ADMIN_USERNAME is not; set both"),
    ] {
        let (status, said) =
            refusal(service(&[("ADMIN_USERNAME", name), ("ADMIN_PASSWORD_FILE", &path)])).await;
        assert_eq!(status, Some(78), "{said}");
        assert!(said.contains("ADMIN_PASSWORD_FILE") && said.contains(complaint), "{said}");
        assert!(!said.contains("sandi"), "{said}");
    }
}

#[tokio::test]
async fn the_log_of_production_says_when_anybody_can_register_and_when_nobody_can() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password").to_str().unwrap().to_owned();
    std::fs::write(&file, "kata sandi").unwrap();
    let first_admin = [("ADMIN_USERNAME", "kepala"), ("ADMIN_PASSWORD_FILE", file.as_str())];
    const ANYBODY: &str = "anybody can register, also as admin; set REGISTRATION=committee or admin";
    const NOBODY: &str = "nobody can log in; set ADMIN_USERNAME";
    for (variables, anybody, nobody) in [
        (&[("APP_ENV", "production"), ("REGISTRATION", "open")][..], true, false),
        (&[("APP_ENV", "production")], false, false),
        (&[("APP_ENV", "production"), ("REGISTRATION", "committee")], false, false),
        (&[("APP_ENV", "production"), ("REGISTRATION", "admin")], false, true),
        (&[("APP_ENV", "production"), ("REGISTRATION", "closed")], false, true),
        (
            &[("APP_ENV", "production"), ("REGISTRATION", "admin"), first_admin[0], first_admin[1]],
            false,
            false,
        ),
        (&[("REGISTRATION", "admin")], false, false),
        (&[], false, false),
    ] {
        let mut command = service(&[("JWT_SECRET", STRONG), ("HOST", "127.0.0.1")]);
        command.envs(variables.iter().copied());
        let process = Process::start(command).await;
        fetch(process.address, "GET /health", "", "").await;
        let log = process.log();
        assert_eq!((log.contains(ANYBODY), log.contains(NOBODY)), (anybody, nobody), "{variables:?} {log}");
    }
}

#[tokio::test]
async fn the_password_of_the_first_admin_is_drawn_into_a_file_for_its_owner_alone_and_stays_out_of_the_log() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/", directory.path().display());
    let file = directory.path().join("first-admin-password");
    // What somebody else put there is neither followed nor kept.
    let (victim, half) = (directory.path().join("victim"), directory.path().join("first-admin-password.new"));
    std::fs::write(&victim, "as it was").unwrap();
    symlink(&victim, &file).unwrap();
    symlink(&victim, &half).unwrap();
    let variables = [
        ("BCRYPT_COST", "4"),
        ("DATABASE_URL", &url),
        ("REGISTRATION", "admin"),
        ("ADMIN_USERNAME", "kepala"),
        ("RUST_LOG", "trace"),
    ];
    let mut process = Process::start(service(&variables)).await;
    let password = std::fs::read_to_string(&file).unwrap();
    let password = password.trim_end();
    assert_eq!(password.len(), 20, "{password}");
    let metadata = file.symlink_metadata().unwrap();
    assert!(metadata.is_file() && metadata.permissions().mode() & 0o777 == 0o600, "{metadata:?}");
    assert_eq!(std::fs::read_to_string(victim).unwrap(), "as it was");
    assert!(!half.exists());
    let log = process.log();
    assert!(log.contains(&format!("file={}", file.display())) && !log.contains(password), "{log}");
    process.signal("TERM").await;
    process.ended(SECOND * 5).await;

    let process = Process::start(service(&variables)).await;
    let body = format!(r#"{{"username":"kepala","password":"{password}"}}"#);
    let (status, body) = fetch(process.address, "POST /auth/login", "", &body).await;
    assert_eq!(status, 200, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    let token = body["access_token"].as_str().unwrap();
    let budi = r#"{"username":"budi","password":"rahasia"}"#;
    assert_eq!(fetch(process.address, "POST /auth/register", token, budi).await.0, 200);
    assert!(!process.log().contains(password), "{}", process.log());
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim_end(), password, "drawn once");
}

#[tokio::test]
async fn in_memory_the_first_admin_has_the_password_of_a_file_and_comes_before_a_demo_user() {
    let (status, said) = refusal(service(&[("ADMIN_USERNAME", "kepala")])).await;
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains("ADMIN_USERNAME needs a password") && said.contains("ADMIN_PASSWORD_FILE"),
        "{said}"
    );
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password").to_str().unwrap().to_owned();
    std::fs::write(&file, "kata sandi\n").unwrap();
    let variables = [("BCRYPT_COST", "4"), ("ADMIN_USERNAME", "admin1"), ("ADMIN_PASSWORD_FILE", &file)];
    let process = Process::start(service(&variables)).await;
    for (password, expected) in [("secret", 400), ("kata sandi", 200)] {
        let body = format!(r#"{{"username":"admin1","password":"{password}"}}"#);
        assert_eq!(fetch(process.address, "POST /auth/login", "", &body).await.0, expected, "{password}");
    }
}

#[tokio::test]
async fn a_client_registers_as_many_as_it_may_in_an_hour_and_an_appointed_admin_any_number() {
    for policy in ["open", "committee"] {
        registers_as_many_as_it_may(policy).await;
    }
}

async fn registers_as_many_as_it_may(policy: &str) {
    let variables = [
        ("BCRYPT_COST", "4"),
        ("REGISTRATION", policy),
        ("REGISTRATIONS_PER_HOUR", "3"),
        ("TRUSTED_PROXIES", "127.0.0.1"),
    ];
    let process = Process::start(service(&variables)).await;
    let register = async |claimed: &str, bearer: &str, username: &str, password: &str| {
        let body = format!(r#"{{"username":"{username}","password":"{password}"}}"#);
        let request = format!(
            "POST /auth/register HTTP/1.1\r\nHost: t\r\nConnection: close\r\nX-Forwarded-For: {claimed}\r\n\
             Authorization: Bearer {bearer}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Raw::open(process.address, request).await.rest(SECOND * 30).await
    };
    let status = |answer: &str| answer[9..12].to_owned();
    let (one, other) = ("198.51.100.1", "198.51.100.2");
    for username in ["user1", "user2", "user3"] {
        assert_eq!(status(&register(one, "", username, "rahasia").await), "200");
        // What is not accepted does not count.
        assert_eq!(status(&register(one, "", username, "rahasia").await), "400");
        assert_eq!(status(&register(one, "", "user4", "abc").await), "422");
    }
    let refused = register(one, "", "user4", "rahasia").await;
    let seconds = refused.split_once("retry-after: ").unwrap().1.split("\r\n").next().unwrap();
    assert!((1..=1200).contains(&seconds.parse::<u32>().unwrap()), "{seconds}");
    let detail = format!(r#"{{"detail":"Terlalu banyak pendaftaran, coba lagi dalam {seconds} detik"}}"#);
    assert!(refused.starts_with("HTTP/1.1 429 ") && refused.ends_with(&detail), "{refused}");

    assert_eq!(status(&register(other, "", "user4", "rahasia").await), "200");
    let admin = r#"{"username":"admin1","password":"secret"}"#;
    let (_, body) = fetch(process.address, "POST /auth/login", "", admin).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    let token = body["access_token"].as_str().unwrap();
    // Where everybody can register an admin, a token of one must not get around the limit.
    let expected = if policy == "open" { "429" } else { "200" };
    for number in 5..15 {
        let answer = register(one, token, &format!("user{number}"), "rahasia").await;
        assert_eq!(status(&answer), expected, "{policy}");
    }
}

#[tokio::test]
async fn without_a_limit_a_client_registers_any_number() {
    let process = Process::start(service(&[("BCRYPT_COST", "4"), ("REGISTRATIONS_PER_HOUR", "0")])).await;
    for number in 0..150 {
        let body = format!(r#"{{"username":"user{number}","password":"rahasia"}}"#);
        assert_eq!(fetch(process.address, "POST /auth/register", "", &body).await.0, 200, "{number}");
    }
}
