//! Gates that scan ticket after ticket, through whatever happens meanwhile.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    IN_TIME, SECOND,
    gate::{Gate, scan},
};

/// What a gate knows of a ticket: its key, and the record if it saw green.
#[derive(Clone)]
pub(crate) struct Scanned {
    pub(crate) ticket: String,
    pub(crate) key: Option<String>,
    pub(crate) record: Option<String>,
}

#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) is_over: AtomicBool,
    green: AtomicUsize,
    refused: AtomicUsize,
}

impl Progress {
    /// How many were told that the storage takes no writes.
    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Relaxed)
    }
}

pub(crate) struct Load {
    gates: JoinSet<Vec<Scanned>>,
    pub(crate) progress: Arc<Progress>,
}

impl Load {
    /// Eight gates of one event, at one service or several.
    pub(crate) fn start(event: &str, addresses: &[SocketAddr]) -> Self {
        let mut load = Self { gates: JoinSet::new(), progress: Arc::default() };
        for (number, address) in (0..8).zip(addresses.iter().copied().cycle()) {
            let (progress, event) = (load.progress.clone(), event.to_owned());
            load.gates.spawn(async move { scan_on(address, &event, number, &progress).await });
        }
        load
    }

    /// Waits until so many more were green.
    pub(crate) async fn advances(&self, by: usize) {
        reaches(&self.progress.green, by).await;
    }

    /// Waits until so many more were told that the storage takes no writes.
    pub(crate) async fn is_refused(&self, by: usize) {
        reaches(&self.progress.refused, by).await;
    }

    pub(crate) async fn end(self) -> Vec<Scanned> {
        self.progress.is_over.store(true, Relaxed);
        self.gates.join_all().await.concat()
    }

    /// Ends it. The records that were seen, by ticket.
    pub(crate) async fn seen(self) -> BTreeMap<String, String> {
        let scanned = self.end().await.into_iter();
        scanned.filter_map(|scan| Some((scan.ticket, scan.record?))).collect()
    }

    /// Ends it: every record that was seen, by ticket, is there as it was seen.
    pub(crate) async fn assert_kept(self, gate: &mut Gate) -> BTreeMap<String, String> {
        let seen = self.seen().await;
        assert_among(&seen, &gate.records("evt1").await);
        seen
    }
}

/// Every record that was seen is there, as it was seen.
pub(crate) fn assert_among(seen: &BTreeMap<String, String>, records: &BTreeMap<String, String>) {
    for (ticket, record) in seen {
        assert_eq!(records.get(ticket), Some(record));
    }
}

async fn reaches(count: &AtomicUsize, by: usize) {
    let goal = count.load(Relaxed) + by;
    let advance = async {
        while count.load(Relaxed) < goal {
            sleep(SECOND / 500).await;
        }
    };
    timeout(SECOND * 20, advance).await.expect("an advance with no restart");
}

/// Ends when it is told to, or when its service is gone.
async fn scan_on(address: SocketAddr, event: &str, number: usize, progress: &Progress) -> Vec<Scanned> {
    let mut scanned = Vec::new();
    let mut gate = Gate::open(address).await;
    while !progress.is_over.load(Relaxed) {
        let ticket = format!("{number}-{}", scanned.len());
        // One in three has none, and is not sent again.
        let key = (scanned.len() % 3 != 0).then(|| format!("key-{event}-{ticket}"));
        let request = scan(event, &ticket, key.as_deref(), &gate.token);
        let is_keyed = key.is_some();
        scanned.push(Scanned { ticket, key, record: None });
        loop {
            let begin = Instant::now();
            let Ok(answer) = gate.try_send(&request).await else { return scanned };
            assert!(begin.elapsed() < IN_TIME, "{:?}: {answer:?}", begin.elapsed());
            if answer.status == 200 {
                progress.green.fetch_add(1, Relaxed);
                scanned.last_mut().unwrap().record = Some(answer.record());
                break;
            }
            // A 400 would be untrue: nobody else has this ticket.
            answer.assert_unavailable();
            progress.refused.fetch_add(1, Relaxed);
            if !is_keyed || progress.is_over.load(Relaxed) {
                break;
            }
        }
    }
    scanned
}
