//! A container with a read-only root: nothing can be written but the data directory.

use std::path::Path;

use shared_http::testing::{Process, command};
use tempfile::TempDir;
use tokio::{process::Command, task::JoinSet};

use super::{
    BINARY, DUPLICATE, SECOND,
    gate::Gate,
    kill,
    maintenance::{run, text},
};

/// Makes every directory read-only in which SQLite makes temporary files, but for the data directory `$0`, and executes
/// the rest.
const SCRIPT: &str = r#"
    mount --bind "$0" /mnt
    mount -o remount,bind,ro /
    for place in /tmp /var/tmp /usr/tmp; do
        [ -d $place ] || continue
        mount --bind $place $place
        mount -o remount,bind,ro $place
    done
    mount --bind /mnt "$0"
    cd /tmp
    exec "$@"
"#;

/// The service where it can write into `directory` and nowhere else.
fn service(directory: &Path) -> Command {
    let mut command = command("unshare");
    command.args(["--mount", "sh", "-ec", SCRIPT, text(directory), BINARY]);
    for setting in ["SQLITE_TMPDIR", "TMPDIR"] {
        command.env(setting, "/nowhere");
    }
    command.env("DATABASE_URL", format!("sqlite://{}/", directory.display()));
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

/// Whether this system lets us take the other directories away.
async fn is_possible(directory: &Path) -> bool {
    let output = service(directory).arg("--version").output().await;
    let possible = output.as_ref().is_ok_and(|output| output.status.success());
    if !possible {
        eprintln!("SKIPPED: no mount namespace with a read-only root can be made: {output:?}");
    }
    possible
}

#[tokio::test]
async fn nothing_needs_a_temporary_file_however_long_the_ids_are() {
    let directory = TempDir::new().unwrap();
    if !is_possible(directory.path()).await {
        return;
    }
    let process = Process::start(service(directory.path())).await;
    let address = process.address;
    // At once, so that a commit holds many of them.
    let mut gates = JoinSet::new();
    for number in 0..40 {
        gates.spawn(async move {
            let (ticket, key) = (format!("{number:02}{}", "x".repeat(64_000)), format!("key-{number}"));
            assert_eq!(Gate::open(address).await.check_in("evt1", &ticket, Some(&key)).await.status, 200);
            ticket
        });
    }
    let tickets = gates.join_all().await;
    let list = Gate::open(address).await.list("evt1").await.body;
    look(directory.path(), "while it runs").await;
    kill(process).await;
    // All of it is in the log.
    look(directory.path(), "after a kill").await;

    for _ in 0..2 {
        let mut process = Process::start(service(directory.path())).await;
        let mut gate = Gate::open(process.address).await;
        assert!(gate.list("evt1").await.body == list, "the list is another one");
        for ticket in &tickets {
            assert_eq!(gate.check_in("evt1", ticket, None).await.text(), (400, DUPLICATE));
        }
        drop(gate);
        process.signal("TERM").await;
        assert_eq!(process.ended(SECOND * 5).await, Some(0));
    }
    let copy = directory.path().join("after a kill");
    let said = run(service(directory.path()), &["restore", text(&copy)]).await.unwrap();
    assert!(said.contains("whole, 40 check-ins"), "{said}");
}

/// Does whatever an operator may do without stopping the service.
async fn look(directory: &Path, backup: &str) {
    let copy = directory.join(backup);
    for arguments in [&["backup", text(&copy)][..], &["check"]] {
        let said = run(service(directory), arguments).await.unwrap();
        assert!(said.contains("whole, 40 check-ins"), "{said}");
    }
    let output = service(directory).arg("doctor").output().await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("attendance.db: whole, 40 check-ins"), "{said}");
}
