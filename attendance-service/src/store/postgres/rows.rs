//! What the statements share.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use shared_store::postgres::is_our_fault;
use sqlx::{Row, postgres::PgRow};

use crate::{
    record::{EventId, RecordPrefix, Scan, TicketId, Timestamp},
    store::StoreError,
};

/// How long a statement is retried after a lost connection.
pub(super) const RETRY_FOR: Duration = Duration::from_millis(1600);

/// The same for what takes longer: a long list, or many undos at once.
pub(super) const RETRY_BULK_FOR: Duration = Duration::from_secs(8);

/// Begins a transaction. If the connection is cut, the server ends it sooner than usual: others wait for its locks.
pub(super) const BEGIN: &str = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '2s'";

/// The same, for what takes longer.
pub(super) const BEGIN_BULK: &str =
    "BEGIN; SET LOCAL statement_timeout = '8s'; SET LOCAL idle_in_transaction_session_timeout = '2s'";

/// Stands for ids in the keys of the tables: an index takes no text of 10,000 characters.
pub(super) type Digest = [u8; 32];

/// The digest of a list of texts. The lengths go in too, so that different lists have different digests.
pub(super) fn digest(texts: &[&[u8]]) -> Digest {
    let hash = texts.iter().fold(Sha256::new(), |hash, text| {
        hash.chain_update((text.len() as u64).to_le_bytes()).chain_update(text)
    });
    hash.finalize().into()
}

/// The key of an event.
pub(super) fn event_key(event: &EventId) -> Digest {
    digest(&[event.as_ref().as_bytes()])
}

/// The key of a ticket.
pub(super) fn ticket_key(event: &EventId, ticket: &TicketId) -> Digest {
    digest(&[event.as_ref().as_bytes(), ticket.as_ref().as_bytes()])
}

/// The JSON of a row that has event, ticket, user and time in the columns from `first` on.
pub(super) fn record(row: &PgRow, first: usize) -> sqlx::Result<Bytes> {
    let (event, ticket) = (EventId(row.try_get(first)?), TicketId(row.try_get(first + 1)?));
    let scan = Scan::new(event, ticket, row.try_get::<&str, _>(first + 2)?.into());
    let prefix = RecordPrefix::new(&scan).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(prefix.finish(timestamp(row, first + 3)?))
}

/// The time in a column of microseconds since 1970.
pub(super) fn timestamp(row: &PgRow, column: usize) -> sqlx::Result<Timestamp> {
    moment(row.try_get(column)?)
}

/// The time of microseconds since 1970.
pub(super) fn moment(micros: i64) -> sqlx::Result<Timestamp> {
    Timestamp::from_micros(micros).ok_or_else(|| sqlx::Error::Decode("no moment".into()))
}

/// A number that is never negative.
pub(super) fn count(row: &PgRow, column: usize) -> sqlx::Result<u64> {
    row.try_get::<i64, _>(column).map(i64::cast_unsigned)
}

/// Runs statements on a connection that is kept if all of them are answered, again after a lost connection. They must leave
/// no transaction open.
// A macro, because the future of an async closure that borrows is not known to be `Send`.
macro_rules! retry {
    ($connections:expr, $retry_for:expr, |$connection:ident| $statements:expr) => {{
        let run = || async {
            let mut lease = $connections.lease().await?;
            let $connection: &mut sqlx::PgConnection = &mut lease;
            let result = $statements.await?;
            lease.release();
            Ok(result)
        };
        $connections.retry($retry_for, run).await.map_err($crate::store::postgres::rows::store_error)
    }};
}
pub(super) use retry;

/// What an error of the database means to the caller of the store.
pub(super) fn store_error(error: sqlx::Error) -> StoreError {
    if is_our_fault(&error) {
        StoreError::Internal(Arc::new(error))
    } else {
        StoreError::Unavailable(error.to_string().into())
    }
}
