//! What happens to tickets. Nothing that happened is changed: every check-in, undo and conflict is an entry of its own.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::record::{EventId, TicketId, Timestamp};

/// What happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// The ticket was checked in.
    CheckedIn,
    /// Its check-in was undone. It can be checked in again.
    Undone,
    /// The guest was admitted offline, although the ticket had been checked in before. That check-in stands.
    Conflict,
}

impl EntryKind {
    /// The number in which stores keep it.
    pub fn code(self) -> i64 {
        match self {
            Self::CheckedIn => 0,
            Self::Undone => 1,
            Self::Conflict => 2,
        }
    }

    /// The kind that is stored as `code`.
    pub fn from_code(code: i64) -> Option<Self> {
        [Self::CheckedIn, Self::Undone, Self::Conflict].into_iter().find(|kind| kind.code() == code)
    }
}

/// An entry of the history of a ticket.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct HistoryEntry {
    /// Its number. Numbers grow in the order in which the entries of an event count.
    #[schema(example = 17)]
    pub seq: u64,
    /// What happened.
    pub kind: EntryKind,
    /// Who did it.
    #[schema(value_type = String, example = "panitia1")]
    pub by: Arc<str>,
    /// When the service recorded it.
    #[schema(value_type = String, format = DateTime, example = "2026-01-03T13:25:53.415880+00:00")]
    pub at: Timestamp,
    /// At which gate, if the client said so.
    pub gate: Option<String>,
    /// When it was scanned, if the client said so.
    pub scanned_at: Option<String>,
}

/// An entry of an event, as those who follow its changes see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its number.
    pub seq: u64,
    /// What happened.
    pub kind: EntryKind,
    /// To which ticket.
    pub ticket_id: TicketId,
}

/// The entries of an event after a known one.
#[derive(Debug, PartialEq)]
pub struct Changes {
    /// The number of the last entry of the event; 0 if it has none.
    pub version: u64,
    /// The next entries, in order.
    pub changes: Vec<Change>,
}

/// A request to undo the check-in of a ticket.
#[derive(Clone, Debug)]
pub struct Undo {
    /// The event.
    pub event_id: EventId,
    /// The ticket.
    pub ticket_id: TicketId,
    /// Who asks.
    pub by: Arc<str>,
    /// Whether it may be anybody's check-in, however old.
    pub is_admin: bool,
}

/// A request to undo many check-ins of an event at once.
#[derive(Clone, Debug)]
pub struct BulkUndo {
    /// The event.
    pub event_id: EventId,
    /// Who asks, an admin.
    pub by: Arc<str>,
    /// Which check-ins.
    pub filter: CheckInFilter,
}

/// Some check-ins: those that fulfil every condition that is there.
#[derive(Clone, Debug, Default)]
pub struct CheckInFilter {
    /// Checked in by this user.
    pub by: Option<String>,
    /// At this moment or later.
    pub after: Option<Timestamp>,
    /// Before this moment.
    pub before: Option<Timestamp>,
}

impl CheckInFilter {
    /// Whether a check-in fulfils the conditions.
    pub fn matches(&self, by: &str, at: Timestamp) -> bool {
        self.by.as_ref().is_none_or(|wanted| wanted == by)
            && self.after.is_none_or(|after| at >= after)
            && self.before.is_none_or(|before| at < before)
    }
}

/// For how long who checked a ticket in may undo it, in seconds.
pub const UNDO_SECONDS: i64 = 120;

impl Undo {
    /// Whether the check-in of `by` at `at` may be undone now.
    pub fn is_allowed(&self, by: &str, at: Timestamp, now: Timestamp) -> bool {
        self.is_admin || (*self.by == *by && now.since(at).num_seconds() <= UNDO_SECONDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(seconds: i64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000 + seconds * 1_000_000).unwrap()
    }

    #[test]
    fn a_check_in_is_undone_by_whoever_made_it_for_two_minutes_and_by_an_admin_for_ever() {
        let undo = |is_admin| Undo {
            event_id: EventId("evt1".to_owned()),
            ticket_id: TicketId("T1".to_owned()),
            by: "panitia1".into(),
            is_admin,
        };
        // A clock may go back.
        for (by, seconds, expected) in [
            ("panitia1", -3600, true),
            ("panitia1", 0, true),
            ("panitia1", 120, true),
            ("panitia1", 121, false),
            ("panitia1", 86_400, false),
            ("panitia2", 0, false),
            ("Panitia1", 0, false),
        ] {
            let is_allowed = undo(false).is_allowed(by, moment(0), moment(seconds));
            assert_eq!(is_allowed, expected, "{by} {seconds}");
            assert!(undo(true).is_allowed(by, moment(0), moment(seconds)), "{by} {seconds}");
        }
    }

    #[test]
    fn a_filter_matches_from_a_moment_on_and_before_another() {
        let filter = |by: Option<&str>, after: Option<i64>, before: Option<i64>| CheckInFilter {
            by: by.map(str::to_owned),
            after: after.map(moment),
            before: before.map(moment),
        };
        for (filter, expected) in [
            (filter(None, None, None), true),
            (filter(Some("panitia1"), None, None), true),
            (filter(Some("panitia"), None, None), false),
            (filter(None, Some(5), None), true),
            (filter(None, Some(6), None), false),
            (filter(None, None, Some(5)), false),
            (filter(None, None, Some(6)), true),
            (filter(Some("panitia2"), Some(0), Some(10)), false),
            (filter(Some("panitia1"), Some(0), Some(10)), true),
        ] {
            assert_eq!(filter.matches("panitia1", moment(5)), expected, "{filter:?}");
        }
    }
}
