//! Nobody but the owner gets at the files, and the files of one service do not become those of another.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
};

use shared_http::testing::command;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use tokio::process::Command;

use super::{BINARY, Directory, doctor, kill, refusal, run, start};

/// The service as an operator starts it who lets everybody do everything.
fn with_open_umask(directory: &Directory) -> Command {
    let mut command = command("/bin/sh");
    command.args(["-c", r#"umask 000; exec "$@""#, "sh", BINARY]);
    command.env("DATABASE_URL", directory.url()).current_dir(&directory.0);
    command
}

fn modes(directory: &Directory) -> Vec<(String, u32)> {
    let mode = |name: &String| fs::metadata(directory.path(name)).unwrap().permissions().mode() & 0o777;
    directory.names().into_iter().map(|name| (name.clone(), mode(&name))).collect()
}

fn set_modes(directory: &Directory, mode: u32) {
    for name in directory.names() {
        fs::set_permissions(directory.path(&name), Permissions::from_mode(mode)).unwrap();
    }
}

fn assert_private(directory: &Directory, expected: &[&str]) {
    let modes = modes(directory);
    assert!(modes.iter().all(|(_, mode)| *mode == 0o600), "{modes:?}");
    for suffix in expected {
        assert!(modes.iter().any(|(name, _)| name.ends_with(suffix)), "no {suffix} among {modes:?}");
    }
}

#[tokio::test]
async fn every_file_is_its_owners_alone_whatever_the_umask_is() {
    let directory = Directory::new();
    let (process, mut gate) = start(with_open_umask(&directory)).await;
    gate.check_in("evt1", "T1", None).await.record();
    run(with_open_umask(&directory), &["backup", "backup.copy"]).await.unwrap();
    assert_private(&directory, &[".db", ".db-wal", ".db-shm", ".lock", ".copy"]);
    kill(process).await;

    // A copy that came from elsewhere, and files of an earlier version.
    set_modes(&directory, 0o644);
    run(with_open_umask(&directory), &["restore", "backup.copy"]).await.unwrap();
    fs::remove_file(directory.path("backup.copy")).unwrap();
    for (name, mode) in modes(&directory) {
        assert_eq!(mode, if name.ends_with(".lock") { 0o644 } else { 0o600 }, "{name}");
    }
    set_modes(&directory, 0o664);
    let (process, mut gate) = start(with_open_umask(&directory)).await;
    gate.records("evt1").await;
    let log = process.log();
    // The database, its lock, and what was kept aside with its log.
    assert_eq!(log.matches("others than the owner could open this file").count(), 4, "{log}");
    assert_private(&directory, &[".db", ".db-wal", ".lock", "-wal"]);
}

#[tokio::test]
async fn doctor_follows_no_link_and_leaves_nothing_behind() {
    let (directory, elsewhere) = (Directory::new(), Directory::new());
    let victim = elsewhere.path("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, directory.path(".doctor")).unwrap();
    let said = directory.doctor().await;
    assert!(said.contains(&format!("disk: {} takes writes", directory.0.path().display())), "{said}");
    assert_eq!(fs::read_to_string(victim).unwrap(), "precious");
    assert_eq!(directory.names(), [".doctor"]);
}

#[tokio::test]
async fn the_file_of_another_service_is_named_and_left_alone() {
    let directory = Directory::filled().await;
    let before = fs::read(directory.database()).unwrap();
    for (table, reason) in [
        ("users", "this is a file of identity-service, and not of attendance-service"),
        ("songs", "this is no file of attendance-service"),
    ] {
        let (name, wrong) = (format!("{table}.db"), directory.path(&format!("{table}.db")));
        let url = format!("sqlite://{}", wrong.display());
        let mut database = SqliteConnection::connect(&format!("{url}?mode=rwc")).await.unwrap();
        let create = AssertSqlSafe(format!("CREATE TABLE {table} (name TEXT)"));
        sqlx::raw_sql(create).execute(&mut database).await.unwrap();
        database.close().await.unwrap();
        let bytes = fs::read(&wrong).unwrap();

        let with_wrong = || {
            let mut command = directory.service();
            command.env("DATABASE_URL", &url);
            command
        };
        let expected = format!("{name}: {reason}");
        let mut all_said = vec![refusal(with_wrong()).await];
        for arguments in [&["check"][..], &["backup", "copy.db"]] {
            all_said.push(run(with_wrong(), arguments).await.unwrap_err());
        }
        assert!(all_said.iter().all(|said| said.contains(&expected)), "{expected}: {all_said:?}");
        let said = doctor(with_wrong()).await;
        assert!(said.contains(&format!("WRONG store: {}: {reason}", wrong.display())), "{said}");
        let said = directory.maintain(&["restore", &name]).await.unwrap_err();
        assert!(said.contains("nothing was changed") && said.contains(reason), "{said}");
        assert!(fs::read(&wrong).unwrap() == bytes, "{name} was written to");
        assert!(fs::read(directory.database()).unwrap() == before);
    }
    assert!(!directory.path("copy.db").exists());
}

#[tokio::test]
async fn what_a_start_cannot_read_check_and_doctor_cannot_either() {
    let directory = Directory::filled().await;
    // A moment that no calendar has.
    directory.execute("UPDATE check_ins SET checked_in_at = 9223372036854775807 WHERE seq = 4000").await;
    let check = directory.maintain(&["check"]).await.unwrap_err();
    let backup = directory.maintain(&["backup", "backup.db"]).await.unwrap_err();
    assert!(!directory.path("backup.db").exists());
    let doctor = directory.doctor().await;
    assert!(doctor.contains("WRONG store:"), "{doctor}");
    for said in [directory.refusal().await, check, backup, doctor] {
        assert!(said.contains("row 4000 has no moment"), "{said}");
    }
}
