//! The tests of identity-service. `api` speaks the contract in process, `login_guard` is the guard alone, and all others
//! start the program. What needs PostgreSQL has `postgres` in its path and is ignored until asked for: `.ci/run` starts
//! the server.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "clippy knows test functions, not what they call"
)]

mod api;
mod browser;
mod configuration;
mod flood;
mod login_flood;
mod login_guard;
mod operator;
mod postgres;
mod process;
mod restarts;
mod sqlite;

use std::{
    path::Path,
    process::Output,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use shared_http::testing::{Process, command, fetch};
use tokio::{
    process::Command,
    sync::Mutex,
    time::{interval, timeout},
};

const SECOND: Duration = Duration::from_secs(1);

/// The services answer within 2 s by design. There is room for a busy machine, and still a request's own deadline of
/// 10 s is not reached.
const IN_TIME: Duration = Duration::from_secs(8);

/// Secrets that production accepts.
const STRONG: &str = "3mFq0b6Jw1Zc8Yt5Rk2Nv7Xs4Lp9Hd0G";
const OTHER: &str = "b7Xe1Kq9Tz4Wm6Gh2Ua8Pc5Ds0Fj3LyR";

const BINARY: &str = env!("CARGO_BIN_EXE_identity-service");

const REGISTER: &str = "POST /auth/register";
const LOGIN: &str = "POST /auth/login";
const ME: &str = "GET /auth/me";
const REFRESH: &str = "POST /auth/refresh";

const WRONG: &str = r#"{"detail":"Username atau password salah"}"#;
const UNAVAILABLE: &str = r#"{"detail":"Penyimpanan tidak tersedia, coba lagi"}"#;

/// Held by each test that takes the whole machine, or measures how long something takes: one runs at a time.
static WHOLE_MACHINE: Mutex<()> = Mutex::const_new(());

/// Variables of the environment, and their values.
type Variables<'a> = &'a [(&'a str, &'a str)];

/// The program with a cheap bcrypt, on a free port, with these variables and nothing else of the environment.
fn service(variables: Variables<'_>) -> Command {
    let mut command = command(BINARY);
    command.envs([("BCRYPT_COST", "4"), ("PORT", "0")]).envs(variables.iter().copied());
    command
}

/// The program in production, on loopback, with these variables.
fn production(variables: Variables<'_>) -> Command {
    let production =
        [("APP_ENV", "production"), ("BCRYPT_COST", "10"), ("HOST", "127.0.0.1"), ("JWT_SECRET", STRONG)];
    service(&[&production, variables].concat())
}

/// The program with its users at `url`, none of them a demo user, and as many as anybody likes.
fn service_at(url: &str) -> Command {
    service(&[("DATABASE_URL", url), ("DEMO_USERS", "false"), ("REGISTRATIONS_PER_HOUR", "0")])
}

/// A file with this content, in `directory`: its path.
fn file(directory: &Path, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = directory.join(name);
    std::fs::write(&path, content).unwrap();
    path.into_os_string().into_string().unwrap()
}

/// What a program says that does not serve.
struct Said {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

async fn run(mut command: Command) -> Said {
    let output = timeout(SECOND * 30, command.kill_on_drop(true).output());
    said_by(output.await.expect("an end").unwrap())
}

fn said_by(Output { status, stdout, stderr }: Output) -> Said {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { status: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// Why a service does not start.
async fn refusal(command: Command, status: i32) -> String {
    let said = run(command).await;
    assert_eq!(said.status, Some(status), "{}", said.stderr);
    said.stderr
}

/// Checks that each of `sentences` is part of what was said.
fn assert_says(said: &str, sentences: &[impl AsRef<str>]) {
    for sentence in sentences {
        let sentence = sentence.as_ref();
        assert!(said.contains(sentence), "{sentence}\n is missing in\n{said}");
    }
}

/// Waits until `condition` is true.
async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let begin = Instant::now();
    let mut tick = interval(Duration::from_millis(10));
    while !condition().await {
        assert!(begin.elapsed() < SECOND * 60, "not within a minute: {what}");
        tick.tick().await;
    }
}

/// Asks with this name and password: status and body of the answer.
async fn ask_with(process: &Process, head: &str, username: &str, password: &str) -> (u16, String) {
    let body = json!({ "username": username, "password": password }).to_string();
    fetch(process.address, head, "", &body).await
}

/// Asks with this name, and the password that everybody has who is registered like this.
async fn ask(process: &Process, head: &str, username: &str) -> (u16, String) {
    ask_with(process, head, username, "rahasia").await
}

/// The token of a login that succeeds.
async fn token_of(process: &Process, username: &str, password: &str) -> String {
    let (status, body) = ask_with(process, LOGIN, username, password).await;
    assert_eq!(status, 200, "{username}: {body}");
    json_of(&body)["access_token"].as_str().unwrap().to_owned()
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}
