//! The SQLite file on a disk that is slow, full, or fails.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    time::Instant,
};

use tokio::{process::Command, task::JoinSet, time::timeout};

use super::{
    BINARY, DUPLICATE, Directory, IN_TIME, SECOND, UNAVAILABLE,
    gate::Gate,
    kill, start,
    strace::{Strace, calls},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commit_is_on_the_disk_before_the_answer_leaves() {
    let (directory, outside) = (Directory::new(), Directory::new());
    let (process, mut gate) = directory.start().await;
    let what = "trace=fdatasync,fsync,write,writev,sendto,sendmsg,pwrite64";
    let Some(strace) = Strace::attach(&process, &outside, &["-e", what]).await else { return };
    for number in 0..20 {
        assert_eq!(gate.check_in("evt1", &format!("one-{number:02}."), None).await.status, 200);
    }
    let mut gates = JoinSet::new();
    for number in 0..8 {
        let address = process.address;
        gates.spawn(async move {
            let mut gate = Gate::open(address).await;
            for scan in 0..8 {
                let (ticket, key) = (format!("many-{number}-{scan}."), format!("{number}-{scan}"));
                assert_eq!(gate.check_in("evt1", &ticket, Some(&key)).await.status, 200);
            }
        });
    }
    gates.join_all().await;
    let trace = strace.detach().await;

    let calls = calls(&trace);
    let tickets = (0..20).map(|number| format!("one-{number:02}."));
    let tickets = tickets.chain((0..64).map(|number| format!("many-{}-{}.", number / 8, number % 8)));
    for ticket in tickets {
        let answer = calls.iter().find(|call| call.text.contains("200 OK") && call.text.contains(&ticket));
        let answer = answer.unwrap_or_else(|| panic!("no answer for {ticket} in\n{trace:.3000}"));
        // The first write, for later commits rewrite the same page.
        let written = calls.iter().find(|call| {
            let is_log = call.text.starts_with("pwrite64(") && call.text.contains("attendance.db-wal>");
            is_log && call.text.contains(&ticket) && call.begin < answer.begin
        });
        let written = written.unwrap_or_else(|| panic!("{ticket} was answered before it was written"));
        let synced = calls.iter().any(|call| {
            let is_sync = call.text.starts_with("fdatasync(") || call.text.starts_with("fsync(");
            let is_good = is_sync && call.text.contains("attendance.db-wal>") && call.text.ends_with("= 0");
            is_good && call.begin > written.end && call.end < answer.begin
        });
        assert!(synced, "{ticket} was answered before it was on the disk");
    }
}

/// A service whose storage fails as `inject` says, from the first check-in that is answered on.
async fn outlives(inject: &str, must_fail: bool) {
    let (directory, outside) = (Directory::new(), Directory::new());
    let (process, mut gate) = directory.start().await;
    let green = gate.check_in("evt1", "green", Some("green")).await.record();
    let filter = format!("inject={inject}");
    let trace = format!("trace={}", inject.split(':').next().unwrap());
    let Some(strace) = Strace::attach(&process, &outside, &["-e", &trace, "-e", &filter]).await else {
        return;
    };

    // Whoever scans, once and again, alone and together with others: nobody is told anything untrue.
    let mut acknowledged = BTreeMap::from([("green".to_owned(), green.clone())]);
    let mut failures = 0;
    for number in 0..6 {
        let ticket = format!("T{number}");
        let key = (number % 2 == 0).then(|| format!("k{number}"));
        let begin = Instant::now();
        let answer = gate.check_in("evt1", &ticket, key.as_deref()).await;
        assert!(begin.elapsed() < IN_TIME, "{inject}: {:?}", begin.elapsed());
        match answer.status {
            200 => drop(acknowledged.insert(ticket, answer.record())),
            // Settled by reading the database: the one without a key may not be sent twice.
            _ => {
                answer.assert_unavailable();
                failures += 1;
            }
        }
        assert!(gate.list("evt1").await.body.contains(&green), "reads go on");
        assert_eq!(gate.check_in("evt1", "green", None).await.text(), (400, DUPLICATE));
        assert_eq!(gate.check_in("evt1", "green", Some("green")).await.record(), green);
        if must_fail {
            let looked_up = gate.get(&format!("/attendance/evt1/tickets/T{number}")).await;
            assert_eq!(looked_up.text(), (503, UNAVAILABLE), "nobody knows whether T{number} is in");
        }
    }
    if must_fail {
        assert_eq!(failures, 6, "{inject}");
        gate.not_ready().await;
    }
    assert_eq!(gate.get("/health").await.status, 200);
    let trace = strace.detach().await;
    assert!(failures == 0 || trace.contains("(INJECTED)"), "{trace}");

    gate.ready().await;
    for (ticket, record) in &acknowledged {
        assert_eq!(gate.records("evt1").await.get(ticket), Some(record), "{inject}");
    }
    let settled = gate.records("evt1").await;
    for number in 0..6 {
        let ticket = format!("T{number}");
        let key = (number % 2 == 0).then(|| format!("k{number}"));
        let answer = gate.check_in("evt1", &ticket, key.as_deref()).await;
        match settled.get(&ticket) {
            Some(record) if number % 2 == 0 => assert_eq!(answer.record(), *record, "{inject}"),
            Some(_) => assert_eq!(answer.text(), (400, DUPLICATE), "{inject}"),
            None => assert!(!answer.record().is_empty() && !answer.is_replayed(), "{inject}"),
        }
    }
    let list = gate.list("evt1").await.body;
    assert_eq!(gate.records("evt1").await.len(), 7, "{inject}");
    kill(process).await;
    let (_process, mut gate) = directory.start().await;
    assert_eq!(gate.list("evt1").await.body, list, "{inject}");
}

#[tokio::test]
async fn a_sync_that_fails_is_no_check_in_and_the_storage_comes_back_by_itself() {
    outlives("fdatasync,fsync:error=EIO", true).await;
}

#[tokio::test]
async fn whichever_sync_fails_nothing_untrue_is_said() {
    // Of each connection to the file: the commit's own, those of the log that is copied, and later ones.
    for number in 1..=4 {
        outlives(&format!("fdatasync,fsync:error=EIO:when={number}"), false).await;
    }
}

#[tokio::test]
async fn a_write_that_fails_is_no_check_in_and_the_storage_comes_back_by_itself() {
    for error in ["EIO", "ENOSPC", "EROFS", "EDQUOT"] {
        outlives(&format!("pwrite64:error={error}"), true).await;
    }
}

#[tokio::test]
async fn a_sync_that_hangs_is_said_in_time_and_settled_when_it_ends() {
    let (directory, outside) = (Directory::new(), Directory::new());
    let (process, mut gate) = directory.start().await;
    assert_eq!(gate.check_in("evt1", "green", None).await.status, 200);
    // Until strace lets go, however long all else takes.
    let hang = ["-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:delay_enter=600000000:when=1"];
    let Some(strace) = Strace::attach(&process, &outside, &hang).await else { return };

    let mut first = Gate::open(process.address).await;
    let first = tokio::spawn(async move { first.check_in("evt1", "first", Some("k")).await });
    // The writer answers this at once, unless it waits for the disk.
    loop {
        let mut asking = Gate::open(process.address).await;
        if timeout(SECOND / 5, asking.get("/ready")).await.is_err() {
            break;
        }
    }
    // Behind the one that hangs: these never get as far as the disk.
    let mut behind = JoinSet::new();
    for number in 0..50 {
        let mut gate = Gate::open(process.address).await;
        behind.spawn(async move {
            let begin = Instant::now();
            let answer = gate.check_in("evt1", &format!("behind-{number}"), None).await;
            assert!(begin.elapsed() < SECOND * 10, "{:?}", begin.elapsed());
            answer.status
        });
    }
    gate.not_ready().await;
    // Nobody knows yet how it ends.
    let looked_up = async |gate: &mut Gate| gate.get("/attendance/evt1/tickets/first").await;
    let begin = Instant::now();
    while looked_up(&mut gate).await.status != 503 {
        assert!(begin.elapsed() < SECOND * 10, "a ticket whose commit hangs was said not to be in");
    }
    assert_eq!(looked_up(&mut gate).await.text(), (503, UNAVAILABLE));
    first.await.unwrap().assert_unavailable();
    let statuses: BTreeSet<_> = behind.join_all().await.into_iter().collect();
    assert_eq!(statuses, BTreeSet::from([503]));
    assert_eq!(gate.list("evt1").await.status, 200);

    strace.detach().await;
    gate.ready().await;
    // Whoever was told to come again was not checked in behind their back: all but those that shared the
    // commit that hung, whose moments are a microsecond apart.
    let mut settled = gate.records("evt1").await;
    settled.remove("green").expect("what was green before");
    let moment = |record: &String| record.split_once(r#""checked_in_at":"#).expect("a moment").1.to_owned();
    let moments: BTreeSet<_> = settled.values().map(moment).collect();
    let micros = |moment: &String| -> u32 { moment.split(['.', '+']).nth(1).unwrap().parse().unwrap() };
    let steps =
        moments.iter().zip(moments.iter().skip(1)).map(|(one, next)| micros(next) + 1_000_000 - micros(one));
    assert!(
        steps.into_iter().all(|step| step % 1_000_000 == 1),
        "written after its client was told to come again: {moments:?}"
    );
    assert_eq!(gate.check_in("evt1", "first", Some("k")).await.status, 200);
    for number in 0..50 {
        let ticket = format!("behind-{number}");
        let status = if settled.contains_key(&ticket) { 400 } else { 200 };
        assert_eq!(gate.check_in("evt1", &ticket, None).await.status, status, "{ticket}");
    }
    assert_eq!(gate.records("evt1").await.len(), 52);
    let log = process.log_with("the disk answers again").await;
    for line in ["the disk does not answer", "the disk answers again"] {
        assert_eq!(log.matches(line).count(), 1, "{log}");
    }
}

/// A filesystem of its own that is small. None where it may not be made: that is said loudly.
pub(super) struct Small(pub(super) Directory);

impl Small {
    pub(super) async fn mount(size: &str) -> Option<Self> {
        let directory = Directory::new();
        let mount = ["-t", "tmpfs", "-o", size, "tixgo"];
        let output = Command::new("mount").args(mount).arg(directory.0.path()).output().await;
        if output.as_ref().is_ok_and(|output| output.status.success()) {
            return Some(Self(directory));
        }
        eprintln!("SKIPPED: no small filesystem can be mounted: {output:?}");
        None
    }

    async fn remount(&self, option: &str) {
        let mut mount = Command::new("mount");
        let mount = mount.args(["-o", &format!("remount,{option}")]).arg(self.0.0.path());
        assert!(mount.status().await.unwrap().success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(std::process::Command::new("umount").arg("-l").arg(self.0.0.path()).status());
    }
}

#[tokio::test]
async fn a_limit_on_the_size_of_files_is_a_full_disk_and_ends_no_process() {
    let directory = Directory::new();
    let mut limited = Command::new("sh");
    // 512 bytes a block.
    limited.args(["-c", "ulimit -f 600 && exec \"$0\"", BINARY]).env_clear();
    for (name, value) in directory.service().as_std().get_envs() {
        limited.env(name, value.unwrap());
    }
    let (process, mut gate) = start(limited).await;
    let mut green = Vec::new();
    let refused = loop {
        let ticket = format!("{}-{}", green.len(), "x".repeat(5000));
        let answer = gate.check_in("evt1", &ticket, None).await;
        if answer.status != 200 {
            break answer;
        }
        green.push(answer.record());
        assert!(green.len() < 100, "there is no limit");
    };
    refused.assert_unavailable();
    gate.not_ready().await;
    assert_eq!(gate.records("evt1").await.len(), green.len());
    kill(process).await;
    let (_process, mut gate) = directory.start().await;
    assert_eq!(gate.records("evt1").await.len(), green.len());
    gate.ready().await;
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_room_is_all_it_takes_to_go_on() {
    let Some(disk) = Small::mount("size=2m").await else { return };
    let directory = &disk.0;
    let (process, mut gate) = directory.start().await;
    let mut green = BTreeMap::new();
    let mut refused = BTreeSet::new();
    for round in 0..3 {
        for number in 0..20 {
            let ticket = format!("T{number}-{round}");
            green.insert(ticket.clone(), gate.check_in("evt1", &ticket, Some(&ticket)).await.record());
        }
        let filler = directory.path("filler");
        let full = fs::write(&filler, vec![1; 4 << 20]).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);

        for number in 0..20 {
            let ticket = format!("full-{number}-{round}-{}", "x".repeat(5000));
            let begin = Instant::now();
            let answer = gate.check_in("evt1", &ticket, Some(&ticket[..12])).await;
            assert!(begin.elapsed() < IN_TIME, "{:?}", begin.elapsed());
            match answer.status {
                200 => drop(green.insert(ticket, answer.record())),
                _ => {
                    answer.assert_unavailable();
                    refused.insert(ticket);
                }
            }
            let again = gate.check_in("evt1", &format!("T{number}-{round}"), None).await;
            assert_eq!(again.text(), (400, DUPLICATE));
            assert!(gate.list("evt1").await.body.contains(&green["T0-0"]), "reads go on");
        }
        assert!(!refused.is_empty(), "the disk is not full");
        let answer = gate.not_ready().await;
        assert!(answer.body.contains("full") || answer.body.contains("I/O"), "{answer:?}");

        fs::remove_file(filler).unwrap();
        gate.ready().await;
        for ticket in std::mem::take(&mut refused) {
            let record = gate.check_in("evt1", &ticket, Some(&ticket[..12])).await.record();
            green.insert(ticket, record);
        }
        assert_eq!(gate.records("evt1").await, green);
    }
    let list = gate.list("evt1").await.body;
    kill(process).await;

    // And a disk that takes no writes at all is named at the start.
    disk.remount("ro").await;
    let said = directory.refusal().await;
    assert!(said.contains("attendance.db") && said.contains("ead-only"), "{said}");
    disk.remount("rw").await;
    let (_process, mut gate) = directory.start().await;
    assert_eq!(gate.list("evt1").await.body, list);
}
