//! What is found of scans that were not inserted.

use std::collections::HashMap;

use bytes::Bytes;
use sqlx::{PgConnection, Row};

use super::{
    check_in::{Entry, keys},
    rows::{Digest, record},
};
use crate::{history::EntryKind, store::CheckIn};

// A conflict is found with the record that stands, or the one that stood then if none does.
const LOOK_UP: &str =
    "SELECT event_id, ticket_id, checked_in_by, (extract(epoch FROM checked_in_at) * 1000000)::bigint,
        ticket, attempt, NULL::smallint
    FROM attendance.check_ins WHERE ticket = ANY($1) OR attempt = ANY($2)
    UNION ALL
    SELECT past.event_id, past.ticket_id, coalesce(stands.checked_in_by, stood.done_by, past.done_by),
        (extract(epoch FROM coalesce(stands.checked_in_at, stood.done_at, past.done_at)) * 1000000)::bigint,
        past.ticket, past.attempt, past.kind
    FROM attendance.past_entries AS past
        LEFT JOIN attendance.check_ins AS stands ON stands.ticket = past.ticket AND past.kind = 2
        LEFT JOIN attendance.past_entries AS stood ON stood.event = past.event AND stood.seq = past.check_in
    WHERE past.attempt = ANY($2)";

// Only tickets of events that have a list.
const ON_LIST: &str = "SELECT scans.ticket, tickets.revoked
    FROM unnest($1::bytea[], $2::bytea[]) AS scans (ticket, event)
        JOIN attendance.events ON events.event = scans.event AND events.tickets > 0
        LEFT JOIN attendance.tickets ON tickets.ticket = scans.ticket";

/// What is found of a scan.
pub(super) enum Finding {
    /// Its outcome.
    Outcome(CheckIn),
    /// The ticket was checked in by somebody else, and the guest had been let in already.
    Conflict,
    /// Nothing is in its way any more.
    Nothing,
}

/// What is found of some scans.
#[derive(Default)]
pub(super) struct Findings {
    /// Tickets, attempts and records of what was found by attempt, and the kind of an entry that is no check-in that
    /// stands.
    attempts: HashMap<Digest, (Digest, Bytes, Option<EntryKind>)>,
    /// The records that stand, by ticket.
    standing: HashMap<Digest, Bytes>,
    /// Tickets of events with a list: whether they are revoked, if they are on it.
    listed: HashMap<Digest, Option<bool>>,
}

impl Findings {
    /// Looks up what is in the way of `entries`.
    pub(super) async fn look_up(connection: &mut PgConnection, entries: &[&Entry]) -> sqlx::Result<Self> {
        let mut findings = Self::default();
        let found = sqlx::query(LOOK_UP)
            .bind(keys(entries, |entry| &entry.ticket))
            .bind(keys(entries, |entry| &entry.attempt))
            .fetch_all(&mut *connection)
            .await?;
        for row in &found {
            let (ticket, attempt): (Digest, Option<Digest>) = (row.try_get(4)?, row.try_get(5)?);
            let kind = row.try_get::<Option<i16>, _>(6)?.and_then(|kind| EntryKind::from_code(kind.into()));
            let record = record(row, 0)?;
            if kind.is_none() {
                findings.standing.insert(ticket, record.clone());
            }
            if let Some(attempt) = attempt {
                // A check-in that stands counts before an entry of the past.
                let known = findings.attempts.entry(attempt).or_insert((ticket, record.clone(), kind));
                if kind.is_none() {
                    *known = (ticket, record, kind);
                }
            }
        }
        let undecided: Vec<&Entry> = entries.iter().copied().filter(|entry| !findings.knows(entry)).collect();
        if !undecided.is_empty() {
            let listed = sqlx::query_as(ON_LIST)
                .bind(keys(&undecided, |entry| &entry.ticket))
                .bind(keys(&undecided, |entry| &entry.event))
                .fetch_all(connection)
                .await?;
            findings.listed = listed.into_iter().collect();
        }
        Ok(findings)
    }

    /// Whether the attempt was made before.
    fn knows(&self, entry: &Entry) -> bool {
        self.attempts.contains_key(&entry.attempt)
    }

    /// What is found of `entry`: the attempt counts first, then whether the ticket is valid, then whether it was used.
    pub(super) fn of(&self, entry: &Entry) -> Finding {
        if let Some((ticket, record, kind)) = self.attempts.get(&entry.attempt) {
            let record = record.clone();
            return Finding::Outcome(match kind {
                _ if *ticket != entry.ticket => CheckIn::KeyReused,
                Some(EntryKind::Conflict) => CheckIn::Conflict(self.standing.get(&entry.ticket).cloned()),
                // Sent by this process, which lost the connection before it knew the outcome.
                _ if entry.scan.idempotency_key.is_none() => CheckIn::Accepted(record),
                kind => CheckIn::Replayed { record, stands: kind.is_none() },
            });
        }
        match self.listed.get(&entry.ticket) {
            Some(None) => return Finding::Outcome(CheckIn::Unregistered),
            Some(Some(true)) => return Finding::Outcome(CheckIn::Revoked),
            Some(Some(false)) | None => {}
        }
        match self.standing.get(&entry.ticket) {
            Some(_) if entry.scan.admitted => Finding::Conflict,
            Some(record) => Finding::Outcome(CheckIn::Duplicate(record.clone())),
            None => Finding::Nothing,
        }
    }
}
