//! The SQLite file that is somebody else's, too new, or damaged.

use std::{fs, os::unix::fs::symlink, path::Path};

use tokio::process::Command;

use super::{DUPLICATE, Directory, kill, refusal, refused, run, service, spoil, spoil_middle, start};

#[tokio::test]
async fn a_second_process_is_refused_the_file_and_the_first_goes_on() {
    let (directory, elsewhere) = (Directory::new(), Directory::new());
    let (process, mut gate) = directory.start().await;
    gate.check_in("evt1", "T1", None).await.record();

    // By its name, by its directory's other name, by another name of its own.
    symlink(&directory.0, elsewhere.path("directory")).unwrap();
    symlink(directory.database(), elsewhere.database()).unwrap();
    let other_name = format!("sqlite://{}/", elsewhere.path("directory").display());
    for url in [directory.url(), other_name, elsewhere.url()] {
        let said = refusal(service(&url)).await;
        assert!(said.contains("attendance.db: in use by another process"), "{url}: {said}");
    }
    gate.check_in("evt1", "T2", None).await.record();
    assert_eq!(gate.check_in("evt1", "T1", None).await.text(), (400, DUPLICATE));

    // Nor does the lock outlive its process, however that ends.
    kill(process).await;
    let (_process, mut gate) = directory.start().await;
    assert_eq!(gate.records("evt1").await.len(), 2);
}

#[tokio::test]
async fn a_file_that_is_deleted_or_replaced_takes_no_more_writes_until_it_is_back() {
    let directory = Directory::new();
    let (_process, mut gate) = directory.start().await;
    let record = gate.check_in("evt1", "A", None).await.record();
    let aside = |name: &str| directory.path(&format!("aside-{name}"));
    let move_aside = |names: &[String]| {
        names.iter().for_each(|name| fs::rename(directory.path(name), aside(name)).unwrap());
    };
    for is_replaced in [false, true] {
        let names: Vec<String> =
            directory.names().into_iter().filter(|name| !name.ends_with(".lock")).collect();
        move_aside(&names);
        if is_replaced {
            fs::copy(aside("attendance.db"), directory.database()).unwrap();
        }
        gate.check_in("evt1", "B", None).await.assert_unavailable();
        let reason = gate.not_ready().await.body;
        assert!(reason.contains("attendance.db: deleted or replaced while the service runs"), "{reason}");
        assert_eq!(gate.check_in("evt1", "A", None).await.text(), (400, DUPLICATE));
        assert!(gate.list("evt1").await.body.contains(&record), "what is served can be saved");
        for name in &names {
            fs::rename(aside(name), directory.path(name)).unwrap();
        }
        gate.ready().await;
    }
    gate.check_in("evt1", "B", None).await.record();
    assert_eq!(gate.records("evt1").await.len(), 2);
}

#[tokio::test]
async fn moments_never_go_back_within_an_event_though_the_clock_starts_in_the_past() {
    let directory = Directory::filled().await;
    // 2100-01-01, as far as anybody with a clock in the past can tell.
    directory.execute("UPDATE check_ins SET checked_in_at = 4102444800000000 WHERE seq = 5000").await;
    for numbers in [[1, 2], [3, 4]] {
        let (process, mut gate) = directory.start().await;
        for number in numbers {
            let record = gate.check_in("evt1", &format!("T{number}"), None).await.record();
            let moment = format!(r#""checked_in_at":"2100-01-01T00:00:00.{number:06}+00:00"}}"#);
            assert!(record.ends_with(&moment), "{record}");
            assert!(gate.list("evt1").await.body.ends_with(&format!("{record}]}}")), "the newest comes last");
            let other = gate.check_in("evt2", &format!("T{number}"), None).await.record();
            assert!(!other.contains("2100-"), "another event, another order: {other}");
        }
        gate.records("evt1").await;
        let log = process.log_with("of a moment that is still to come").await;
        assert_eq!(log.matches("of a moment that is still to come").count(), 1, "{log}");
        kill(process).await;
    }
}

#[tokio::test]
async fn of_two_rows_of_one_ticket_the_first_counts_and_the_log_names_the_other() {
    let directory = Directory::filled().await;
    directory
        .execute(
            "INSERT INTO check_ins (seq, event_id, ticket_id, checked_in_by, checked_in_at, idempotency_key)
        VALUES (5001, 'evt1', 'TICKET-7', 'other', 1, NULL)",
        )
        .await;
    let (process, mut gate) = directory.start().await;
    let records = gate.records("evt1").await;
    assert_eq!(records.len(), 5000);
    assert!(records["TICKET-7"].contains("panitia1"), "{}", records["TICKET-7"]);
    let log = process.finish().await;
    assert!(log.contains("seq=5001") && log.contains("contradicts the earlier rows of its ticket"), "{log}");
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_and_left_alone() {
    let directory = Directory::filled().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
            VALUES (9999, 'from the future', 1, x'00', 0);
        UPDATE min_reader SET version = 9999";
    directory.execute(newer).await;
    let before = fs::read(directory.database()).unwrap();
    let said = directory.refusal().await;
    assert!(said.contains("attendance.db: written by a newer version"), "{said}");
    assert!(fs::read(directory.database()).unwrap() == before, "it was written to");
}

#[tokio::test]
async fn an_empty_directory_is_refused_where_data_is_expected() {
    let directory = Directory::new();
    let expecting = |expected: &str, path: &Path| -> Command {
        let mut command = service(&format!("sqlite://{}/", path.display()));
        command.env("EXPECT_DATA", expected);
        command
    };
    // systemd and Docker try again, for the disk may come yet.
    let said = refusal(expecting("true", directory.0.path())).await;
    let wanted = "attendance.db: missing, and EXPECT_DATA is true: mount its disk, or bring a backup back with \
                  restore PATH; to begin anew set EXPECT_DATA=false";
    assert!(said.contains(wanted), "{said}");
    assert!(!directory.database().exists());
    for expected in ["false", "true"] {
        kill(start(expecting(expected, directory.0.path())).await.0).await;
    }

    // With the whole directory gone, it is still the disk that is missing, unless it was never there.
    let data = directory.path("data");
    let said = refusal(expecting("true", &data)).await;
    assert!(said.contains(wanted), "{said}");
    let shown = data.display();
    let missing = format!(
        "the directory {shown} of DATABASE_URL is missing: mount its disk, or make it (mkdir -p -m 700 {shown}), or \
         correct DATABASE_URL"
    );
    let mut all_said = vec![refusal(expecting("false", &data)).await];
    for expected in ["true", "false"] {
        let database = directory.database();
        let restore = ["restore", database.to_str().unwrap()];
        all_said.push(run(expecting(expected, &data), &restore).await.unwrap_err());
    }
    assert!(all_said.iter().all(|said| said.contains(&missing)), "{missing}: {all_said:?}");

    let (status, said) = refused(expecting("yes", directory.0.path())).await;
    assert_eq!(status, Some(78), "{said}");
    assert!(said.contains(r#"EXPECT_DATA is "yes""#), "{said}");
}

#[tokio::test]
async fn a_damaged_database_is_named_at_the_start_and_left_byte_for_byte_as_it_is() {
    for damage in ["header", "truncated", "table", "text", "middle", "log"] {
        let directory = Directory::filled().await;
        let path = directory.database();
        match damage {
            "header" => spoil(&path, 1),
            "truncated" => {
                let length = fs::metadata(&path).unwrap().len();
                fs::File::options().write(true).open(&path).unwrap().set_len(length / 2).unwrap();
            }
            "table" => spoil(&path, directory.root_of("check_ins").await),
            // A byte that no UTF-8 has, where the pages are whole.
            "text" => {
                let mut file = fs::read(&path).unwrap();
                let user = b"panitia1";
                let at = file.windows(user.len()).rposition(|window| window == user).unwrap();
                file[at] = 0xFF;
                fs::write(&path, file).unwrap();
            }
            "middle" => spoil_middle(&path),
            // The newest check-ins are in the log alone, as after a power cut.
            _ => {
                let (process, mut gate) = directory.start().await;
                for number in 0..20 {
                    gate.check_in("evt1", &format!("log-{number}"), None).await.record();
                }
                kill(process).await;
                assert!(fs::metadata(directory.log()).unwrap().len() > 4096);
                spoil_middle(&path);
            }
        }
        let log = || fs::read(directory.log()).ok().filter(|log| !log.is_empty());
        let before = (fs::read(&path).unwrap(), log());
        for _ in 0..2 {
            let said = directory.refusal().await;
            assert!(said.contains("attendance.db: damaged") && said.contains("restore"), "{damage}: {said}");
            assert!((fs::read(&path).unwrap(), log()) == before, "{damage}: a file was written to");
        }
    }
}
