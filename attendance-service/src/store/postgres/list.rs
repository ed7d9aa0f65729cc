//! Lists of check-ins, read page by page. A list shows an event as it was after one of its entries.
//!
//! No connection and no transaction waits for a client between two pages. A page that is read later leaves out what has a
//! greater number than that entry, and takes check-ins that were undone since from the entries of the past.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use shared_store::postgres::Connections;
use sqlx::Row;

use super::rows::{Digest, RETRY_FOR, record, store_error};
use crate::store::{Attendance, Chunk, Records};

/// The most records in a page.
const PAGE: i64 = 128;

/// The most bytes in a page, unless a single record is longer: it can be as long as the body of a request. A client that
/// reads slowly holds one page, which is no more than every connection may hold in any case.
const PAGE_BYTES: usize = 16 * 1024;

/// How long a page after the first is retried. It includes the wait for a free connection.
const RETRY_PAGE_FOR: Duration = Duration::from_secs(5);

// Check-ins of the release before this one have no number for a moment: lists do not have them yet.
const COUNT: &str = "WITH last AS (
        (SELECT entry AS seq, checked_in_at AS at FROM attendance.check_ins
            WHERE event = $1 AND entry IS NOT NULL ORDER BY entry DESC LIMIT 1)
        UNION ALL
        (SELECT seq, done_at FROM attendance.past_entries WHERE event = $1 ORDER BY seq DESC LIMIT 1)
        ORDER BY seq DESC LIMIT 1
    )
    SELECT (SELECT count(*) FROM attendance.check_ins WHERE event = $1 AND entry IS NOT NULL),
        coalesce((SELECT seq FROM last), 0),
        coalesce((SELECT (extract(epoch FROM at) * 1000000)::bigint FROM last), 0)";

const LIST: &str = "SELECT event_id, ticket_id, checked_in_by,
        (extract(epoch FROM checked_in_at) * 1000000)::bigint, entry
    FROM (
        SELECT *, sum(octet_length(event_id) + octet_length(ticket_id) + octet_length(checked_in_by)) OVER (
            ORDER BY checked_in_at, entry ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS bytes_before
        FROM (
            (SELECT event_id, ticket_id, checked_in_by, checked_in_at, entry FROM attendance.check_ins
                WHERE event = $1 AND entry <= $6
                    AND (checked_in_at, entry) > (to_timestamp(0) + $2 * interval '1 microsecond', $3)
                ORDER BY checked_in_at, entry LIMIT $4)
            UNION ALL
            (SELECT event_id, ticket_id, done_by, done_at, seq FROM attendance.past_entries
                WHERE event = $1 AND kind = 0 AND seq <= $6 AND undone > $6
                    AND (done_at, seq) > (to_timestamp(0) + $2 * interval '1 microsecond', $3)
                ORDER BY done_at, seq LIMIT $4)
            ORDER BY checked_in_at, entry LIMIT $4
        ) AS page
    ) AS page
    WHERE coalesce(bytes_before, 0) < $5
    ORDER BY checked_in_at, entry";

/// The list of `event` as it is now: its total, its version, and a stream of its pages.
pub(super) async fn begin(connections: &Arc<Connections>, event: Digest) -> sqlx::Result<Attendance> {
    let begin = || Pages::begin(connections, event);
    let (version, first, pages) = connections.retry(RETRY_FOR, begin).await?;
    let total = pages.total as usize;
    let is_whole = pages.left == 0;
    let length = is_whole.then_some(first.len() as u64);
    let first = stream::iter([Ok(Chunk::from(first))]);
    let rest = stream::try_unfold(pages, async |mut pages| {
        if pages.left == 0 {
            return Ok(None);
        }
        let connections = Arc::clone(&pages.connections);
        // `next` changes nothing in `pages`, so every retry reads the same page.
        let (page, next) = connections.retry(RETRY_PAGE_FOR, || pages.next()).await?;
        pages.advance(next);
        Ok(Some((Chunk::from(page), pages)))
    });
    let chunks = first.chain(rest.map_err(store_error)).boxed();
    Ok(Attendance { total, version, records: Records { length, chunks } })
}

/// The pages of a list that are still to come.
struct Pages {
    connections: Arc<Connections>,
    event: Digest,
    /// The number of the last entry that the list knows.
    version: i64,
    total: i64,
    left: i64,
    /// Time of acceptance and number of the last row that was read.
    after: (i64, i64),
}

/// How far a page reached.
#[derive(Clone, Copy)]
struct Next {
    records: i64,
    after: (i64, i64),
}

impl Pages {
    async fn begin(connections: &Arc<Connections>, event: Digest) -> sqlx::Result<(String, Bytes, Self)> {
        let mut connection = connections.lease().await?;
        let (total, last, at): (i64, i64, i64) =
            sqlx::query_as(COUNT).bind(event).fetch_one(&mut *connection).await?;
        connection.release();
        // The time is part of it because a restored database gives the same numbers again.
        let version = format!("{total}-{last}-{at}");
        let connections = Arc::clone(connections);
        let mut pages = Self { connections, event, version: last, total, left: total, after: (0, 0) };
        let mut first = Bytes::new();
        if total > 0 {
            let next;
            (first, next) = pages.next().await?;
            pages.advance(next);
        }
        Ok((version, first, pages))
    }

    async fn next(&self) -> sqlx::Result<(Bytes, Next)> {
        let mut connection = self.connections.lease().await?;
        let rows = sqlx::query(LIST)
            .bind(self.event)
            .bind(self.after.0)
            .bind(self.after.1)
            .bind(PAGE)
            .bind(PAGE_BYTES as i64)
            .bind(self.version)
            .fetch_all(&mut *connection)
            .await?;
        connection.release();
        if rows.is_empty() {
            return Err(sqlx::Error::RowNotFound);
        }
        let mut after = self.after;
        let mut page = Vec::with_capacity(PAGE_BYTES.min(rows.len() * 192));
        let mut records = 0;
        for row in &rows {
            let record = record(row, 0)?;
            if records > 0 && page.len() + 1 + record.len() > PAGE_BYTES {
                break;
            }
            if self.left < self.total || records > 0 {
                page.push(b',');
            }
            page.extend_from_slice(&record);
            records += 1;
            after = (row.try_get(3)?, row.try_get(4)?);
        }
        Ok((page.into(), Next { records, after }))
    }

    fn advance(&mut self, next: Next) {
        self.left -= next.records;
        self.after = next.after;
    }
}
