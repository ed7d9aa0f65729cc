//! How the process ends.

use std::{
    io::{Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::Stdio,
    time::Instant,
};

use shared_http::testing::{Process, Raw, fetch};
use tokio::time::timeout;

use crate::{SECOND, WHOLE_MACHINE, assert_says, refusal, service};

const PANITIA1: &str = r#"{"username":"panitia1","password":"secret"}"#;
const HEAD: &str = "POST /auth/login HTTP/1.1\r\nHost: t\r\nContent-Length: 43\r\n\r\n";

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
    let said = refusal(service(&[("PORT", &process.address.port().to_string())]), 1).await;
    assert_says(&said, &[&*format!("cannot listen on {}", process.address), "set HOST and PORT"]);
}

#[tokio::test]
async fn a_signal_drains_answers_what_is_in_flight_and_ends_with_status_0() {
    for signal in ["TERM", "INT"] {
        let mut process =
            Process::start(service(&[("BCRYPT_COST", "12"), ("SHUTDOWN_GRACE_SECONDS", "12")])).await;
        let address = process.address;
        let _half_head = Raw::open(address, "GET /health HTT").await;
        let _half_body = Raw::open(address, format!("{HEAD}{{")).await;
        let mut slow = Raw::open(address, format!("{HEAD}{PANITIA1}")).await;
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
    let _alone = WHOLE_MACHINE.lock().await;
    let mut process =
        Process::start(service(&[("BCRYPT_COST", "15"), ("SHUTDOWN_GRACE_SECONDS", "0")])).await;
    let _hashing = Raw::open(process.address, format!("{HEAD}{PANITIA1}")).await;
    fetch(process.address, "GET /health", "", "").await;
    process.signal("TERM").await;
    assert_eq!(process.ended(SECOND).await, Some(0));
}
