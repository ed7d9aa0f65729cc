//! A few connections to a database, kept between statements.
//!
//! A connection is kept only if it is released after all its statements were answered. A connection whose network was
//! cut can stay silent for a quarter of an hour, and is never used again.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, PgConnection, postgres::PgConnectOptions};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout_at},
};

use super::errors::{is_unavailable, no_answer};

/// Limits that the server enforces by itself, even if this process is gone: on a statement, and on an open transaction
/// that sends no statement. And the schema in which tables without one are looked up.
///
/// A connection keeps the plan of a statement, and a plan that was made for a small table may read all of it. So plans take
/// an index wherever there is one. The planner takes those that have none for very expensive, but they are not worth
/// compiling.
fn session_settings(schema: &str) -> String {
    format!(
        "SET statement_timeout = '1500ms'; SET idle_in_transaction_session_timeout = '60s'; SET search_path = {schema};
        SET enable_seqscan = off; SET jit = off"
    )
}

/// How long after a lost connection a statement is sent again.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// How long a connection may be idle. Many routers forget an idle connection after a while, without telling either end.
const MAX_IDLE: Duration = Duration::from_secs(120);

/// Connections to one database, a limited number at once.
pub struct Connections {
    options: PgConnectOptions,
    schema: &'static str,
    idle: Arc<Mutex<Vec<Idle>>>,
    free: Arc<Semaphore>,
}

/// A connection that waits for its next use.
struct Idle {
    connection: PgConnection,
    since: Instant,
}

impl Connections {
    /// At most `limit` connections, none of which is open yet.
    pub(super) fn new(options: PgConnectOptions, schema: &'static str, limit: usize) -> Self {
        Self { options, schema, idle: Arc::default(), free: Arc::new(Semaphore::new(limit)) }
    }

    /// Waits for a free connection, and opens one if none is idle. Sets no deadline of its own.
    ///
    /// # Errors
    ///
    /// A connection cannot be opened.
    pub async fn lease(&self) -> sqlx::Result<Lease> {
        let permit = Arc::clone(&self.free).acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
        let idle = self.idle.lock().pop().filter(|idle| idle.since.elapsed() < MAX_IDLE);
        let connection = match idle {
            Some(idle) => idle.connection,
            None => {
                let mut connection = self.options.connect().await?;
                connection.execute(AssertSqlSafe(session_settings(self.schema))).await?;
                connection
            }
        };
        Ok(Lease { connection, idle: Arc::clone(&self.idle), permit })
    }

    /// Runs `ask`, again after a lost connection, for at most `retry_for` in all.
    ///
    /// # Errors
    ///
    /// Those of `ask`, and that it took too long.
    pub async fn retry<T, Asked: Future<Output = sqlx::Result<T>>>(
        &self,
        retry_for: Duration,
        ask: impl Fn() -> Asked,
    ) -> sqlx::Result<T> {
        let end = Instant::now() + retry_for;
        loop {
            match timeout_at(end, ask()).await.unwrap_or_else(|_| Err(no_answer())) {
                Err(error) if is_unavailable(&error) => {
                    // The same cause may have cut the idle connections too.
                    self.idle.lock().clear();
                    if Instant::now() + RETRY_AFTER >= end {
                        return Err(error);
                    }
                    sleep(RETRY_AFTER).await;
                }
                outcome => return outcome,
            }
        }
    }
}

/// A connection for one task. Closed on drop, unless it is [released](Lease::release).
pub struct Lease {
    connection: PgConnection,
    idle: Arc<Mutex<Vec<Idle>>>,
    permit: OwnedSemaphorePermit,
}

impl Lease {
    /// Keeps the connection open for the next task. Only for a connection whose statements were all answered, and that
    /// has no open transaction.
    pub fn release(self) {
        let Self { connection, idle, permit } = self;
        idle.lock().push(Idle { connection, since: Instant::now() });
        drop(permit);
    }
}

impl Deref for Lease {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
