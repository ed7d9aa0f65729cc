//! Decides scans: one statement inserts all that are first, and the others are looked up after that.

use std::collections::{HashMap, HashSet};

use chrono::TimeDelta;
use shared_store::postgres::Connections;
use sqlx::{PgConnection, Row};

use super::{
    adopt::adopt,
    conflicts::insert_conflicts,
    findings::{Finding, Findings},
    rows::{Digest, timestamp},
};
use crate::{
    record::{RecordPrefix, Scan, Timestamp},
    store::{CheckIn, StoreError, budget::Reservation, clock::MonotonicClock, reply::unavailable},
};

/// How often a scan is tried that was neither inserted nor kept from it by anything that was found later: the check-in
/// that was in its way was undone in between.
const TRIES: usize = 25;

// The row of the log is locked until the commit, so numbers grow in the order of commits. Times of acceptance are a
// microsecond apart in the order of the numbers.
//
// What the statement reads is from before it had the lock. Check-ins since then are seen by ON CONFLICT. Undos since then
// are seen by their count: nothing is inserted, for the attempt may be among them.
//
// Subqueries with one result, and not EXISTS, so that no plan hashes a whole table.
const INSERT: &str = "WITH scans AS (
        SELECT *, count(*) OVER (PARTITION BY event) AS size,
            row_number() OVER (PARTITION BY event ORDER BY number) AS place
        FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::text[],
            $8::text[], $9::text[]) WITH ORDINALITY
            AS scans (ticket, attempt, event, event_id, ticket_id, checked_in_by, idempotency_key, gate, scanned_at,
                number)
    ), log AS (
        INSERT INTO attendance.logs AS log (event, seq, latest)
        SELECT event, size, now() + (size - 1) * interval '1 microsecond' FROM scans WHERE place = 1 ORDER BY event
        ON CONFLICT (event) DO UPDATE SET seq = log.seq + excluded.seq,
            latest = greatest(excluded.latest, log.latest + excluded.seq * interval '1 microsecond')
        RETURNING event, seq, latest, undos
    )
    INSERT INTO attendance.check_ins (ticket, attempt, event, event_id, ticket_id, checked_in_by, idempotency_key,
        gate, scanned_at, entry, checked_in_at)
    SELECT ticket, attempt, scans.event, event_id, ticket_id, checked_in_by, idempotency_key, gate, scanned_at,
        log.seq - size + place, log.latest - (size - place) * interval '1 microsecond'
    FROM scans JOIN log ON log.event = scans.event
        LEFT JOIN attendance.logs AS before ON before.event = scans.event
        LEFT JOIN attendance.events ON events.event = scans.event
    WHERE log.undos = coalesce(before.undos, 0)
        AND (SELECT true FROM attendance.past_entries AS past WHERE past.attempt = scans.attempt) IS NULL
        AND (coalesce(events.tickets, 0) = 0
            OR (SELECT NOT revoked FROM attendance.tickets WHERE tickets.ticket = scans.ticket))
    ORDER BY scans.event, place
    ON CONFLICT DO NOTHING
    RETURNING ticket, attempt, (extract(epoch FROM checked_in_at) * 1000000)::bigint,
        (extract(epoch FROM checked_in_at - now()) * 1000000)::bigint";

/// A scan as a row.
pub(super) struct Entry {
    pub(super) scan: Scan,
    pub(super) prefix: RecordPrefix,
    pub(super) ticket: Digest,
    pub(super) attempt: Digest,
    pub(super) event: Digest,
    pub(super) _reservation: Reservation,
}

/// The outcomes of `entries`, in their order. Earlier ones are decided first.
pub(super) async fn check_in(
    connections: &Connections,
    clock: &MonotonicClock,
    entries: &[Entry],
) -> sqlx::Result<Vec<Result<CheckIn, StoreError>>> {
    let mut connection = connections.lease().await?;
    let mut outcomes: Vec<Option<CheckIn>> = vec![None; entries.len()];
    let (mut tries, mut left) = (0, entries.len());
    while left > 0 && tries < TRIES {
        if tries > 0 {
            adopt(&mut connection).await?;
        }
        let mut ready = ready(entries, &outcomes);
        keep_order(&mut connection, entries, &mut ready).await?;
        try_once(&mut connection, clock, &ready, entries, &mut outcomes).await?;
        let now_left = outcomes.iter().filter(|outcome| outcome.is_none()).count();
        tries = if now_left < left { 0 } else { tries + 1 };
        left = now_left;
    }
    connection.release();
    Ok(outcomes
        .into_iter()
        .map(|outcome| outcome.ok_or_else(|| unavailable("the scan has to be sent again")))
        .collect())
}

/// The indexes of those without an outcome, up to the first whose key an earlier one of them has: whether the key is free is
/// not known before that one is decided, and those after it come after it.
fn ready(entries: &[Entry], outcomes: &[Option<CheckIn>]) -> Vec<usize> {
    let mut attempts = HashSet::new();
    let undecided = (0..entries.len()).filter(|index| outcomes[*index].is_none());
    undecided
        .take_while(|index| {
            let Entry { scan, attempt, .. } = &entries[*index];
            scan.idempotency_key.is_none() || attempts.insert(attempt)
        })
        .collect()
}

/// Leaves out what comes after a conflict, unless it is one too: conflicts get their numbers after all check-ins of a try, and
/// numbers are to be in the order of the scans.
async fn keep_order(
    connection: &mut PgConnection,
    entries: &[Entry],
    ready: &mut Vec<usize>,
) -> sqlx::Result<()> {
    if !ready.iter().any(|index| entries[*index].scan.admitted) {
        return Ok(());
    }
    let scans: Vec<&Entry> = ready.iter().map(|index| &entries[*index]).collect();
    let findings = Findings::look_up(connection, &scans).await?;
    let mut tickets = HashSet::new();
    let mut was_conflict = false;
    let end = scans.iter().position(|entry| {
        let is_first = tickets.insert(entry.ticket);
        let is_conflict = match findings.of(entry) {
            Finding::Conflict => true,
            Finding::Nothing => entry.scan.admitted && !is_first,
            Finding::Outcome(_) => return false,
        };
        let is_after_conflict = was_conflict && !is_conflict;
        was_conflict |= is_conflict;
        is_after_conflict
    });
    ready.truncate(end.unwrap_or(ready.len()));
    Ok(())
}

/// Inserts those that are `ready`, and decides the others of them as far as what is in their way is still there.
async fn try_once(
    connection: &mut PgConnection,
    clock: &MonotonicClock,
    ready: &[usize],
    entries: &[Entry],
    outcomes: &mut [Option<CheckIn>],
) -> sqlx::Result<()> {
    let scans: Vec<&Entry> = ready.iter().map(|index| &entries[*index]).collect();
    let mut accepted = insert(connection, clock, &scans).await?;
    let mut refused = Vec::new();
    for index in ready {
        let entry = &entries[*index];
        match accepted.remove(&(entry.ticket, entry.attempt)) {
            Some(at) => outcomes[*index] = Some(CheckIn::Accepted(entry.prefix.clone().finish(at))),
            None => refused.push(*index),
        }
    }
    if refused.is_empty() {
        return Ok(());
    }
    let scans: Vec<&Entry> = refused.iter().map(|index| &entries[*index]).collect();
    let findings = Findings::look_up(connection, &scans).await?;
    let mut conflicts = Vec::new();
    for index in refused {
        match findings.of(&entries[index]) {
            Finding::Outcome(found) => outcomes[index] = Some(found),
            Finding::Conflict => conflicts.push(index),
            Finding::Nothing => {}
        }
    }
    if conflicts.is_empty() {
        return Ok(());
    }
    let scans: Vec<&Entry> = conflicts.iter().map(|index| &entries[*index]).collect();
    let kept = insert_conflicts(connection, &scans).await?;
    for index in conflicts {
        outcomes[index] =
            kept.get(&entries[index].attempt).map(|record| CheckIn::Conflict(Some(record.clone())));
    }
    Ok(())
}

/// Inserts `entries`. Returns ticket, attempt and time of acceptance of those that were inserted.
async fn insert(
    connection: &mut PgConnection,
    clock: &MonotonicClock,
    entries: &[&Entry],
) -> sqlx::Result<HashMap<(Digest, Digest), Timestamp>> {
    let rows = sqlx::query(INSERT)
        .bind(keys(entries, |entry| &entry.ticket))
        .bind(keys(entries, |entry| &entry.attempt))
        .bind(keys(entries, |entry| &entry.event))
        .bind(texts(entries, |entry| entry.scan.event_id.as_ref()))
        .bind(texts(entries, |entry| entry.scan.ticket_id.as_ref()))
        .bind(texts(entries, |entry| &*entry.scan.checked_in_by))
        .bind(optional_texts(entries, |entry| entry.scan.idempotency_key.as_ref().map(AsRef::as_ref)))
        .bind(optional_texts(entries, |entry| entry.scan.gate.as_deref()))
        .bind(optional_texts(entries, |entry| entry.scan.scanned_at.as_deref()))
        .fetch_all(connection)
        .await?;
    let mut accepted = HashMap::with_capacity(rows.len());
    for row in rows {
        let key: (Digest, Digest) = (row.try_get(0)?, row.try_get(1)?);
        accepted.insert(key, timestamp(&row, 2)?);
        clock.warn_if_ahead(TimeDelta::microseconds(row.try_get(3)?));
    }
    Ok(accepted)
}

/// A column of keys.
pub(super) fn keys<'a>(entries: &[&'a Entry], of: fn(&Entry) -> &Digest) -> Vec<&'a [u8]> {
    entries.iter().map(|entry| of(entry).as_slice()).collect()
}

/// A column of texts.
pub(super) fn texts<'a>(entries: &[&'a Entry], of: fn(&Entry) -> &str) -> Vec<&'a str> {
    entries.iter().map(|entry| of(entry)).collect()
}

/// A column of texts, some of which are not there.
pub(super) fn optional_texts<'a>(
    entries: &[&'a Entry],
    of: fn(&Entry) -> Option<&str>,
) -> Vec<Option<&'a str>> {
    entries.iter().map(|entry| of(entry)).collect()
}
