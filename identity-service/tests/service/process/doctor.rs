//! The subcommands `doctor` and `healthcheck`.

use shared_http::testing::Process;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{OTHER, SECOND, STRONG, Said, Variables, assert_says, file, production, run, service};

/// A user who is neither root nor the owner of anything.
const NOBODY: u32 = 65534;

/// What the doctor with these settings says of the service that serves on `port`, and its exit status.
async fn doctor(port: u16, variables: Variables<'_>, arguments: &[&str]) -> Said {
    let mut command = service(variables);
    command.env("PORT", port.to_string()).arg("doctor").args(arguments);
    run(command).await
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
async fn a_peer_that_is_the_wrong_one_or_not_ready_is_told() {
    let itself = peer("identity-service", "200 OK", "{}").await;
    let stranger = peer("nginx", "200 OK", "{}").await;
    let body = r#"{"detail":"the disk is full\u001b[2J"}"#;
    let full = peer("attendance", "503 Service Unavailable", body).await;
    let name = "name attendance-service, such as http://127.0.0.1:18082\n";
    let write = "is no http:// address; write http://127.0.0.1:18082, in containers http://attendance:8000\n";
    for (url, line) in [
        (&*itself, format!("{itself} is identity-service itself; {name}")),
        (&stranger, format!("{stranger} is no attendance-service; {name}")),
        (&full, format!("{full} runs, but is not ready: the disk is full\\u{{1b}}[2J; see to that\n")),
        ("localhost:18082", format!("\"localhost:18082\" {write}")),
        ("https://gate.example.org", format!("\"https://gate.example.org\" {write}")),
    ] {
        let said = doctor(1, &[], &["--peer", url]).await.stdout;
        assert!(said.ends_with(&format!("WRONG peer: {line}")), "{line}\n is missing in\n{said}");
    }
}

#[tokio::test]
async fn nothing_is_wrong_where_nothing_is() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/", directory.path().display());
    let settings = [("DATABASE_URL", &*url), ("ADMIN_USERNAME", "kepala")];
    // A service that runs is no obstacle.
    let running = Process::start(production(&settings)).await;
    let mut doctor = production(&settings);
    let peer = peer("attendance", "200 OK", "{}").await;
    doctor.env("PORT", running.address.port().to_string()).args(["doctor", "--peer", &peer]);
    let said = run(doctor).await;
    assert_eq!(said.status, Some(0), "{}", said.stdout);
    assert_says(
        &said.stdout,
        &[
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
        ],
    );
    assert!(!said.stdout.contains("WRONG") && !said.stdout.contains(STRONG), "{}", said.stdout);
}

#[tokio::test]
async fn everything_that_is_wrong_is_named_with_the_way_out() {
    let proxies = ("TRUSTED_PROXIES", "172.16.0.0/12");
    let (header, tunnel) =
        (("CLIENT_ADDRESS_HEADER", "CF-Connecting-IP"), ("COMPOSE_PROFILES", "observability,tunnel"));
    let untold = &["WRONG proxies: behind the tunnel clients cannot be told apart"][..];
    let rows: [(Variables<'_>, &[&str], i32); 8] = [
        (
            &[],
            &[
                "note  running: no identity-service runs on port 1 of this machine",
                "WRONG environment: development, with friendly defaults; set APP_ENV=production",
                "WRONG secret: JWT_SECRET is not set",
                "WRONG store: memory, which a restart forgets; set DATABASE_URL",
                "WRONG registration: open",
                "WRONG demo users: ",
                "WRONG peer: http://127.0.0.1:1/health cannot be reached",
            ],
            6,
        ),
        // Settings with which the service would not start, one that nobody reads, and a disk that is not there.
        (
            &[("APP_ENV", "production"), ("BCRYPT_COST", "")],
            &["WRONG configuration: JWT_SECRET is not set"],
            2,
        ),
        (
            &[("DATABSE_URL", "postgres://kata-sandi")],
            &["WRONG configuration: DATABSE_URL is set, and nothing reads it; is DATABASE_URL meant?\n"],
            7,
        ),
        (&[("DATABASE_URL", "sqlite:///nowhere/users.db")], &["WRONG disk: /nowhere takes no writes"], 6),
        (&[tunnel], untold, 7),
        (&[tunnel, proxies], untold, 7),
        (&[tunnel, header], untold, 7),
        (&[tunnel, proxies, header], &["ok    proxies: cf-connecting-ip is believed from 172.16.0.0/12"], 6),
    ];
    for (variables, lines, wrong) in rows {
        let said = doctor(1, variables, &["--peer", "http://127.0.0.1:1"]).await;
        assert_eq!(said.status, Some(1), "{}", said.stdout);
        assert_says(&said.stdout, lines);
        assert_says(&said.stderr, &[format!("{wrong} wrong")]);
        let is_configured = said.stdout.contains("ok    configuration: every setting can be used");
        assert_ne!(is_configured, said.stdout.contains("WRONG configuration"), "{}", said.stdout);
        assert!(!said.stdout.contains("kata-sandi"), "{}", said.stdout);
    }
}

#[tokio::test]
async fn it_looks_at_the_service_that_runs_whatever_its_own_environment_says() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/", directory.path().display());
    let secret = file(directory.path(), "secret", STRONG);
    let settings = [
        ("JWT_SECRET", ""),
        ("JWT_SECRET_FILE", &*secret),
        ("REGISTRATION", "admin"),
        ("TOKEN_EXPIRE_MINUTES", "720"),
        ("DATABASE_URL", &url),
    ];
    let running = Process::start(production(&settings)).await;
    let port = running.address.port();
    let said = doctor(port, &[("BCRYPT_COST", "10")], &[]).await;
    assert_eq!(said.status, Some(0), "{}", said.stdout);
    let file = format!("{}/identity.db", directory.path().display());
    assert_says(
        &said.stdout,
        &[
            &*format!("on port {port}, process {} of user ", running.id()),
            r#"note  setting: APP_ENV is "production" in the running service, and "development" in this"#,
            &format!(
                r#"note  setting: DATABASE_URL is "sqlite://{file}" in the running service, and "memory:" in"#
            ),
            r#"note  setting: DEMO_USERS is "false" in the running service, and "true" in"#,
            "ok    environment: production",
            "ok    secret: strong enough\n",
            "ok    tokens: good for 720 minutes",
            &format!("ok    store: {file}: whole"),
            "ok    demo users: off",
        ],
    );
    assert!(
        !said.stdout.contains("store: memory") && !said.stdout.contains("setting: HOST"),
        "{}",
        said.stdout
    );

    // The other way round: good settings here are no comfort.
    let running = Process::start(service(&[("HOST", "0.0.0.0")])).await;
    let mut command = production(&settings);
    command.env("PORT", running.address.port().to_string()).arg("doctor");
    let said = run(command).await;
    assert_eq!(said.status, Some(1), "{}", said.stdout);
    assert_says(
        &said.stdout,
        &[
            "WRONG environment: development",
            "WRONG secret: JWT_SECRET is the development secret, known to everybody; in production it must be",
            "WRONG store: memory, which a restart forgets",
            "WRONG registration: open",
            "WRONG demo users: anybody who reaches 0.0.0.0 can log in as panitia1 or admin1",
        ],
    );
    // A service of another port is named.
    let said = doctor(1, &settings, &[]).await.stdout;
    assert_says(&said, &["no identity-service runs on port 1 of this machine; one does with PORT="]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_secret_that_is_judged_is_that_of_the_service_that_runs() {
    let weak = [("JWT_SECRET", "Kx93nf"), ("JWT_SECRET_PREVIOUS", "dev-secret")];
    let running = Process::start(service(&weak)).await;
    let said = doctor(running.address.port(), &[("JWT_SECRET", STRONG)], &[]).await.stdout;
    assert_says(
        &said,
        &[
            "WRONG secret: JWT_SECRET is shorter than 32 bytes; in production it must be",
            "WRONG secret: JWT_SECRET_PREVIOUS is the development secret, known to everybody; in production it must be",
        ],
    );
    assert!(!said.contains("ok    secret") && !said.contains("Kx93nf"), "{said}");
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
    let password = file(directory.path(), "password", "kata sandi rahasia");
    let settings = [
        ("JWT_SECRET", STRONG),
        ("JWT_SECRET_PREVIOUS", OTHER),
        ("ADMIN_USERNAME", "kepala"),
        ("ADMIN_PASSWORD_FILE", &password),
    ];
    let process = Process::start(service(&settings)).await;
    let silent: Vec<_> = (0..100).map(|_| question(&process)).collect();
    let mut answer = question(&process);
    answer.set_read_timeout(Some(SECOND * 20)).unwrap();
    let mut shown = String::new();
    answer.read_to_string(&mut shown).unwrap();
    drop(silent);
    assert_says(&shown, &[r#""JWT_SECRET":"strong","JWT_SECRET_PREVIOUS":"strong""#]);
    for secret in [STRONG, OTHER, "rahasia"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn another_user_of_the_machine_is_told_no_settings() {
    let process = Process::start(service(&[])).await;
    let mut command = service(&[("PORT", &process.address.port().to_string())]);
    // Only root can be somebody else.
    let Ok(output) = command.arg("doctor").uid(NOBODY).output().await else {
        return println!("SKIPPED: the doctor of another user (only root can be one)");
    };
    let said = String::from_utf8(output.stdout).unwrap();
    assert_says(
        &said,
        &[
            "WRONG running: the process ",
            "ask as that user, or as root",
            "\nnote  what follows is about this environment\n",
        ],
    );
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn root_believes_only_the_process_that_serves_on_the_port() {
    use std::process::Stdio;

    use tokio::{
        io::{AsyncBufReadExt, BufReader},
        process::Command,
        time::timeout,
    };
    if Command::new("true").uid(NOBODY).status().await.is_err() {
        return println!("SKIPPED: another user who takes the name (only root can be one)");
    }
    // Takes the name, and a port of an address that nobody serves on.
    let mut other = production(&[("HOST", "127.0.0.2")]);
    other.uid(NOBODY);
    let other = Process::start(other).await;
    let port = other.address.port();
    let mut command = service(&[("PORT", &port.to_string())]);
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
    assert_says(&unasked, &["ERROR".to_owned(), format!("/{port}; ss -xlp")]);

    let said = doctor(port, &[], &[]).await;
    let id = other.id();
    let disbelief = format!(
        "WRONG running: process {id} of user {NOBODY} answers for identity-service, and is not what listens on port {port}"
    );
    assert!(said.status == Some(1) && !said.stdout.contains("environment: production"), "{}", said.stdout);
    assert_says(&said.stdout, &[disbelief]);

    real.kill().await.unwrap();
    let said = doctor(port, &[], &[]).await.stdout;
    assert_says(
        &said,
        &[&*format!("on port {port}, process {id} of user {NOBODY};"), "ok    environment: production"],
    );
}

#[tokio::test]
async fn the_health_check_tells_a_service_that_is_up_from_one_that_is_not() {
    let process = Process::start(service(&[])).await;
    let port = process.address.port().to_string();
    let check = async || {
        let mut command = service(&[("PORT", &port), ("HOST", "0.0.0.0"), ("APP_ENV", "production")]);
        command.arg("healthcheck");
        run(command).await
    };
    assert_eq!(check().await.status, Some(0));
    process.finish().await;
    let said = check().await;
    assert_eq!(said.status, Some(1));
    assert_says(&said.stderr, &[format!("http://127.0.0.1:{port}/health cannot be reached")]);
}
