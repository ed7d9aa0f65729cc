//! What phones need to decide about tickets without a network.

use futures_util::TryStreamExt;
use sqlx::{Executor, PgConnection, Row};

use super::{log::last, rows::Digest};
use crate::{
    digest::{Salt, TicketDigest},
    store::Offline,
};

/// One point in time for several statements.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '8s'";

const LIST_VERSION: &str = "SELECT list_version FROM attendance.events WHERE event = $1";

const HAS_LIST: &str = "SELECT tickets > 0 FROM attendance.events WHERE event = $1";

const LISTED: &str = "SELECT ticket_id, revoked FROM attendance.tickets WHERE event = $1";

const USED: &str = "SELECT ticket_id FROM attendance.check_ins WHERE event = $1 AND entry IS NOT NULL";

/// Changes whenever what [`offline`] returns changes.
pub(super) async fn tag(connection: &mut PgConnection, event: Digest) -> sqlx::Result<Option<String>> {
    let list = sqlx::query(LIST_VERSION).bind(event).fetch_optional(&mut *connection).await?;
    let Some(list) = list else { return Ok(None) };
    let list: i64 = list.try_get(0)?;
    // The time is part of it because a restored database gives the same numbers again.
    let (version, at) = last(connection, event).await?;
    Ok(Some(format!("{version}-{at}-{list}")))
}

/// The digests of all tickets on the list and of those that are checked in. Ids are digested as they come: all of them at
/// once may be long.
pub(super) async fn offline(
    connection: &mut PgConnection,
    event: Digest,
    salt: &Salt,
) -> sqlx::Result<Option<Offline>> {
    connection.execute(BEGIN).await?;
    let has_list = sqlx::query(HAS_LIST).bind(event).fetch_optional(&mut *connection).await?;
    let Some(has_list) = has_list else {
        connection.execute("COMMIT").await?;
        return Ok(None);
    };
    let (version, _) = last(connection, event).await?;
    let (mut tickets, mut revoked) = (Vec::new(), Vec::new());
    let mut rows = sqlx::query(LISTED).bind(event).fetch(&mut *connection);
    while let Some(row) = rows.try_next().await? {
        let digest = salt.digest(row.try_get(0)?);
        tickets.push(digest);
        if row.try_get(1)? {
            revoked.push(digest);
        }
    }
    drop(rows);
    let mut used: Vec<TicketDigest> = Vec::new();
    let mut rows = sqlx::query(USED).bind(event).fetch(&mut *connection);
    while let Some(row) = rows.try_next().await? {
        used.push(salt.digest(row.try_get(0)?));
    }
    drop(rows);
    connection.execute("COMMIT").await?;
    for digests in [&mut tickets, &mut revoked, &mut used] {
        digests.sort_unstable();
    }
    let tickets = if has_list.try_get(0)? { Some(tickets) } else { None };
    Ok(Some(Offline { version, tickets, revoked, used }))
}
