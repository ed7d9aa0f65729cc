//! Lists of tickets.

use std::collections::HashMap;

use sqlx::{Executor, PgConnection, Row, postgres::PgRow};

use super::rows::{BEGIN, BEGIN_BULK, Digest, count, event_key, ticket_key, timestamp};
use crate::{
    record::{EventId, TicketId},
    ticket::{ImportCounts, NewTicket, Ticket, TicketInfo, TicketPage, TicketSearch},
};

// Whoever changes a list locks the row of its event first, so the next statement sees all changes before.
const LOCK: &str = "SELECT FROM attendance.events WHERE event = $1 FOR UPDATE";

// The same, with what an import did that was carried out, though its outcome was lost.
const LOCK_FOR_IMPORT: &str = "SELECT coalesce(import = $2, false), import_added, import_updated, tickets
    FROM attendance.events WHERE event = $1 FOR UPDATE";

const PUT: &str = "WITH put AS MATERIALIZED (
        SELECT new.ticket, new.ticket_id, new.searched_id, old.ticket IS NULL AS is_new,
            CASE WHEN has_name THEN new.name ELSE old.name END AS name,
            CASE WHEN has_name THEN new.searched_name ELSE old.searched_name END AS searched_name,
            CASE WHEN has_kind THEN new.kind ELSE old.kind END AS kind,
            (has_name AND new.name IS DISTINCT FROM old.name OR has_kind AND new.kind IS DISTINCT FROM old.kind)
                AS is_other
        FROM unnest($2::bytea[], $3::text[], $4::text[], $5::boolean[], $6::text[], $7::text[], $8::boolean[],
            $9::text[]) AS new (ticket, ticket_id, searched_id, has_name, name, searched_name, has_kind, kind)
            LEFT JOIN attendance.tickets AS old ON old.ticket = new.ticket
    ), counts AS (
        SELECT count(*) FILTER (WHERE is_new) AS added, count(*) FILTER (WHERE NOT is_new AND is_other) AS updated
        FROM put
    ), written AS (
        INSERT INTO attendance.tickets (ticket, event, ticket_id, searched_id, name, searched_name, kind)
        SELECT ticket, $1, ticket_id, searched_id, name, searched_name, kind FROM put WHERE is_new OR is_other
        ON CONFLICT (ticket) DO UPDATE
            SET name = excluded.name, searched_name = excluded.searched_name, kind = excluded.kind
    )
    UPDATE attendance.events
    SET tickets = tickets + added, list_version = list_version + least(added + updated, 1),
        import = $10, import_added = added, import_updated = updated
    FROM counts WHERE event = $1
    RETURNING added, updated, tickets";

const REVOKE: &str = "UPDATE attendance.tickets SET revoked = true WHERE ticket = $1 AND NOT revoked";

const COUNT_REVOKED: &str =
    "UPDATE attendance.events SET revoked = revoked + 1, list_version = list_version + 1
    WHERE event = $1";

const IS_LISTED: &str = "SELECT FROM attendance.tickets WHERE ticket = $1";

const COUNT: &str = "SELECT CASE WHEN $2 = '' THEN tickets ELSE (
        SELECT count(*) FROM attendance.tickets
        WHERE tickets.event = $1 AND (strpos(searched_id, $2) > 0 OR strpos(searched_name, $2) > 0)
    ) END FROM attendance.events WHERE event = $1";

const PAGE: &str = "SELECT page.ticket_id, name, kind, revoked,
        (extract(epoch FROM checked_in_at) * 1000000)::bigint, checked_in_by
    FROM (
        SELECT ticket, ticket_id, name, kind, revoked FROM attendance.tickets
        WHERE event = $1 AND ticket_id > $3
            AND ($2 = '' OR strpos(searched_id, $2) > 0 OR strpos(searched_name, $2) > 0)
        ORDER BY ticket_id LIMIT $4
    ) AS page LEFT JOIN attendance.check_ins ON check_ins.ticket = page.ticket
    ORDER BY page.ticket_id";

const INFOS: &str = "SELECT ticket, name, kind FROM attendance.tickets WHERE ticket = ANY($1)";

/// Puts tickets on the list of an event. `import` stands for the request: if it was carried out, it is not again.
pub(super) async fn put(
    connection: &mut PgConnection,
    event: &EventId,
    tickets: &[NewTicket],
    import: Digest,
) -> sqlx::Result<Option<ImportCounts>> {
    let key = event_key(event);
    let counts = |row: &PgRow, first| {
        let (added, updated) = (count(row, first)?, count(row, first + 1)?);
        let unchanged = (tickets.len() as u64).saturating_sub(added + updated);
        Ok(ImportCounts { added, updated, unchanged, total: count(row, first + 2)? })
    };
    connection.execute(BEGIN_BULK).await?;
    let lock = sqlx::query(LOCK_FOR_IMPORT).bind(key).bind(import).fetch_optional(&mut *connection).await?;
    let done = match lock {
        None => Some(None),
        Some(row) if row.try_get(0)? => Some(Some(counts(&row, 1)?)),
        Some(_) => None,
    };
    if let Some(done) = done {
        connection.execute("ROLLBACK").await?;
        return Ok(done);
    }
    let name = |ticket: &NewTicket| ticket.name.clone().flatten();
    let row = sqlx::query(PUT)
        .bind(key)
        .bind(column(tickets, |ticket| ticket_key(event, &ticket.ticket_id)))
        .bind(column(tickets, |ticket| ticket.ticket_id.0.as_str()))
        .bind(column(tickets, |ticket| ticket.ticket_id.0.to_lowercase()))
        .bind(column(tickets, |ticket| ticket.name.is_some()))
        .bind(column(tickets, name))
        .bind(column(tickets, |ticket| name(ticket).map(|name| name.to_lowercase())))
        .bind(column(tickets, |ticket| ticket.kind.is_some()))
        .bind(column(tickets, |ticket| ticket.kind.as_ref().and_then(Option::as_deref)))
        .bind(import)
        .fetch_one(&mut *connection)
        .await?;
    connection.execute("COMMIT").await?;
    counts(&row, 0).map(Some)
}

fn column<'a, T>(tickets: &'a [NewTicket], of: impl Fn(&'a NewTicket) -> T) -> Vec<T> {
    tickets.iter().map(of).collect()
}

/// Revokes a ticket.
pub(super) async fn revoke(
    connection: &mut PgConnection,
    event: &EventId,
    ticket: &TicketId,
) -> sqlx::Result<Option<bool>> {
    let (key, ticket) = (event_key(event), ticket_key(event, ticket));
    connection.execute(BEGIN).await?;
    let is_there = sqlx::query(LOCK).bind(key).fetch_optional(&mut *connection).await?.is_some();
    let mut is_listed = false;
    if is_there {
        let revoked = sqlx::query(REVOKE).bind(ticket).execute(&mut *connection).await?.rows_affected() > 0;
        if revoked {
            sqlx::query(COUNT_REVOKED).bind(key).execute(&mut *connection).await?;
        }
        is_listed =
            revoked || sqlx::query(IS_LISTED).bind(ticket).fetch_optional(&mut *connection).await?.is_some();
    }
    connection.execute("COMMIT").await?;
    Ok(is_there.then_some(is_listed))
}

/// A part of the list of an event.
pub(super) async fn page(
    connection: &mut PgConnection,
    event: Digest,
    search: &TicketSearch,
) -> sqlx::Result<Option<TicketPage>> {
    let total = sqlx::query(COUNT).bind(event).bind(&search.text).fetch_optional(&mut *connection).await?;
    let Some(total) = total else { return Ok(None) };
    let rows = sqlx::query(PAGE)
        .bind(event)
        .bind(&search.text)
        .bind(&search.after)
        .bind(i64::try_from(search.limit).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await?;
    let ticket = |row: &PgRow| {
        let has_checked_in = row.try_get::<Option<i64>, _>(4)?.is_some();
        Ok(Ticket {
            ticket_id: TicketId(row.try_get(0)?),
            name: row.try_get(1)?,
            kind: row.try_get(2)?,
            revoked: row.try_get(3)?,
            checked_in_at: if has_checked_in { Some(timestamp(row, 4)?) } else { None },
            checked_in_by: row.try_get::<Option<&str>, _>(5)?.map(Into::into),
        })
    };
    let tickets = rows.iter().map(ticket).collect::<sqlx::Result<_>>()?;
    Ok(Some(TicketPage { total: count(&total, 0)?, tickets }))
}

/// What is known of tickets, in their order.
pub(super) async fn infos(
    connection: &mut PgConnection,
    tickets: &[Digest],
) -> sqlx::Result<Vec<Option<TicketInfo>>> {
    let keys: Vec<&[u8]> = tickets.iter().map(<[u8; 32]>::as_slice).collect();
    let rows = sqlx::query(INFOS).bind(keys).fetch_all(connection).await?;
    let mut found: HashMap<Digest, _> = HashMap::with_capacity(rows.len());
    for row in rows {
        found.insert(row.try_get(0)?, TicketInfo { name: row.try_get(1)?, kind: row.try_get(2)? });
    }
    Ok(tickets.iter().map(|ticket| found.get(ticket).cloned()).collect())
}
