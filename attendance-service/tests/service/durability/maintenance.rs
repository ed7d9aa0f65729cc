//! What an operator does to the SQLite file: copies it, brings a copy back, looks at it.

use std::{fs, path::Path};

use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;
use tokio::{process::Command, task::JoinSet};

use super::{
    DUPLICATE,
    file::{filled, spoil},
    gate::Gate,
    kill, refused, service, start,
};

/// What a command said: on stdout if it succeeded, else on stderr.
pub(crate) async fn run(mut service: Command, arguments: &[&str]) -> Result<String, String> {
    let output = service.args(arguments).output().await.unwrap();
    match output.status.code() {
        Some(0) => Ok(String::from_utf8(output.stdout).unwrap()),
        Some(1) => Err(String::from_utf8(output.stderr).unwrap()),
        other => panic!("{other:?}: {output:?}"),
    }
}

async fn maintain(directory: &Path, arguments: &[&str]) -> Result<String, String> {
    run(service(directory), arguments).await
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn a_backup_of_a_running_service_holds_whatever_was_green_before_it_began() {
    let directory = TempDir::new().unwrap();
    let process = start(directory.path()).await;
    let address = process.address;
    let mut gates = JoinSet::new();
    for number in 0..4 {
        gates.spawn(async move {
            let mut gate = Gate::open(address).await;
            for scan in 0..300 {
                gate.check_in("evt1", &format!("{number}-{scan}"), None).await.record();
            }
        });
    }
    let mut gate = Gate::open(address).await;
    for number in 0..3 {
        let before = gate.records("evt1").await;
        let copy = directory.path().join(format!("backup-{number}.db"));
        let said = maintain(directory.path(), &["backup", text(&copy)]).await.unwrap();
        assert!(said.starts_with(text(&copy)) && said.contains(": whole, "), "{said}");

        // It is a database of its own, from which a service can start.
        let elsewhere = TempDir::new().unwrap();
        fs::copy(&copy, elsewhere.path().join("attendance.db")).unwrap();
        let from_copy = start(elsewhere.path()).await;
        let copied = Gate::open(from_copy.address).await.records("evt1").await;
        kill(from_copy).await;
        assert!(said.contains(&format!("whole, {} check-ins", copied.len())), "{said}");
        let after = gate.records("evt1").await;
        assert!(before.iter().all(|(ticket, record)| copied.get(ticket) == Some(record)), "lost");
        assert!(copied.iter().all(|(ticket, record)| after.get(ticket) == Some(record)), "invented");
    }
    gates.join_all().await;
    assert_eq!(gate.records("evt1").await.len(), 1200);
}

#[tokio::test]
async fn a_backup_never_takes_the_place_of_another_and_leaves_no_half_of_one() {
    let directory = TempDir::new().unwrap();
    filled(directory.path()).await;
    let copy = directory.path().join("backup.db");
    // As those left by a power cut, whatever the name of the copy was to be.
    let leftovers = ["backup.db", "yesterday.db"].map(|name| {
        let partial = directory.path().join(format!("{name}.tixgo-partial"));
        let journal = directory.path().join(format!("{name}.tixgo-partial-journal"));
        fs::write(&partial, "half").unwrap();
        fs::write(&journal, "half").unwrap();
        [partial, journal]
    });
    // And one that somebody is making.
    let other = directory.path().join("other.db.tixgo-partial");
    let maker = fs::File::create(&other).unwrap();
    maker.lock().unwrap();
    maintain(directory.path(), &["backup", text(&copy)]).await.unwrap();
    assert!(leftovers.iter().flatten().all(|leftover| !leftover.exists()), "{leftovers:?}");
    assert!(other.exists(), "a copy was removed that somebody is making");
    let before = fs::read(&copy).unwrap();
    let said = maintain(directory.path(), &["backup", text(&copy)]).await.unwrap_err();
    assert!(said.contains("backup.db: exists already; choose another name"), "{said}");
    assert!(fs::read(&copy).unwrap() == before);

    let nowhere = directory.path().join("nowhere").join("backup.db");
    let said = maintain(directory.path(), &["backup", text(&nowhere)]).await.unwrap_err();
    assert!(said.contains("nowhere/backup.db"), "{said}");
}

#[tokio::test]
async fn a_copy_is_brought_back_and_what_was_there_is_kept_aside_and_can_come_back_too() {
    let directory = TempDir::new().unwrap();
    let copy = directory.path().join("backup.db");
    let process = start(directory.path()).await;
    let mut gate = Gate::open(process.address).await;
    gate.check_in("evt1", "before", Some("k")).await.record();
    maintain(directory.path(), &["backup", text(&copy)]).await.unwrap();
    gate.check_in("evt1", "after", None).await.record();
    let both = gate.list("evt1").await.body;

    let said = maintain(directory.path(), &["restore", text(&copy)]).await.unwrap_err();
    let wanted = "attendance.db: in use by another process; only one at a time may serve from it; stop the service, do \
                  this, and start it again";
    assert!(said.contains(wanted), "{said}");
    assert_eq!(gate.check_in("evt1", "after", None).await.text(), (400, DUPLICATE));
    drop(gate);
    // The newest check-in is in the log alone.
    kill(process).await;

    let said = maintain(directory.path(), &["restore", text(&copy)]).await.unwrap();
    assert!(said.contains("whole, 1 check-ins, the newest before to evt1 by panitia1 at 20"), "{said}");
    let aside = said.trim().split_once("is kept in ").expect("where the old one is").1.to_owned();
    let process = start(directory.path()).await;
    let mut gate = Gate::open(process.address).await;
    assert_eq!(gate.records("evt1").await.len(), 1);
    assert!(gate.check_in("evt1", "before", Some("k")).await.is_replayed());
    drop(gate);
    kill(process).await;

    let said = maintain(directory.path(), &["restore", &aside]).await.unwrap();
    assert!(said.contains("whole, 2 check-ins"), "{said}");
    let process = start(directory.path()).await;
    assert_eq!(Gate::open(process.address).await.list("evt1").await.body, both);
    assert!(copy.exists() && Path::new(&aside).exists(), "a copy can be brought back again");
    kill(process).await;
}

#[tokio::test]
async fn what_is_no_whole_copy_of_check_ins_is_refused_and_nothing_is_changed() {
    let directory = TempDir::new().unwrap();
    filled(directory.path()).await;
    let database = directory.path().join("attendance.db");
    let before = fs::read(&database).unwrap();

    let damaged = directory.path().join("damaged.db");
    fs::copy(&database, &damaged).unwrap();
    spoil(&damaged, before.len() as u64 / 4096 / 2);
    let text_file = directory.path().join("text.db");
    fs::write(&text_file, "no database").unwrap();
    let strange = directory.path().join("strange.db");
    fs::write(&strange, "").unwrap();
    let missing = directory.path().join("missing.db");
    let users = directory.path().join("users.db");
    let url = format!("sqlite://{}?mode=rwc", users.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("CREATE TABLE users (username TEXT)").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    for (copy, reason) in [
        (damaged, "damaged"),
        (text_file, "not a database"),
        (strange, "this is no file of attendance-service"),
        (missing, "No such file"),
        (users, "this is a file of identity-service, and not of attendance-service"),
    ] {
        let said = maintain(directory.path(), &["restore", text(&copy)]).await.unwrap_err();
        assert!(said.contains("nothing was changed") && said.contains(reason), "{said}");
        assert!(said.matches(text(&copy)).count() == 1 && !said.contains("incoming"), "{said}");
        assert!(fs::read(&database).unwrap() == before);
        let names = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        assert!(
            !names.iter().any(|name| name.contains("incoming") || name.contains("restoring")),
            "{names:?}"
        );
    }
    let process = start(directory.path()).await;
    assert_eq!(Gate::open(process.address).await.records("evt1").await.len(), 5000);
}

#[tokio::test]
async fn nobody_serves_from_a_half_restored_file_until_it_is_brought_back_once_more() {
    let directory = TempDir::new().unwrap();
    filled(directory.path()).await;
    let copy = directory.path().join("backup.db");
    maintain(directory.path(), &["backup", text(&copy)]).await.unwrap();
    // As a power cut leaves it.
    fs::write(directory.path().join("attendance.db.restoring-1700000000"), "half").unwrap();
    let (status, said) = refused(service(directory.path())).await;
    assert_eq!(status, Some(1));
    assert!(said.contains("interrupted") && said.contains("restore PATH"), "{said}");
    maintain(directory.path(), &["restore", text(&copy)]).await.unwrap();
    let process = start(directory.path()).await;
    assert_eq!(Gate::open(process.address).await.records("evt1").await.len(), 5000);
}

#[tokio::test]
async fn a_log_that_has_lost_its_database_is_neither_deleted_nor_mixed_into_another() {
    let directory = TempDir::new().unwrap();
    let (database, log) =
        (directory.path().join("attendance.db"), directory.path().join("attendance.db-wal"));
    let copy = directory.path().join("backup.db");
    let process = start(directory.path()).await;
    let mut gate = Gate::open(process.address).await;
    gate.check_in("evt1", "before", None).await.record();
    maintain(directory.path(), &["backup", text(&copy)]).await.unwrap();
    for number in 0..20 {
        gate.check_in("evt1", &format!("after {number}"), None).await.record();
    }
    drop(gate);
    kill(process).await;
    fs::rename(&database, directory.path().join("bad.db")).unwrap();
    let newest = fs::read(&log).unwrap();

    let (status, said) = refused(service(directory.path())).await;
    assert_eq!(status, Some(1));
    assert!(said.contains("attendance.db: missing, and its log is there"), "{said}");
    assert!(fs::read(&log).unwrap() == newest && !database.exists());

    let said = maintain(directory.path(), &["restore", text(&copy)]).await.unwrap();
    let aside = said.trim().split_once("is kept in ").expect("where the log is").1.to_owned();
    assert!(fs::read(format!("{aside}-wal")).unwrap() == newest);
    let process = start(directory.path()).await;
    assert_eq!(Gate::open(process.address).await.records("evt1").await.len(), 1);
    kill(process).await;

    // With the database beside it again, nothing is lost.
    fs::copy(directory.path().join("bad.db"), &aside).unwrap();
    let said = maintain(directory.path(), &["restore", &aside]).await.unwrap();
    assert!(said.contains("whole, 21 check-ins"), "{said}");
}

#[tokio::test]
async fn a_restore_that_is_interrupted_anywhere_keeps_together_what_was_there() {
    for moved in [&[][..], &["-wal"], &["-wal", ""]] {
        let directory = TempDir::new().unwrap();
        let path = |suffix: &str| directory.path().join(format!("attendance.db{suffix}"));
        let copy = directory.path().join("backup.db");
        let process = start(directory.path()).await;
        let mut gate = Gate::open(process.address).await;
        gate.check_in("evt1", "before", None).await.record();
        maintain(directory.path(), &["backup", text(&copy)]).await.unwrap();
        gate.check_in("evt1", "after", None).await.record();
        drop(gate);
        kill(process).await;
        // As a power cut leaves it, some files moved already.
        fs::write(path(".restoring-1700000000"), "half").unwrap();
        for piece in moved {
            fs::rename(path(piece), path(&format!(".before-restore-1700000000{piece}"))).unwrap();
        }
        let said = maintain(directory.path(), &["restore", text(&copy)]).await.unwrap();
        let aside = said.trim().split_once("is kept in ").expect("where the old one is").1.to_owned();
        let said = maintain(directory.path(), &["restore", &aside]).await.unwrap();
        assert!(said.contains("whole, 2 check-ins"), "{moved:?}: {said}");
    }
}

#[tokio::test]
async fn check_tells_what_is_there_and_writes_nothing() {
    let directory = TempDir::new().unwrap();
    filled(directory.path()).await;
    let database = directory.path().join("attendance.db");
    let whole = fs::read(&database).unwrap();
    let said = maintain(directory.path(), &["check"]).await.unwrap();
    assert_eq!(
        said,
        format!(
            "{}: whole, 5000 check-ins, the newest TICKET-5000 to evt1 by panitia1 at 2026-01-03T13:25:53.421Z\n",
            database.display()
        )
    );
    assert!(fs::read(&database).unwrap() == whole);

    // While the service runs, too.
    let process = start(directory.path()).await;
    Gate::open(process.address).await.check_in("evt1", "one more", None).await.record();
    let said = maintain(directory.path(), &["check"]).await.unwrap();
    assert!(said.contains("whole, 5001 check-ins, the newest one more to evt1"), "{said}");
    kill(process).await;

    spoil(&database, whole.len() as u64 / 4096 / 2);
    let log = directory.path().join("attendance.db-wal");
    let before = (fs::read(&database).unwrap(), fs::read(&log).unwrap());
    let said = maintain(directory.path(), &["check"]).await.unwrap_err();
    assert!(said.contains("attendance.db: damaged"), "{said}");
    assert!((fs::read(&database).unwrap(), fs::read(&log).unwrap()) == before, "it was written to");
}

#[tokio::test]
async fn what_a_user_wrote_cannot_draw_on_the_terminal_of_an_operator() {
    let directory = TempDir::new().unwrap();
    let process = start(directory.path()).await;
    let mut gate = Gate::open(process.address).await;
    let (event, ticket) = ("\u{202e}evt", format!("\x1b]0;owned\x07{}", "x".repeat(60_000)));
    gate.check_in(event, &ticket, None).await.record();
    let copy = directory.path().join("backup.db");
    let newest =
        format!(r"the newest \u{{1b}}]0;owned\u{{7}}{}… to \u{{202e}}evt by panitia1 at 20", "x".repeat(54));
    for arguments in [&["check"][..], &["backup", text(&copy)], &["doctor"]] {
        let output = service(directory.path()).args(arguments).output().await.unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains(&newest), "{arguments:?}: {said:?}");
        assert!(!said.contains(|shown: char| shown.is_control() && shown != '\n'), "{said:?}");
    }
    kill(process).await;
}

#[tokio::test]
async fn without_a_file_there_is_nothing_to_maintain() {
    let directory = TempDir::new().unwrap();
    for (url, reason) in [
        ("memory:".to_owned(), "DATABASE_URL names no SQLite file"),
        ("postgres://u:hush@localhost/tixgo".to_owned(), "pg_dump"),
        (
            format!("sqlite://{}/", directory.path().display()),
            "attendance.db is missing; is its disk mounted, and is DATABASE_URL right?",
        ),
    ] {
        for arguments in [&["check"][..], &["backup", "backup.db"]] {
            let mut command = service(directory.path());
            command.env("DATABASE_URL", &url).current_dir(directory.path());
            let said = run(command, arguments).await.unwrap_err();
            assert!(said.contains(reason) && !said.contains("hush"), "{url}: {said}");
        }
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}
