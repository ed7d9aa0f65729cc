//! What a check-in is made of.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;
use validator::ValidateLength;

/// Names an event. Compared byte by byte, as all ids: what looks alike need not be alike.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize, ToSchema)]
pub struct EventId(pub String);

/// Names a ticket of an event.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize, ToSchema)]
pub struct TicketId(pub String);

impl AsRef<str> for EventId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for TicketId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl ValidateLength<u64> for EventId {
    fn length(&self) -> Option<u64> {
        self.0.length()
    }
}

impl ValidateLength<u64> for TicketId {
    fn length(&self) -> Option<u64> {
        self.0.length()
    }
}

/// A moment, written as UTC with six digits and an explicit offset.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// This moment, by the clock of the machine.
    pub fn now() -> Self {
        Self(Utc::now())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339_opts(SecondsFormat::Micros, false))
    }
}

/// A ticket at the gate.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The event that the gate is for.
    pub event_id: EventId,
    /// The ticket.
    pub ticket_id: TicketId,
    /// Who scans: the `sub` of the token.
    pub checked_in_by: String,
}

/// A ticket that was checked in.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Record {
    /// The event.
    #[schema(value_type = String, example = "evt1")]
    pub event_id: EventId,
    /// The ticket.
    #[schema(value_type = String, example = "TICKET123")]
    pub ticket_id: TicketId,
    /// Who scanned it.
    #[schema(example = "panitia1")]
    pub checked_in_by: String,
    /// When.
    #[schema(value_type = String, format = DateTime, example = "2026-01-03T13:25:53.415880+00:00")]
    pub checked_in_at: Timestamp,
}
