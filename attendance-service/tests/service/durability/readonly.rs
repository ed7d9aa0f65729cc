//! A container with a read-only root: nothing can be written but the data directory.

use shared_http::testing::command;
use tokio::{process::Command, task::JoinSet};

use super::{BINARY, DUPLICATE, Directory, doctor, gate::Gate, kill, run, start};

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
fn service(directory: &Directory) -> Command {
    let mut command = command("unshare");
    command.args(["--mount", "sh", "-ec", SCRIPT]).arg(directory.0.path()).arg(BINARY);
    command.env("SQLITE_TMPDIR", "/nowhere").env("TMPDIR", "/nowhere").env("DATABASE_URL", directory.url());
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

#[tokio::test]
async fn nothing_needs_a_temporary_file_however_long_the_ids_are() {
    let directory = Directory::new();
    let output = service(&directory).arg("--version").output().await;
    if !output.as_ref().is_ok_and(|output| output.status.success()) {
        return eprintln!("SKIPPED: no mount namespace with a read-only root can be made: {output:?}");
    }
    let (process, _) = start(service(&directory)).await;
    let address = process.address;
    // At once, so that a commit holds many of them.
    let mut gates = JoinSet::new();
    for number in 0..40 {
        gates.spawn(async move {
            let (ticket, key) = (format!("{number:02}{}", "x".repeat(64_000)), format!("key-{number}"));
            Gate::open(address).await.insist("evt1", &ticket, &key).await.record();
            ticket
        });
    }
    let tickets = gates.join_all().await;
    let list = Gate::open(address).await.list("evt1").await.body;
    look(&directory, "running.db").await;
    kill(process).await;
    // All of it is in the log.
    look(&directory, "killed.db").await;

    for _ in 0..2 {
        let (process, mut gate) = start(service(&directory)).await;
        assert!(gate.list("evt1").await.body == list, "the list is another one");
        for ticket in &tickets {
            assert_eq!(gate.check_in("evt1", ticket, None).await.text(), (400, DUPLICATE));
        }
        process.finish().await;
    }
    let copy = directory.path("killed.db");
    let said = run(service(&directory), &["restore", copy.to_str().unwrap()]).await.unwrap();
    assert!(said.contains("whole, 40 check-ins"), "{said}");
}

/// Does whatever an operator may do without stopping the service.
async fn look(directory: &Directory, backup: &str) {
    let copy = directory.path(backup);
    let backup = run(service(directory), &["backup", copy.to_str().unwrap()]).await.unwrap();
    let check = run(service(directory), &["check"]).await.unwrap();
    for said in [backup, check, doctor(service(directory)).await] {
        assert!(said.contains(": whole, 40 check-ins"), "{said}");
    }
}
