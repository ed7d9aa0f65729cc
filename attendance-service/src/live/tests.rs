use std::{
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use tokio::time::timeout;

use super::*;
use crate::{
    history::{BulkUndo, Changes, HistoryEntry, Undo},
    record::{Scan, TicketId},
    store::{Attendance, BatchResult, CheckIn, MemoryUsage, UndoOutcome, memory::MemoryCheckInStore},
};

const IN_TIME: Duration = Duration::from_secs(8);

/// A store whose figures cannot be read at times.
struct Flaky {
    store: MemoryCheckInStore,
    is_down: AtomicBool,
}

impl Flaky {
    fn new() -> Arc<Self> {
        Arc::new(Self { store: MemoryCheckInStore::new(1 << 20), is_down: AtomicBool::new(false) })
    }

    fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::Relaxed);
    }

    async fn let_in(&self, ticket: &str) {
        let scan = Scan::new(event(), TicketId(ticket.to_owned()), "panitia1".into());
        assert!(matches!(self.store.check_in(scan).await, Ok(CheckIn::Accepted(_))), "{ticket}");
    }

    fn check(&self) -> Result<(), StoreError> {
        let is_down = self.is_down.load(Ordering::Relaxed);
        if is_down { Err(StoreError::Unavailable("down".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl CheckInStore for Flaky {
    async fn check_in(&self, scan: Scan) -> Result<CheckIn, StoreError> {
        self.store.check_in(scan).await
    }

    async fn check_in_batch(&self, scans: Vec<Scan>) -> Result<Vec<BatchResult>, StoreError> {
        self.store.check_in_batch(scans).await
    }

    async fn undo(&self, undo: Undo) -> Result<UndoOutcome, StoreError> {
        self.store.undo(undo).await
    }

    async fn undo_all(&self, undo: BulkUndo) -> Result<u64, StoreError> {
        self.store.undo_all(undo).await
    }

    async fn history(&self, event: &EventId, ticket: &TicketId) -> Result<Vec<HistoryEntry>, StoreError> {
        self.store.history(event, ticket).await
    }

    async fn changes(&self, event: &EventId, after: u64, limit: usize) -> Result<Changes, StoreError> {
        self.store.changes(event, after, limit).await
    }

    async fn summary(&self, event: &EventId) -> Result<Summary, StoreError> {
        self.check()?;
        self.store.summary(event).await
    }

    async fn version(&self, event: &EventId) -> Result<u64, StoreError> {
        self.check()?;
        self.store.version(event).await
    }

    async fn attendance(&self, event: &EventId) -> Result<Attendance, StoreError> {
        self.store.attendance(event).await
    }

    async fn record(&self, event: &EventId, ticket: &TicketId) -> Result<Option<Bytes>, StoreError> {
        self.store.record(event, ticket).await
    }

    fn memory_usage(&self) -> Option<MemoryUsage> {
        None
    }

    async fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

fn event() -> EventId {
    EventId("evt1".to_owned())
}

/// Check-ins in `store`, and no event that was created.
fn stores(store: &Arc<Flaky>) -> Stores {
    Stores { check_ins: store.clone(), events: Arc::new(MemoryCheckInStore::new(u64::MAX)) }
}

fn live(store: &Arc<Flaky>) -> Arc<Live> {
    Arc::new(Live::new(stores(store), 8))
}

fn total(event: &[u8]) -> u64 {
    let event = std::str::from_utf8(event).unwrap();
    let data = event.strip_prefix("event: state\ndata: ").unwrap();
    serde_json::from_str::<serde_json::Value>(data).unwrap()["total_checked_in"].as_u64().unwrap()
}

/// Waits for something that no event tells of.
async fn until(mut condition: impl FnMut() -> bool) {
    let mut ticks = interval(Duration::from_millis(5));
    let fulfilled = async {
        while !condition() {
            ticks.tick().await;
        }
    };
    timeout(IN_TIME, fulfilled).await.unwrap();
}

#[tokio::test]
async fn while_the_storage_fails_nothing_new_is_sent_and_then_it_goes_on() {
    let store = Flaky::new();
    let live = live(&store);
    let mut subscription = live.subscribe(&event()).unwrap();
    let first = timeout(IN_TIME, subscription.first()).await.unwrap().unwrap();
    let mut events = pin!(subscription.events(first));
    assert_eq!(total(&events.next().await.unwrap().unwrap()), 0);
    store.set_down(true);
    store.let_in("T1").await;
    assert!(timeout(PERIOD * 5 / 2, events.next()).await.is_err(), "the stream is open, and says nothing");
    let mut late = live.subscribe(&event()).unwrap();
    let known = timeout(IN_TIME, late.first()).await.unwrap().unwrap();
    assert_eq!(total(&known), 0, "the last state that is known");
    store.let_in("T2").await;
    store.set_down(false);
    let next = timeout(IN_TIME, events.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(total(&next), 2, "the newest, and none in between");
}

#[tokio::test]
async fn who_comes_while_the_storage_fails_is_told_so_and_may_come_again() {
    let store = Flaky::new();
    let live = live(&store);
    store.set_down(true);
    let mut subscription = live.subscribe(&event()).unwrap();
    let outcome = timeout(IN_TIME, subscription.first()).await.unwrap();
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    drop(subscription);
    store.set_down(false);
    let mut subscription = live.subscribe(&event()).unwrap();
    assert_eq!(total(&timeout(IN_TIME, subscription.first()).await.unwrap().unwrap()), 0);
}

#[tokio::test]
async fn who_comes_between_two_states_waits_a_second_for_the_next_too() {
    let store = Flaky::new();
    let live = live(&store);
    let mut early = live.subscribe(&event()).unwrap();
    early.first().await.unwrap();
    // The store is asked again in the middle of the second after this.
    sleep_until(Instant::now() + PERIOD / 2).await;
    let mut late = live.subscribe(&event()).unwrap();
    let first = late.first().await.unwrap();
    let begin = Instant::now();
    let mut events = pin!(late.events(first));
    events.next().await.unwrap().unwrap();
    store.let_in("T1").await;
    let next = timeout(IN_TIME, events.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(total(&next), 1);
    assert!(begin.elapsed() >= PERIOD, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn an_event_has_one_task_and_none_once_nobody_looks_on() {
    let store = Flaky::new();
    let live = live(&store);
    let without_tasks = Arc::strong_count(&store);
    let mut subscriptions: Vec<_> = (0..3).map(|_| live.subscribe(&event()).unwrap()).collect();
    for subscription in &mut subscriptions {
        subscription.first().await.unwrap();
    }
    assert_eq!((Arc::strong_count(&store), live.subscribers()), (without_tasks + 1, 3));
    subscriptions.pop();
    assert_eq!(live.subscribers(), 2);
    drop(subscriptions);
    assert_eq!(live.subscribers(), 0);
    assert!(live.topics.lock().is_empty());
    until(|| Arc::strong_count(&store) == without_tasks).await;
}

#[tokio::test]
async fn no_more_look_on_than_may() {
    let live = Arc::new(Live::new(stores(&Flaky::new()), MAX_PER_EVENT + 1));
    let all: Vec<_> = (0..MAX_PER_EVENT).map(|_| live.subscribe(&event()).unwrap()).collect();
    assert!(live.subscribe(&event()).is_none(), "an event");
    let other = EventId("evt2".to_owned());
    let _one = live.subscribe(&other).unwrap();
    assert!(live.subscribe(&other).is_none(), "all events");
    drop(all);
    assert!(live.subscribe(&other).is_some());
}
