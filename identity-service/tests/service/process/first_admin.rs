use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use shared_http::testing::{Process, fetch};

use crate::{REGISTER, assert_says, file, service, token_of};

#[tokio::test]
async fn a_password_is_drawn_into_a_file_for_its_owner_alone_and_stays_out_of_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/", directory.path().display());
    let drawn = directory.path().join("first-admin-password");
    let half = directory.path().join("first-admin-password.new");
    // What somebody else put there is neither followed nor kept.
    let victim = file(directory.path(), "victim", "as it was");
    symlink(&victim, &drawn).unwrap();
    symlink(&victim, &half).unwrap();
    let variables = [
        ("DATABASE_URL", &*url),
        ("REGISTRATION", "admin"),
        ("ADMIN_USERNAME", "kepala"),
        ("RUST_LOG", "trace"),
    ];
    let log = Process::start(service(&variables)).await.finish().await;
    let password = fs::read_to_string(&drawn).unwrap();
    let password = password.trim_end();
    assert_eq!(password.len(), 20, "{password}");
    let metadata = drawn.symlink_metadata().unwrap();
    assert!(metadata.is_file() && metadata.permissions().mode() & 0o777 == 0o600, "{metadata:?}");
    assert_eq!(fs::read_to_string(victim).unwrap(), "as it was");
    assert!(!half.exists());
    assert_says(&log, &[format!("file={}", drawn.display())]);

    let process = Process::start(service(&variables)).await;
    let token = token_of(&process, "kepala", password).await;
    let budi = r#"{"username":"budi","password":"rahasia"}"#;
    assert_eq!(fetch(process.address, REGISTER, &token, budi).await.0, 200);
    let logs = log + &process.finish().await;
    assert!(!logs.contains(password), "{logs}");
    assert_eq!(fs::read_to_string(&drawn).unwrap().trim_end(), password, "drawn once");
}
