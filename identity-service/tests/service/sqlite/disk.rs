//! A disk that is full, read-only, gone, or fails.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use shared_http::testing::Process;
use sqlx::{Connection, query};
use tokio::{
    io::{AsyncBufReadExt, BufReader, copy, sink},
    process::{Child, Command as AsyncCommand},
    time::sleep,
};

use super::{FILE_NAME, is_back, is_out, names, open_file, start, url, why_it_does_not_start};
use crate::{
    IN_TIME, LOGIN, REGISTER, SECOND, UNAVAILABLE,
    api::{app_at, log_in, register},
    ask, assert_says, eventually,
};

/// A small file system of its own, if this system lets us make one.
struct Mount(PathBuf);

impl Mount {
    fn new(directory: &Path, what: &str) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(directory);
        let mounted = mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        if !mounted {
            println!("SKIPPED: {what} (no file system can be mounted here)");
        }
        mounted.then(|| Self(directory.to_owned()))
    }

    fn make_read_only(&self) {
        let mut mount = Command::new("mount");
        assert!(mount.args(["-o", "remount,ro"]).arg(&self.0).status().unwrap().success());
    }

    fn move_to(&mut self, directory: &Path) {
        let mut mount = Command::new("mount");
        assert!(mount.arg("--move").args([&self.0, directory]).status().unwrap().success());
        self.0 = directory.to_owned();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_space_brings_the_service_back() {
    let directory = tempfile::tempdir().unwrap();
    let Some(_mount) = Mount::new(directory.path(), "a full disk") else { return };
    let app = app_at(&url(directory.path()), &[]).await;
    assert_eq!(register(&app, "before", "rahasia").await.status, 200);
    // Until nothing more fits.
    let filler = directory.path().join("filler");
    fs::write(&filler, vec![0; 8 << 20]).unwrap_err();
    // What fits into allocated space is still stored, and answered 200.
    let mut kept = vec!["before".to_owned()];
    let failed = loop {
        let name = format!("{:0>50}", kept.len());
        let answer = register(&app, &name, "rahasia").await;
        if answer.status != 200 {
            assert_eq!(answer.text(), (503, UNAVAILABLE));
            break name;
        }
        kept.push(name);
        assert!(kept.len() < 1000, "the disk is never full");
    };
    assert_eq!(log_in(&app, "before", "rahasia").await.status, 200, "reading goes on");
    fs::remove_file(filler).unwrap();
    is_back(&app).await;
    assert_eq!(register(&app, "while", "rahasia").await.status, 200);
    kept.push("while".to_owned());
    drop(app);
    // The one whose commit failed may be there or not; nobody else is.
    let mut found = names(directory.path()).await;
    found.retain(|name| *name != failed);
    assert_eq!(found, kept);
}

#[tokio::test]
async fn a_disk_that_is_read_only_is_refused_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let Some(mount) = Mount::new(directory.path(), "a read-only disk") else { return };
    start(directory.path()).await.finish().await;
    mount.make_read_only();
    assert_says(&why_it_does_not_start(directory.path()).await, &[FILE_NAME, "ead-only"]);
}

#[tokio::test]
async fn no_new_file_is_begun_where_the_disk_was_unmounted() {
    let (directory, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(mut mount) = Mount::new(directory.path(), "a disk that is unmounted") else { return };
    let app = app_at(&url(directory.path()), &[]).await;
    assert_eq!(register(&app, "before", "rahasia").await.status, 200);
    let mut other = open_file(directory.path()).await;
    query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    is_out(&app, "while").await;
    mount.move_to(elsewhere.path());
    other.close().await.unwrap();
    // Several times as long as it takes to be tried again.
    sleep(SECOND).await;
    is_out(&app, "while").await;
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    mount.move_to(directory.path());
    is_back(&app).await;
    assert_eq!(register(&app, "while", "rahasia").await.status, 200);
    drop(app);
    assert_eq!(names(directory.path()).await, ["before", "while"]);
}

/// A service some of whose system calls go as `fault` says, until this is dropped.
struct Faulty(Child);

impl Faulty {
    /// A service in `directory` where somebody is registered, `calls` of which go wrong. None where there is no `strace`.
    async fn start(directory: &Path, calls: &str, fault: &str) -> Option<(Process, Self)> {
        let process = start(directory).await;
        assert_eq!(ask(&process, REGISTER, "before").await.0, 200);
        let faulty = Self::attach(&process, calls, fault).await;
        if faulty.is_none() {
            println!("SKIPPED: a disk whose {calls} go as {fault} (strace is missing or may not attach)");
        }
        Some((process, faulty?))
    }

    async fn attach(process: &Process, calls: &str, fault: &str) -> Option<Self> {
        let mut strace = AsyncCommand::new("strace");
        strace.args(["-f", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e"]);
        strace.arg(format!("inject={calls}:{fault}")).args(["-p", &process.id().to_string()]);
        let mut child = strace.stderr(Stdio::piped()).kill_on_drop(true).spawn().ok()?;
        let mut said = BufReader::new(child.stderr.take()?);
        let mut line = String::new();
        said.read_line(&mut line).await.ok()?;
        // Nobody reads the rest, and a broken pipe must not end it.
        tokio::spawn(async move { copy(&mut said, &mut sink()).await });
        line.contains("attached").then_some(Self(child))
    }

    async fn stop(mut self) {
        let id = self.0.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        self.0.wait().await.unwrap();
    }
}

/// The calls that bring data to the disk.
const SYNCS: &str = "fsync,fdatasync";

/// The calls that read a database.
const READS: &str = "pread64";

/// That there is no storage, and that it takes no longer than it may.
async fn is_unavailable(process: &Process, head: &str, name: &str) {
    let begin = Instant::now();
    assert_eq!(ask(process, head, name).await, (503, UNAVAILABLE.to_owned()));
    assert!(begin.elapsed() < IN_TIME, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_disk_that_fails_is_logged_once_and_what_it_kept_is_found_out() {
    let directory = tempfile::tempdir().unwrap();
    let Some((process, faulty)) = Faulty::start(directory.path(), SYNCS, "error=EIO").await else { return };
    for _ in 0..5 {
        is_unavailable(&process, REGISTER, "while").await;
        sleep(SECOND / 5).await;
    }
    assert_eq!(ask(&process, "GET /ready", "").await.0, 503);
    faulty.stop().await;
    eventually("ready again", async || ask(&process, "GET /ready", "").await.0 == 200).await;
    let (status, body) = ask(&process, REGISTER, "while").await;
    assert!(status == 200 || body.contains("sudah terdaftar"), "{status} {body}");
    assert_eq!(ask(&process, LOGIN, "while").await.0, 200);
    assert_eq!(names(directory.path()).await, ["before", "while"]);
    let log = process.log_with("the storage takes writes again").await;
    for told in ["the storage takes no writes", "the storage takes writes again"] {
        assert_eq!(log.matches(told).count(), 1, "{told}: {log}");
    }
}

#[tokio::test]
async fn a_disk_that_hangs_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let fault = "delay_enter=5000000";
    let Some((process, faulty)) = Faulty::start(directory.path(), SYNCS, fault).await else { return };
    for name in ["first", "second"] {
        is_unavailable(&process, REGISTER, name).await;
    }
    assert_eq!(ask(&process, LOGIN, "before").await.0, 200, "reading goes on");
    // The commit that hangs may hold the user: 503, or 200 once it is done, but not 400.
    let answer = ask(&process, LOGIN, "first").await;
    assert!(matches!(answer.0, 200 | 503), "{answer:?}");
    assert_eq!(ask(&process, "GET /health", "").await.0, 200);
    faulty.stop().await;
    // The first waits for the disk; the second was refused before.
    eventually("stored", async || ask(&process, LOGIN, "first").await.0 == 200).await;
    assert_eq!(ask(&process, REGISTER, "second").await.0, 200);
    assert_eq!(names(directory.path()).await, ["before", "first", "second"]);
}

/// Logins and registrations read before anything else, so a service that cannot read is not ready.
#[tokio::test]
async fn a_disk_that_cannot_be_read_or_hangs_is_an_outage_with_an_end() {
    for fault in ["error=EIO", "delay_enter=3000000"] {
        let directory = tempfile::tempdir().unwrap();
        let Some((process, faulty)) = Faulty::start(directory.path(), READS, fault).await else { return };
        for _ in 0..3 {
            is_unavailable(&process, LOGIN, "before").await;
        }
        assert_eq!(ask(&process, "GET /ready", "").await.0, 503);
        is_unavailable(&process, REGISTER, "while").await;
        faulty.stop().await;
        eventually("ready again", async || ask(&process, "GET /ready", "").await.0 == 200).await;
        assert_eq!(ask(&process, LOGIN, "before").await.0, 200);
        assert_eq!(ask(&process, REGISTER, "after").await.0, 200);
        assert_eq!(names(directory.path()).await, ["before", "after"]);
        let log = process.log_with("the storage takes writes again").await;
        assert_eq!(log.matches("users cannot be read").count(), 1, "{log}");
    }
}
