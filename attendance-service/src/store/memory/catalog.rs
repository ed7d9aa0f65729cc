//! Events that were created, and their lists of tickets.

use std::sync::Arc;

use async_trait::async_trait;
use indexmap::IndexMap;
use parking_lot::Mutex;
use tokio::task::spawn_blocking;

use super::{
    EventId, EventState, EventStore, MemoryCheckInStore, StoreError, TicketId, ids, internal,
    ticket_list::{ListedTicket, TicketList},
};
use crate::{
    digest::Salt,
    event::{Event, EventChange},
    record::RecordFields,
    store::{
        Offline,
        budget::Reservation,
        change::{Change, Changed},
    },
    ticket::{ImportCounts, NewTicket, Ticket, TicketInfo, TicketPage, TicketSearch},
};

/// The events that were created, in order.
pub(super) type Catalog = IndexMap<EventId, Event>;

/// A change that can be made, and the memory for it.
pub(in crate::store) struct Prepared {
    pub(in crate::store) step: Step,
    /// `None` if the change takes no more memory than before.
    room: Option<Reservation>,
    /// Bytes that are free after the change.
    freed: u64,
}

/// What a change does in memory.
pub(in crate::store) enum Step {
    Create(Event),
    Update(Event),
    Delete(EventId),
    /// The tickets that the list has otherwise than before, and the whole new list.
    PutTickets {
        event: EventId,
        tickets: Vec<NewTicket>,
        list: Arc<TicketList>,
        counts: ImportCounts,
    },
    Revoke {
        event: EventId,
        ticket: TicketId,
        list: Arc<TicketList>,
    },
}

/// Events and lists that are read from the disk.
#[derive(Default)]
pub(in crate::store) struct LoadedEvents(IndexMap<EventId, (Event, Option<TicketList>)>);

impl LoadedEvents {
    /// Adds an event.
    pub(in crate::store) fn add(&mut self, event: Event) {
        self.0.insert(event.id.clone(), (event, None));
    }

    /// Sets the list of the event that was added as the one with this index, in order of id.
    pub(in crate::store) fn set_tickets<'a>(
        &mut self,
        index: usize,
        rows: impl Iterator<Item = TicketRow<'a>>,
    ) {
        let mut list = TicketList::default();
        for TicketRow { id, name, kind, is_revoked } in rows {
            list.push(ListedTicket { id, name, kind, is_revoked });
        }
        list.shrink();
        if let Some((_, (_, tickets))) = self.0.get_index_mut(index) {
            *tickets = Some(list);
        }
    }
}

/// A row of the list of an event, as a store keeps it.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct TicketRow<'a> {
    pub(in crate::store) id: &'a str,
    pub(in crate::store) name: Option<&'a str>,
    pub(in crate::store) kind: Option<&'a str>,
    pub(in crate::store) is_revoked: bool,
}

impl Step {
    /// The rows that the change adds to the list or changes there.
    pub(in crate::store) fn rows(&self) -> impl Iterator<Item = TicketRow<'_>> {
        let (list, tickets) = match self {
            Self::PutTickets { list, tickets, .. } => (Some(list), tickets.as_slice()),
            _ => (None, &[][..]),
        };
        tickets.iter().filter_map(move |ticket| {
            let ListedTicket { id, name, kind, is_revoked } = list?.find(&ticket.ticket_id.0)?;
            Some(TicketRow { id, name, kind, is_revoked })
        })
    }
}

impl MemoryCheckInStore {
    /// What `change` does, or that it does nothing. Nothing is changed yet. Of two changes the second is prepared after
    /// the first was applied.
    pub(in crate::store) fn prepare(&self, change: Change) -> Result<Result<Prepared, Changed>, StoreError> {
        let catalog = self.catalog.read();
        let prepared = match change {
            Change::Create(event) => self.prepared(event_memory(&event), 0, Step::Create(*event))?,
            Change::Update(id, change) => {
                let Some(before) = catalog.get(&id) else { return Ok(Err(Changed::NoEvent)) };
                let mut event = before.clone();
                change.apply_to(&mut event);
                self.prepared(event_memory(&event), event_memory(before), Step::Update(event))?
            }
            Change::Delete(id) => {
                let Some(before) = catalog.get(&id) else { return Ok(Err(Changed::NoEvent)) };
                let list = self.list(&id).map_or(0, |list| list.memory());
                self.prepared(0, event_memory(before) + list, Step::Delete(id))?
            }
            Change::PutTickets(event, tickets) => {
                if !catalog.contains_key(&event) {
                    return Ok(Err(Changed::NoEvent));
                }
                let before = self.list(&event).unwrap_or_default();
                let (list, counts) = before.with(tickets.clone());
                let (more, less) = (list.memory(), before.memory());
                let step = Step::PutTickets { event, tickets, list: Arc::new(list), counts };
                self.prepared(more, less, step)?
            }
            Change::Revoke(event, ticket) => {
                if !catalog.contains_key(&event) {
                    return Ok(Err(Changed::NoEvent));
                }
                let Some(before) = self.list(&event).filter(|list| list.find(&ticket.0).is_some()) else {
                    return Ok(Err(Changed::NoTicket));
                };
                let list = before.with_revoked(&ticket.0);
                let (more, less) = (list.memory(), before.memory());
                self.prepared(more, less, Step::Revoke { event, ticket, list: Arc::new(list) })?
            }
        };
        Ok(Ok(prepared))
    }

    fn prepared(&self, more: u64, less: u64, step: Step) -> Result<Prepared, StoreError> {
        let room = if more > less { Some(self.reserve(more - less)?) } else { None };
        Ok(Prepared { step, room, freed: less.saturating_sub(more) })
    }

    /// Makes a change.
    pub(in crate::store) fn apply_change(&self, prepared: Prepared) -> Changed {
        let Prepared { step, room, freed } = prepared;
        if let Some(room) = room {
            room.keep();
        }
        self.budget.give_back(freed);
        match step {
            Step::Create(event) | Step::Update(event) => {
                self.catalog.write().insert(event.id.clone(), event.clone());
                Changed::Event(Box::new(event))
            }
            Step::Delete(id) => {
                self.catalog.write().shift_remove(&id);
                if let Some((_, event)) = self.event_state(&id) {
                    set_list(&event, None);
                }
                Changed::Deleted
            }
            Step::PutTickets { event, list, counts, .. } => {
                self.set_new_list(&event, list);
                Changed::Tickets(counts)
            }
            Step::Revoke { event, list, .. } => {
                self.set_new_list(&event, list);
                Changed::Revoked
            }
        }
    }

    fn set_new_list(&self, id: &EventId, list: Arc<TicketList>) {
        let event = self.event_or_new(id, |bytes| {
            self.budget.take(bytes);
            Ok(())
        });
        if let Ok((_, event)) = event {
            set_list(&event, Some(list));
        }
    }

    /// Replaces all events and lists by those that were read from the disk.
    pub(in crate::store) fn set_events(&self, loaded: LoadedEvents) {
        let mut catalog = self.catalog.write();
        for (id, event) in &*catalog {
            let list = self.list(id).map_or(0, |list| list.memory());
            self.budget.give_back(event_memory(event) + list);
            if !loaded.0.contains_key(id)
                && let Some((_, event)) = self.event_state(id)
            {
                set_list(&event, None);
            }
        }
        catalog.clear();
        for (id, (event, list)) in loaded.0 {
            self.budget.take(event_memory(&event) + list.as_ref().map_or(0, TicketList::memory));
            if let Some(list) = list {
                self.set_new_list(&id, Arc::new(list));
            }
            catalog.insert(id, event);
        }
    }

    fn list(&self, event: &EventId) -> Option<Arc<TicketList>> {
        self.event_state(event)?.1.lock().list.clone()
    }

    pub(in crate::store) fn ticket_info(&self, event: &EventId, ticket: &TicketId) -> Option<TicketInfo> {
        self.list(event)?.find(&ticket.0).map(|ticket| ticket.info())
    }

    /// A change of a store that is in memory only.
    fn change(&self, change: Change) -> Result<Changed, StoreError> {
        let _turn = self.changes.lock();
        Ok(self.prepare(change)?.map_or_else(|nothing| nothing, |prepared| self.apply_change(prepared)))
    }

    /// A ticket of a list, and its check-in.
    fn ticket(&self, id: &EventId, state: &EventState, found: FoundTicket) -> Result<Ticket, StoreError> {
        let FoundTicket { ticket_id, info: TicketInfo { name, kind }, is_revoked: revoked } = found;
        let prefix = ids(id, &ticket_id)?;
        let (mut checked_in_at, mut checked_in_by) = (None, None);
        if let Some(check_in) = state.find(self.hash(&ticket_id), prefix.ids()) {
            let (record, _) = RecordFields::read(state.log.at(check_in.position)).map_err(internal)?;
            checked_in_at = Some(record.at().map_err(internal)?);
            checked_in_by = Some(record.checked_in_by.into());
        }
        Ok(Ticket { ticket_id, name, kind, revoked, checked_in_at, checked_in_by })
    }
}

/// A ticket that a search has found.
struct FoundTicket {
    ticket_id: TicketId,
    info: TicketInfo,
    is_revoked: bool,
}

impl From<ListedTicket<'_>> for FoundTicket {
    fn from(ticket: ListedTicket<'_>) -> Self {
        Self { ticket_id: TicketId(ticket.id.to_owned()), info: ticket.info(), is_revoked: ticket.is_revoked }
    }
}

fn set_list(event: &Mutex<EventState>, list: Option<Arc<TicketList>>) {
    let mut event = event.lock();
    // A list without a ticket would let nobody in.
    event.list = list.filter(|list| list.len() > 0);
    event.list_version += 1;
}

/// The memory of an event in the catalog, in bytes.
fn event_memory(event: &Event) -> u64 {
    let optional = [&event.description, &event.location, &event.start_time, &event.end_time];
    let texts = optional.into_iter().flatten().chain([&event.title, &event.created_by]);
    let texts: usize = texts.map(|text| text.len() + 16).sum();
    (2 * size_of::<Event>() + 3 * event.id.0.len() + texts + 64) as u64
}

#[async_trait]
impl EventStore for MemoryCheckInStore {
    async fn events(&self) -> Result<Vec<Event>, StoreError> {
        Ok(self.catalog.read().values().cloned().collect())
    }

    async fn event(&self, id: &EventId) -> Result<Option<Event>, StoreError> {
        Ok(self.catalog.read().get(id).cloned())
    }

    async fn create_event(&self, event: Event) -> Result<(), StoreError> {
        self.change(Change::Create(Box::new(event))).map(drop)
    }

    async fn update_event(&self, id: &EventId, change: EventChange) -> Result<Option<Event>, StoreError> {
        Ok(self.change(Change::Update(id.clone(), Box::new(change)))?.event())
    }

    async fn delete_event(&self, id: &EventId) -> Result<bool, StoreError> {
        Ok(matches!(self.change(Change::Delete(id.clone()))?, Changed::Deleted))
    }

    async fn put_tickets(
        &self,
        event: &EventId,
        tickets: Vec<NewTicket>,
    ) -> Result<Option<ImportCounts>, StoreError> {
        Ok(self.change(Change::PutTickets(event.clone(), tickets))?.tickets())
    }

    async fn revoke_ticket(&self, event: &EventId, ticket: &TicketId) -> Result<Option<bool>, StoreError> {
        Ok(self.change(Change::Revoke(event.clone(), ticket.clone()))?.revoked())
    }

    async fn tickets(
        &self,
        event: &EventId,
        search: &TicketSearch,
    ) -> Result<Option<TicketPage>, StoreError> {
        if !self.catalog.read().contains_key(event) {
            return Ok(None);
        }
        let Some((_, state)) = self.event_state(event) else { return Ok(Some(TicketPage::default())) };
        let list = state.lock().list.clone().unwrap_or_default();
        // Every ticket is looked at: one search at a time, and not on a thread that serves others.
        let _turn = self.searches.acquire().await.map_err(|closed| StoreError::Internal(Arc::new(closed)))?;
        let search = search.clone();
        let find = move || {
            let (total, page) = list.search(&search);
            (total as u64, page.into_iter().map(FoundTicket::from).collect::<Vec<_>>())
        };
        let (total, page) =
            spawn_blocking(find).await.map_err(|error| StoreError::Internal(Arc::new(error)))?;
        let state = state.lock();
        let tickets = page.into_iter().map(|ticket| self.ticket(event, &state, ticket));
        Ok(Some(TicketPage { total, tickets: tickets.collect::<Result<_, _>>()? }))
    }

    async fn ticket_infos(
        &self,
        event: &EventId,
        tickets: &[TicketId],
    ) -> Result<Vec<Option<TicketInfo>>, StoreError> {
        let list = self.list(event).unwrap_or_default();
        Ok(tickets.iter().map(|ticket| list.find(&ticket.0).map(|ticket| ticket.info())).collect())
    }

    async fn offline_tag(&self, event: &EventId) -> Result<Option<String>, StoreError> {
        if !self.catalog.read().contains_key(event) {
            return Ok(None);
        }
        let state = self.event_state(event).map_or_else(Arc::default, |(_, state)| state);
        let (seq, list) = {
            let state = state.lock();
            (state.log.seq, state.list_version)
        };
        Ok(Some(format!("{:016x}-{seq}-{list}", self.boot_id)))
    }

    async fn offline(&self, event: &EventId) -> Result<Option<Offline>, StoreError> {
        if !self.catalog.read().contains_key(event) {
            return Ok(None);
        }
        let salt = Salt::of(event);
        let state = self.event_state(event).map_or_else(Arc::default, |(_, state)| state);
        // A million digests take a good part of a second.
        let offline = spawn_blocking(move || super::reads::offline(&state, &salt)).await;
        offline.map_err(|error| StoreError::Internal(Arc::new(error)))?.map(Some)
    }
}
