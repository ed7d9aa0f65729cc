//! The store of events and of their lists of tickets.

use std::sync::atomic::AtomicBool;

use async_trait::async_trait;

use super::{
    PostgresCheckInStore, events, offline,
    rows::{Digest, RETRY_BULK_FOR, RETRY_FOR, event_key, retry, ticket_key},
    tickets,
};
use crate::{
    digest::Salt,
    event::{Event, EventChange},
    record::{EventId, TicketId},
    store::{EventStore, Offline, StoreError},
    ticket::{ImportCounts, NewTicket, TicketInfo, TicketPage, TicketSearch},
};

#[async_trait]
impl EventStore for PostgresCheckInStore {
    async fn events(&self) -> Result<Vec<Event>, StoreError> {
        retry!(self.reads, RETRY_FOR, |connection| events::all(connection))
    }

    async fn event(&self, id: &EventId) -> Result<Option<Event>, StoreError> {
        let event = event_key(id);
        retry!(self.reads, RETRY_FOR, |connection| events::find(connection, event))
    }

    async fn create_event(&self, event: Event) -> Result<(), StoreError> {
        retry!(self.reads, RETRY_FOR, |connection| events::create(connection, &event))
    }

    async fn update_event(&self, id: &EventId, change: EventChange) -> Result<Option<Event>, StoreError> {
        let event = event_key(id);
        retry!(self.reads, RETRY_FOR, |connection| events::update(connection, event, &change))
    }

    async fn delete_event(&self, id: &EventId) -> Result<bool, StoreError> {
        let event = event_key(id);
        let was_there = AtomicBool::default();
        retry!(self.bulk, RETRY_BULK_FOR, |connection| events::delete(connection, event, &was_there))
    }

    async fn put_tickets(
        &self,
        event: &EventId,
        tickets: Vec<NewTicket>,
    ) -> Result<Option<ImportCounts>, StoreError> {
        let import = self.new_attempt();
        retry!(self.bulk, RETRY_BULK_FOR, |connection| tickets::put(connection, event, &tickets, import))
    }

    async fn revoke_ticket(&self, event: &EventId, ticket: &TicketId) -> Result<Option<bool>, StoreError> {
        retry!(self.reads, RETRY_FOR, |connection| tickets::revoke(connection, event, ticket))
    }

    async fn tickets(
        &self,
        event: &EventId,
        search: &TicketSearch,
    ) -> Result<Option<TicketPage>, StoreError> {
        let event = event_key(event);
        retry!(self.reads, RETRY_FOR, |connection| tickets::page(connection, event, search))
    }

    async fn ticket_infos(
        &self,
        event: &EventId,
        tickets: &[TicketId],
    ) -> Result<Vec<Option<TicketInfo>>, StoreError> {
        let tickets: Vec<Digest> = tickets.iter().map(|ticket| ticket_key(event, ticket)).collect();
        retry!(self.reads, RETRY_FOR, |connection| tickets::infos(connection, &tickets))
    }

    async fn offline_tag(&self, event: &EventId) -> Result<Option<String>, StoreError> {
        let event = event_key(event);
        retry!(self.reads, RETRY_FOR, |connection| offline::tag(connection, event))
    }

    async fn offline(&self, event: &EventId) -> Result<Option<Offline>, StoreError> {
        let salt = Salt::of(event);
        let event = event_key(event);
        retry!(self.bulk, RETRY_BULK_FOR, |connection| offline::offline(connection, event, &salt))
    }
}
