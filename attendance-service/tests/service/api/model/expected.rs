//! What is expected.

use serde_json::{Value, json};

use super::LISTED;

#[derive(Clone, Debug)]
pub(super) struct Scan {
    pub(super) event: &'static str,
    pub(super) ticket: &'static str,
    pub(super) by: &'static str,
    pub(super) key: Option<&'static str>,
    pub(super) admitted: bool,
}

/// What happened: the record and the answer if it was a check-in.
pub(super) struct Entry {
    pub(super) scan: Scan,
    pub(super) kind: &'static str,
    pub(super) record: Value,
    pub(super) answer: String,
    pub(super) stands: bool,
}

/// Everything that happened, oldest first. [`LISTED`] has the tickets `T` and `1T` on its list.
#[derive(Default)]
pub(super) struct Model {
    pub(super) entries: Vec<Entry>,
    /// Whether the ticket `1T` is.
    pub(super) is_revoked: bool,
}

#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    Accepted,
    /// The entry that was made under the key.
    Replayed(usize),
    Duplicate,
    Conflict,
    /// The conflict was kept before.
    KnownConflict,
    KeyReused,
    Unregistered,
    Revoked,
}

impl Outcome {
    pub(super) fn status(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Replayed(_) => "replayed",
            Self::Duplicate => "duplicate",
            Self::Conflict | Self::KnownConflict => "conflict",
            Self::KeyReused => "key_reused",
            Self::Unregistered => "unregistered",
            Self::Revoked => "revoked",
        }
    }
}

impl Model {
    pub(super) fn standing(&self, event: &str, ticket: &str) -> Option<usize> {
        self.entries
            .iter()
            .position(|entry| entry.stands && (entry.scan.event, entry.scan.ticket) == (event, ticket))
    }

    pub(super) fn record(&self, event: &str, ticket: &str) -> Option<&Value> {
        self.standing(event, ticket).map(|index| &self.entries[index].record)
    }

    pub(super) fn outcome(&self, scan: &Scan) -> Outcome {
        let used = self
            .entries
            .iter()
            .position(|entry| scan.key.is_some() && (entry.scan.key, entry.scan.by) == (scan.key, scan.by));
        if let Some(used) = used {
            let entry = &self.entries[used];
            return match entry.kind {
                _ if (entry.scan.event, entry.scan.ticket) != (scan.event, scan.ticket) => Outcome::KeyReused,
                "conflict" => Outcome::KnownConflict,
                _ => Outcome::Replayed(used),
            };
        }
        match self.standing(scan.event, scan.ticket) {
            _ if scan.event == LISTED && !["T", "1T"].contains(&scan.ticket) => Outcome::Unregistered,
            _ if scan.event == LISTED && scan.ticket == "1T" && self.is_revoked => Outcome::Revoked,
            Some(_) if scan.admitted => Outcome::Conflict,
            Some(_) => Outcome::Duplicate,
            None => Outcome::Accepted,
        }
    }

    pub(super) fn add(&mut self, scan: &Scan, kind: &'static str, record: Value, answer: &str) {
        if kind == "checked_in" {
            let at = &record["checked_in_at"];
            let expected = json!({"event_id": scan.event, "ticket_id": scan.ticket, "checked_in_by": scan.by, "checked_in_at": at});
            assert_eq!(record, expected);
        }
        let stands = kind == "checked_in";
        self.entries.push(Entry { scan: scan.clone(), kind, record, answer: answer.to_owned(), stands });
    }

    /// The check-in `index` is undone by `by`. Returns its record.
    pub(super) fn undo(&mut self, index: usize, by: &'static str) -> Value {
        self.entries[index].stands = false;
        let scan = Scan { by, key: None, ..self.entries[index].scan.clone() };
        self.add(&scan, "undone", Value::Null, "");
        self.entries[index].record.clone()
    }

    pub(super) fn of_event(&self, event: &str) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.scan.event == event)
    }
}
