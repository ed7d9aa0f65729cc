//! Who is registered before the process is killed, and after it. The same test for the file and for PostgreSQL.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use shared_http::testing::{Process, fetch};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    task::JoinSet,
    time::sleep,
};

const ROUNDS: usize = 50;
const CLIENTS: usize = 4;

/// The binary, with a cheap bcrypt and no demo users.
pub(crate) fn service(url: &str) -> Command {
    let mut command = shared_http::testing::command(env!("CARGO_BIN_EXE_identity-service"));
    command.envs([
        ("BCRYPT_COST", "4"),
        ("DEMO_USERS", "false"),
        ("REGISTRATIONS_PER_HOUR", "0"),
        ("DATABASE_URL", url),
    ]);
    command
}

/// Asks to register `name` or to log in with it.
pub(crate) async fn ask(process: &Process, head: &str, name: &str) -> (u16, String) {
    fetch(process.address, head, "", &user(name)).await
}

fn user(name: &str) -> String {
    json!({ "username": name, "password": "rahasia" }).to_string()
}

/// Everybody who is registered in the end.
pub(crate) async fn whoever_was_registered_before_a_kill_is_there_afterwards(
    service: impl Fn() -> Command,
) -> BTreeSet<String> {
    let begin = Instant::now();
    let mut all = BTreeSet::new();
    let (mut acknowledged, mut unknown) = (0, 0);
    let mut process = Process::start(service()).await;
    for round in 0..ROUNDS {
        let registered = Arc::new(AtomicUsize::new(0));
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let (address, registered) = (process.address, registered.clone());
            clients.spawn(async move {
                let mut names = Vec::new();
                loop {
                    let name = format!("user{round}-{client}-{}", names.len());
                    let is_registered = register(address, &name).await;
                    names.push((name, is_registered));
                    if !is_registered {
                        return names;
                    }
                    registered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // The process is killed at another moment each time.
        while registered.load(Ordering::Relaxed) < 5 + round % 20 {
            tokio::task::yield_now().await;
        }
        sleep(Duration::from_micros(round as u64 * 97 % 3000)).await;
        process.signal("KILL").await;
        assert_eq!(process.ended(Duration::from_secs(5)).await, None);
        let names = clients.join_all().await.concat();

        process = Process::start(service()).await;
        for (name, is_registered) in names {
            let (status, body) = ask(&process, "POST /auth/register", &name).await;
            let taken = json!({ "detail": format!("User {name} sudah terdaftar") }).to_string();
            assert!((status, &body) == (400, &taken) || !is_registered && status == 200, "{name}: {body}");
            assert_eq!(ask(&process, "POST /auth/login", &name).await.0, 200, "{name}");
            acknowledged += usize::from(is_registered);
            unknown += usize::from(!is_registered);
            all.insert(name);
        }
    }
    println!(
        "kill -9: {ROUNDS} rounds, {acknowledged} registrations answered, {unknown} not, {:?}",
        begin.elapsed()
    );
    assert_eq!(unknown, ROUNDS * CLIENTS, "the kills met no load");
    all
}

/// Whether the registration was answered 200 before the process ended.
async fn register(address: std::net::SocketAddr, name: &str) -> bool {
    let body = user(name);
    let request = format!(
        "POST /auth/register HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let Ok(mut connection) = TcpStream::connect(address).await else { return false };
    let mut answer = String::new();
    if connection.write_all(request.as_bytes()).await.is_err() {
        return false;
    }
    // An error or an empty answer, if the process is gone.
    let _ = connection.read_to_string(&mut answer).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 200 "), "{answer}");
    answer.ends_with('}')
}
