//! Changes of events and of their lists of tickets.

use crate::{
    event::{Event, EventChange},
    record::{EventId, TicketId},
    ticket::{ImportCounts, NewTicket},
};

/// A change that a client asks for.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Create(Box<Event>),
    Update(EventId, Box<EventChange>),
    Delete(EventId),
    PutTickets(EventId, Vec<NewTicket>),
    Revoke(EventId, TicketId),
}

/// What a change did.
#[derive(Clone, Debug)]
pub(super) enum Changed {
    /// Nothing: there is no such event.
    NoEvent,
    /// The event is created, or has changed.
    Event(Box<Event>),
    /// The event is gone.
    Deleted,
    /// The tickets are on the list.
    Tickets(ImportCounts),
    /// The ticket is revoked.
    Revoked,
    /// Nothing: the ticket is not on the list.
    NoTicket,
}

impl Changed {
    /// The event, if there is one.
    pub(super) fn event(self) -> Option<Event> {
        match self {
            Self::Event(event) => Some(*event),
            _ => None,
        }
    }

    /// What an import did, if there is such an event.
    pub(super) fn tickets(self) -> Option<ImportCounts> {
        match self {
            Self::Tickets(counts) => Some(counts),
            _ => None,
        }
    }

    /// Whether the ticket is revoked, if there is such an event.
    pub(super) fn revoked(self) -> Option<bool> {
        match self {
            Self::Revoked => Some(true),
            Self::NoTicket => Some(false),
            _ => None,
        }
    }
}
