//! Undos, batches and imports, before an end of the process and after it. One story for every store that lasts.

use std::{collections::BTreeMap, fs, net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use shared_service::{on_lasting_stores, testing::Store};
use tokio::{task::JoinSet, time::sleep};

use super::{
    Directory,
    disk::Small,
    gate::{Chance, Gate, admin_token},
    kill,
    restarts::settled,
    service, start,
    strace::Strace,
};

on_lasting_stores![what_was_acknowledged_of_undos_batches_and_imports_outlasts_an_end];

/// Scans in a batch, and tickets in an import.
const SIZE: usize = 20;

/// What a client knows of a batch of its own: whether it was acknowledged, and how many undos it asked for after it.
struct Sent {
    prefix: String,
    is_acknowledged: bool,
    undone: usize,
    asked: usize,
}

fn batch(event: &str, prefix: &str) -> String {
    let scan = |number| {
        let ticket = format!("{prefix}-{number}");
        json!({ "event_id": event, "ticket_id": ticket, "idempotency_key": ticket })
    };
    json!({ "scans": (0..SIZE).map(scan).collect::<Vec<_>>() }).to_string()
}

/// Puts tickets on the list, checks them in with a batch, and undoes some of them, again and again until the service is
/// gone.
async fn work(address: SocketAddr, event: String, name: String) -> Vec<Sent> {
    let mut gate = Gate::open(address).await;
    gate.token = admin_token();
    let mut all = Vec::new();
    for turn in 0.. {
        let prefix = format!("{name}-{turn}");
        let lines = (0..SIZE).map(|number| format!("\n{prefix}-{number}")).collect::<String>();
        let import = format!("/events/{event}/tickets");
        let imported = gate.try_request("PUT", &import, "text/csv", &format!("ticket_id{lines}")).await;
        all.push(Sent { prefix: prefix.clone(), is_acknowledged: false, undone: 0, asked: 0 });
        let Some(sent) = all.last_mut() else { return all };
        let Ok(imported) = imported else { return all };
        assert_eq!(imported.json()["added"], SIZE, "{imported:?}");
        let scans =
            gate.try_request("POST", "/checkins/batch", "application/json", &batch(&event, &prefix)).await;
        let Ok(scans) = scans else { return all };
        let results = scans.json()["results"].as_array().expect("results").clone();
        assert!(results.iter().all(|result| result["status"] == "accepted"), "{results:?}");
        sent.is_acknowledged = true;
        for number in 0..SIZE / 2 {
            sent.asked += 1;
            let path = format!("/attendance/{event}/tickets/{prefix}-{number}");
            let Ok(undone) = gate.try_request("DELETE", &path, "application/json", "").await else {
                return all;
            };
            assert_eq!(undone.json()["status"], "undone");
            sent.undone += 1;
        }
    }
    all
}

async fn what_was_acknowledged_of_undos_batches_and_imports_outlasts_an_end(store: Store) {
    let directory = Directory::new();
    let url = store.new_url(directory.0.path()).await;
    let mut chance = Chance::new();
    let (mut process, mut gate) = start(service(&url)).await;
    gate.token = admin_token();
    let event = gate.request("POST", "/events", r#"{"title":"Konser"}"#).await.json();
    let event = event["id"].as_str().expect("an id").to_owned();
    let (mut undone, mut unknown) = (0, 0);
    for round in 0..100 {
        // On a busy machine a kill may come before there is anything to undo.
        if round >= 15 && undone > 15 && unknown > 15 {
            break;
        }
        let mut clients = JoinSet::new();
        for client in 0..4 {
            clients.spawn(work(process.address, event.clone(), format!("{round}-{client}")));
        }
        sleep(Duration::from_millis(20 + chance.below(200))).await;
        if round % 5 == 4 {
            process.finish().await;
        } else {
            kill(process).await;
        }
        let sent: Vec<Sent> = clients.join_all().await.into_iter().flatten().collect();
        settled(store, &url).await;
        (process, gate) = start(service(&url)).await;
        gate.token = admin_token();
        for sent in &sent {
            check(&mut gate, &event, sent).await;
            undone += sent.undone;
            unknown += usize::from(!sent.is_acknowledged) + (sent.asked - sent.undone);
        }
    }
    assert!(undone > 15 && unknown > 15, "the kills met no load: {undone} {unknown}");
    totals_agree(&mut gate, &event).await;
}

/// Nothing that was acknowledged is missing, and nothing is there by half.
async fn check(gate: &mut Gate, event: &str, sent: &Sent) {
    let prefix = &sent.prefix;
    let found = gate.get(&format!("/events/{event}/tickets?q={prefix}-&limit=1000")).await.json();
    let tickets = found["tickets"].as_array().expect("tickets");
    let of_batch = tickets.iter().filter(|ticket| {
        let rest = ticket["ticket_id"].as_str().expect("an id").strip_prefix(prefix.as_str());
        rest.is_some_and(|rest| rest.starts_with('-'))
    });
    let of_batch: Vec<&Value> = of_batch.collect();
    assert!(of_batch.is_empty() || of_batch.len() == SIZE, "half of an import: {of_batch:?}");
    assert!(!sent.is_acknowledged || of_batch.len() == SIZE, "an import is lost");
    for number in 0..SIZE {
        let ticket = format!("{prefix}-{number}");
        let history = gate.get(&format!("/attendance/{event}/tickets/{ticket}/history")).await.json();
        let kinds: Vec<_> =
            history["entries"].as_array().expect("entries").iter().map(|e| &e["kind"]).collect();
        let is_in = ["checked_in"];
        let is_out = ["checked_in", "undone"];
        match number {
            _ if !sent.is_acknowledged => assert!(kinds.is_empty() || kinds == is_in, "{ticket}: {kinds:?}"),
            number if number < sent.undone => assert_eq!(kinds, is_out, "{ticket}: an undo is lost"),
            number if number < sent.asked => {
                assert!(kinds == is_in || kinds == is_out, "{ticket}: {kinds:?}");
            }
            _ => assert_eq!(kinds, is_in, "{ticket}: a check-in of a batch is lost"),
        }
    }
    if of_batch.len() == SIZE {
        // Sent again, each scan is the same attempt.
        let again = gate.request("POST", "/checkins/batch", &batch(event, prefix)).await.json();
        let results = again["results"].as_array().expect("results");
        let is_right = |result: &Value| {
            result["status"] == "replayed" || (!sent.is_acknowledged && result["status"] == "accepted")
        };
        assert!(results.len() == SIZE && results.iter().all(is_right), "{results:?}");
    }
}

/// The list has exactly the tickets whose last entry is a check-in, and the numbers of the entries have no gap and no twin.
async fn totals_agree(gate: &mut Gate, event: &str) {
    let (mut after, mut last) = (0, BTreeMap::new());
    loop {
        let page = gate.get(&format!("/attendance/{event}/changes?after={after}&limit=1000")).await.json();
        for change in page["changes"].as_array().expect("changes") {
            let seq = change["seq"].as_u64().expect("a number");
            assert!(seq > after, "{seq} after {after}");
            after = seq;
            let is_in = change["kind"] == "checked_in";
            let before = last.insert(change["digest"].as_str().expect("a digest").to_owned(), is_in);
            assert_ne!(before, Some(is_in), "no alternation");
        }
        if page["version"] == after {
            break;
        }
    }
    let list = gate.list(event).await.json();
    assert_eq!(list["total_checked_in"], last.values().filter(|is_in| **is_in).count());
}

/// An event whose list has `SIZE` tickets, all of them checked in, and the first five undone.
async fn prepared(gate: &mut Gate) -> String {
    gate.token = admin_token();
    let event = gate.request("POST", "/events", r#"{"title":"Konser"}"#).await.json();
    let event = event["id"].as_str().expect("an id").to_owned();
    import(gate, &event, "T").await.expect("a list");
    let results = gate.request("POST", "/checkins/batch", &batch(&event, "T")).await.json();
    assert!(
        results["results"].as_array().expect("results").iter().all(|result| result["status"] == "accepted")
    );
    for number in 0..5 {
        assert_eq!(undo(gate, &event, number).await, 200);
    }
    event
}

/// Puts tickets on the list. `None` if the storage takes no writes.
async fn import(gate: &mut Gate, event: &str, prefix: &str) -> Option<Value> {
    let lines = (0..SIZE).map(|number| format!("\n{prefix}-{number}")).collect::<String>();
    let list = format!("ticket_id{lines}");
    let answer = gate.try_request("PUT", &format!("/events/{event}/tickets"), "text/csv", &list).await;
    let answer = answer.expect("an answer");
    if answer.status == 503 { None } else { Some(answer.json()) }
}

async fn undo(gate: &mut Gate, event: &str, number: usize) -> u16 {
    gate.request("DELETE", &format!("/attendance/{event}/tickets/T-{number}"), "").await.status
}

/// While the storage takes no writes: each is refused, and what was acknowledged is read all the same.
async fn takes_nothing(gate: &mut Gate, event: &str) {
    assert_eq!(undo(gate, event, 6).await, 503);
    assert_eq!(import(gate, event, "U").await, None);
    assert_eq!(gate.request("POST", "/checkins/batch", &batch("evt-open", "V")).await.status, 503);
    let list = gate.list(event).await.json();
    assert_eq!(list["total_checked_in"], SIZE - 5);
}

/// Once it takes writes again: what was acknowledged is there, and what was refused is there as a whole or not at all.
async fn goes_on(gate: &mut Gate, event: &str) {
    for number in 0..5 {
        assert_eq!(undo(gate, event, number).await, 404, "an acknowledged undo was undone");
    }
    let again = undo(gate, event, 6).await;
    assert!(matches!(again, 200 | 404), "{again}");
    let imported = import(gate, event, "U").await.expect("a list");
    assert!(imported["added"] == SIZE || imported["unchanged"] == SIZE, "{imported}");
    let results = gate.request("POST", "/checkins/batch", &batch(event, "U")).await.json();
    assert!(
        results["results"].as_array().expect("results").iter().all(|result| result["status"] == "accepted")
    );
    assert_eq!(gate.list(event).await.json()["total_checked_in"], 2 * SIZE - 6);
    totals_agree(gate, event).await;
}

#[tokio::test]
async fn a_disk_that_fails_takes_back_no_undo_and_keeps_nothing_by_half() {
    for error in ["fdatasync,fsync:error=EIO", "pwrite64:error=EIO", "pwrite64:error=ENOSPC"] {
        let (directory, outside) = (Directory::new(), Directory::new());
        let (process, mut gate) = directory.start().await;
        let event = prepared(&mut gate).await;
        let trace = format!("trace={}", error.split(':').next().expect("calls"));
        let inject = format!("inject={error}");
        let Some(strace) = Strace::attach(&process, &outside, &["-e", &trace, "-e", &inject]).await else {
            return;
        };
        takes_nothing(&mut gate, &event).await;
        strace.detach().await;
        gate.ready().await;
        goes_on(&mut gate, &event).await;
        kill(process).await;
        let (_process, mut gate) = directory.start().await;
        gate.token = admin_token();
        totals_agree(&mut gate, &event).await;
    }
}

#[tokio::test]
async fn a_full_disk_takes_back_no_undo_and_keeps_nothing_by_half() {
    let Some(disk) = Small::mount("size=2m").await else { return };
    let directory = &disk.0;
    let (_process, mut gate) = directory.start().await;
    let event = prepared(&mut gate).await;
    let filler = directory.path("filler");
    fs::write(&filler, vec![1; 4 << 20]).unwrap_err();
    // The log of SQLite has room left, which is used up first.
    let mut length = 0;
    while gate.check_in("evt-other", &format!("{length}-{}", "x".repeat(5000)), None).await.status == 200 {
        length += 1;
        assert!(length < 1000, "the disk is not full");
    }
    takes_nothing(&mut gate, &event).await;
    fs::remove_file(filler).unwrap();
    gate.ready().await;
    goes_on(&mut gate, &event).await;
}
