//! Several statements that take effect together, or not at all.

use sqlx::{AssertSqlSafe, PgConnection, SqliteConnection};

use super::{SqlRow, postgres, sqlite};

/// What is done in one transaction. It may read, decide, and write.
///
/// SQLite has one writer, so nothing changes meanwhile. With PostgreSQL it does, unless the first statement locks what
/// is read: an `UPDATE` of its row, or [`Transaction::lock_table`].
pub trait Change: Send + Sync + 'static {
    /// What the caller learns.
    type Outcome: Send + 'static;

    /// Runs the statements. After an error none of them has taken effect.
    ///
    /// With PostgreSQL it runs again after a lost connection, and the first run may have been committed:
    /// [`Transaction::may_be_done`].
    fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> impl Future<Output = sqlx::Result<Self::Outcome>> + Send;
}

/// An open transaction.
pub struct Transaction<'c> {
    connection: Connection<'c>,
    may_be_done: bool,
    /// How many rows were changed.
    pub(super) changed: u64,
    /// How many rows of the content were removed.
    pub(super) removed: u64,
}

pub(super) enum Connection<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

impl<'c> Transaction<'c> {
    pub(super) fn new(connection: Connection<'c>, may_be_done: bool) -> Self {
        Self { connection, may_be_done, changed: 0, removed: 0 }
    }

    /// Whether the same change may have been committed before, by a run that got no answer.
    pub fn may_be_done(&self) -> bool {
        self.may_be_done
    }

    /// Lets nobody else change the rows of `table` before the end of this transaction.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn lock_table(&mut self, table: &'static str) -> sqlx::Result<()> {
        if let Connection::Postgres(connection) = &mut self.connection {
            let lock = format!("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE");
            sqlx::query(AssertSqlSafe(lock)).execute(&mut **connection).await?;
        }
        Ok(())
    }

    /// The first row that `sql` selects, or returns.
    ///
    /// # Errors
    ///
    /// The database does not answer, or `sql` and `T` do not fit.
    pub async fn fetch_optional<T: SqlRow>(
        &mut self,
        sql: &'static str,
        arguments: &[&str],
    ) -> sqlx::Result<Option<T>> {
        match &mut self.connection {
            Connection::Sqlite(connection) => {
                let row =
                    sqlite::query(sql, arguments.iter().copied()).fetch_optional(&mut **connection).await?;
                row.map(|row| T::from_row(&row)).transpose()
            }
            // PostgreSQL stores no NUL, so no row has one.
            Connection::Postgres(_) if arguments.iter().any(|argument| argument.contains('\0')) => Ok(None),
            Connection::Postgres(connection) => {
                let row = postgres::query(sql, arguments).fetch_optional(&mut **connection).await?;
                row.map(|row| T::from_row(&row)).transpose()
            }
        }
    }

    /// Executes a statement, and returns how many rows it changed.
    ///
    /// # Errors
    ///
    /// The database takes no writes.
    pub async fn execute(&mut self, sql: &'static str, arguments: &[&str]) -> sqlx::Result<u64> {
        let changed = match &mut self.connection {
            Connection::Sqlite(connection) => {
                let query = sqlite::query(sql, arguments.iter().copied());
                query.execute(&mut **connection).await?.rows_affected()
            }
            Connection::Postgres(connection) => {
                postgres::query(sql, arguments).execute(&mut **connection).await?.rows_affected()
            }
        };
        self.changed += changed;
        Ok(changed)
    }

    /// Executes a statement that deletes rows of the content, which [`SqlStore::rows`](super::SqlStore::rows) no longer
    /// counts then.
    ///
    /// # Errors
    ///
    /// The database takes no writes.
    pub async fn remove(&mut self, sql: &'static str, arguments: &[&str]) -> sqlx::Result<u64> {
        let removed = self.execute(sql, arguments).await?;
        self.removed += removed;
        Ok(removed)
    }
}
