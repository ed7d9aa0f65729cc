//! Nobody but the owner gets at the files, and the files of one service do not become those of another.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use shared_http::testing::{Process, command};
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;
use tokio::process::Command;

use super::{
    BINARY,
    file::{filled, open},
    gate::Gate,
    kill,
    maintenance::{run, text},
    refused, service,
};

/// The service as an operator starts it who lets everybody do everything.
fn with_open_umask(directory: &Path) -> Command {
    let mut command = command("/bin/sh");
    command.args(["-c", r#"umask 000; exec "$@""#, "sh", BINARY]);
    command.env("DATABASE_URL", format!("sqlite://{}/", directory.display()));
    command
}

fn modes(directory: &Path) -> Vec<(String, u32)> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    let modes = entries.map(|entry| {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        (entry.file_name().into_string().unwrap(), mode)
    });
    modes.collect()
}

fn assert_private(directory: &Path, expected: &[&str]) {
    let modes = modes(directory);
    assert!(modes.iter().all(|(_, mode)| *mode == 0o600), "{modes:?}");
    for suffix in expected {
        assert!(modes.iter().any(|(name, _)| name.ends_with(suffix)), "no {suffix} among {modes:?}");
    }
}

#[tokio::test]
async fn every_file_is_its_owners_alone_whatever_the_umask_is() {
    let directory = TempDir::new().unwrap();
    let process = Process::start(with_open_umask(directory.path())).await;
    Gate::open(process.address).await.check_in("evt1", "T1", None).await.record();
    let copy = directory.path().join("backup.copy");
    run(with_open_umask(directory.path()), &["backup", text(&copy)]).await.unwrap();
    assert_private(directory.path(), &[".db", ".db-wal", ".db-shm", ".lock", ".copy"]);
    kill(process).await;

    // A copy that came from elsewhere, and files of an earlier version.
    for (name, _) in modes(directory.path()) {
        fs::set_permissions(directory.path().join(name), Permissions::from_mode(0o644)).unwrap();
    }
    run(with_open_umask(directory.path()), &["restore", text(&copy)]).await.unwrap();
    fs::remove_file(copy).unwrap();
    for (name, mode) in modes(directory.path()) {
        let is_lock = name.ends_with(".lock");
        assert_eq!(mode, if is_lock { 0o644 } else { 0o600 }, "{name}");
        fs::set_permissions(directory.path().join(name), Permissions::from_mode(0o664)).unwrap();
    }
    let process = Process::start(with_open_umask(directory.path())).await;
    Gate::open(process.address).await.records("evt1").await;
    let log = process.log();
    // The database, its lock, and what was kept aside with its log.
    assert_eq!(log.matches("others than the owner could open this file").count(), 4, "{log}");
    assert_private(directory.path(), &[".db", ".db-wal", ".lock", "-wal"]);
    kill(process).await;
}

#[tokio::test]
async fn doctor_follows_no_link_and_leaves_nothing_behind() {
    let (directory, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let victim = elsewhere.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, directory.path().join(".doctor")).unwrap();
    let output = service(directory.path()).arg("doctor").output().await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains(&format!("disk: {} takes writes", directory.path().display())), "{said}");
    assert_eq!(fs::read_to_string(victim).unwrap(), "precious");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn the_file_of_another_service_is_named_and_left_alone() {
    let directory = TempDir::new().unwrap();
    filled(directory.path()).await;
    let before = fs::read(directory.path().join("attendance.db")).unwrap();
    for (table, reason) in [
        ("users", "this is a file of identity-service, and not of attendance-service"),
        ("songs", "this is no file of attendance-service"),
    ] {
        let wrong = directory.path().join(format!("{table}.db"));
        let mut database =
            SqliteConnection::connect(&format!("sqlite://{}?mode=rwc", wrong.display())).await.unwrap();
        let create = format!("CREATE TABLE {table} (name TEXT)");
        sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut database).await.unwrap();
        database.close().await.unwrap();
        let bytes = fs::read(&wrong).unwrap();

        let with_wrong = || {
            let mut command = service(directory.path());
            command.env("DATABASE_URL", format!("sqlite://{}", wrong.display()));
            command
        };
        let (status, said) = refused(with_wrong()).await;
        assert_eq!(status, Some(1));
        assert!(said.contains(&format!("{table}.db: {reason}")), "{said}");
        for arguments in [&["check"][..], &["backup", text(&directory.path().join("copy.db"))]] {
            let said = run(with_wrong(), arguments).await.unwrap_err();
            assert!(said.contains(&format!("{table}.db: {reason}")), "{said}");
        }
        let output = with_wrong().arg("doctor").output().await.unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains(&format!("WRONG store: {}: {reason}", wrong.display())), "{said}");
        let said = run(service(directory.path()), &["restore", text(&wrong)]).await.unwrap_err();
        assert!(said.contains("nothing was changed") && said.contains(reason), "{said}");
        assert!(fs::read(&wrong).unwrap() == bytes, "{table}.db was written to");
        assert!(fs::read(directory.path().join("attendance.db")).unwrap() == before);
    }
    assert!(!directory.path().join("copy.db").exists());
}

#[tokio::test]
async fn what_a_start_cannot_read_check_and_doctor_cannot_either() {
    let directory = TempDir::new().unwrap();
    filled(directory.path()).await;
    let mut database = open(directory.path()).await;
    // A moment that no calendar has.
    sqlx::raw_sql("UPDATE check_ins SET checked_in_at = 9223372036854775807 WHERE seq = 4000")
        .execute(&mut database)
        .await
        .unwrap();
    database.close().await.unwrap();
    let reason = "row 4000 has no moment";
    let (status, said) = refused(service(directory.path())).await;
    assert!(status == Some(1) && said.contains(reason), "{said}");
    let said = run(service(directory.path()), &["check"]).await.unwrap_err();
    assert!(said.contains(reason), "{said}");
    let output = service(directory.path()).arg("doctor").output().await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("WRONG store:") && said.contains(reason), "{said}");
    let copy = directory.path().join("backup.db");
    let said = run(service(directory.path()), &["backup", text(&copy)]).await.unwrap_err();
    assert!(said.contains(reason) && !copy.exists(), "{said}");
}
