//! The log in a SQLite file: migrations, reading, appending.

use std::{error::Error, sync::Arc};

use serde::Deserialize;
use shared_store::{Content, Migration, Migrations};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::events::{read_events, read_tickets};
use crate::{
    history::EntryKind,
    record::{EventId, IdempotencyKey, Scan, TicketId, Timestamp},
    store::entry::Entry,
};

/// What is in the file, for its operator.
pub const CONTENT: Content = Content {
    service: "attendance-service",
    name: "check-ins",
    migrations,
    read: |database| Box::pin(count(database)),
    others: &[("events", "events"), ("tickets", "tickets")],
    newest: "SELECT ticket_id, ' to ', event_id, ' by ', checked_in_by,
                 ' at ' || strftime('%Y-%m-%dT%H:%M:%fZ', checked_in_at / 1000000.0, 'unixepoch')
             FROM check_ins WHERE kind = 0 ORDER BY seq DESC LIMIT 1",
};

/// Rows that are read at once. A row is no longer than the body of a request, 64 KiB, so a page is 16 MiB at most. Each page
/// is a turn between two threads.
const PAGE: i64 = 256;

// The whole page as one JSON text: fetching rows one by one takes longer than everything else at a start.
const LOAD: &str = "SELECT json_group_array(
        json_array(seq, event_id, ticket_id, checked_in_by, checked_in_at, idempotency_key, kind, gate, scanned_at))
    FROM (SELECT * FROM check_ins WHERE seq > ?1 ORDER BY seq LIMIT ?2)";

/// A row as [`LOAD`] returns it.
#[derive(Deserialize)]
struct Row(i64, EventId, TicketId, Arc<str>, i64, Option<String>, i64, Option<Box<str>>, Option<Box<str>>);

/// The migrations of this service, oldest first.
pub fn migrations() -> Migrations {
    let check_ins = include_str!("../../../migrations/sqlite/1_check_ins.sql");
    let log = include_str!("../../../migrations/sqlite/2_log.sql");
    let events = include_str!("../../../migrations/sqlite/3_events.sql");
    Migrations::new(&[
        Migration { name: "check ins", sql: check_ins, min_reader: 1 },
        Migration { name: "log", sql: log, min_reader: 1 },
        Migration { name: "events", sql: events, min_reader: 1 },
    ])
}

/// Hands the entries after `seq` to `take`, in order.
pub(super) async fn read(
    connection: &mut SqliteConnection,
    mut seq: i64,
    mut take: impl FnMut(i64, Entry) -> sqlx::Result<()>,
) -> sqlx::Result<()> {
    loop {
        let page: String = sqlx::query_scalar(LOAD).bind(seq).bind(PAGE).fetch_one(&mut *connection).await?;
        let mut page: Vec<Row> = serde_json::from_str(&page).map_err(decode)?;
        // Rows come in order, but SQLite does not guarantee the order of what it aggregates.
        page.sort_unstable_by_key(|row| row.0);
        let Some(last) = page.last() else { return Ok(()) };
        seq = last.0;
        for Row(seq, event_id, ticket_id, checked_in_by, at, key, kind, gate, scanned_at) in page {
            let idempotency_key = key.and_then(|key| IdempotencyKey::new(key.as_bytes()));
            let scan =
                Scan { idempotency_key, gate, scanned_at, ..Scan::new(event_id, ticket_id, checked_in_by) };
            let at = Timestamp::from_micros(at).ok_or_else(|| decode(format!("row {seq} has no moment")))?;
            let kind = EntryKind::from_code(kind).ok_or_else(|| decode(format!("row {seq} has no kind")))?;
            take(seq, Entry { kind, scan, at })?;
        }
    }
}

/// Reads all rows as a start does, and returns how many check-ins stand.
async fn count(connection: &mut SqliteConnection) -> sqlx::Result<u64> {
    let mut check_ins = 0_u64;
    read(connection, 0, |_, entry| {
        match entry.kind {
            EntryKind::CheckedIn => check_ins += 1,
            EntryKind::Undone => check_ins = check_ins.saturating_sub(1),
            EntryKind::Conflict => {}
        }
        Ok(())
    })
    .await?;
    read_events(connection, |_, _| Ok(())).await?;
    read_tickets(connection, |_, _| Ok(())).await?;
    Ok(check_ins)
}

pub(super) fn decode(error: impl Into<Box<dyn Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

/// Appends entries to the log with one statement. Returns the `seq` of the last of them.
pub(super) async fn insert<'e>(
    connection: &mut SqliteConnection,
    entries: impl IntoIterator<Item = &'e Entry>,
) -> sqlx::Result<i64> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO check_ins
            (event_id, ticket_id, checked_in_by, checked_in_at, idempotency_key, kind, gate, scanned_at) ",
    );
    query.push_values(entries, |mut row, Entry { kind, scan, at }| {
        row.push_bind(&scan.event_id.0)
            .push_bind(&scan.ticket_id.0)
            .push_bind(&*scan.checked_in_by)
            .push_bind(at.micros())
            .push_bind(scan.idempotency_key.as_ref().map(AsRef::as_ref))
            .push_bind(kind.code())
            .push_bind(scan.gate.as_deref())
            .push_bind(scan.scanned_at.as_deref());
    });
    Ok(query.build().execute(connection).await?.last_insert_rowid())
}

#[cfg(test)]
mod tests {
    use shared_store::{sqlite::FileLock, testing::assert_no_temporary_btree};
    use sqlx::Connection;

    use super::*;
    use crate::store::sqlite::events::{LOAD_EVENTS, LOAD_TICKETS};

    #[tokio::test]
    async fn a_file_with_unique_keys_keeps_its_rows_and_the_version_before_appends_to_it_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("attendance.db");
        let sql = include_str!("../../../migrations/sqlite/1_check_ins.sql");
        let before = Migrations::new(&[Migration { name: "check ins", sql, min_reader: 1 }]);
        let insert =
            "INSERT INTO check_ins (event_id, ticket_id, checked_in_by, checked_in_at, idempotency_key)
                      VALUES ('e', $1, 'panitia1', 1, $1)";
        let mut expected = Vec::new();
        for (migrations, ticket) in [(&before, "a"), (&super::migrations(), "b"), (&before, "c")] {
            let mut lock = FileLock::take(&path, false).unwrap();
            let mut database = lock.connect(migrations).await.unwrap();
            sqlx::query(insert).bind(ticket).execute(&mut database).await.unwrap();
            expected.push((expected.len() as i64 + 1, ticket.to_owned()));
            let mut rows = Vec::new();
            // The version before has no other columns than these.
            let read = "SELECT seq, ticket_id, idempotency_key FROM check_ins ORDER BY seq";
            let read: Vec<(i64, String, String)> =
                sqlx::query_as(read).fetch_all(&mut database).await.unwrap();
            for (seq, ticket, key) in read {
                assert_eq!(key, ticket);
                rows.push((seq, ticket));
            }
            assert_eq!(rows, expected);
            database.close().await.unwrap();
        }
        assert!(directory.path().join("attendance.db.before-migration-2").exists());
    }

    #[tokio::test]
    async fn no_statement_sorts() {
        let directory = tempfile::tempdir().unwrap();
        let mut lock = FileLock::take(&directory.path().join("attendance.db"), false).unwrap();
        let mut database = lock.connect(&migrations()).await.unwrap();
        assert_no_temporary_btree(&mut database, &[LOAD, CONTENT.newest, LOAD_EVENTS, LOAD_TICKETS]).await;
    }
}
