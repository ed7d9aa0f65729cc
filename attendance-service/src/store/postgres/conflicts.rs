//! Keeps conflicts: guests who were let in offline although somebody else had checked their tickets in.

use std::collections::HashMap;

use bytes::Bytes;
use sqlx::{PgConnection, Row};

use super::{
    check_in::{Entry, keys, optional_texts, texts},
    rows::{Digest, record},
};

// Nothing is inserted if there was an undo after the statement began, for the check-in may not stand any more. A scan that
// is sent twice is one entry, by its attempt.
const INSERT: &str = "WITH scans AS (
        SELECT *, count(*) OVER (PARTITION BY event) AS size,
            row_number() OVER (PARTITION BY event ORDER BY number) AS place
        FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::text[])
            WITH ORDINALITY
            AS scans (ticket, attempt, event, scanned_by, idempotency_key, gate, scanned_at, number)
    ), log AS (
        INSERT INTO attendance.logs AS log (event, seq, latest)
        SELECT event, size, now() + (size - 1) * interval '1 microsecond' FROM scans WHERE place = 1 ORDER BY event
        ON CONFLICT (event) DO UPDATE SET seq = log.seq + excluded.seq,
            latest = greatest(excluded.latest, log.latest + excluded.seq * interval '1 microsecond')
        RETURNING event, seq, latest, undos
    ), conflicts AS (
        INSERT INTO attendance.past_entries (event, seq, kind, ticket, attempt, event_id, ticket_id, done_by, done_at,
            idempotency_key, gate, scanned_at, check_in)
        SELECT scans.event, log.seq - size + place, 2, scans.ticket, scans.attempt, stands.event_id,
            stands.ticket_id, scans.scanned_by, log.latest - (size - place) * interval '1 microsecond',
            scans.idempotency_key, scans.gate, scans.scanned_at, stands.entry
        FROM scans JOIN log ON log.event = scans.event
            JOIN attendance.logs AS before ON before.event = scans.event AND before.undos = log.undos
            JOIN attendance.check_ins AS stands ON stands.ticket = scans.ticket
        WHERE stands.entry IS NOT NULL AND stands.attempt IS DISTINCT FROM scans.attempt
        ORDER BY scans.event, place
        ON CONFLICT (attempt) DO NOTHING
        RETURNING attempt, ticket
    )
    SELECT conflicts.attempt, event_id, ticket_id, checked_in_by,
        (extract(epoch FROM checked_in_at) * 1000000)::bigint
    FROM conflicts JOIN attendance.check_ins AS stands ON stands.ticket = conflicts.ticket";

/// Keeps `entries` as conflicts. Returns the record that stands for the attempt of each that was kept.
pub(super) async fn insert_conflicts(
    connection: &mut PgConnection,
    entries: &[&Entry],
) -> sqlx::Result<HashMap<Digest, Bytes>> {
    let rows = sqlx::query(INSERT)
        .bind(keys(entries, |entry| &entry.ticket))
        .bind(keys(entries, |entry| &entry.attempt))
        .bind(keys(entries, |entry| &entry.event))
        .bind(texts(entries, |entry| &*entry.scan.checked_in_by))
        .bind(optional_texts(entries, |entry| entry.scan.idempotency_key.as_ref().map(AsRef::as_ref)))
        .bind(optional_texts(entries, |entry| entry.scan.gate.as_deref()))
        .bind(optional_texts(entries, |entry| entry.scan.scanned_at.as_deref()))
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, record(row, 1)?))).collect()
}
