//! Check-ins in PostgreSQL, or in what speaks its protocol: shared by any number of replicas.
//!
//! Nothing is remembered here. The unique keys of the table decide who is first, in one statement for all
//! scans that wait; whoever was not first is looked up after that, and told what stands there. Every scan
//! has a mark of its own in the table, so that a statement whose outcome was lost can be sent again.

mod list;

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::TimeDelta;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use shared_store::{
    CommitMetrics, Migration, Migrations,
    postgres::{Connections, Database, PostgresError, WriteProbe, is_our_fault},
};
use sqlx::{Row, postgres::PgRow};
use tokio::{
    sync::{Semaphore, mpsc},
    time::Instant,
};

use super::{
    Attendance, CheckIn, CheckInStore, Held, StoreError,
    budget::{Budget, Reservation},
    moments::Moments,
    reply::{QUEUE, Reply, ask, recv_batch, too_many},
};
use crate::record::{Draft, EventId, Scan, TicketId, Timestamp};

/// The schema that this service has to itself.
const SCHEMA: &str = "attendance";

/// As many scans as one statement may hold.
const BATCH: usize = 256;

/// Memory that those may take who wait, for there may be some who have hung up.
const QUEUE_BYTES: u64 = 32 << 20;

/// Statements under way at once: while one is on its way to the disk, the next is filled.
const WRITERS: usize = 2;

/// Tickets that are looked up at once.
const READERS: usize = 4;

/// Pages of lists that are read at once.
const PAGES: usize = 8;

/// How long an answer of the database is waited for.
const PATIENCE: Duration = Duration::from_millis(1600);

// A microsecond apart, in the order in which they are inserted, so that no two of an event have the same.
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

const LOOK_UP: &str =
    "SELECT event_id, ticket_id, checked_in_by, (extract(epoch FROM checked_in_at) * 1000000)::bigint,
        ticket, attempt
    FROM attendance.check_ins WHERE ticket = ANY($1) OR attempt = ANY($2)";

/// The shared store.
pub struct PostgresCheckInStore {
    reads: Connections,
    pages: Arc<Connections>,
    jobs: mpsc::Sender<(Entry, Reply<CheckIn>)>,
    queued: Arc<Budget>,
    /// Tells the attempts of this process from those of others.
    boot_id: u64,
    attempt_ids: AtomicU64,
    write_probe: WriteProbe<StoreError>,
}

type Digest = [u8; 32];

/// A scan as a row.
struct Entry {
    scan: Scan,
    draft: Draft,
    ticket: Digest,
    attempt: Digest,
    event: Digest,
    _room: Reservation,
}

/// The migrations of this service, oldest first.
fn migrations() -> Migrations {
    let sql = include_str!("../../migrations/postgres/1_check_ins.sql");
    Migrations::new(&[Migration { name: "check ins", sql, min_reader: 1 }])
}

impl PostgresCheckInStore {
    /// Waits for the database, and brings its schema up to date.
    ///
    /// # Errors
    ///
    /// The database cannot be reached, refuses us, or is newer than this service.
    pub async fn open(url: &str, commits: CommitMetrics) -> Result<Self, PostgresError> {
        let database = Database::open(url, SCHEMA, migrations()).await?;
        let (jobs, queue) = mpsc::channel(QUEUE);
        tokio::spawn(write(queue, Arc::new(database.connections(WRITERS)), commits));
        Ok(Self {
            reads: database.connections(READERS),
            pages: Arc::new(database.connections(PAGES)),
            jobs,
            queued: Arc::new(Budget::new(QUEUE_BYTES)),
            boot_id: RandomState::new().hash_one(0),
            attempt_ids: AtomicU64::default(),
            write_probe: WriteProbe::default(),
        })
    }

    fn entry(&self, scan: Scan) -> Result<Entry, StoreError> {
        let draft = Draft::new(&scan).map_err(|error| StoreError::Internal(Arc::new(error)))?;
        let attempt = match &scan.idempotency_key {
            Some(key) => digest(&[scan.checked_in_by.as_bytes(), key.as_ref().as_bytes()]),
            None => {
                let attempt_id = self.attempt_ids.fetch_add(1, Ordering::Relaxed);
                digest(&[&self.boot_id.to_le_bytes(), &attempt_id.to_le_bytes(), b""])
            }
        };
        let (event, ticket) = (scan.event_id.as_ref().as_bytes(), scan.ticket_id.as_ref().as_bytes());
        let (event, ticket) = (digest(&[event]), digest(&[event, ticket]));
        // The draft has the ids once more.
        let room = self.queued.reserve(2 * draft.length() as u64).ok_or_else(too_many)?;
        Ok(Entry { scan, draft, ticket, attempt, event, _room: room })
    }

    async fn look_up(&self, ticket: Digest) -> sqlx::Result<Option<Bytes>> {
        let mut connection = self.reads.lease().await?;
        let row = sqlx::query(LOOK_UP)
            .bind([ticket.as_slice()])
            .bind(Vec::<Vec<u8>>::new())
            .fetch_optional(&mut *connection)
            .await?;
        connection.release();
        row.map(|row| record(&row)).transpose()
    }

    async fn probe(&self) -> sqlx::Result<()> {
        let mut connection = self.reads.lease().await?;
        sqlx::query("UPDATE attendance.proof SET at = now()").execute(&mut *connection).await?;
        connection.release();
        Ok(())
    }
}

/// Of texts of any length, so that no two lists of them have the same.
fn digest(texts: &[&[u8]]) -> Digest {
    let hash = texts.iter().fold(Sha256::new(), |hash, text| {
        hash.chain_update((text.len() as u64).to_le_bytes()).chain_update(text)
    });
    hash.finalize().into()
}

fn storage(error: sqlx::Error) -> StoreError {
    if is_our_fault(&error) {
        StoreError::Internal(Arc::new(error))
    } else {
        StoreError::Unavailable(error.to_string().into())
    }
}

/// Sends whatever waits, as long as somebody may still come.
async fn write(
    mut queue: mpsc::Receiver<(Entry, Reply<CheckIn>)>,
    connections: Arc<Connections>,
    commits: CommitMetrics,
) {
    let writers = Arc::new(Semaphore::new(WRITERS));
    let outage = Arc::new(Mutex::new(false));
    let moments = Arc::new(Moments::default());
    while let Ok(writer) = Arc::clone(&writers).acquire_owned().await {
        let mut jobs = Vec::with_capacity(BATCH);
        recv_batch(&mut queue, &mut jobs, BATCH).await;
        if jobs.is_empty() {
            return;
        }
        // Whoever finds such a ticket used later must not wonder by whom.
        jobs.retain(|(_, reply)| !reply.is_unheard());
        if jobs.is_empty() {
            continue;
        }
        let (connections, outage) = (Arc::clone(&connections), Arc::clone(&outage));
        let (commits, moments) = (commits.clone(), Arc::clone(&moments));
        tokio::spawn(async move {
            let (entries, replies): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
            let begin = Instant::now();
            // Asked again after a lost connection: what was written stands, and is recognised by its mark.
            let outcomes = connections.retry(PATIENCE, || check_in(&connections, &moments, &entries)).await;
            let outcomes = outcomes.map_err(storage);
            report(&mut outage.lock(), outcomes.as_ref().err());
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

/// An outage is logged when it begins and when it ends, not once a scan.
fn report(outage: &mut bool, error: Option<&StoreError>) {
    match error {
        Some(error) if !*outage => tracing::error!(%error, "the storage takes no writes; trying again"),
        None if *outage => tracing::info!("the storage takes writes again"),
        _ => {}
    }
    *outage = error.is_some();
}

async fn check_in(
    connections: &Connections,
    moments: &Moments,
    entries: &[Entry],
) -> sqlx::Result<Vec<Result<CheckIn, StoreError>>> {
    let mut connection = connections.lease().await?;
    // Replicas that insert the same tickets take them in the same order, or each would wait for the other.
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
        .bind(text(|entry| &entry.scan.checked_in_by))
        .bind(keys)
        .fetch_all(&mut *connection)
        .await?;
    let mut accepted = HashMap::with_capacity(rows.len());
    for row in rows {
        let key: (Vec<u8>, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?);
        accepted.insert(key, moment(&row, 2)?);
        moments.warn(TimeDelta::microseconds(row.try_get(3)?));
    }

    let mut outcomes: Vec<Option<CheckIn>> = entries
        .iter()
        .map(|entry| {
            let at = accepted.remove(&(entry.ticket.to_vec(), entry.attempt.to_vec()))?;
            Some(CheckIn::Accepted(entry.draft.clone().accepted(at)))
        })
        .collect();
    let refused: Vec<&Entry> = entries
        .iter()
        .zip(&outcomes)
        .filter(|(_, outcome)| outcome.is_none())
        .map(|(entry, _)| entry)
        .collect();
    if refused.is_empty() {
        connection.release();
        return Ok(outcomes.into_iter().flatten().map(Ok).collect());
    }
    let standing = sqlx::query(LOOK_UP)
        .bind(refused.iter().map(|entry| entry.ticket.as_slice()).collect::<Vec<_>>())
        .bind(refused.iter().map(|entry| entry.attempt.as_slice()).collect::<Vec<_>>())
        .fetch_all(&mut *connection)
        .await?;
    connection.release();
    let mut rows = Vec::with_capacity(standing.len());
    for row in standing {
        rows.push((row.try_get::<Vec<u8>, _>(4)?, row.try_get::<Vec<u8>, _>(5)?, record(&row)?));
    }
    for (entry, outcome) in entries.iter().zip(&mut outcomes).filter(|(_, outcome)| outcome.is_none()) {
        *outcome = judge(entry, &rows);
    }
    Ok(outcomes
        .into_iter()
        .map(|outcome| outcome.ok_or_else(|| super::reply::unavailable("the scan has to be sent again")))
        .collect())
}

/// What a scan is that was not inserted, by the rows (ticket, attempt, record) that stand in its way.
fn judge(entry: &Entry, rows: &[(Vec<u8>, Vec<u8>, Bytes)]) -> Option<CheckIn> {
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

/// The JSON of a row that begins with event, ticket, user and moment.
fn record(row: &PgRow) -> sqlx::Result<Bytes> {
    let scan = Scan {
        event_id: EventId(row.try_get(0)?),
        ticket_id: TicketId(row.try_get(1)?),
        checked_in_by: row.try_get(2)?,
        idempotency_key: None,
    };
    let draft = Draft::new(&scan).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(draft.accepted(moment(row, 3)?))
}

fn moment(row: &PgRow, column: usize) -> sqlx::Result<Timestamp> {
    Timestamp::from_micros(row.try_get(column)?).ok_or_else(|| sqlx::Error::Decode("no moment".into()))
}

#[async_trait]
impl CheckInStore for PostgresCheckInStore {
    async fn check_in(&self, scan: Scan) -> Result<CheckIn, StoreError> {
        let entry = self.entry(scan)?;
        ask(&self.jobs, |reply| (entry, reply)).await
    }

    async fn attendance(&self, event: &EventId) -> Result<Attendance, StoreError> {
        let event = digest(&[event.as_ref().as_bytes()]);
        list::begin(&self.pages, event).await.map_err(storage)
    }

    async fn record(&self, event: &EventId, ticket: &TicketId) -> Result<Option<Bytes>, StoreError> {
        let ticket = digest(&[event.as_ref().as_bytes(), ticket.as_ref().as_bytes()]);
        self.reads.retry(PATIENCE, || self.look_up(ticket)).await.map_err(storage)
    }

    fn held(&self) -> Option<Held> {
        None
    }

    async fn ready(&self) -> Result<(), StoreError> {
        let probe = async { self.reads.retry(PATIENCE, || self.probe()).await.map_err(storage) };
        self.write_probe.get_or(probe).await
    }
}
