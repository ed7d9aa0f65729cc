//! Events and lists of tickets in a SQLite file.

use serde::Deserialize;
use sqlx::{Connection, QueryBuilder, Sqlite, SqliteConnection};

use super::rows::decode;
use crate::{
    event::Event,
    record::{EventId, Timestamp},
    store::memory::{Step, TicketRow},
};

/// Rows that are written with one statement. A statement has time until the disk counts as stuck.
const ROWS: usize = 500;

/// Tickets that are read at once.
const PAGE: i64 = 1000;

pub(super) const LOAD_EVENTS: &str =
    "SELECT seq, event_id, title, description, location, start_time, end_time,
        created_by, created_at
    FROM events ORDER BY seq";

pub(super) const LOAD_TICKETS: &str =
    "SELECT json_group_array(json_array(event, ticket_id, name, kind, revoked))
    FROM (SELECT * FROM tickets WHERE (event, ticket_id) > (?1, ?2) ORDER BY event, ticket_id LIMIT ?3)";

type EventRow =
    (i64, String, String, Option<String>, Option<String>, Option<String>, Option<String>, String, i64);

/// A ticket as [`LOAD_TICKETS`] returns it.
#[derive(Deserialize)]
pub(super) struct StoredTicket(i64, String, Option<String>, Option<String>, i64);

impl StoredTicket {
    pub(super) fn row(&self) -> TicketRow<'_> {
        let Self(_, id, name, kind, revoked) = self;
        TicketRow { id, name: name.as_deref(), kind: kind.as_deref(), is_revoked: *revoked != 0 }
    }
}

/// Hands every event with its number to `take`, oldest first.
pub(super) async fn read_events(
    connection: &mut SqliteConnection,
    mut take: impl FnMut(i64, Event) -> sqlx::Result<()>,
) -> sqlx::Result<()> {
    let rows: Vec<EventRow> = sqlx::query_as(LOAD_EVENTS).fetch_all(connection).await?;
    for (seq, id, title, description, location, start_time, end_time, created_by, created_at) in rows {
        let created_at = Timestamp::from_micros(created_at)
            .ok_or_else(|| decode(format!("event {seq} was created at no moment")))?;
        let id = EventId(id);
        let event = Event { id, title, description, location, start_time, end_time, created_by, created_at };
        take(seq, event)?;
    }
    Ok(())
}

/// Hands the tickets of each event with the event's number to `take`, in order of id.
pub(super) async fn read_tickets(
    connection: &mut SqliteConnection,
    mut take: impl FnMut(i64, &[StoredTicket]) -> sqlx::Result<()>,
) -> sqlx::Result<()> {
    let mut tickets: Vec<StoredTicket> = Vec::new();
    let (mut event, mut id) = (i64::MIN, String::new());
    loop {
        let query = sqlx::query_scalar(LOAD_TICKETS).bind(event).bind(&id).bind(PAGE);
        let page: String = query.fetch_one(&mut *connection).await?;
        let mut page: Vec<StoredTicket> = serde_json::from_str(&page).map_err(decode)?;
        // Rows come in order, but SQLite does not guarantee the order of what it aggregates.
        page.sort_unstable_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        let is_last = page.is_empty();
        for ticket in page {
            if tickets.last().is_some_and(|last| last.0 != ticket.0) {
                take(event, &tickets)?;
                tickets.clear();
            }
            (event, id) = (ticket.0, ticket.1.clone());
            tickets.push(ticket);
        }
        if is_last {
            return if tickets.is_empty() { Ok(()) } else { take(event, &tickets) };
        }
    }
}

/// Writes a change in one transaction. `each` waits for each part of it.
pub(super) async fn write(connection: &mut SqliteConnection, step: &Step) -> sqlx::Result<()> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    match step {
        Step::Create(event) | Step::Update(event) => put_event(&mut transaction, event).await?,
        Step::Delete(id) => {
            for delete in [
                "DELETE FROM tickets WHERE event = (SELECT seq FROM events WHERE event_id = ?1)",
                "DELETE FROM events WHERE event_id = ?1",
            ] {
                sqlx::query(delete).bind(&id.0).execute(&mut *transaction).await?;
            }
        }
        Step::PutTickets { event, .. } => {
            let number = "SELECT seq FROM events WHERE event_id = ?1";
            let number: i64 = sqlx::query_scalar(number).bind(&event.0).fetch_one(&mut *transaction).await?;
            let rows: Vec<_> = step.rows().collect();
            for rows in rows.chunks(ROWS) {
                put_tickets(&mut transaction, number, rows).await?;
            }
        }
        Step::Revoke { event, ticket, .. } => {
            let revoke = "UPDATE tickets SET revoked = 1
                WHERE event = (SELECT seq FROM events WHERE event_id = ?1) AND ticket_id = ?2";
            sqlx::query(revoke).bind(&event.0).bind(&ticket.0).execute(&mut *transaction).await?;
        }
    }
    transaction.commit().await
}

async fn put_event(connection: &mut SqliteConnection, event: &Event) -> sqlx::Result<()> {
    let put = "INSERT INTO events
            (event_id, title, description, location, start_time, end_time, created_by, created_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
        ON CONFLICT (event_id) DO UPDATE SET title = excluded.title, description = excluded.description,
            location = excluded.location, start_time = excluded.start_time, end_time = excluded.end_time";
    sqlx::query(put)
        .bind(&event.id.0)
        .bind(&event.title)
        .bind(&event.description)
        .bind(&event.location)
        .bind(&event.start_time)
        .bind(&event.end_time)
        .bind(&event.created_by)
        .bind(event.created_at.micros())
        .execute(connection)
        .await?;
    Ok(())
}

async fn put_tickets(
    connection: &mut SqliteConnection,
    event: i64,
    rows: &[TicketRow<'_>],
) -> sqlx::Result<()> {
    let mut query =
        QueryBuilder::<Sqlite>::new("INSERT INTO tickets (event, ticket_id, name, kind, revoked) ");
    query.push_values(rows, |mut values, row| {
        values
            .push_bind(event)
            .push_bind(row.id)
            .push_bind(row.name)
            .push_bind(row.kind)
            .push_bind(row.is_revoked);
    });
    query.push(
        " ON CONFLICT (event, ticket_id) DO UPDATE
            SET name = excluded.name, kind = excluded.kind, revoked = excluded.revoked",
    );
    query.build().execute(connection).await?;
    Ok(())
}
