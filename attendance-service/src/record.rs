//! What a check-in is made of.

use std::{
    borrow::Cow,
    fmt::{self, Display},
    sync::Arc,
};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

/// Names an event. Ids are compared byte by byte, without Unicode normalization.
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

/// Names one attempt to check in, so that a client that got no answer can send it again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Takes 1 to 128 visible ASCII characters.
    pub fn new(text: &[u8]) -> Option<Self> {
        let is_good = (1..=128).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic);
        if is_good { String::from_utf8(text.to_vec()).ok().map(Self) } else { None }
    }
}

impl AsRef<str> for IdempotencyKey {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// A point in time. Displayed in RFC 3339, in UTC, with microseconds and the offset `+00:00`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// The time of the system clock.
    pub fn now() -> Self {
        Self(Utc::now())
    }

    /// As it is displayed, but with `Z` for the offset.
    pub fn with_z(self) -> String {
        self.0.to_rfc3339_opts(SecondsFormat::Micros, true)
    }

    /// Microseconds since 1970-01-01 UTC, the form in which stores keep it.
    pub fn micros(self) -> i64 {
        self.0.timestamp_micros()
    }

    /// One microsecond later.
    pub fn next(self) -> Self {
        Self(self.0.checked_add_signed(TimeDelta::microseconds(1)).unwrap_or(self.0))
    }

    /// How long after `other` it is.
    pub fn since(self, other: Self) -> TimeDelta {
        self.0 - other.0
    }

    /// What it is displayed as.
    fn text(self) -> String {
        self.0.to_rfc3339_opts(SecondsFormat::Micros, false)
    }

    /// From microseconds since 1970-01-01 UTC; `None` if out of range.
    pub fn from_micros(micros: i64) -> Option<Self> {
        DateTime::from_timestamp_micros(micros).map(Self)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

/// A request to check a ticket in.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The event that the gate is for.
    pub event_id: EventId,
    /// The ticket.
    pub ticket_id: TicketId,
    /// Who scans: the `sub` of the token.
    pub checked_in_by: Arc<str>,
    /// The client's name for this attempt, if it sent one. Equal keys of different users are different attempts.
    pub idempotency_key: Option<IdempotencyKey>,
    /// At which gate, if the client said so.
    pub gate: Option<Box<str>>,
    /// When it was scanned, if the client said so, as text.
    pub scanned_at: Option<Box<str>>,
    /// Whether the guest has been let in already, by a client without a network.
    pub admitted: bool,
}

impl Scan {
    /// The scan of a ticket by a client that says nothing else.
    pub fn new(event_id: EventId, ticket_id: TicketId, checked_in_by: Arc<str>) -> Self {
        Self {
            event_id,
            ticket_id,
            checked_in_by,
            idempotency_key: None,
            gate: None,
            scanned_at: None,
            admitted: false,
        }
    }

    /// Whether at most one of the two scans can be accepted: they are of the same ticket, or the same attempt.
    pub fn conflicts_with(&self, other: &Self) -> bool {
        let same_ticket = self.ticket_id == other.ticket_id && self.event_id == other.event_id;
        let same_attempt = self.idempotency_key.is_some()
            && self.idempotency_key == other.idempotency_key
            && self.checked_in_by == other.checked_in_by;
        same_ticket || same_attempt
    }
}

/// A ticket that was checked in.
// For the OpenAPI document. The JSON itself is written by [`RecordPrefix`].
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct Record {
    /// The event.
    #[schema(example = "evt1")]
    event_id: String,
    /// The ticket.
    #[schema(example = "TICKET123")]
    ticket_id: String,
    /// Who scanned it.
    #[schema(example = "panitia1")]
    checked_in_by: String,
    /// When.
    #[schema(format = DateTime, example = "2026-01-03T13:25:53.415880+00:00")]
    checked_in_at: String,
}

/// The JSON of a [`Record`] up to its time of acceptance, which is known only once the ticket is accepted.
#[derive(Clone)]
pub struct RecordPrefix {
    json: Vec<u8>,
    ids_len: usize,
}

impl RecordPrefix {
    /// The prefix of the record that `scan` would make.
    ///
    /// # Errors
    ///
    /// The scan cannot be written as JSON. No scan is known to cause this.
    pub fn new(scan: &Scan) -> serde_json::Result<Self> {
        let mut json = Vec::with_capacity(192);
        json.extend_from_slice(br#"{"event_id":"#);
        serde_json::to_writer(&mut json, &scan.event_id)?;
        json.extend_from_slice(br#","ticket_id":"#);
        serde_json::to_writer(&mut json, &scan.ticket_id)?;
        let ids_len = json.len();
        json.extend_from_slice(br#","checked_in_by":"#);
        serde_json::to_writer(&mut json, &scan.checked_in_by)?;
        json.extend_from_slice(br#","checked_in_at":""#);
        Ok(Self { json, ids_len })
    }

    /// The JSON up to the quote after the ticket's id. The record of no other ticket begins with these bytes.
    pub fn ids(&self) -> &[u8] {
        &self.json[..self.ids_len]
    }

    /// The length of the whole record in bytes.
    pub fn record_len(&self) -> usize {
        self.json.len() + r#"2026-01-03T13:25:53.415880+00:00"}"#.len()
    }

    /// The whole record, accepted at `at`.
    pub fn finish(mut self, at: Timestamp) -> Bytes {
        self.json.extend_from_slice(at.text().as_bytes());
        self.json.extend_from_slice(br#""}"#);
        self.json.into()
    }
}

/// What a [`Record`] says besides its event.
#[derive(Debug, Deserialize)]
pub struct RecordFields<'a> {
    /// The ticket.
    #[serde(borrow)]
    pub ticket_id: Cow<'a, str>,
    /// Who scanned it.
    #[serde(borrow)]
    pub checked_in_by: Cow<'a, str>,
    /// When, as it is displayed.
    pub checked_in_at: &'a str,
}

impl<'a> RecordFields<'a> {
    /// Reads the record at the beginning of `json`. Returns its length in bytes, too.
    ///
    /// # Errors
    ///
    /// There is no record.
    pub fn read(json: &'a [u8]) -> serde_json::Result<(Self, usize)> {
        let mut values = serde_json::Deserializer::from_slice(json).into_iter();
        let fields = values.next().unwrap_or_else(|| Err(serde::de::Error::custom("there is no record")))?;
        Ok((fields, values.byte_offset()))
    }

    /// When the ticket was checked in.
    ///
    /// # Errors
    ///
    /// That is no moment.
    pub fn at(&self) -> serde_json::Result<Timestamp> {
        let at = DateTime::parse_from_rfc3339(self.checked_in_at).map_err(serde::de::Error::custom)?;
        Ok(Timestamp(at.to_utc()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(event: &str, ticket: &str, user: &str, key: Option<&str>) -> Scan {
        Scan {
            idempotency_key: key.map(|key| IdempotencyKey::new(key.as_bytes()).unwrap()),
            ..Scan::new(EventId(event.to_owned()), TicketId(ticket.to_owned()), user.into())
        }
    }

    #[test]
    fn scans_of_one_ticket_or_of_one_attempt_conflict() {
        let first = scan("evt1", "A", "panitia1", Some("k"));
        for (other, conflicts) in [
            (scan("evt1", "A", "panitia2", None), true),
            (scan("evt2", "A", "panitia2", None), false),
            (scan("evt1", "B", "panitia1", Some("k")), true),
            (scan("evt2", "B", "panitia1", Some("k")), true),
            (scan("evt1", "B", "panitia2", Some("k")), false),
            (scan("evt1", "B", "panitia1", Some("l")), false),
            (scan("evt1", "B", "panitia1", None), false),
        ] {
            assert_eq!(first.conflicts_with(&other), conflicts, "{other:?}");
            assert_eq!(other.conflicts_with(&first), conflicts, "{other:?}");
        }
        let without_key = scan("evt1", "A", "panitia1", None);
        assert!(!without_key.conflicts_with(&scan("evt1", "B", "panitia1", None)), "no key is no attempt");
    }
}
