//! What phones need to decide about tickets without a network, as JSON. Every phone at every gate asks for it each minute,
//! and each check-in changes it. So it is made once for all that ask at the same time, and kept.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::task::spawn_blocking;

use crate::{
    digest::{Salt, TicketDigest},
    record::EventId,
    store::{EventStore, Offline, StoreError},
};

/// How many bytes of lists are kept at most. A list of a million tickets has 11 MiB.
const MAX_KEPT: usize = 32 << 20;

/// How many events are remembered at most.
const MAX_EVENTS: usize = 256;

/// A list as it was at one point in time.
#[derive(Clone)]
pub struct OfflineList {
    /// What it depends on.
    pub tag: String,
    /// The JSON.
    pub json: Bytes,
    /// When its making began.
    begun: Instant,
}

/// The last list of some events.
#[derive(Default)]
pub struct OfflineLists {
    /// The one that was asked for last is at the end.
    slots: Mutex<VecDeque<Arc<Slot>>>,
}

struct Slot {
    event: EventId,
    /// Held while the list is made.
    making: tokio::sync::Mutex<()>,
    list: Mutex<Option<OfflineList>>,
}

impl OfflineLists {
    /// The list of `event`, which is `tag` or newer. `None` if there is no such event.
    ///
    /// # Errors
    ///
    /// The store cannot answer.
    pub async fn get(
        &self,
        store: &dyn EventStore,
        event: &EventId,
        tag: String,
    ) -> Result<Option<OfflineList>, StoreError> {
        let asked = Instant::now();
        let slot = self.slot(event);
        let _turn = slot.making.lock().await;
        // Whoever had the turn before may have made what is wanted: this one, or a newer one.
        let kept = slot.list.lock().clone();
        if let Some(list) = kept.filter(|list| list.tag == tag || list.begun >= asked) {
            return Ok(Some(list));
        }
        let begun = Instant::now();
        let Some(offline) = store.offline(event).await? else { return Ok(None) };
        let json = {
            let event = event.clone();
            spawn_blocking(move || json(&event, &offline)).await.map_err(internal)?.map_err(internal)?
        };
        let list = OfflineList { tag, json: json.into(), begun };
        *slot.list.lock() = Some(list.clone());
        self.forget_oldest();
        Ok(Some(list))
    }

    fn slot(&self, event: &EventId) -> Arc<Slot> {
        let mut slots = self.slots.lock();
        let position = slots.iter().position(|slot| slot.event == *event);
        let known = position.and_then(|position| slots.remove(position));
        let slot = known.unwrap_or_else(|| {
            let (making, list) = (tokio::sync::Mutex::default(), Mutex::default());
            Arc::new(Slot { event: event.clone(), making, list })
        });
        slots.push_back(Arc::clone(&slot));
        slot
    }

    fn forget_oldest(&self) {
        let mut slots = self.slots.lock();
        let bytes = |slot: &Arc<Slot>| slot.list.lock().as_ref().map_or(0, |list| list.json.len());
        let mut kept: usize = slots.iter().map(bytes).sum();
        while kept > MAX_KEPT || slots.len() > MAX_EVENTS {
            let Some(oldest) = slots.pop_front() else { return };
            kept -= bytes(&oldest);
        }
    }
}

fn internal(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Internal(Arc::new(error))
}

fn json(event_id: &EventId, offline: &Offline) -> serde_json::Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Body<'a> {
        event_id: &'a EventId,
        version: u64,
        salt: String,
        tickets: Option<String>,
        revoked: String,
        used: String,
    }
    let Offline { version, tickets, revoked, used } = offline;
    serde_json::to_vec(&Body {
        event_id,
        version: *version,
        salt: BASE64_URL_SAFE_NO_PAD.encode(Salt::of(event_id).bytes()),
        tickets: tickets.as_deref().map(encoded),
        revoked: encoded(revoked),
        used: encoded(used),
    })
}

fn encoded(digests: &[TicketDigest]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digests.as_flattened())
}
