//! What an operator does to the SQLite file: copies it, brings a copy back, looks at it.

use std::fs;

use tokio::task::JoinSet;

use super::{DUPLICATE, Directory, gate::Gate, kill, run, spoil_middle};

/// Where a restore says that it has put what was there.
fn aside(said: &str) -> &str {
    said.trim().split_once("is kept in ").expect("where the old one is").1
}

#[tokio::test]
async fn a_backup_of_a_running_service_holds_whatever_was_green_before_it_began() {
    let directory = Directory::new();
    let (process, mut gate) = directory.start().await;
    let mut gates = JoinSet::new();
    for number in 0..4 {
        let mut gate = Gate::open(process.address).await;
        gates.spawn(async move {
            for scan in 0..300 {
                gate.check_in("evt1", &format!("{number}-{scan}"), None).await.record();
            }
        });
    }
    for number in 0..3 {
        let before = gate.records("evt1").await;
        let copy = format!("backup-{number}.db");
        let said = directory.maintain(&["backup", &copy]).await.unwrap();

        // It is a database of its own, from which a service can start.
        let elsewhere = Directory::new();
        fs::copy(directory.path(&copy), elsewhere.database()).unwrap();
        let (_process, mut from_copy) = elsewhere.start().await;
        let copied = from_copy.records("evt1").await;
        assert!(said.starts_with(&format!("{copy}: whole, {} check-ins", copied.len())), "{said}");
        let after = gate.records("evt1").await;
        assert!(before.iter().all(|(ticket, record)| copied.get(ticket) == Some(record)), "lost");
        assert!(copied.iter().all(|(ticket, record)| after.get(ticket) == Some(record)), "invented");
    }
    gates.join_all().await;
    assert_eq!(gate.records("evt1").await.len(), 1200);
}

#[tokio::test]
async fn a_backup_never_takes_the_place_of_another_and_leaves_no_half_of_one() {
    let directory = Directory::filled().await;
    // As those left by a power cut, whatever the name of the copy was to be.
    let leftovers = ["backup.db", "yesterday.db"].map(|name| {
        ["", "-journal"].map(|end| {
            let leftover = directory.path(&format!("{name}.tixgo-partial{end}"));
            fs::write(&leftover, "half").unwrap();
            leftover
        })
    });
    // And one that somebody is making.
    let other = directory.path("other.db.tixgo-partial");
    let maker = fs::File::create(&other).unwrap();
    maker.lock().unwrap();
    directory.maintain(&["backup", "backup.db"]).await.unwrap();
    assert!(leftovers.iter().flatten().all(|leftover| !leftover.exists()), "{leftovers:?}");
    assert!(other.exists(), "a copy was removed that somebody is making");
    let before = fs::read(directory.path("backup.db")).unwrap();
    let said = directory.maintain(&["backup", "backup.db"]).await.unwrap_err();
    assert!(said.contains("backup.db: exists already; choose another name"), "{said}");
    assert!(fs::read(directory.path("backup.db")).unwrap() == before);
    let said = directory.maintain(&["backup", "nowhere/backup.db"]).await.unwrap_err();
    assert!(said.contains("nowhere/backup.db"), "{said}");
}

#[tokio::test]
async fn a_copy_is_brought_back_and_what_was_there_is_kept_aside_and_can_come_back_too() {
    let directory = Directory::new();
    let (process, mut gate) = directory.start().await;
    gate.check_in("evt1", "before", Some("k")).await.record();
    directory.maintain(&["backup", "backup.db"]).await.unwrap();
    gate.check_in("evt1", "after", None).await.record();
    let both = gate.list("evt1").await.body;

    let said = directory.maintain(&["restore", "backup.db"]).await.unwrap_err();
    let wanted = "attendance.db: in use by another process; only one at a time may serve from it; stop the service, do \
                  this, and start it again";
    assert!(said.contains(wanted), "{said}");
    assert_eq!(gate.check_in("evt1", "after", None).await.text(), (400, DUPLICATE));
    // The newest check-in is in the log alone.
    kill(process).await;

    let said = directory.maintain(&["restore", "backup.db"]).await.unwrap();
    assert!(said.contains("whole, 1 check-ins, the newest before to evt1 by panitia1 at 20"), "{said}");
    let (process, mut gate) = directory.start().await;
    assert_eq!(gate.records("evt1").await.len(), 1);
    assert!(gate.check_in("evt1", "before", Some("k")).await.is_replayed());
    kill(process).await;

    let aside = aside(&said);
    let said = directory.maintain(&["restore", aside]).await.unwrap();
    assert!(said.contains("whole, 2 check-ins"), "{said}");
    let (_process, mut gate) = directory.start().await;
    assert_eq!(gate.list("evt1").await.body, both);
    for copy in ["backup.db", aside] {
        assert!(directory.path(copy).exists(), "{copy} can be brought back again");
    }
}

#[tokio::test]
async fn what_is_no_whole_copy_of_check_ins_is_refused_and_nothing_is_changed() {
    let directory = Directory::filled().await;
    let before = fs::read(directory.database()).unwrap();
    fs::copy(directory.database(), directory.path("damaged.db")).unwrap();
    spoil_middle(&directory.path("damaged.db"));
    fs::write(directory.path("text.db"), "no database").unwrap();
    fs::write(directory.path("empty.db"), "").unwrap();
    for (copy, reason) in [
        ("damaged.db", "damaged"),
        ("text.db", "not a database"),
        ("empty.db", "this is no file of attendance-service"),
        ("missing.db", "No such file"),
    ] {
        let said = directory.maintain(&["restore", copy]).await.unwrap_err();
        assert!(said.contains("nothing was changed") && said.contains(reason), "{said}");
        assert!(said.matches(copy).count() == 1 && !said.contains("incoming"), "{said}");
        assert!(fs::read(directory.database()).unwrap() == before);
        let names = directory.names();
        let is_left = |name: &String| name.contains("incoming") || name.contains("restoring");
        assert!(!names.iter().any(is_left), "{names:?}");
    }
    let (_process, mut gate) = directory.start().await;
    assert_eq!(gate.records("evt1").await.len(), 5000);
}

#[tokio::test]
async fn a_log_that_has_lost_its_database_is_neither_deleted_nor_mixed_into_another() {
    let directory = Directory::new();
    let (process, mut gate) = directory.start().await;
    gate.check_in("evt1", "before", None).await.record();
    directory.maintain(&["backup", "backup.db"]).await.unwrap();
    for number in 0..20 {
        gate.check_in("evt1", &format!("after {number}"), None).await.record();
    }
    kill(process).await;
    fs::rename(directory.database(), directory.path("bad.db")).unwrap();
    let newest = fs::read(directory.log()).unwrap();

    let said = directory.refusal().await;
    assert!(said.contains("attendance.db: missing, and its log is there"), "{said}");
    assert!(fs::read(directory.log()).unwrap() == newest && !directory.database().exists());

    let said = directory.maintain(&["restore", "backup.db"]).await.unwrap();
    let aside = aside(&said);
    assert!(fs::read(format!("{aside}-wal")).unwrap() == newest);
    let (process, mut gate) = directory.start().await;
    assert_eq!(gate.records("evt1").await.len(), 1);
    kill(process).await;

    // With the database beside it again, nothing is lost.
    fs::copy(directory.path("bad.db"), aside).unwrap();
    let said = directory.maintain(&["restore", aside]).await.unwrap();
    assert!(said.contains("whole, 21 check-ins"), "{said}");
}

#[tokio::test]
async fn check_tells_what_is_there_and_writes_nothing() {
    let directory = Directory::filled().await;
    let whole = fs::read(directory.database()).unwrap();
    let said = directory.maintain(&["check"]).await.unwrap();
    let newest = "TICKET-5000 to evt1 by panitia1 at 2026-01-03T13:25:53.421Z";
    let shown = directory.database().display().to_string();
    assert_eq!(said, format!("{shown}: whole, 5000 check-ins, the newest {newest}\n"));
    assert!(fs::read(directory.database()).unwrap() == whole);

    // While the service runs, too.
    let (process, mut gate) = directory.start().await;
    gate.check_in("evt1", "one more", None).await.record();
    let said = directory.maintain(&["check"]).await.unwrap();
    assert!(said.contains("whole, 5001 check-ins, the newest one more to evt1"), "{said}");
    kill(process).await;

    spoil_middle(&directory.database());
    let files = || [directory.database(), directory.log()].map(|path| fs::read(path).unwrap());
    let before = files();
    let said = directory.maintain(&["check"]).await.unwrap_err();
    assert!(said.contains("attendance.db: damaged"), "{said}");
    assert!(files() == before, "it was written to");
}

#[tokio::test]
async fn what_a_user_wrote_cannot_draw_on_the_terminal_of_an_operator() {
    let directory = Directory::new();
    let (_process, mut gate) = directory.start().await;
    let (event, ticket) = ("\u{202e}evt", format!("\x1b]0;owned\x07{}", "x".repeat(60_000)));
    gate.check_in(event, &ticket, None).await.record();
    let newest =
        format!(r"the newest \u{{1b}}]0;owned\u{{7}}{}… to \u{{202e}}evt by panitia1 at 20", "x".repeat(54));
    let check = directory.maintain(&["check"]).await.unwrap();
    let backup = directory.maintain(&["backup", "backup.db"]).await.unwrap();
    for said in [check, backup, directory.doctor().await] {
        assert!(said.contains(&newest), "{said:?}");
        assert!(!said.contains(|shown: char| shown.is_control() && shown != '\n'), "{said:?}");
    }
}

#[tokio::test]
async fn without_a_file_there_is_nothing_to_maintain() {
    let directory = Directory::new();
    for (url, reason) in [
        ("memory:", "DATABASE_URL names no SQLite file"),
        ("postgres://u:hush@localhost/tixgo", "pg_dump"),
        (&directory.url(), "attendance.db is missing; is its disk mounted, and is DATABASE_URL right?"),
    ] {
        for arguments in [&["check"][..], &["backup", "backup.db"]] {
            let mut command = directory.service();
            command.env("DATABASE_URL", url);
            let said = run(command, arguments).await.unwrap_err();
            assert!(said.contains(reason) && !said.contains("hush"), "{url}: {said}");
        }
    }
    assert!(directory.names().is_empty());
}
