//! What the statements on check-ins share.

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

/// Finds the records of tickets ($1) and of attempts ($2).
pub(super) const LOOK_UP: &str =
    "SELECT event_id, ticket_id, checked_in_by, (extract(epoch FROM checked_in_at) * 1000000)::bigint,
        ticket, attempt
    FROM attendance.check_ins WHERE ticket = ANY($1) OR attempt = ANY($2)";

/// Stands for ids in the keys of the table: an index takes no text of 10,000 characters.
pub(super) type Digest = [u8; 32];

/// The digest of a list of texts. The lengths go in too, so that different lists have different digests.
pub(super) fn digest(texts: &[&[u8]]) -> Digest {
    let hash = texts.iter().fold(Sha256::new(), |hash, text| {
        hash.chain_update((text.len() as u64).to_le_bytes()).chain_update(text)
    });
    hash.finalize().into()
}

/// The JSON of a row that begins with event, ticket, user and time.
pub(super) fn record(row: &PgRow) -> sqlx::Result<Bytes> {
    let scan = Scan {
        event_id: EventId(row.try_get(0)?),
        ticket_id: TicketId(row.try_get(1)?),
        checked_in_by: row.try_get::<&str, _>(2)?.into(),
        idempotency_key: None,
    };
    let prefix = RecordPrefix::new(&scan).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(prefix.finish(timestamp(row, 3)?))
}

/// The time in a column of microseconds since 1970.
pub(super) fn timestamp(row: &PgRow, column: usize) -> sqlx::Result<Timestamp> {
    Timestamp::from_micros(row.try_get(column)?).ok_or_else(|| sqlx::Error::Decode("no moment".into()))
}

/// What an error of the database means to the caller of the store.
pub(super) fn store_error(error: sqlx::Error) -> StoreError {
    if is_our_fault(&error) {
        StoreError::Internal(Arc::new(error))
    } else {
        StoreError::Unavailable(error.to_string().into())
    }
}
