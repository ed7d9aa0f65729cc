//! The tickets of an event that has a list of them.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::record::{TicketId, Timestamp};

/// A ticket to put on the list of an event.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTicket {
    /// Its id.
    pub ticket_id: TicketId,
    /// The name of the guest: `None` leaves it as it is, `Some(None)` clears it.
    pub name: Option<Option<String>>,
    /// Its class: `None` leaves it as it is, `Some(None)` clears it.
    pub kind: Option<Option<String>>,
}

/// What is known of a ticket besides its id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct TicketInfo {
    /// The name of the guest.
    #[schema(example = "Siti Rahayu")]
    pub name: Option<String>,
    /// Its class, such as `VIP`.
    #[schema(example = "VIP")]
    pub kind: Option<String>,
}

/// A ticket on the list of an event.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Ticket {
    /// Its id.
    #[schema(value_type = String, example = "7K2M-9QXT-4RBN")]
    pub ticket_id: TicketId,
    /// The name of the guest.
    pub name: Option<String>,
    /// Its class, such as `VIP`.
    pub kind: Option<String>,
    /// Whether it is good no more.
    pub revoked: bool,
    /// When it was checked in, unless that was undone.
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-01-03T13:25:53.415880+00:00")]
    pub checked_in_at: Option<Timestamp>,
    /// Who checked it in.
    #[schema(value_type = Option<String>)]
    pub checked_in_by: Option<Arc<str>>,
}

/// What putting tickets on a list did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ImportCounts {
    /// Tickets that are new on the list.
    pub added: u64,
    /// Tickets whose name or kind is another now.
    pub updated: u64,
    /// Tickets that were on the list as they are.
    pub unchanged: u64,
    /// All tickets on the list.
    pub total: u64,
}

/// Which tickets of a list are wanted.
#[derive(Clone, Debug, Default)]
pub struct TicketSearch {
    /// What the id or the name contains, in lower case; empty for all.
    pub text: String,
    /// Only tickets whose id comes after this one, byte by byte.
    pub after: String,
    /// How many at most.
    pub limit: usize,
}

/// A part of the list of an event.
#[derive(Debug, Default, PartialEq)]
pub struct TicketPage {
    /// How many tickets are found in all, on this page and on others.
    pub total: u64,
    /// Those of this page, in order of id.
    pub tickets: Vec<Ticket>,
}
