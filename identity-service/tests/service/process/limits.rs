//! How often a client may log in and register, and who is taken for one client.

use std::time::Instant;

use serde_json::json;
use shared_http::testing::{Process, Raw, fetch};

use crate::{LOGIN, REFRESH, REGISTER, SECOND, WRONG, ask, ask_with, json_of, service, token_of};

/// The answer to whoever says that it comes from `claimed`, and from elsewhere in another header. The token may be empty.
async fn ask_from(
    process: &Process,
    claimed: &str,
    head: &str,
    token: &str,
    username: &str,
    password: &str,
) -> (u16, String) {
    let body = json!({ "username": username, "password": password }).to_string();
    let request = format!(
        "{head} HTTP/1.1\r\nHost: t\r\nConnection: close\r\nCF-Connecting-IP: 192.0.2.1\r\n\
         X-Forwarded-For: {claimed}\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = Raw::open(process.address, request).await.rest(SECOND * 30).await;
    let status = answer.get(9..12).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("{answer:.500}")), answer)
}

/// The status of a login.
async fn log_in_from(process: &Process, claimed: &str, username: &str, password: &str) -> u16 {
    ask_from(process, claimed, LOGIN, "", username, password).await.0
}

/// One of many addresses.
fn address(number: usize) -> String {
    format!("198.51.{}.{}", number / 250, number % 250)
}

/// As many failures as one client may have, and then some: each is of a name of its own, so no account is slowed down.
#[tokio::test]
async fn a_thousand_failures_from_one_peer_are_of_one_client_whatever_its_headers_say() {
    let process = Process::start(service(&[])).await;
    let fail = async |number: usize| {
        log_in_from(&process, &address(number), &format!("user{number}"), "wrong").await
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
async fn clients_behind_a_trusted_proxy_are_counted_apart_and_a_known_device_is_let_in() {
    let process = Process::start(service(&[("TRUSTED_PROXIES", "127.0.0.1")])).await;
    let owner = async |claimed: &str| log_in_from(&process, claimed, "panitia1", "secret").await;
    assert_eq!(owner("203.0.113.1").await, 200);
    for number in 0..200 {
        let status = log_in_from(&process, &address(number), &format!("user{number}"), "wrong").await;
        assert_eq!(status, 400, "{number}");
    }
    for number in 0..100 {
        log_in_from(&process, "203.0.113.3", &format!("name{number}"), "wrong").await;
    }
    assert_eq!(log_in_from(&process, "203.0.113.3", "admin1", "secret").await, 429);
    assert_eq!(log_in_from(&process, "203.0.113.4", "admin1", "secret").await, 200);

    // An attack on one account.
    for number in 0..100 {
        log_in_from(&process, &address(number), "panitia1", "wrong").await;
    }
    assert_eq!(owner("203.0.113.2").await, 429, "from elsewhere");
    for _ in 0..10 {
        assert_eq!(owner("203.0.113.1").await, 200);
    }
}

#[tokio::test]
async fn a_client_whose_refreshes_fail_has_to_wait_and_keeps_nobody_from_logging_in() {
    let process = Process::start(service(&[("TRUSTED_PROXIES", "127.0.0.1")])).await;
    let send = async |claimed: &str, head: &str, body: &str| {
        let request = format!(
            "{head} HTTP/1.1\r\nHost: t\r\nConnection: close\r\nX-Forwarded-For: {claimed}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Raw::open(process.address, request).await.rest(SECOND * 30).await
    };
    let login = r#"{"username":"panitia1","password":"secret","remember":true}"#;
    let answer = send("203.0.113.1", LOGIN, login).await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let token = json_of(body)["refresh_token"].as_str().unwrap().to_owned();
    let good = json!({ "refresh_token": token }).to_string();
    for number in 0..100 {
        // What is no token, and what could be one.
        let token = if number % 2 == 0 { "x".to_owned() } else { "A".repeat(43) };
        let body = json!({ "refresh_token": token }).to_string();
        let answer = send("203.0.113.1", REFRESH, &body).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{number}: {answer}");
    }
    let mut refused = 0;
    for _ in 0..20 {
        let answer = send("203.0.113.1", REFRESH, r#"{"refresh_token":"x"}"#).await;
        if answer.starts_with("HTTP/1.1 429 ") {
            refused += 1;
            assert!(answer.contains("retry-after: "), "{answer}");
            assert!(answer.contains("Terlalu banyak percobaan login, coba lagi dalam"), "{answer}");
        }
    }
    assert!(refused > 0, "it may go on for ever");
    assert!(send("203.0.113.1", LOGIN, login).await.starts_with("HTTP/1.1 200 "), "a login");
    assert!(send("203.0.113.2", REFRESH, &good).await.starts_with("HTTP/1.1 200 "), "another client");
}

/// The processor's time that the process has had until now, in hundredths of a second.
fn processor_time(process: &Process) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    after_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

/// Measured is what a login takes of the processor: how long it takes depends on what else the machine does.
#[tokio::test]
async fn an_unknown_user_an_inactive_one_and_a_wrong_password_take_the_same_time() {
    let process = Process::start(service(&[("BCRYPT_COST", "9"), ("LOGIN_GUARD", "off")])).await;
    let token = token_of(&process, "admin1", "secret").await;
    assert_eq!(ask(&process, REGISTER, "inactive").await.0, 200);
    let deactivate = "PATCH /users/inactive";
    assert_eq!(fetch(process.address, deactivate, &token, r#"{"active":false}"#).await.0, 200);
    let logins = [("panitia1", "wrong"), ("nobody", "wrong"), ("inactive", "rahasia")];
    let mut times = [0; 3];
    for _ in 0..30 {
        for (time, (username, password)) in times.iter_mut().zip(logins) {
            let before = processor_time(&process);
            assert_eq!(ask_with(&process, LOGIN, username, password).await, (400, WRONG.to_owned()));
            *time += processor_time(&process) - before;
        }
    }
    for time in &times[1..] {
        let ratio = times[0] as f64 / *time as f64;
        assert!((0.8..1.25).contains(&ratio), "known, unknown and inactive: {times:?}");
    }
}

#[tokio::test]
async fn a_client_registers_as_many_as_it_may_in_an_hour_and_an_appointed_admin_any_number() {
    // Where everybody can register an admin, a token of one must not get around the limit.
    for (policy, of_admin) in [("open", 429), ("committee", 200)] {
        let variables =
            [("REGISTRATION", policy), ("REGISTRATIONS_PER_HOUR", "3"), ("TRUSTED_PROXIES", "127.0.0.1")];
        let process = Process::start(service(&variables)).await;
        let register = async |claimed, token: &str, username: &str, password| {
            ask_from(&process, claimed, REGISTER, token, username, password).await
        };
        let (one, other) = ("198.51.100.1", "198.51.100.2");
        for username in ["user1", "user2", "user3"] {
            assert_eq!(register(one, "", username, "rahasia").await.0, 200);
            // What is not accepted does not count.
            assert_eq!(register(one, "", username, "rahasia").await.0, 400);
            assert_eq!(register(one, "", "user4", "abc").await.0, 422);
        }
        let (status, refused) = register(one, "", "user4", "rahasia").await;
        let seconds = refused.split_once("retry-after: ").unwrap().1.split("\r\n").next().unwrap();
        assert!((1..=1200).contains(&seconds.parse::<u32>().unwrap()), "{seconds}");
        let detail = format!(r#"{{"detail":"Terlalu banyak pendaftaran, coba lagi dalam {seconds} detik"}}"#);
        assert!(status == 429 && refused.ends_with(&detail), "{refused}");

        assert_eq!(register(other, "", "user4", "rahasia").await.0, 200);
        let token = token_of(&process, "admin1", "secret").await;
        for number in 5..15 {
            let (status, _) = register(one, &token, &format!("user{number}"), "rahasia").await;
            assert_eq!(status, of_admin, "{policy}");
        }
    }
}

#[tokio::test]
async fn without_a_limit_a_client_registers_any_number() {
    let process = Process::start(service(&[("REGISTRATIONS_PER_HOUR", "0")])).await;
    for number in 0..150 {
        assert_eq!(ask(&process, REGISTER, &format!("user{number}")).await.0, 200, "{number}");
    }
}
