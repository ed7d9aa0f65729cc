//! Numbers the check-ins that the release before this one inserted: it knows nothing of entries.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use shared_store::postgres::Connections;
use sqlx::{PgConnection, Row};
use tokio::time::sleep;

/// How many check-ins are numbered in one statement, which the server ends after 1.5 seconds.
const CHUNK: i64 = 5000;

/// How long it may take at a start, with what is tried again after a lost connection.
const START_WITHIN: Duration = Duration::from_secs(120);

/// The same while the service runs.
const AGAIN_WITHIN: Duration = Duration::from_secs(2);

/// How often new ones are looked for. While an old process and a new one serve together, check-ins of the old one are
/// missing from the lists of the new one for so long.
const EVERY: Duration = Duration::from_secs(1);

// A row that another process has numbered while this statement waited for its event is left alone. That is not asked with
// IS NULL, so that rows are found by their key.
const ADOPT: &str = "WITH missing AS MATERIALIZED (
        SELECT ticket, event, checked_in_at, seq FROM attendance.check_ins
        WHERE entry IS NULL ORDER BY event, checked_in_at, seq LIMIT $1
    ), log AS (
        INSERT INTO attendance.logs AS log (event, seq, latest)
        SELECT event, count(*), max(checked_in_at) FROM missing GROUP BY event ORDER BY event
        ON CONFLICT (event) DO UPDATE
            SET seq = log.seq + excluded.seq, latest = greatest(log.latest, excluded.latest)
        RETURNING event, seq
    ), numbered AS (
        SELECT ticket, event, count(*) OVER (PARTITION BY event) AS size,
            row_number() OVER (PARTITION BY event ORDER BY checked_in_at, seq) AS place
        FROM missing
    ), adopted AS (
        UPDATE attendance.check_ins SET entry = log.seq - size + place
        FROM numbered JOIN log USING (event)
        WHERE check_ins.ticket = numbered.ticket AND coalesce(check_ins.entry, 0) = 0
    )
    SELECT count(*) FROM missing";

/// Numbers all that have no number.
pub(super) async fn adopt(connection: &mut PgConnection) -> sqlx::Result<()> {
    while sqlx::query(ADOPT).bind(CHUNK).fetch_one(&mut *connection).await?.try_get::<i64, _>(0)? > 0 {}
    Ok(())
}

/// Numbers all before the service starts.
pub(super) async fn adopt_at_start(connections: &Connections) -> sqlx::Result<()> {
    retry(connections, START_WITHIN).await
}

async fn retry(connections: &Connections, retry_for: Duration) -> sqlx::Result<()> {
    let adopt = || async {
        let mut connection = connections.lease().await?;
        adopt(&mut connection).await?;
        connection.release();
        Ok(())
    };
    connections.retry(retry_for, adopt).await
}

/// Goes on numbering until the store is dropped.
pub(super) async fn keep_adopting(connections: Weak<Connections>) {
    while let Some(connections) = Weak::upgrade(&connections) {
        if let Err(error) = retry(&connections, AGAIN_WITHIN).await {
            tracing::debug!(%error, "check-ins of the release before could not be numbered");
        }
        drop::<Arc<_>>(connections);
        sleep(EVERY).await;
    }
}
