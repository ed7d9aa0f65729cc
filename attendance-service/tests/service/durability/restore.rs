//! A restore that is killed wherever it changes something.

use std::{collections::BTreeSet, fs, path::Path};

use tempfile::TempDir;
use tokio::process::Command;

use super::{
    BINARY,
    gate::Gate,
    kill,
    maintenance::{run, text},
    refused, service, start,
};

/// Calls that change what a name means, and those that bring it to the disk.
const STEPS: [&str; 4] = [
    "?rename,?renameat,?renameat2",
    "?unlink,?unlinkat",
    "fsync,fdatasync",
    "?copy_file_range,pwrite64,write",
];

/// What a start does with the files in `directory`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum State {
    /// It serves what was there before.
    Old,
    /// It serves what was brought back.
    New,
    /// It serves nothing, and says what to do.
    Refused,
}

/// A database whose check-ins are in its log, and a copy that lacks the newest one.
struct Story {
    directory: TempDir,
    old: String,
    new: String,
}

impl Story {
    async fn begin() -> Self {
        let directory = TempDir::new().unwrap();
        let process = start(directory.path()).await;
        let mut gate = Gate::open(process.address).await;
        gate.check_in("evt1", "before", None).await.record();
        let new = gate.list("evt1").await.body;
        let copy = directory.path().join("backup.db");
        run(service(directory.path()), &["backup", text(&copy)]).await.unwrap();
        gate.check_in("evt1", "after", None).await.record();
        let old = gate.list("evt1").await.body;
        kill(process).await;
        Self { directory, old, new }
    }

    /// On a copy, which a start may change.
    async fn state(&self, directory: &Path) -> State {
        let directory = copied(directory);
        if names(directory.path()).iter().any(|name| name.contains("restoring")) {
            let (status, said) = refused(service(directory.path())).await;
            assert!(status == Some(1) && said.contains("do it once more: restore PATH"), "{said}");
            return State::Refused;
        }
        let process = start(directory.path()).await;
        let list = Gate::open(process.address).await.list("evt1").await.body;
        kill(process).await;
        if list == self.old {
            State::Old
        } else if list == self.new {
            State::New
        } else {
            panic!("half of the data was served: {list}")
        }
    }
}

impl Story {
    /// After a restore was killed.
    async fn go_on(&self, directory: &Path, state: State) {
        // A mistyped name changes nothing, and nor does what is no copy.
        fs::write(directory.join("text.db"), "no database").unwrap();
        for name in ["nowhere.db", "text.db"] {
            let said = run(service(directory), &["restore", text(&directory.join(name))]).await.unwrap_err();
            assert!(said.contains("nothing was changed"), "{said}");
            assert_eq!(self.state(directory).await, state, "after {name}");
        }

        // Once more, and nothing is lost.
        run(service(directory), &["restore", text(&directory.join("backup.db"))]).await.unwrap();
        assert_eq!(self.state(directory).await, State::New);
        let mut aside = names(directory);
        aside.retain(|name| name.contains("before-restore") && !name.ends_with("-wal"));
        let mut kept = BTreeSet::new();
        for name in &aside {
            run(service(directory), &["restore", text(&directory.join(name))]).await.unwrap();
            kept.insert(self.state(directory).await);
        }
        assert!(kept.contains(&State::Old), "lost, of {aside:?}");
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn copied(directory: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    for name in names(directory) {
        fs::copy(directory.join(&name), copy.path().join(&name)).unwrap();
    }
    copy
}

/// Runs `restore` until one of `calls` is made for the time `step`. Whether it came to its end before.
async fn is_restored(directory: &Path, calls: &str, step: usize) -> bool {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e"]);
    strace.arg(format!("inject={calls}:signal=KILL:when={step}"));
    strace.args([BINARY, "restore", text(&directory.join("backup.db"))]);
    strace.env_clear().env("DATABASE_URL", format!("sqlite://{}/", directory.display()));
    strace.env("PATH", "/usr/local/bin:/usr/bin:/bin");
    strace.output().await.unwrap().status.success()
}

#[tokio::test]
async fn a_restore_that_is_killed_at_any_step_leaves_the_old_data_the_new_data_or_a_refusal() {
    let output = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output().await;
    if !output.as_ref().is_ok_and(|output| output.status.success()) {
        return eprintln!("SKIPPED: strace cannot kill a restore: {output:?}");
    }
    let story = Story::begin().await;
    let mut states = BTreeSet::new();
    for calls in STEPS {
        for step in 1.. {
            let directory = copied(story.directory.path());
            if is_restored(directory.path(), calls, step).await {
                break;
            }
            let state = story.state(directory.path()).await;
            println!("killed at {calls} number {step}: {state:?}");
            story.go_on(directory.path(), state).await;
            states.insert(state);
        }
    }
    assert_eq!(states, BTreeSet::from([State::Old, State::New, State::Refused]));
}
