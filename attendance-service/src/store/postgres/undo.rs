//! Undoes check-ins: their rows move to the entries of the past, and the undos are entries too.

use std::sync::Arc;

use bytes::Bytes;
use sqlx::{Executor, PgConnection, Row, postgres::PgRow};

use super::{
    adopt::adopt,
    rows::{BEGIN_BULK, Digest, count, event_key, record, ticket_key, timestamp},
};
use crate::{
    history::{BulkUndo, Undo},
    store::UndoOutcome,
};

const FIND: &str = "SELECT event_id, ticket_id, checked_in_by,
        (extract(epoch FROM checked_in_at) * 1000000)::bigint, (extract(epoch FROM now()) * 1000000)::bigint, entry
    FROM attendance.check_ins WHERE ticket = $1";

// A request whose outcome was lost is found by its id.
const FIND_UNDONE: &str = "SELECT stood.event_id, stood.ticket_id, stood.done_by,
        (extract(epoch FROM stood.done_at) * 1000000)::bigint
    FROM attendance.past_entries AS undo
        JOIN attendance.past_entries AS stood ON stood.event = undo.event AND stood.seq = undo.check_in
    WHERE undo.attempt = $1";

// One statement, so that a connection that is cut leaves no transaction open, which would hold the lock of the event. If it
// is sent twice, the second one finds no row, or fails for the id of the request.
const UNDO: &str = "WITH log AS (
        UPDATE attendance.logs SET seq = seq + 1, undos = undos + 1,
            latest = greatest(now(), latest + interval '1 microsecond')
        WHERE event = $1 AND EXISTS (SELECT FROM attendance.check_ins WHERE ticket = $2 AND entry = $3)
        RETURNING seq, latest
    ), undone AS (
        DELETE FROM attendance.check_ins AS stood USING log WHERE ticket = $2 AND entry = $3
        RETURNING stood.*, log.seq AS undo, log.latest AS undone_at
    ), moved AS (
        INSERT INTO attendance.past_entries (event, seq, kind, ticket, attempt, event_id, ticket_id, done_by, done_at,
            idempotency_key, gate, scanned_at, undone, check_in)
        SELECT event, entry, 0, ticket,
            CASE WHEN (SELECT true FROM attendance.past_entries AS past WHERE past.attempt = undone.attempt) IS NULL
                THEN attempt END,
            event_id, ticket_id, checked_in_by, checked_in_at, idempotency_key, gate, scanned_at, undo, NULL
        FROM undone
        UNION ALL
        SELECT event, undo, 1, ticket, $4, event_id, ticket_id, $5, undone_at, NULL, NULL, NULL, NULL, entry
        FROM undone
    )
    SELECT event_id, ticket_id, checked_in_by, (extract(epoch FROM checked_in_at) * 1000000)::bigint FROM undone";

const LOCK: &str = "SELECT FROM attendance.logs WHERE event = $1 FOR UPDATE";

// Only the first undo has the id of the request. All have one time, which no other entry of the event has.
const UNDO_ALL: &str = "WITH undone AS (
        DELETE FROM attendance.check_ins
        WHERE event = $1 AND entry IS NOT NULL AND ($2::text IS NULL OR checked_in_by = $2)
            AND ($3::bigint IS NULL OR checked_in_at >= to_timestamp(0) + $3 * interval '1 microsecond')
            AND ($4::bigint IS NULL OR checked_in_at < to_timestamp(0) + $4 * interval '1 microsecond')
        RETURNING *
    ), numbered AS (
        SELECT *, row_number() OVER (ORDER BY entry) AS place FROM undone
    ), log AS (
        UPDATE attendance.logs SET seq = seq + size, undos = undos + 1,
            latest = greatest(now(), latest + interval '1 microsecond')
        FROM (SELECT count(*) AS size FROM undone) AS undone WHERE event = $1 AND size > 0
        RETURNING seq - size AS before, latest
    ), moved AS (
        INSERT INTO attendance.past_entries (event, seq, kind, ticket, attempt, event_id, ticket_id, done_by, done_at,
            idempotency_key, gate, scanned_at, undone, check_in)
        SELECT event, entry, 0, ticket,
            CASE WHEN (SELECT true FROM attendance.past_entries AS past WHERE past.attempt = numbered.attempt) IS NULL
                THEN attempt END,
            event_id, ticket_id, checked_in_by, checked_in_at, idempotency_key, gate, scanned_at, before + place, NULL
        FROM numbered, log
        UNION ALL
        SELECT event, before + place, 1, ticket, CASE WHEN place = 1 THEN $5::bytea END, event_id, ticket_id, $6,
            latest, NULL, NULL, NULL, NULL, entry
        FROM numbered, log
    )
    SELECT count(*) FROM numbered";

const COUNT_UNDONE: &str = "SELECT count(*) FROM attendance.past_entries AS first
        JOIN attendance.past_entries AS undo
            ON undo.event = first.event AND undo.kind = first.kind AND undo.done_at = first.done_at
    WHERE first.attempt = $1";

/// Undoes the check-in of a ticket. `request` stands for the request: if it was carried out, it is not again.
pub(super) async fn undo(
    connection: &mut PgConnection,
    undo: &Undo,
    request: Digest,
) -> sqlx::Result<UndoOutcome> {
    if let Some(record) = undone_by(connection, request).await? {
        return Ok(UndoOutcome::Undone(record));
    }
    let ticket = ticket_key(&undo.event_id, &undo.ticket_id);
    let Some(stands) = standing(connection, ticket).await? else { return Ok(UndoOutcome::NotCheckedIn) };
    if !undo.is_allowed(stands.try_get(2)?, timestamp(&stands, 3)?, timestamp(&stands, 4)?) {
        return Ok(UndoOutcome::NotAllowed);
    }
    let undone = sqlx::query(UNDO)
        .bind(event_key(&undo.event_id))
        .bind(ticket)
        .bind(stands.try_get::<i64, _>(5)?)
        .bind(request)
        .bind(&*undo.by)
        .fetch_optional(&mut *connection)
        .await?;
    let record = match undone {
        Some(row) => Some(record(&row, 0)?),
        // By this request, which was sent before, or by another one at the same time.
        None => undone_by(connection, request).await?,
    };
    Ok(record.map_or(UndoOutcome::NotCheckedIn, UndoOutcome::Undone))
}

/// The record of the check-in that a request has undone.
async fn undone_by(connection: &mut PgConnection, request: Digest) -> sqlx::Result<Option<Bytes>> {
    let row = sqlx::query(FIND_UNDONE).bind(request).fetch_optional(connection).await?;
    row.map(|row| record(&row, 0)).transpose()
}

/// The check-in of a ticket that stands, with a number.
async fn standing(connection: &mut PgConnection, ticket: Digest) -> sqlx::Result<Option<PgRow>> {
    let find = sqlx::query(FIND).bind(ticket).fetch_optional(&mut *connection).await?;
    match find {
        Some(row) if row.try_get::<Option<i64>, _>(5)?.is_none() => {
            adopt(connection).await?;
            sqlx::query(FIND).bind(ticket).fetch_optional(connection).await
        }
        found => Ok(found),
    }
}

/// Undoes all check-ins that match, and returns how many. `request` is as for [`undo`].
pub(super) async fn undo_all(
    connection: &mut PgConnection,
    undo: &BulkUndo,
    request: Digest,
) -> sqlx::Result<u64> {
    let before = sqlx::query(COUNT_UNDONE).bind(request).fetch_one(&mut *connection).await?;
    let before = count(&before, 0)?;
    if before > 0 {
        return Ok(before);
    }
    adopt(connection).await?;
    connection.execute(BEGIN_BULK).await?;
    let event = event_key(&undo.event_id);
    // The next statement sees what was committed before it had the lock.
    sqlx::query(LOCK).bind(event).fetch_optional(&mut *connection).await?;
    let undone = sqlx::query(UNDO_ALL)
        .bind(event)
        .bind(undo.filter.by.as_deref())
        .bind(undo.filter.after.map(|after| after.micros()))
        .bind(undo.filter.before.map(|before| before.micros()))
        .bind(request)
        .bind(Arc::as_ref(&undo.by))
        .fetch_one(&mut *connection)
        .await?;
    let undone = count(&undone, 0)?;
    connection.execute("COMMIT").await?;
    Ok(undone)
}
