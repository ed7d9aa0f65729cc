//! The live state of events, for their subscribers. One task an event asks the store, however many subscribers it has.

use std::{
    collections::{HashMap, hash_map::Entry},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, Interval, MissedTickBehavior, interval, interval_at, sleep_until},
};
use utoipa::ToSchema;

use crate::{
    record::{EventId, Record, Timestamp},
    store::{CheckInStore, EventStore, StoreError, Summary},
};

/// The most subscribers of an event.
pub const MAX_PER_EVENT: usize = 64;

/// How often the store is asked, and the least time between two states.
const PERIOD: Duration = Duration::from_secs(1);

/// How often a comment is sent, so that nobody in between takes the connection for dead.
const COMMENT_PERIOD: Duration = Duration::from_secs(15);

/// How long a stream lasts: a token that has expired is good for no longer than that.
const LIFETIME: Duration = Duration::from_secs(600);

/// A line that clients ignore.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// What an event looks like.
// For the OpenAPI document. [`event`] writes it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct LiveState {
    /// The number of the last entry of the event; 0 if it has none.
    #[schema(example = 17)]
    version: u64,
    /// How many tickets are checked in.
    #[schema(example = 16)]
    total_checked_in: u64,
    /// How many tickets are on the list of the event and not revoked; `null` if it has no list.
    #[schema(example = 200)]
    registered: Option<u64>,
    /// The last check-in that stands.
    last: Option<Record>,
    /// How many of the check-ins that stand were made in each of the last 60 minutes, oldest first.
    #[schema(min_items = 60, max_items = 60)]
    per_minute: Vec<u32>,
}

/// The state of an event, ready to be sent, or why there is none yet.
type State = Option<Result<Bytes, StoreError>>;

/// Where the state of an event is asked for.
#[derive(Clone)]
pub struct Stores {
    /// Its check-ins.
    pub check_ins: Arc<dyn CheckInStore>,
    /// Its list of tickets.
    pub events: Arc<dyn EventStore>,
}

/// The events that have subscribers.
pub struct Live {
    stores: Stores,
    topics: Mutex<HashMap<EventId, Topic>>,
    /// Places for subscribers of all events.
    places: Arc<Semaphore>,
    max_subscribers: usize,
}

/// An event that has subscribers.
struct Topic {
    state: Arc<watch::Sender<State>>,
    subscribers: usize,
}

/// A place among the subscribers of an event, until it is dropped.
pub struct Subscription {
    live: Arc<Live>,
    event: EventId,
    state: watch::Receiver<State>,
    _place: OwnedSemaphorePermit,
}

impl Live {
    /// Without subscribers yet. At most `max_subscribers` are admitted at once, at all events together.
    pub fn new(stores: Stores, max_subscribers: usize) -> Self {
        let places = Arc::new(Semaphore::new(max_subscribers));
        Self { stores, topics: Mutex::default(), places, max_subscribers }
    }

    /// How many subscribers there are.
    pub fn subscribers(&self) -> usize {
        self.max_subscribers - self.places.available_permits()
    }

    /// A place among the subscribers of `event`, if there is one.
    pub fn subscribe(self: &Arc<Self>, event: &EventId) -> Option<Subscription> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let mut topics = self.topics.lock();
        let topic = match topics.entry(event.clone()) {
            Entry::Occupied(topic) => topic.into_mut(),
            Entry::Vacant(free) => {
                let state = Arc::new(watch::Sender::new(None));
                free.insert(Topic { state, subscribers: 0 })
            }
        };
        if topic.subscribers == MAX_PER_EVENT {
            return None;
        }
        topic.subscribers += 1;
        let state = topic.state.subscribe();
        if topic.subscribers == 1 {
            tokio::spawn(follow(self.stores.clone(), event.clone(), Arc::clone(&topic.state)));
        }
        Some(Subscription { live: Arc::clone(self), event: event.clone(), state, _place: place })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut topics = self.live.topics.lock();
        let Some(topic) = topics.get_mut(&self.event) else { return };
        topic.subscribers -= 1;
        // Nobody can find the topic then, so its task ends with this subscription.
        if topic.subscribers == 0 {
            topics.remove(&self.event);
        }
    }
}

/// Keeps `state` up to date, until it has no subscriber.
async fn follow(stores: Stores, event: EventId, state: Arc<watch::Sender<State>>) {
    tokio::select! {
        () = state.closed() => {}
        () = publish(&stores, &event, &state) => {}
    }
}

/// Asks for the state of `event` again and again. It never ends by itself.
async fn publish(stores: &Stores, event: &EventId, state: &watch::Sender<State>) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shown = None;
    loop {
        ticks.tick().await;
        let next = match next_state(stores, event, &mut shown).await {
            Ok(None) => continue,
            Ok(Some(next)) => Ok(next),
            Err(error) => Err(error),
        };
        state.send_if_modified(|state| {
            let is_new = match (&next, &*state) {
                (Ok(next), Some(Ok(known))) => next != known,
                // Whoever has a state keeps it until the storage is back.
                (Err(_), Some(_)) => false,
                _ => true,
            };
            if is_new {
                *state = Some(next);
            }
            is_new
        });
    }
}

/// The state of `event`, unless it is the one that was `shown`: of the same entries and list, in the same minute. When the minute
/// changes, the figures of the minutes move on.
async fn next_state(
    stores: &Stores,
    event: &EventId,
    shown: &mut Option<(String, i64)>,
) -> Result<Option<Bytes>, StoreError> {
    // Before the store is asked, so that a minute that ends meanwhile is not missed.
    let minute = Timestamp::now().micros().div_euclid(60_000_000);
    // The tag changes with the list of tickets, too. An event that was not created has no list.
    let tag = match stores.events.offline_tag(event).await? {
        Some(tag) => tag,
        None => stores.check_ins.version(event).await?.to_string(),
    };
    if shown.as_ref().is_some_and(|shown| *shown == (tag.clone(), minute)) {
        return Ok(None);
    }
    let summary = stores.check_ins.summary(event).await?;
    let state = state_event(&summary).map_err(|error| StoreError::Internal(Arc::new(error)))?;
    *shown = Some((tag, minute));
    Ok(Some(state))
}

fn state_event(summary: &Summary) -> serde_json::Result<Bytes> {
    #[derive(Serialize)]
    struct Data<'a> {
        version: u64,
        total_checked_in: u64,
        registered: Option<u64>,
        last: Option<&'a RawValue>,
        per_minute: &'a [u32],
    }
    let Summary { version, total_checked_in, registered, last, per_minute } = summary;
    let data = Data {
        version: *version,
        total_checked_in: *total_checked_in,
        registered: *registered,
        last: last.as_deref().map(serde_json::from_slice).transpose()?,
        per_minute,
    };
    let mut event = b"event: state\ndata: ".to_vec();
    serde_json::to_writer(&mut event, &data)?;
    event.extend_from_slice(b"\n\n");
    Ok(event.into())
}

impl Subscription {
    /// The first state, as soon as it is known.
    ///
    /// # Errors
    ///
    /// The store cannot tell it.
    pub async fn first(&mut self) -> Result<Bytes, StoreError> {
        let known = self.state.wait_for(Option::is_some).await;
        let state = known.map_err(|closed| StoreError::Internal(Arc::new(closed)))?.clone();
        state.unwrap_or_else(|| Ok(Bytes::new()))
    }

    /// The stream of events that begins with the state `first`.
    pub fn events(self, first: Bytes) -> impl Stream<Item = Result<Bytes, Infallible>> {
        let now = Instant::now();
        let later = Events {
            subscription: self,
            next_state: now + PERIOD,
            comments: interval_at(now + COMMENT_PERIOD, COMMENT_PERIOD),
            end: now + LIFETIME,
        };
        let later = stream::unfold(later, async |mut later| Some((later.next().await?, later)));
        stream::iter([first]).chain(later).map(Ok)
    }
}

/// What a subscriber gets after the first state.
struct Events {
    subscription: Subscription,
    /// No other state is sent before.
    next_state: Instant,
    comments: Interval,
    end: Instant,
}

impl Events {
    async fn next(&mut self) -> Option<Bytes> {
        let Self { subscription, next_state, comments, end } = self;
        tokio::select! {
            () = sleep_until(*end) => None,
            _ = comments.tick() => Some(COMMENT),
            state = newest(&mut subscription.state, *next_state) => {
                *next_state = Instant::now() + PERIOD;
                state
            }
        }
    }
}

/// The newest state, once it is another and it is time. A slow subscriber does not get those in between.
async fn newest(state: &mut watch::Receiver<State>, not_before: Instant) -> Option<Bytes> {
    sleep_until(not_before).await;
    loop {
        state.changed().await.ok()?;
        if let Some(Ok(event)) = &*state.borrow_and_update() {
            return Some(event.clone());
        }
    }
}

#[cfg(test)]
mod tests;
