//! The subcommand `users`, and `ADMIN_USERNAME`, in every store that outlasts the process.

use std::process::Stdio;

use serde_json::json;
use shared_http::testing::{Process, fetch, post};
use shared_service::{on_lasting_stores, testing::Store};
use tokio::io::AsyncWriteExt;

use crate::{
    LOGIN, ME, REGISTER, Said,
    api::{app_at, refresh, register_with, remembered},
    ask_with, assert_says, file, json_of, refusal, said_by, service_at, token_of,
};

on_lasting_stores![
    an_operator_sees_and_changes_who_is_registered,
    what_an_operator_gets_wrong_changes_nothing,
    a_name_that_a_stranger_has_is_not_the_first_admins,
    what_an_operator_does_to_users_ends_their_sessions,
];

/// Runs `users` with these arguments and with `input` on stdin.
pub(crate) async fn users(url: &str, arguments: &[&str], input: &str) -> Said {
    let mut command = service_at(url);
    command.arg("users").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Fails if the command has ended without reading its input.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()).await);
    said_by(child.wait_with_output().await.unwrap())
}

/// Runs `users`, which must succeed: its stdout.
async fn succeed(url: &str, arguments: &[&str], input: &str) -> String {
    let Said { status, stdout, stderr } = users(url, arguments, input).await;
    assert_eq!((status, stderr.as_str()), (Some(0), ""), "{arguments:?}: {stdout}");
    stdout
}

/// Runs `users`, which must fail: its stderr.
pub(crate) async fn refused(url: &str, arguments: &[&str], input: &str) -> String {
    let Said { status, stdout, stderr } = users(url, arguments, input).await;
    assert_eq!((status, stdout.as_str()), (Some(1), ""), "{arguments:?}: {stderr}");
    stderr
}

async fn register(process: &Process, users: &[(&str, &str)]) {
    for (username, role) in users {
        let body = json!({ "username": username, "password": "rahasia", "role": role }).to_string();
        let (status, body) = fetch(process.address, REGISTER, "", &body).await;
        assert_eq!(status, 200, "{body}");
    }
}

/// The role in the token, if the login succeeds.
async fn log_in(process: &Process, username: &str, password: &str) -> Option<String> {
    if ask_with(process, LOGIN, username, password).await.0 != 200 {
        return None;
    }
    let token = token_of(process, username, password).await;
    let (_, me) = fetch(process.address, ME, &token, "").await;
    Some(json_of(&me)["role"].as_str().unwrap().to_owned())
}

async fn an_operator_sees_and_changes_who_is_registered(store: Store) {
    let directory = tempfile::tempdir().unwrap();
    let url = &store.new_url(directory.path()).await;
    let hostile = "\u{1b}[2Jnimda\u{202e}";
    let process = Process::start(service_at(url)).await;
    let registered =
        [("siti", "committee"), ("tamu", "admin"), ("wawan", "committee"), (hostile, "committee")];
    register(&process, &registered).await;
    let list = succeed(url, &["list"], "").await;
    assert!(list.starts_with("ROLE       ACTIVE  BY OPERATOR  USERNAME\n"), "{list}");
    assert_says(
        &list,
        &[
            "committee  yes     no           siti\n",
            "admin      yes     no           tamu\n",
            "committee  yes     no           \\u{1b}[2Jnimda\\u{202e}\n",
        ],
    );
    assert!(!list.contains(['\u{1b}', '\u{202e}']), "{list:?}");

    // PostgreSQL takes changes while the service runs.
    let mut process = Some(process);
    if store == Store::Sqlite {
        for arguments in [&["remove", "siti"][..], &["password", "siti"], &["role", "siti", "admin"]] {
            let stderr = refused(url, arguments, "kata-sandi\n").await;
            assert_says(&stderr, &["in use by another process", "Stop the service"]);
        }
        process.take().unwrap().finish().await;
    }
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
        None => Process::start(service_at(url)).await,
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
    register(&process, &[(hostile, "committee")]).await;
    process.finish().await;
    let list = succeed(url, &["list"], "").await;
    assert_says(
        &list,
        &[
            "admin      yes     yes          kepala\n",
            "admin      yes     yes          siti\n",
            "committee  yes     yes          tamu\n",
            // Changing only the role does not count as made by the operator, nor does a name that such a user had before.
            "admin      yes     no           wawan\n",
            "committee  yes     no           \\u{1b}[2Jnimda\\u{202e}\n",
        ],
    );
}

async fn what_an_operator_does_to_users_ends_their_sessions(store: Store) {
    let directory = tempfile::tempdir().unwrap();
    let url = &store.new_url(directory.path()).await;
    let names = ["same", "password", "role", "inactive", "back", "removed"];
    let app = app_at(url, &[]).await;
    let mut tokens = Vec::new();
    for name in names {
        assert_eq!(register_with(&app, "", name, "rahasia", "committee").await.status, 200);
        tokens.push(remembered(&app, name, "rahasia").await);
    }
    // The file is locked until the service has closed it.
    drop(app);
    let kepala = users(url, &["add", "kepala", "admin"], "rahasia\n").await;
    assert_eq!(kepala.status, Some(0), "{}", kepala.stderr);
    succeed(url, &["role", "same", "committee"], "").await;
    succeed(url, &["activate", "same"], "").await;
    succeed(url, &["password", "password"], "gerbang timur\n").await;
    succeed(url, &["role", "role", "admin"], "").await;
    let said = succeed(url, &["deactivate", "inactive"], "").await;
    assert_eq!(said, "inactive: inactive. Tokens stay good until they expire.\n");
    succeed(url, &["deactivate", "back"], "").await;
    assert_eq!(succeed(url, &["activate", "back"], "").await, "back: active\n");
    succeed(url, &["remove", "removed"], "").await;
    assert_says(&succeed(url, &["list"], "").await, &["committee  no      no           inactive\n"]);

    let app = app_at(url, &[("login-guard", "off")]).await;
    for (name, token) in names.iter().zip(&tokens) {
        let expected = if *name == "same" { 200 } else { 401 };
        assert_eq!(refresh(&app, token).await.status, expected, "{name}");
    }
    for (name, password, expected) in [("inactive", "rahasia", 400), ("back", "rahasia", 200)] {
        let body = json!({ "username": name, "password": password });
        assert_eq!(post(&app, "/auth/login").json(&body).send().await.status, expected, "{name}");
    }
    drop(app);

    // An inactive admin is none.
    succeed(url, &["deactivate", "role"], "").await;
    for arguments in [&["deactivate", "kepala"][..], &["remove", "kepala"], &["role", "kepala", "committee"]]
    {
        assert_says(&refused(url, arguments, "").await, &[r#""kepala" is the last admin"#]);
    }
    assert_says(&refused(url, &["deactivate", "nobody"], "").await, &[r#"nobody is registered as "nobody""#]);
    succeed(url, &["deactivate", "kepala", "--force"], "").await;
    let mut command = service_at(url);
    command.env("ADMIN_USERNAME", "kepala");
    assert_says(&Process::start(command).await.finish().await, &["ADMIN_USERNAME is inactive"]);
}

async fn what_an_operator_gets_wrong_changes_nothing(store: Store) {
    let directory = tempfile::tempdir().unwrap();
    let url = &store.new_url(directory.path()).await;
    // A new file is named.
    let added = users(url, &["add", "kepala", "admin"], "kata sandi\n").await;
    assert_eq!(added.status, Some(0), "{}", added.stderr);
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
        assert_says(&refused(url, arguments, input).await, &[message]);
    }
    assert_eq!(users(url, &["role", "siti", "owner"], "").await.status, Some(2));
    assert_eq!(succeed(url, &["list"], "").await, before);

    succeed(url, &["role", "kepala", "admin"], "").await;
    succeed(url, &["role", "kepala", "committee", "--force"], "").await;
    succeed(url, &["role", "siti", "admin"], "").await;
    succeed(url, &["remove", "siti", "--force"], "").await;
    assert!(succeed(url, &["list"], "").await.ends_with("committee  yes     yes          kepala\n"));
}

async fn a_name_that_a_stranger_has_is_not_the_first_admins(store: Store) {
    let directory = tempfile::tempdir().unwrap();
    let url = &store.new_url(directory.path()).await;
    // Without a password there is no `ADMIN_PASSWORD_FILE`.
    let with_admin = |username: &str, password: &str| {
        let path = file(directory.path(), "password", password);
        let mut command = service_at(url);
        let path = if password.is_empty() { "" } else { &path };
        command.env("ADMIN_USERNAME", username).env("ADMIN_PASSWORD_FILE", path);
        command
    };
    let starts = async |username: &str, password: &str| {
        Process::start(with_admin(username, password)).await.finish().await
    };
    let is_refused = async |username: &str, password: &str| {
        let way_out = format!("identity-service users password {username}");
        let why = "it was not the operator who made that user";
        assert_says(&refusal(with_admin(username, password), 1).await, &[why, &way_out]);
    };
    let process = Process::start(service_at(url)).await;
    let strangers = [("kepala", "admin"), ("wakil", "admin"), ("ketua", "admin"), ("budi", "committee")];
    register(&process, &strangers).await;
    process.finish().await;
    for (username, password) in [
        ("kepala", ""),
        ("kepala", "of the operator"),
        // The password is right, but the user is no admin.
        ("budi", "rahasia"),
        ("budi", ""),
    ] {
        is_refused(username, password).await;
    }
    // An admin with the operator's password is accepted, and later without the file too.
    starts("kepala", "rahasia").await;
    assert_says(&starts("kepala", "").await, &["ADMIN_USERNAME is there already"]);
    succeed(url, &["password", "wakil"], "gerbang timur\n").await;
    starts("wakil", "").await;
    // Changing the role is not enough: the password is still the stranger's.
    succeed(url, &["role", "ketua", "admin"], "").await;
    is_refused("ketua", "").await;
    succeed(url, &["password", "budi"], "gerbang barat\n").await;
    assert_says(&starts("budi", "").await, &["ADMIN_USERNAME is no admin"]);
    succeed(url, &["role", "budi", "admin"], "").await;
    assert_says(&starts("budi", "").await, &["ADMIN_USERNAME is there already"]);
    // An admin that the service made itself is accepted again, and keeps its password.
    starts("baru", "pilihan sendiri").await;
    starts("baru", "").await;
    starts("baru", "pilihan lain").await;
    let process = Process::start(service_at(url)).await;
    for (password, role) in [("pilihan sendiri", Some("admin")), ("pilihan lain", None)] {
        assert_eq!(log_in(&process, "baru", password).await.as_deref(), role, "{password}");
    }
}
