//! Statements on PostgreSQL, or on what speaks its protocol. Any number of replicas share it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{
    Connection as _, Postgres,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use tokio::time::Instant;

use super::{
    PostgresSchema, SqlError, SqlRow,
    transaction::{Change, Connection, Transaction},
};
use crate::{
    CommitMetrics,
    postgres::{Connections, Database, PostgresError, WriteProbe, is_our_fault},
};

/// The most connections. Each carries one statement at a time.
const CONNECTIONS: usize = 8;

/// How long a statement may take, retries included. A request needs two at most, and is answered within 2 s.
const STATEMENT_DEADLINE: Duration = Duration::from_millis(900);

pub(super) struct PostgresSql {
    connections: Connections,
    commits: CommitMetrics,
    write_probe: WriteProbe<SqlError>,
}

impl PostgresSql {
    pub(super) async fn open(
        url: &str,
        schema: PostgresSchema,
        commits: CommitMetrics,
    ) -> Result<Self, PostgresError> {
        let database = Database::open(url, schema.name, (schema.migrations)()).await?;
        let connections = database.connections(CONNECTIONS);
        Ok(Self { connections, commits, write_probe: WriteProbe::default() })
    }

    pub(super) async fn fetch_all<T: SqlRow>(
        &self,
        sql: &'static str,
        arguments: &[&str],
    ) -> Result<Vec<T>, SqlError> {
        // PostgreSQL stores no NUL, so no row has one.
        if arguments.iter().any(|argument| argument.contains('\0')) {
            return Ok(Vec::new());
        }
        let fetch = || async {
            let mut connection = self.connections.lease().await?;
            let rows = query(sql, arguments).fetch_all(&mut *connection).await?;
            connection.release();
            rows.iter().map(|row: &PgRow| T::from_row(row)).collect()
        };
        self.connections.retry(STATEMENT_DEADLINE, fetch).await.map_err(sql_error)
    }

    pub(super) async fn execute(&self, sql: &'static str, arguments: &[&str]) -> Result<u64, SqlError> {
        let begin = Instant::now();
        let changed = self.changes(sql, arguments).await?;
        if changed > 0 {
            self.commits.observe(begin.elapsed(), 1);
        }
        Ok(changed)
    }

    pub(super) async fn transact<C: Change>(&self, change: &C) -> Result<C::Outcome, SqlError> {
        let begin = Instant::now();
        let may_be_done = AtomicBool::new(false);
        let run = || async {
            let mut connection = self.connections.lease().await?;
            let mut open = connection.begin().await?;
            let mut transaction =
                Transaction::new(Connection::Postgres(&mut open), may_be_done.load(Ordering::Relaxed));
            let outcome = change.run(&mut transaction).await?;
            let changed = transaction.changed;
            may_be_done.store(true, Ordering::Relaxed);
            open.commit().await?;
            connection.release();
            Ok((outcome, changed))
        };
        let done = self.connections.retry(STATEMENT_DEADLINE, run).await;
        let (outcome, changed) = done.map_err(sql_error)?;
        if changed > 0 {
            self.commits.observe(begin.elapsed(), 1);
        }
        Ok(outcome)
    }

    pub(super) async fn probe_write(&self) -> Result<(), SqlError> {
        let probe = async { self.changes("UPDATE proof SET at = now()", &[]).await.map(drop) };
        self.write_probe.get_or(probe).await
    }

    /// Executes a statement, again after a lost connection, and returns how many rows it changed.
    async fn changes(&self, sql: &'static str, arguments: &[&str]) -> Result<u64, SqlError> {
        let execute = || async {
            let mut connection = self.connections.lease().await?;
            let done = query(sql, arguments).execute(&mut *connection).await?;
            connection.release();
            Ok(done.rows_affected())
        };
        self.connections.retry(STATEMENT_DEADLINE, execute).await.map_err(sql_error)
    }
}

pub(super) fn query<'q>(sql: &'static str, arguments: &[&'q str]) -> Query<'q, Postgres, PgArguments> {
    arguments.iter().fold(sqlx::query(sql), |query, argument| query.bind(*argument))
}

fn sql_error(error: sqlx::Error) -> SqlError {
    if is_our_fault(&error) {
        SqlError::Internal(Arc::new(error))
    } else {
        SqlError::Unavailable(error.to_string().into())
    }
}
