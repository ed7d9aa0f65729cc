//! Mistakes in the settings, `.env`, and what depends on the environment.

use std::{path::Path, time::Instant};

use shared_http::testing::{Process, fetch};
use tokio::process::Command;

use crate::{
    LOGIN, ME, OTHER, SECOND, STRONG, Variables, WHOLE_MACHINE, ask_with, assert_says, file, json_of,
    production, refusal, run, service, token_of,
};

#[tokio::test]
async fn every_mistake_in_the_settings_is_named_at_once_with_exit_status_78() {
    let mistakes = [
        ("HOST", "localhost", "an IP address such as 127.0.0.1 or 0.0.0.0"),
        ("PORT", "65536", "a port number, 0 to 65535"),
        ("TLS", "on", "self-signed"),
        ("TLS_NAMES", "gate lan", "addresses and names separated by commas"),
        ("JWT_ALG", "RS256", "HS256"),
        ("TOKEN_EXPIRE_MINUTES", "0", "a whole number from 1 to 525600"),
        ("BCRYPT_COST", "3", "a whole number from 4 to 15"),
        ("LOGIN_GUARD", "loud", "on or off"),
        ("REGISTRATION", "friends", "open, committee, admin or closed"),
        ("REGISTRATIONS_PER_HOUR", "-1", "a whole number from 0 to 1000000"),
        ("ADMIN_USERNAME", "me", "a name of 3 to 50 characters"),
        ("DEMO_USERS", "maybe", "true or false"),
        ("CORS_ALLOWED_ORIGINS", "gate.example.org", "* or origins separated by commas"),
        ("TRUSTED_PROXIES", "cloudflare", "addresses and networks separated by commas"),
        ("CLIENT_ADDRESS_HEADER", "Forwarded", "the name of a header that holds one address"),
        ("LOG_FORMAT", "xml", "text or json"),
        ("RUST_LOG", "loud", "error, warn, info"),
        ("MAX_CONNECTIONS", "many", "a whole number from 1 to 100000"),
        ("REQUEST_TIMEOUT_SECONDS", "-1", "a whole number from 1 to 3600"),
        ("SHUTDOWN_GRACE_SECONDS", "1.5", "a whole number from 0 to 3600"),
    ];
    let mut command = service(&[("DATABASE_URL", "users.db")]);
    command.envs(mistakes.map(|(variable, value, _)| (variable, value)));
    let said = refusal(command, 78).await;
    let sentences =
        mistakes.map(|(variable, value, allowed)| format!("{variable} is {value:?}; it may be {allowed}"));
    assert_says(&said, &sentences);
    assert_says(&said, &["DATABASE_URL may be memory:, sqlite:// and an absolute path"]);
}

#[tokio::test]
async fn a_mistake_about_a_secret_or_a_password_is_named_and_neither_is_shown() {
    const SHORT: &str = "0123456789abcdef0123456789abcde";
    let directory = tempfile::tempdir().unwrap();
    let file = |name, content: &str| file(directory.path(), name, content);
    let (good, empty) = (file("good", &format!("{STRONG}\n")), file("empty", "\n"));
    let (short, long) = (file("short", "abc\n"), file("long", &"sandi".repeat(15)));
    let password = file("password", "kata sandi");
    let rows: [(Variables<'_>, &[&str]); 21] = [
        (&[("JWT_SECRET", "")], &["JWT_SECRET is not set", "openssl rand"]),
        (&[("JWT_SECRET", SHORT)], &["JWT_SECRET is shorter than 32 bytes", "openssl rand"]),
        (
            &[("JWT_SECRET", "dev-secret")],
            &["JWT_SECRET is an example from the documentation", "openssl rand"],
        ),
        (
            &[("JWT_SECRET", "please-change-me-to-a-long-random-string")],
            &["JWT_SECRET is an example from the documentation", "openssl rand"],
        ),
        (&[("JWT_SECRET", ""), ("JWT_SECRET_FILE", &empty)], &["JWT_SECRET_FILE is ", "which is empty"]),
        (
            &[("JWT_SECRET", ""), ("JWT_SECRET_FILE", "nowhere")],
            &[r#"JWT_SECRET_FILE is "nowhere", which cannot be read"#],
        ),
        (
            &[("JWT_SECRET_FILE", &good)],
            &[
                "JWT_SECRET and JWT_SECRET_FILE are both set; unset one of them, in the environment or in .env",
            ],
        ),
        (&[("JWT_SECRET_PREVIOUS", STRONG)], &["JWT_SECRET_PREVIOUS is the same secret as JWT_SECRET"]),
        (
            &[("JWT_SECRET_PREVIOUS_FILE", &good)],
            &["JWT_SECRET_PREVIOUS_FILE is the same secret as JWT_SECRET"],
        ),
        (&[("JWT_SECRET_PREVIOUS", SHORT)], &["JWT_SECRET_PREVIOUS is shorter than 32 bytes; in production"]),
        (
            &[("JWT_SECRET_PREVIOUS", "dev-secret")],
            &["JWT_SECRET_PREVIOUS is an example from the documentation"],
        ),
        (
            &[("JWT_SECRET_PREVIOUS", OTHER), ("JWT_SECRET_PREVIOUS_FILE", &good)],
            &["JWT_SECRET_PREVIOUS and JWT_SECRET_PREVIOUS_FILE are both set; unset one of them"],
        ),
        (
            &[("JWT_SECRET_PREVIOUS_FILE", "nowhere")],
            &[r#"JWT_SECRET_PREVIOUS_FILE is "nowhere", which cannot be read"#],
        ),
        (&[("JWT_SECRET", ""), ("JWT_SECRET_PREVIOUS", OTHER)], &["JWT_SECRET is not set"]),
        (&[("BCRYPT_COST", "9")], &[r#"BCRYPT_COST is "9"; it may be a whole number from 10 to 15"#]),
        (&[("ADMIN_PASSWORD_FILE", &empty)], &["which holds no password of at least 4 characters"]),
        (&[("ADMIN_PASSWORD_FILE", &short)], &["which holds no password of at least 4 characters"]),
        (&[("ADMIN_PASSWORD_FILE", &long)], &["which holds more than 72 bytes"]),
        (
            &[("ADMIN_PASSWORD_FILE", "nowhere")],
            &[r#"ADMIN_PASSWORD_FILE is "nowhere", which cannot be read"#],
        ),
        (
            &[("ADMIN_USERNAME", ""), ("ADMIN_PASSWORD_FILE", &password)],
            &["ADMIN_PASSWORD_FILE is set and ADMIN_USERNAME is not; set both"],
        ),
        (
            &[("JWT_SECRET", ""), ("JWT_SECRT", STRONG)],
            &["JWT_SECRT is set, and nothing reads it; is JWT_SECRET meant?"],
        ),
    ];
    for (variables, sentences) in rows {
        let mut command = production(&[("ADMIN_USERNAME", "kepala")]);
        command.envs(variables.iter().copied());
        let said = refusal(command, 78).await;
        assert_says(&said, sentences);
        for secret in [STRONG, OTHER, SHORT, "dev-secret", "please-change", "sandi"] {
            assert!(!said.contains(secret), "{said}");
        }
    }
    let mut from_file = production(&[("JWT_SECRET", ""), ("JWT_SECRET_FILE", &good)]);
    from_file.env("ADMIN_USERNAME", "kepala").env("ADMIN_PASSWORD_FILE", &password);
    Process::start(from_file).await;
    let nowhere_to_write = refusal(service(&[("ADMIN_USERNAME", "kepala")]), 1).await;
    assert_says(&nowhere_to_write, &["ADMIN_USERNAME needs a password", "ADMIN_PASSWORD_FILE"]);
}

#[tokio::test]
async fn development_is_friendly_and_production_is_strict() {
    let process = Process::start(service(&[])).await;
    assert_eq!(process.address.ip().to_string(), "127.0.0.1");
    assert_says(&process.log(), &["environment=development", r#"demo_users="on""#]);

    let process = Process::start(production(&[("BCRYPT_COST", ""), ("HOST", "")])).await;
    assert_eq!(process.address.ip().to_string(), "0.0.0.0");
    let ready = json_of(process.log().lines().last().unwrap());
    assert_eq!((&ready["environment"], &ready["demo_users"]), (&"production".into(), &"off".into()));
}

#[tokio::test]
async fn the_log_tells_where_users_are_kept_and_which_settings_are_dangerous() {
    const FORGETS: &str = "a restart forgets them; set DATABASE_URL";
    const KNOWN: &str = "JWT_SECRET is the development secret";
    const DEMO: &str = "anybody can log in as panitia1";
    const ANYBODY: &str = "anybody can register, also as admin; set REGISTRATION=committee or admin";
    const NOBODY: &str = "nobody can log in; set ADMIN_USERNAME";
    let directory = tempfile::tempdir().unwrap();
    let there = directory.path().to_str().unwrap();
    let password = file(directory.path(), "password", "kata sandi");
    let (url, of_file) = (format!("sqlite://{there}"), format!("sqlite://{there}/users.db"));
    let in_memory = "memory";
    let rows: [(&str, Variables<'_>, &str, &[&str]); 13] = [
        ("development", &[], in_memory, &[KNOWN]),
        ("development", &[("DATABASE_URL", &of_file)], &format!("sqlite {there}/users.db"), &[KNOWN]),
        ("development", &[("REGISTRATION", "admin")], in_memory, &[KNOWN]),
        ("development", &[("HOST", "0.0.0.0")], in_memory, &[KNOWN, DEMO]),
        ("production", &[], in_memory, &[FORGETS]),
        ("production", &[("DATABASE_URL", "memory:")], in_memory, &[FORGETS]),
        ("production", &[("DATABASE_URL", &url)], &format!("sqlite {there}/identity.db"), &[]),
        ("production", &[("DEMO_USERS", "true")], in_memory, &[FORGETS, DEMO]),
        ("production", &[("REGISTRATION", "open")], in_memory, &[FORGETS, ANYBODY]),
        ("production", &[("REGISTRATION", "committee")], in_memory, &[FORGETS]),
        ("production", &[("REGISTRATION", "admin")], in_memory, &[FORGETS, NOBODY]),
        ("production", &[("REGISTRATION", "closed")], in_memory, &[FORGETS, NOBODY]),
        (
            "production",
            &[("REGISTRATION", "admin"), ("ADMIN_USERNAME", "kepala"), ("ADMIN_PASSWORD_FILE", &password)],
            in_memory,
            &[FORGETS],
        ),
    ];
    for (environment, variables, store, dangers) in rows {
        let mut command = match environment {
            "production" => production(variables),
            _ => service(variables),
        };
        command.env("LOG_FORMAT", "json");
        let log = Process::start(command).await.finish().await;
        let ready = log.lines().find(|line| line.contains("is ready")).expect("a ready service");
        assert_eq!(json_of(ready)["store"], *store, "{variables:?}");
        for danger in [FORGETS, KNOWN, DEMO, ANYBODY, NOBODY] {
            assert_eq!(log.contains(danger), dangers.contains(&danger), "{variables:?}: {danger}: {log}");
        }
    }
}

#[tokio::test]
async fn demo_users_can_log_in_at_every_cost_and_no_start_waits_for_their_hashes() {
    let _alone = WHOLE_MACHINE.lock().await;
    for cost in 4..=12 {
        let process = Process::start(service(&[("BCRYPT_COST", &cost.to_string())])).await;
        assert_eq!(ask_with(&process, LOGIN, "panitia1", "secret").await.0, 200, "cost {cost}");
    }
    // At this cost a single hash takes seconds.
    let begin = Instant::now();
    let process = Process::start(service(&[("BCRYPT_COST", "15")])).await;
    assert_eq!(fetch(process.address, "GET /health", "", "").await.0, 200);
    assert!(begin.elapsed() < SECOND, "{:?}", begin.elapsed());
}

/// The program in `directory`, where this `.env` is.
fn with_dotenv(mut command: Command, directory: &Path, content: &str) -> Command {
    file(directory, ".env", content);
    command.current_dir(directory);
    command
}

#[tokio::test]
async fn a_dotenv_file_is_read_and_overrides_neither_the_environment_nor_a_flag() {
    let directory = tempfile::tempdir().unwrap();
    let dotenv = "MAX_CONNECTIONS=many\nDEMO_USERS=maybe\nLOG_FORMAT=xml\nJWT_SECRET='one of \"many\"'\n";
    let mut command = with_dotenv(service(&[("DEMO_USERS", "false")]), directory.path(), dotenv);
    command.args(["--log-format", "text"]);
    let said = refusal(command, 78).await;
    assert_says(&said, &[r#"MAX_CONNECTIONS is "many""#]);
    assert!(!said.contains("DEMO_USERS") && !said.contains("LOG_FORMAT"), "{said}");
}

#[tokio::test]
async fn production_leaves_a_dotenv_file_alone_and_says_so() {
    const NOT_READ: &str = ".env of the working directory is not read";
    let directory = tempfile::tempdir().unwrap();
    let dotenv = format!("DEMO_USERS=true\nLOG_FORMAT=text\nJWT_SECRET={STRONG}\n");
    let start = |command, dotenv: &str| with_dotenv(command, directory.path(), dotenv);
    let said = refusal(start(production(&[("JWT_SECRET", "")]), &dotenv), 78).await;
    assert_says(&said, &["JWT_SECRET is not set", NOT_READ]);

    let log = Process::start(start(production(&[("JWT_SECRET", OTHER)]), &dotenv)).await.finish().await;
    assert_eq!(log.matches(NOT_READ).count(), 1, "{log}");
    assert!(log.contains(r#""demo_users":"off""#), "JSON, and no demo users: {log}");

    // A file that says so itself is read.
    let dotenv = format!("APP_ENV=production\nHOST=127.0.0.1\nJWT_SECRET={STRONG}\n");
    let mut command = start(service(&[]), &dotenv);
    command.env_remove("BCRYPT_COST");
    let log = Process::start(command).await.finish().await;
    assert!(log.contains(r#""environment":"production""#) && !log.contains(NOT_READ), "{log}");
}

#[tokio::test]
async fn a_setting_that_nobody_reads_is_named_with_the_one_that_may_be_meant() {
    let directory = tempfile::tempdir().unwrap();
    let command = service(&[("DATABSE_URL", "postgres://kata-sandi"), ("PORTS", "1")]);
    let dotenv = "TRUSTED_PROXY=kata-sandi\nIDENTITY_PORT=1\n";
    let log = Process::start(with_dotenv(command, directory.path(), dotenv)).await.finish().await;
    assert_says(
        &log,
        &[
            "DATABSE_URL is set, and nothing reads it; is DATABASE_URL meant?",
            "TRUSTED_PROXY is set, and nothing reads it; is TRUSTED_PROXIES meant?",
        ],
    );
    assert_eq!(log.matches("nothing reads it").count(), 2, "{log}");
    assert!(!log.contains("kata-sandi"), "{log}");
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
        let said = refusal(with_dotenv(service(&[]), directory.path(), text), 78).await;
        assert_says(&said, &[format!("line {line} of .env is not NAME=value")]);
        assert!(!said.contains("hidden"), "{said}");
    }
}

#[tokio::test]
async fn a_new_secret_logs_nobody_out_while_the_previous_one_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let previous = file(directory.path(), "old", format!("{STRONG}\n"));
    let start = async |variables: Variables<'_>| {
        Process::start(production(&[&[("DEMO_USERS", "true")], variables].concat())).await
    };
    let old = token_of(&start(&[]).await, "panitia1", "secret").await;
    let rotated = [
        start(&[("JWT_SECRET", OTHER), ("JWT_SECRET_PREVIOUS", STRONG)]).await,
        start(&[("JWT_SECRET", OTHER), ("JWT_SECRET_PREVIOUS_FILE", &previous)]).await,
    ];
    let done = start(&[("JWT_SECRET", OTHER)]).await;
    for process in &rotated {
        assert_says(&process.log(), &["tokens of JWT_SECRET_PREVIOUS are accepted too"]);
        let new = token_of(process, "panitia1", "secret").await;
        // The second time it may be remembered.
        for _ in 0..2 {
            for (process, token, status) in
                [(process, &old, 200), (process, &new, 200), (&done, &new, 200), (&done, &old, 401)]
            {
                assert_eq!(fetch(process.address, ME, token, "").await.0, status);
            }
        }
    }
    assert!(!done.log().contains("JWT_SECRET_PREVIOUS"), "{}", done.log());
}

/// Which settings it names is told by docs/configuration.md.
#[tokio::test]
async fn help_shows_no_secret() {
    let mut command = service(&[("JWT_SECRET", STRONG), ("JWT_SECRET_PREVIOUS", OTHER)]);
    command.arg("--help");
    let said = run(command).await;
    assert_eq!(said.status, Some(0));
    assert_says(&said.stdout, &["[env: JWT_SECRET", "[env: JWT_SECRET_PREVIOUS"]);
    assert!(!said.stdout.contains(STRONG) && !said.stdout.contains(OTHER), "{}", said.stdout);
}
