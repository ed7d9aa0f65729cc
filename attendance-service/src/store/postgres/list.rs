//! Lists of check-ins, read page by page. A list shows one snapshot of the database.
//!
//! No connection and no transaction waits for a client between two pages. Rows are never changed or deleted, so a page
//! that is read later can still show the snapshot: it takes the rows whose transactions were committed then.

use std::{str::FromStr, sync::Arc, time::Duration};

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

const COUNT: &str = "SELECT count(*), max(seq), (extract(epoch FROM max(checked_in_at)) * 1000000)::bigint,
        pg_current_snapshot()::text, (extract(epoch FROM now()) * 1000000)::bigint
    FROM attendance.check_ins WHERE event = $1";

const LIST: &str = "SELECT event_id, ticket_id, checked_in_by,
        (extract(epoch FROM checked_in_at) * 1000000)::bigint, seq, xid
    FROM (
        SELECT *, sum(octet_length(event_id) + octet_length(ticket_id) + octet_length(checked_in_by)) OVER (
            ORDER BY checked_in_at, seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS bytes_before
        FROM (
            SELECT *, xmin::text::bigint AS xid FROM attendance.check_ins
            WHERE event = $1 AND (checked_in_at, seq) > (to_timestamp(0) + $2 * interval '1 microsecond', $3)
            ORDER BY checked_in_at, seq LIMIT $4
        ) AS page
    ) AS page
    WHERE coalesce(bytes_before, 0) < $5
    ORDER BY checked_in_at, seq";

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
    snapshot: Snapshot,
    total: i64,
    left: i64,
    /// Time of acceptance and `seq` of the last row that was read.
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
        type CountRow = (i64, Option<i64>, Option<i64>, String, i64);
        let (total, last, at, snapshot, now): CountRow =
            sqlx::query_as(COUNT).bind(event.as_slice()).fetch_one(&mut *connection).await?;
        connection.release();
        // The time is part of it because a restored database gives the same `seq` again.
        let version = format!("{total}-{}-{}", last.unwrap_or_default(), at.unwrap_or_default());
        let snapshot = Snapshot::new(&snapshot, now)?;
        let connections = Arc::clone(connections);
        let mut pages = Self { connections, event, snapshot, total, left: total, after: (0, 0) };
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
            .bind(self.event.as_slice())
            .bind(self.after.0)
            .bind(self.after.1)
            .bind(PAGE)
            .bind(PAGE_BYTES as i64)
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
            if self.snapshot.saw(row.try_get(5)?, row.try_get(3)?) {
                let record = record(row)?;
                if records > 0 && page.len() + 1 + record.len() > PAGE_BYTES {
                    break;
                }
                if self.left < self.total || records > 0 {
                    page.push(b',');
                }
                page.extend_from_slice(&record);
                records += 1;
            }
            after = (row.try_get(3)?, row.try_get(4)?);
        }
        Ok((page.into(), Next { records, after }))
    }

    fn advance(&mut self, next: Next) {
        self.left -= next.records;
        self.after = next.after;
    }
}

/// Which transactions were committed at one point in time. Holds the lower 32 bits of transaction ids, as rows do.
struct Snapshot {
    /// The first transaction that had not begun.
    next: u32,
    /// Transactions before `next` that had not ended.
    open: Vec<u32>,
    /// The time of the snapshot by the clock of the database, in microseconds since 1970.
    at: i64,
}

impl Snapshot {
    /// Parses `text`, the output of `pg_current_snapshot`: `xmin:xmax:xip,xip,…`.
    fn new(text: &str, at: i64) -> sqlx::Result<Self> {
        let malformed = || sqlx::Error::Decode(format!("{text} is no snapshot").into());
        // A row holds only the lower 32 bits of a 64-bit transaction id.
        let number = |text: &str| u64::from_str(text).map(|number| number as u32).map_err(|_| malformed());
        let mut fields = text.split(':').skip(1);
        let (next, open) = fields.next().zip(fields.next()).ok_or_else(malformed)?;
        let open = open.split(',').filter(|open| !open.is_empty()).map(number).collect::<Result<_, _>>()?;
        Ok(Self { next: number(next)?, open, at })
    }

    /// Whether the snapshot contains a row that `transaction` inserted with the time `checked_in_at`.
    fn saw(&self, transaction: i64, checked_in_at: i64) -> bool {
        // 32-bit ids wrap around, so the id of an old row means nothing. What was inserted an hour before was committed.
        const HOUR: i64 = 3_600_000_000;
        let transaction = transaction as u32;
        checked_in_at < self.at - HOUR
            || (transaction.wrapping_sub(self.next).cast_signed() < 0 && !self.open.contains(&transaction))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000_000;

    #[test]
    fn a_snapshot_saw_what_was_committed_before_it() {
        let snapshot = Snapshot::new("100:110:100,105", NOW).unwrap();
        for (transaction, was_seen) in
            [(3, true), (99, true), (100, false), (101, true), (105, false), (109, true), (110, false)]
        {
            assert_eq!(snapshot.saw(transaction, NOW), was_seen, "{transaction}");
        }
        assert!(Snapshot::new("100:100:", NOW).unwrap().saw(99, NOW));
    }

    #[test]
    fn transaction_ids_wrap_around() {
        // 2^32 + 5 is id 5 after the wraparound.
        let snapshot = Snapshot::new("4294967290:4294967301:4294967299", NOW).unwrap();
        for (transaction, was_seen) in [(4_294_967_290, true), (3, false), (4, true), (5, false), (6, false)]
        {
            assert_eq!(snapshot.saw(transaction, NOW), was_seen, "{transaction}");
        }
        // An old row, whose id is that of a transaction after the snapshot.
        assert!(snapshot.saw(1_000_000, NOW - 3_600_000_001));
    }

    #[test]
    fn what_is_no_snapshot_is_an_error() {
        for text in ["", "1", "1:2", "1:x:", "1:2:x", "1:2:3,,x"] {
            assert!(Snapshot::new(text, NOW).is_err(), "{text}");
        }
    }
}
