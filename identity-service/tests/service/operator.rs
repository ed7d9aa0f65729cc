//! The subcommand `users`, and `ADMIN_USERNAME`. The same tests for every store that outlives the process.

use std::process::Stdio;

use serde_json::{Value, json};
use shared_http::testing::{Process, fetch};
use tokio::{io::AsyncWriteExt, process::Command};

use crate::{SECOND, restarts::service};

/// Runs `users` with these arguments and with `input` on stdin: its exit status, stdout and stderr.
pub(crate) async fn users(url: &str, arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut command = service(url);
    command.arg("users").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Fails if the command has ended without reading its input.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()).await);
    let output = child.wait_with_output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Runs `users`, which must succeed: its stdout.
async fn succeed(url: &str, arguments: &[&str], input: &str) -> String {
    let (status, stdout, stderr) = users(url, arguments, input).await;
    assert_eq!((status, stderr.as_str()), (Some(0), ""), "{arguments:?}: {stdout}");
    stdout
}

/// Runs `users`, which must fail: its stderr.
pub(crate) async fn refused(url: &str, arguments: &[&str], input: &str) -> String {
    let (status, stdout, stderr) = users(url, arguments, input).await;
    assert_eq!((status, stdout.as_str()), (Some(1), ""), "{arguments:?}: {stderr}");
    stderr
}

pub(crate) async fn register(process: &Process, username: &str, role: &str) {
    let body = json!({ "username": username, "password": "rahasia", "role": role }).to_string();
    let (status, body) = fetch(process.address, "POST /auth/register", "", &body).await;
    assert_eq!(status, 200, "{body}");
}

/// The role in the token, if the login succeeds.
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

/// `serves_meanwhile`: whether users can be changed while the service runs.
pub(crate) async fn an_operator_sees_and_changes_who_is_registered(url: &str, serves_meanwhile: bool) {
    let hostile = "\u{1b}[2Jnimda\u{202e}";
    let process = Process::start(service(url)).await;
    for (username, role) in
        [("siti", "committee"), ("tamu", "admin"), ("wawan", "committee"), (hostile, "committee")]
    {
        register(&process, username, role).await;
    }
    let list = succeed(url, &["list"], "").await;
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
            let stderr = refused(url, arguments, "kata-sandi\n").await;
            assert!(stderr.contains("in use by another process") && stderr.contains("Stop the service"));
        }
        stop(process).await;
        None
    };
    let stdout = succeed(url, &["add", "kepala", "admin", "--draw"], "").await;
    assert!(stdout.starts_with("kepala: registered, with a password that is shown this once: "), "{stdout}");
    let generated = stdout.trim_end().rsplit(' ').next().unwrap();
    succeed(url, &["password", "siti"], "gerbang timur\n").await;
    let stdout = succeed(url, &["password", "tamu", "--draw"], "").await;
    assert!(stdout.starts_with("tamu: has a new password that is shown this once: "), "{stdout}");
    succeed(url, &["password", "tamu"], "gerbang utara\n").await;
    succeed(url, &["role", "siti", "admin"], "").await;
    succeed(url, &["role", "tamu", "committee"], "").await;
    succeed(url, &["role", "wawan", "admin"], "").await;
    succeed(url, &["password", hostile], "gerbang barat\n").await;
    succeed(url, &["remove", hostile], "").await;

    let process = match process {
        Some(process) => process,
        None => Process::start(service(url)).await,
    };
    for (username, password, role) in [
        ("kepala", generated, Some("admin")),
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
    let list = succeed(url, &["list"], "").await;
    for line in [
        "admin      yes          kepala\n",
        "admin      yes          siti\n",
        "committee  yes          tamu\n",
        // Changing only the role does not count as made by the operator, nor does a name that such a user had before.
        "admin      no           wawan\n",
        "committee  no           \\u{1b}[2Jnimda\\u{202e}\n",
    ] {
        assert!(list.contains(line), "{line} is missing in {list}");
    }
}

pub(crate) async fn what_an_operator_gets_wrong_changes_nothing(url: &str) {
    succeed(url, &["add", "kepala", "admin"], "kata sandi\n").await;
    succeed(url, &["add", "siti", "committee"], "kata sandi\n").await;
    let before = succeed(url, &["list"], "").await;
    for (arguments, input, message) in [
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
        let stderr = refused(url, arguments, input).await;
        assert!(stderr.contains(message), "{message}\n is missing in\n{stderr}");
    }
    assert_eq!(users(url, &["role", "siti", "owner"], "").await.0, Some(2));
    assert_eq!(succeed(url, &["list"], "").await, before);

    succeed(url, &["role", "kepala", "admin"], "").await;
    succeed(url, &["role", "kepala", "committee", "--force"], "").await;
    succeed(url, &["role", "siti", "admin"], "").await;
    succeed(url, &["remove", "siti", "--force"], "").await;
    assert!(succeed(url, &["list"], "").await.ends_with("committee  yes          kepala\n"));
}

/// The service with `ADMIN_USERNAME`, and with `ADMIN_PASSWORD_FILE` unless `password` is empty.
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

/// Starts and stops the service: its log.
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
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(&format!("identity-service users password {username}")), "{stderr}");
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
        // The password is right, but the user is no admin.
        ("budi", "rahasia"),
        ("budi", ""),
    ] {
        is_refused_with_admin(url, username, password).await;
    }
    // An admin with the operator's password is accepted, and later without the file too.
    starts_with_admin(url, "kepala", "rahasia").await;
    let log = starts_with_admin(url, "kepala", "").await;
    assert!(log.contains("ADMIN_USERNAME is there already"), "{log}");
    succeed(url, &["password", "wakil"], "gerbang timur\n").await;
    starts_with_admin(url, "wakil", "").await;
    // Changing the role is not enough: the password is still the stranger's.
    succeed(url, &["role", "ketua", "admin"], "").await;
    is_refused_with_admin(url, "ketua", "").await;
    succeed(url, &["password", "budi"], "gerbang barat\n").await;
    assert!(starts_with_admin(url, "budi", "").await.contains("ADMIN_USERNAME is no admin"));
    succeed(url, &["role", "budi", "admin"], "").await;
    assert!(starts_with_admin(url, "budi", "").await.contains("ADMIN_USERNAME is there already"));
    // An admin that the service made itself is accepted again.
    starts_with_admin(url, "baru", "pilihan sendiri").await;
    starts_with_admin(url, "baru", "").await;
}
