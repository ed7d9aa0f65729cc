//! Writes scans in batches: one statement inserts all scans that wait.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use chrono::TimeDelta;
use parking_lot::Mutex;
use shared_store::{CommitMetrics, postgres::Connections};
use sqlx::{PgConnection, Row};
use tokio::{
    sync::{Semaphore, mpsc},
    time::Instant,
};

use super::rows::{Digest, LOOK_UP, RETRY_FOR, record, store_error, timestamp};
use crate::{
    record::{RecordPrefix, Scan, Timestamp},
    store::{
        CheckIn, StoreError,
        budget::Reservation,
        clock::MonotonicClock,
        reply::{Reply, recv_batch, unavailable},
    },
};

/// The most scans in one statement.
const BATCH: usize = 256;

/// Statements under way at once: while one is committed, the next is filled.
pub(super) const WRITERS: usize = 2;

// Times of acceptance are a microsecond apart, in the order of insertion, so that they differ within an event.
const INSERT: &str = "INSERT INTO attendance.check_ins
        (ticket, attempt, event, event_id, ticket_id, checked_in_by, idempotency_key, checked_in_at)
    SELECT ticket, attempt, event, event_id, ticket_id, checked_in_by, idempotency_key,
        greatest(now(), (
            SELECT max(checked_in_at) + interval '1 microsecond'
            FROM attendance.check_ins AS earlier WHERE earlier.event = scans.event
        )) + (number - 1) * interval '1 microsecond'
    FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::text[])
        WITH ORDINALITY
        AS scans (ticket, attempt, event, event_id, ticket_id, checked_in_by, idempotency_key, number)
    ON CONFLICT DO NOTHING
    RETURNING ticket, attempt, (extract(epoch FROM checked_in_at) * 1000000)::bigint,
        (extract(epoch FROM checked_in_at - now()) * 1000000)::bigint";

/// A scan as a row.
pub(super) struct Entry {
    pub(super) scan: Scan,
    pub(super) prefix: RecordPrefix,
    pub(super) ticket: Digest,
    pub(super) attempt: Digest,
    pub(super) event: Digest,
    pub(super) _reservation: Reservation,
}

/// Writes batches until all senders of `queue` are gone.
pub(super) async fn write(
    mut queue: mpsc::Receiver<(Entry, Reply<CheckIn>)>,
    connections: Arc<Connections>,
    commits: CommitMetrics,
) {
    let writers = Arc::new(Semaphore::new(WRITERS));
    let outage = Arc::new(Mutex::new(false));
    let clock = Arc::new(MonotonicClock::default());
    while let Ok(writer) = Arc::clone(&writers).acquire_owned().await {
        let mut jobs = Vec::with_capacity(BATCH);
        recv_batch(&mut queue, &mut jobs, BATCH).await;
        if jobs.is_empty() {
            return;
        }
        // Drops scans whose clients have disconnected or timed out. If they were written, the next scan of the ticket would be
        // refused as a duplicate, although no gate has seen the ticket accepted.
        jobs.retain(|(_, reply)| !reply.is_closed());
        if jobs.is_empty() {
            continue;
        }
        let (connections, outage) = (Arc::clone(&connections), Arc::clone(&outage));
        let (commits, clock) = (commits.clone(), Arc::clone(&clock));
        tokio::spawn(async move {
            let (entries, replies): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
            let begin = Instant::now();
            // Sent again after a lost connection. Rows that the first try has written are found by their attempt.
            let outcomes = connections.retry(RETRY_FOR, || check_in(&connections, &clock, &entries)).await;
            let outcomes = outcomes.map_err(store_error);
            log_outage(&mut outage.lock(), outcomes.as_ref().err());
            match outcomes {
                Ok(outcomes) => {
                    commits.observe(begin.elapsed(), outcomes.len());
                    for (reply, outcome) in replies.into_iter().zip(outcomes) {
                        reply.send(outcome);
                    }
                }
                Err(error) => replies.into_iter().for_each(|reply| reply.send(Err(error.clone()))),
            }
            drop(writer);
        });
    }
}

/// Logs an outage when it begins and when it ends, not once a scan.
fn log_outage(outage: &mut bool, error: Option<&StoreError>) {
    match error {
        Some(error) if !*outage => tracing::error!(%error, "the storage takes no writes; trying again"),
        None if *outage => tracing::info!("the storage takes writes again"),
        _ => {}
    }
    *outage = error.is_some();
}

/// The outcomes of `entries`, in their order.
async fn check_in(
    connections: &Connections,
    clock: &MonotonicClock,
    entries: &[Entry],
) -> sqlx::Result<Vec<Result<CheckIn, StoreError>>> {
    let mut connection = connections.lease().await?;
    let mut accepted = insert(&mut connection, clock, entries).await?;
    let mut outcomes: Vec<Option<CheckIn>> = entries
        .iter()
        .map(|entry| {
            let at = accepted.remove(&(entry.ticket.to_vec(), entry.attempt.to_vec()))?;
            Some(CheckIn::Accepted(entry.prefix.clone().finish(at)))
        })
        .collect();
    let refused: Vec<&Entry> = entries
        .iter()
        .zip(&outcomes)
        .filter(|(_, outcome)| outcome.is_none())
        .map(|(entry, _)| entry)
        .collect();
    if !refused.is_empty() {
        let rows = conflicting_rows(&mut connection, &refused).await?;
        for (entry, outcome) in entries.iter().zip(&mut outcomes).filter(|(_, outcome)| outcome.is_none()) {
            *outcome = outcome_of_conflict(entry, &rows);
        }
    }
    connection.release();
    Ok(outcomes
        .into_iter()
        .map(|outcome| outcome.ok_or_else(|| unavailable("the scan has to be sent again")))
        .collect())
}

/// Inserts `entries`. Returns ticket, attempt and time of acceptance of those that were inserted.
async fn insert(
    connection: &mut PgConnection,
    clock: &MonotonicClock,
    entries: &[Entry],
) -> sqlx::Result<HashMap<(Vec<u8>, Vec<u8>), Timestamp>> {
    // All replicas insert in the same order. Otherwise two that insert the same tickets could deadlock.
    let mut order: Vec<&Entry> = entries.iter().collect();
    order.sort_unstable_by_key(|entry| entry.ticket);
    let column = |of: fn(&Entry) -> &[u8]| order.iter().map(|entry| of(entry)).collect::<Vec<_>>();
    let text = |of: fn(&Entry) -> &str| order.iter().map(|entry| of(entry)).collect::<Vec<_>>();
    let keys: Vec<Option<&str>> =
        order.iter().map(|entry| entry.scan.idempotency_key.as_ref().map(AsRef::as_ref)).collect();
    let rows = sqlx::query(INSERT)
        .bind(column(|entry| &entry.ticket))
        .bind(column(|entry| &entry.attempt))
        .bind(column(|entry| &entry.event))
        .bind(text(|entry| entry.scan.event_id.as_ref()))
        .bind(text(|entry| entry.scan.ticket_id.as_ref()))
        .bind(text(|entry| &*entry.scan.checked_in_by))
        .bind(keys)
        .fetch_all(connection)
        .await?;
    let mut accepted = HashMap::with_capacity(rows.len());
    for row in rows {
        let key: (Vec<u8>, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?);
        accepted.insert(key, timestamp(&row, 2)?);
        clock.warn_if_ahead(TimeDelta::microseconds(row.try_get(3)?));
    }
    Ok(accepted)
}

/// The rows (ticket, attempt, record) that kept `refused` from being inserted.
async fn conflicting_rows(
    connection: &mut PgConnection,
    refused: &[&Entry],
) -> sqlx::Result<Vec<(Vec<u8>, Vec<u8>, Bytes)>> {
    let found = sqlx::query(LOOK_UP)
        .bind(refused.iter().map(|entry| entry.ticket.as_slice()).collect::<Vec<_>>())
        .bind(refused.iter().map(|entry| entry.attempt.as_slice()).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    found.iter().map(|row| Ok((row.try_get(4)?, row.try_get(5)?, record(row)?))).collect()
}

/// The outcome of a scan that was not inserted, by the rows (ticket, attempt, record) that conflict with it. `None` if
/// none of them does.
fn outcome_of_conflict(entry: &Entry, rows: &[(Vec<u8>, Vec<u8>, Bytes)]) -> Option<CheckIn> {
    let by_attempt = rows.iter().find(|(_, attempt, _)| attempt == &entry.attempt);
    match by_attempt {
        Some((ticket, _, _)) if ticket != &entry.ticket => Some(CheckIn::KeyReused),
        Some((_, _, record)) if entry.scan.idempotency_key.is_some() => {
            Some(CheckIn::Replayed(record.clone()))
        }
        Some((_, _, record)) => Some(CheckIn::Accepted(record.clone())),
        None => rows.iter().any(|(ticket, _, _)| ticket == &entry.ticket).then_some(CheckIn::Duplicate),
    }
}
