//! Events that a committee prepared.

use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::{Executor, PgConnection, Row, postgres::PgRow};

use super::rows::{BEGIN_BULK, Digest, event_key, timestamp};
use crate::{
    event::{Event, EventChange},
    record::EventId,
};

const ALL: &str = "SELECT id, title, description, location, start_time, end_time, created_by,
        (extract(epoch FROM created_at) * 1000000)::bigint
    FROM attendance.events ORDER BY created_at, position";

const FIND: &str = "SELECT id, title, description, location, start_time, end_time, created_by,
        (extract(epoch FROM created_at) * 1000000)::bigint
    FROM attendance.events WHERE event = $1";

// Ids are new, so a row with this one was inserted by the same statement, whose outcome was lost.
const CREATE: &str = "INSERT INTO attendance.events
        (event, id, title, description, location, start_time, end_time, created_by, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, to_timestamp(0) + $9 * interval '1 microsecond')
    ON CONFLICT (event) DO NOTHING";

const UPDATE: &str = "UPDATE attendance.events SET title = coalesce($2, title),
        description = CASE WHEN $3 THEN $4 ELSE description END,
        location = CASE WHEN $5 THEN $6 ELSE location END,
        start_time = CASE WHEN $7 THEN $8 ELSE start_time END,
        end_time = CASE WHEN $9 THEN $10 ELSE end_time END
    WHERE event = $1
    RETURNING id, title, description, location, start_time, end_time, created_by,
        (extract(epoch FROM created_at) * 1000000)::bigint";

/// All events, oldest first.
pub(super) async fn all(connection: &mut PgConnection) -> sqlx::Result<Vec<Event>> {
    sqlx::query(ALL).fetch_all(connection).await?.iter().map(event).collect()
}

/// An event.
pub(super) async fn find(connection: &mut PgConnection, key: Digest) -> sqlx::Result<Option<Event>> {
    sqlx::query(FIND).bind(key).fetch_optional(connection).await?.as_ref().map(event).transpose()
}

/// Adds an event.
pub(super) async fn create(connection: &mut PgConnection, event: &Event) -> sqlx::Result<()> {
    let create = sqlx::query(CREATE)
        .bind(event_key(&event.id))
        .bind(event.id.as_ref())
        .bind(&event.title)
        .bind(&event.description)
        .bind(&event.location)
        .bind(&event.start_time)
        .bind(&event.end_time)
        .bind(&event.created_by)
        .bind(event.created_at.micros());
    create.execute(connection).await.map(drop)
}

/// Changes an event.
pub(super) async fn update(
    connection: &mut PgConnection,
    key: Digest,
    change: &EventChange,
) -> sqlx::Result<Option<Event>> {
    let EventChange { title, description, location, start_time, end_time } = change;
    let mut update = sqlx::query(UPDATE).bind(key).bind(title);
    for field in [description, location, start_time, end_time] {
        update = update.bind(field.is_some()).bind(field.as_ref().and_then(Option::as_deref));
    }
    update.fetch_optional(connection).await?.as_ref().map(event).transpose()
}

/// Removes an event and its list. `was_there` keeps between two tries that the first one found the event: the second one
/// does not, if the first one succeeded.
pub(super) async fn delete(
    connection: &mut PgConnection,
    key: Digest,
    was_there: &AtomicBool,
) -> sqlx::Result<bool> {
    connection.execute(BEGIN_BULK).await?;
    let delete = sqlx::query("DELETE FROM attendance.events WHERE event = $1").bind(key);
    if delete.execute(&mut *connection).await?.rows_affected() > 0 {
        was_there.store(true, Ordering::Relaxed);
        // A statement of its own: it sees tickets that were put on the list while the first one waited.
        let delete = sqlx::query("DELETE FROM attendance.tickets WHERE event = $1").bind(key);
        delete.execute(&mut *connection).await?;
    }
    connection.execute("COMMIT").await?;
    Ok(was_there.load(Ordering::Relaxed))
}

fn event(row: &PgRow) -> sqlx::Result<Event> {
    Ok(Event {
        id: EventId(row.try_get(0)?),
        title: row.try_get(1)?,
        description: row.try_get(2)?,
        location: row.try_get(3)?,
        start_time: row.try_get(4)?,
        end_time: row.try_get(5)?,
        created_by: row.try_get(6)?,
        created_at: timestamp(row, 7)?,
    })
}
