//! A restore that is killed wherever it changes something.

use std::{collections::BTreeSet, fs};

use tokio::process::Command;

use super::{BINARY, Directory, kill};

/// Calls that change what a name means, and those that bring it to the disk.
const STEPS: [&str; 4] = [
    "?rename,?renameat,?renameat2",
    "?unlink,?unlinkat",
    "fsync,fdatasync",
    "?copy_file_range,pwrite64,write",
];

/// What a start does with the files of a directory.
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
    directory: Directory,
    old: String,
    new: String,
}

impl Story {
    async fn begin() -> Self {
        let directory = Directory::new();
        let (process, mut gate) = directory.start().await;
        gate.check_in("evt1", "before", None).await.record();
        let new = gate.list("evt1").await.body;
        directory.maintain(&["backup", "backup.db"]).await.unwrap();
        gate.check_in("evt1", "after", None).await.record();
        let old = gate.list("evt1").await.body;
        kill(process).await;
        Self { directory, old, new }
    }

    /// On a copy, which a start may change.
    async fn state(&self, directory: &Directory) -> State {
        let directory = copied(directory);
        if directory.names().iter().any(|name| name.contains("restoring")) {
            let said = directory.refusal().await;
            assert!(said.contains("interrupted") && said.contains("do it once more: restore PATH"), "{said}");
            return State::Refused;
        }
        let (process, mut gate) = directory.start().await;
        let list = gate.list("evt1").await.body;
        kill(process).await;
        match list {
            list if list == self.old => State::Old,
            list if list == self.new => State::New,
            list => panic!("half of the data was served: {list}"),
        }
    }

    /// After a restore was killed.
    async fn go_on(&self, directory: &Directory, state: State) {
        // A mistyped name changes nothing, and nor does what is no copy.
        fs::write(directory.path("text.db"), "no database").unwrap();
        for name in ["nowhere.db", "text.db"] {
            let said = directory.maintain(&["restore", name]).await.unwrap_err();
            assert!(said.contains("nothing was changed"), "{said}");
            assert_eq!(self.state(directory).await, state, "after {name}");
        }

        // Once more, and nothing is lost.
        directory.maintain(&["restore", "backup.db"]).await.unwrap();
        assert_eq!(self.state(directory).await, State::New);
        let mut aside = directory.names();
        aside.retain(|name| name.contains("before-restore") && !name.ends_with("-wal"));
        let mut kept = BTreeSet::new();
        for name in &aside {
            directory.maintain(&["restore", name]).await.unwrap();
            kept.insert(self.state(directory).await);
        }
        assert!(kept.contains(&State::Old), "lost, of {aside:?}");
    }
}

fn copied(directory: &Directory) -> Directory {
    let copy = Directory::new();
    for name in directory.names() {
        fs::copy(directory.path(&name), copy.path(&name)).unwrap();
    }
    copy
}

/// Runs `restore` until one of `calls` is made for the time `step`. Whether it came to its end before.
async fn is_restored(directory: &Directory, calls: &str, step: usize) -> bool {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e"]);
    strace.arg(format!("inject={calls}:signal=KILL:when={step}"));
    strace.args([BINARY, "restore", "backup.db"]).current_dir(&directory.0);
    strace.env_clear().env("DATABASE_URL", directory.url()).env("PATH", "/usr/local/bin:/usr/bin:/bin");
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
            let directory = copied(&story.directory);
            if is_restored(&directory, calls, step).await {
                break;
            }
            let state = story.state(&directory).await;
            println!("killed at {calls} number {step}: {state:?}");
            story.go_on(&directory, state).await;
            states.insert(state);
        }
    }
    assert_eq!(states, BTreeSet::from([State::Old, State::New, State::Refused]));
}
