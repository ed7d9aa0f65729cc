//! Reads what happened: the numbers of entries grow in the order of commits, so a reader that goes on from the last one
//! misses none.

use sqlx::{PgConnection, Row, postgres::PgRow};

use super::rows::{Digest, count, moment, record, timestamp};
use crate::{
    history::{Change, Changes, EntryKind, HistoryEntry},
    record::TicketId,
    store::Summary,
};

/// The most entries of the history of a ticket: the latest ones.
const MAX_HISTORY: i64 = 1000;

/// The most bytes of ids in one answer of changes, unless the first id is longer.
const MAX_CHANGES_BYTES: i64 = 1 << 20;

const LAST: &str = "SELECT seq, (extract(epoch FROM at) * 1000000)::bigint FROM (
        (SELECT entry AS seq, checked_in_at AS at FROM attendance.check_ins
            WHERE event = $1 AND entry IS NOT NULL ORDER BY entry DESC LIMIT 1)
        UNION ALL
        (SELECT seq, done_at FROM attendance.past_entries WHERE event = $1 ORDER BY seq DESC LIMIT 1)
    ) AS last ORDER BY seq DESC LIMIT 1";

const HISTORY: &str =
    "SELECT seq, kind, by, (extract(epoch FROM at) * 1000000)::bigint, gate, scanned_at FROM (
        SELECT entry AS seq, 0::smallint AS kind, checked_in_by AS by, checked_in_at AS at, gate, scanned_at
        FROM attendance.check_ins WHERE ticket = $1 AND entry IS NOT NULL
        UNION ALL
        SELECT seq, kind, done_by, done_at, gate, scanned_at FROM attendance.past_entries WHERE ticket = $1
        ORDER BY seq DESC LIMIT $2
    ) AS entries ORDER BY seq";

const CHANGES: &str = "SELECT seq, kind, ticket_id FROM (
        SELECT *, sum(octet_length(ticket_id)) OVER (
            ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS bytes_before
        FROM (
            (SELECT entry AS seq, 0::smallint AS kind, ticket_id FROM attendance.check_ins
                WHERE event = $1 AND entry > $2 ORDER BY entry LIMIT $3)
            UNION ALL
            (SELECT seq, kind, ticket_id FROM attendance.past_entries
                WHERE event = $1 AND seq > $2 ORDER BY seq LIMIT $3)
            ORDER BY seq LIMIT $3
        ) AS changes
    ) AS changes WHERE coalesce(bytes_before, 0) < $4 ORDER BY seq";

// One statement, so one point in time.
const SUMMARY: &str = "WITH minutes AS (
        SELECT (extract(epoch FROM date_trunc('minute', checked_in_at)) / 60)::bigint AS minute, count(*) AS size
        FROM attendance.check_ins
        WHERE event = $1 AND checked_in_at >
                greatest(now(), (SELECT latest FROM attendance.logs WHERE event = $1)) - interval '61 minutes'
        GROUP BY date_trunc('minute', checked_in_at)
    )
    SELECT greatest(
            (SELECT entry FROM attendance.check_ins
                WHERE event = $1 AND entry IS NOT NULL ORDER BY entry DESC LIMIT 1),
            (SELECT seq FROM attendance.past_entries WHERE event = $1 ORDER BY seq DESC LIMIT 1),
            0
        ),
        (SELECT count(*) FROM attendance.check_ins WHERE event = $1 AND entry IS NOT NULL),
        (SELECT tickets - revoked FROM attendance.events WHERE event = $1 AND tickets > 0),
        (SELECT array_agg(minute ORDER BY minute) FROM minutes),
        (SELECT array_agg(size ORDER BY minute) FROM minutes),
        (extract(epoch FROM now()) * 1000000)::bigint,
        last.event_id, last.ticket_id, last.checked_in_by,
        (extract(epoch FROM last.checked_in_at) * 1000000)::bigint
    FROM (SELECT) AS always LEFT JOIN LATERAL (
        SELECT event_id, ticket_id, checked_in_by, checked_in_at FROM attendance.check_ins
        WHERE event = $1 AND entry IS NOT NULL ORDER BY entry DESC LIMIT 1
    ) AS last ON true";

/// The number and the time in microseconds of the last entry of an event.
pub(super) async fn last(connection: &mut PgConnection, event: Digest) -> sqlx::Result<(u64, i64)> {
    let last = sqlx::query(LAST).bind(event).fetch_optional(connection).await?;
    last.map_or(Ok((0, 0)), |row| Ok((count(&row, 0)?, row.try_get(1)?)))
}

/// What happened to a ticket.
pub(super) async fn history(
    connection: &mut PgConnection,
    ticket: Digest,
) -> sqlx::Result<Vec<HistoryEntry>> {
    let rows = sqlx::query(HISTORY).bind(ticket).bind(MAX_HISTORY).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(HistoryEntry {
                seq: count(row, 0)?,
                kind: kind(row.try_get(1)?)?,
                by: row.try_get::<&str, _>(2)?.into(),
                at: timestamp(row, 3)?,
                gate: row.try_get(4)?,
                scanned_at: row.try_get(5)?,
            })
        })
        .collect()
}

/// The entries of an event after `after`, at most `limit` of them.
pub(super) async fn changes(
    connection: &mut PgConnection,
    event: Digest,
    after: u64,
    limit: usize,
) -> sqlx::Result<Changes> {
    // Before the entries: whoever goes on from the version must miss none.
    let (version, _) = last(connection, event).await?;
    let rows = sqlx::query(CHANGES)
        .bind(event)
        .bind(i64::try_from(after).unwrap_or(i64::MAX))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .bind(MAX_CHANGES_BYTES)
        .fetch_all(connection)
        .await?;
    let change = |row: &PgRow| {
        let ticket_id = TicketId(row.try_get(2)?);
        Ok(Change { seq: count(row, 0)?, kind: kind(row.try_get(1)?)?, ticket_id })
    };
    let changes = rows.iter().map(change).collect::<sqlx::Result<Vec<_>>>()?;
    let version = changes.last().map_or(version, |last| version.max(last.seq));
    Ok(Changes { version, changes })
}

/// What an event looks like now.
pub(super) async fn summary(connection: &mut PgConnection, event: Digest) -> sqlx::Result<Summary> {
    let row = sqlx::query(SUMMARY).bind(event).fetch_one(connection).await?;
    let minutes: Vec<i64> = row.try_get::<Option<_>, _>(3)?.unwrap_or_default();
    let sizes: Vec<i64> = row.try_get::<Option<_>, _>(4)?.unwrap_or_default();
    let now = moment(row.try_get(5)?)?.micros().div_euclid(60_000_000);
    let newest = minutes.last().map_or(now, |newest| now.max(*newest));
    let mut per_minute = [0; 60];
    for (minute, size) in minutes.iter().zip(sizes) {
        if let Some(place) =
            usize::try_from(59 - (newest - minute)).ok().and_then(|place| per_minute.get_mut(place))
        {
            *place = u32::try_from(size).unwrap_or(u32::MAX);
        }
    }
    let has_last = row.try_get::<Option<&str>, _>(6)?.is_some();
    Ok(Summary {
        version: count(&row, 0)?,
        total_checked_in: count(&row, 1)?,
        registered: row.try_get::<Option<i64>, _>(2)?.map(i64::cast_unsigned),
        last: if has_last { Some(record(&row, 6)?) } else { None },
        per_minute,
    })
}

fn kind(code: i16) -> sqlx::Result<EntryKind> {
    EntryKind::from_code(code.into())
        .ok_or_else(|| sqlx::Error::Decode(format!("no kind of entry: {code}").into()))
}
