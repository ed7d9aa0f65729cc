//! What an operator does to users, and the admin that `ADMIN_USERNAME` names. One story for every store that lasts.

use std::{process::Stdio, time::Duration};

use serde_json::{Value, json};
use shared_http::testing::{Process, fetch};
use tokio::{io::AsyncWriteExt, process::Command};

use crate::restarts::service;

const SECOND: Duration = Duration::from_secs(1);

/// What `users` with these arguments says on stdout and stderr, given `input` on stdin, and its exit status.
pub(crate) async fn users(url: &str, arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut command = service(url);
    command.arg("users").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Who needs no input does not wait for it.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()).await);
    let output = child.wait_with_output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// For what must go well.
async fn done(url: &str, arguments: &[&str], input: &str) -> String {
    let (status, said, complaint) = users(url, arguments, input).await;
    assert_eq!((status, complaint.as_str()), (Some(0), ""), "{arguments:?}: {said}");
    said
}

/// For what must not: what it complains of.
pub(crate) async fn refused(url: &str, arguments: &[&str], input: &str) -> String {
    let (status, said, complaint) = users(url, arguments, input).await;
    assert_eq!((status, said.as_str()), (Some(1), ""), "{arguments:?}: {complaint}");
    complaint
}

pub(crate) async fn register(process: &Process, username: &str, role: &str) {
    let body = json!({ "username": username, "password": "rahasia", "role": role }).to_string();
    let (status, body) = fetch(process.address, "POST /auth/register", "", &body).await;
    assert_eq!(status, 200, "{body}");
}

/// The role in the token that a login gets, if it gets one.
async fn log_in(process: &Process, username: &str, password: &str) -> Option<String> {
    let body = json!({ "username": username, "password": password }).to_string();
    let (status, body) = fetch(process.address, "POST /auth/login", "", &body).await;
    let token = serde_json::from_str::<Value>(&body).unwrap();
    if status != 200 {
        return None;
    }
    let (_, me) = fetch(process.address, "GET /auth/me", token["access_token"].as_str().unwrap(), "").await;
    Some(serde_json::from_str::<Value>(&me).unwrap()["role"].as_str().unwrap().to_owned())
}

async fn stop(mut process: Process) {
    process.signal("TERM").await;
    assert_eq!(process.ended(SECOND * 20).await, Some(0));
}

/// `serves_meanwhile`, if changes reach the service that runs.
pub(crate) async fn an_operator_sees_and_changes_who_is_registered(url: &str, serves_meanwhile: bool) {
    let hostile = "\u{1b}[2Jnimda\u{202e}";
    let process = Process::start(service(url)).await;
    for (username, role) in
        [("siti", "committee"), ("tamu", "admin"), ("wawan", "committee"), (hostile, "committee")]
    {
        register(&process, username, role).await;
    }
    let list = done(url, &["list"], "").await;
    assert!(list.starts_with("ROLE       BY OPERATOR  USERNAME\n"), "{list}");
    for line in [
        "committee  no           siti\n",
        "admin      no           tamu\n",
        "committee  no           \\u{1b}[2Jnimda\\u{202e}\n",
    ] {
        assert!(list.contains(line), "{line} is missing in {list}");
    }
    assert!(!list.contains(['\u{1b}', '\u{202e}']), "{list:?}");

    let process = if serves_meanwhile {
        Some(process)
    } else {
        for arguments in [&["remove", "siti"][..], &["password", "siti"], &["role", "siti", "admin"]] {
            let complaint = refused(url, arguments, "kata-sandi\n").await;
            assert!(
                complaint.contains("in use by another process") && complaint.contains("Stop the service")
            );
        }
        stop(process).await;
        None
    };
    let drawn = done(url, &["add", "kepala", "admin", "--draw"], "").await;
    assert!(drawn.starts_with("kepala: registered, with a password that is shown this once: "), "{drawn}");
    let drawn = drawn.trim_end().rsplit(' ').next().unwrap();
    done(url, &["password", "siti"], "gerbang timur\n").await;
    let said = done(url, &["password", "tamu", "--draw"], "").await;
    assert!(said.starts_with("tamu: has a new password that is shown this once: "), "{said}");
    done(url, &["password", "tamu"], "gerbang utara\n").await;
    done(url, &["role", "siti", "admin"], "").await;
    done(url, &["role", "tamu", "committee"], "").await;
    done(url, &["role", "wawan", "admin"], "").await;
    done(url, &["password", hostile], "gerbang barat\n").await;
    done(url, &["remove", hostile], "").await;

    let process = match process {
        Some(process) => process,
        None => Process::start(service(url)).await,
    };
    for (username, password, role) in [
        ("kepala", drawn, Some("admin")),
        ("siti", "gerbang timur", Some("admin")),
        ("siti", "rahasia", None),
        ("tamu", "gerbang utara", Some("committee")),
        ("wawan", "rahasia", Some("admin")),
        (hostile, "rahasia", None),
    ] {
        assert_eq!(log_in(&process, username, password).await.as_deref(), role, "{username} {password}");
    }
    register(&process, hostile, "committee").await;
    stop(process).await;
    let list = done(url, &["list"], "").await;
    for line in [
        "admin      yes          kepala\n",
        "admin      yes          siti\n",
        "committee  yes          tamu\n",
        // A role alone makes nobody the operator's, nor does a name that the operator's user had before.
        "admin      no           wawan\n",
        "committee  no           \\u{1b}[2Jnimda\\u{202e}\n",
    ] {
        assert!(list.contains(line), "{line} is missing in {list}");
    }
}

pub(crate) async fn what_an_operator_gets_wrong_changes_nothing(url: &str) {
    done(url, &["add", "kepala", "admin"], "kata sandi\n").await;
    done(url, &["add", "siti", "committee"], "kata sandi\n").await;
    let before = done(url, &["list"], "").await;
    for (arguments, input, complaint) in [
        (&["add", "siti", "admin"][..], "kata sandi\n", r#"somebody is registered as "siti" already"#),
        (&["add", "ab", "admin"], "kata sandi\n", "a name has 3 to 50 characters"),
        (&["password", "budi"], "kata sandi\n", r#"nobody is registered as "budi""#),
        (&["remove", "budi"], "", r#"nobody is registered as "budi""#),
        (&["role", "budi", "admin"], "", r#"nobody is registered as "budi""#),
        (&["password", "siti"], "abc\n", "stdin holds no password of at least 4 characters"),
        (&["password", "siti"], "", "stdin holds no password of at least 4 characters"),
        (&["password", "siti"], &"sandi".repeat(15), "stdin holds more than 72 bytes"),
        (&["remove", "kepala"], "", r#""kepala" is the last admin"#),
        (&["role", "kepala", "committee"], "", r#""kepala" is the last admin"#),
    ] {
        let said = refused(url, arguments, input).await;
        assert!(said.contains(complaint), "{complaint}\n is missing in\n{said}");
    }
    assert_eq!(users(url, &["role", "siti", "owner"], "").await.0, Some(2));
    assert_eq!(done(url, &["list"], "").await, before);

    done(url, &["role", "kepala", "admin"], "").await;
    done(url, &["role", "kepala", "committee", "--force"], "").await;
    done(url, &["role", "siti", "admin"], "").await;
    done(url, &["remove", "siti", "--force"], "").await;
    assert!(done(url, &["list"], "").await.ends_with("committee  yes          kepala\n"));
}

/// A start with `ADMIN_USERNAME`, and perhaps a file with a password.
fn with_admin(url: &str, username: &str, password: &str) -> (Command, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), password).unwrap();
    let mut command = service(url);
    command.env("ADMIN_USERNAME", username).env("PORT", "0");
    if !password.is_empty() {
        command.env("ADMIN_PASSWORD_FILE", file.path());
    }
    (command, file)
}

async fn starts_with_admin(url: &str, username: &str, password: &str) -> String {
    let (command, _file) = with_admin(url, username, password);
    let process = Process::start(command).await;
    let log = process.log();
    stop(process).await;
    log
}

async fn is_refused_with_admin(url: &str, username: &str, password: &str) {
    let (mut command, _file) = with_admin(url, username, password);
    let output = command.output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("identity-service users password {username}")), "{said}");
}

pub(crate) async fn a_name_that_a_stranger_has_is_not_the_first_admins(url: &str) {
    let process = Process::start(service(url)).await;
    for (username, role) in
        [("kepala", "admin"), ("wakil", "admin"), ("ketua", "admin"), ("budi", "committee")]
    {
        register(&process, username, role).await;
    }
    stop(process).await;
    for (username, password) in [
        ("kepala", ""),
        ("kepala", "of the operator"),
        // A stranger's password that the operator happens to know makes no admin.
        ("budi", "rahasia"),
        ("budi", ""),
    ] {
        is_refused_with_admin(url, username, password).await;
    }
    // Whose password is the operator's is the operator's, and stays so without the file.
    starts_with_admin(url, "kepala", "rahasia").await;
    let log = starts_with_admin(url, "kepala", "").await;
    assert!(log.contains("ADMIN_USERNAME is there already"), "{log}");
    done(url, &["password", "wakil"], "gerbang timur\n").await;
    starts_with_admin(url, "wakil", "").await;
    // The password is the stranger's still.
    done(url, &["role", "ketua", "admin"], "").await;
    is_refused_with_admin(url, "ketua", "").await;
    done(url, &["password", "budi"], "gerbang barat\n").await;
    assert!(starts_with_admin(url, "budi", "").await.contains("ADMIN_USERNAME is no admin"));
    done(url, &["role", "budi", "admin"], "").await;
    assert!(starts_with_admin(url, "budi", "").await.contains("ADMIN_USERNAME is there already"));
    // Whom it made itself it knows again.
    starts_with_admin(url, "baru", "pilihan sendiri").await;
    starts_with_admin(url, "baru", "").await;
}
