//! Users in PostgreSQL, or in what speaks its protocol: shared by any number of replicas.
//!
//! The primary key decides who gets a name. A registration whose answer was lost is sent again. If it was stored the
//! first time, its row is recognised by the hash, whose salt is unique.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use shared_store::{
    CommitMetrics, Migration, Migrations,
    postgres::{Connections, Database, PostgresError, WriteProbe, is_our_fault},
};
use sqlx::PgConnection;
use tokio::time::Instant;

use super::{
    Registration, StoreError, User, UserStore, Username, cost_from_row, find_by_name,
    statements::{Statements, statements},
    user_from_row,
};
use crate::password_hash::{Cost, PasswordHash};

/// The schema that this service has to itself.
pub(super) const SCHEMA: &str = "identity";

const STATEMENTS: Statements = statements!("identity.users");

/// The most connections. Each carries one statement at a time.
const CONNECTIONS: usize = 8;

/// How long a statement may take, retries included. A registration needs two, and is answered within 2 s.
const STATEMENT_DEADLINE: Duration = Duration::from_millis(900);

/// The shared store.
pub struct PostgresUserStore {
    connections: Connections,
    /// Never stored. A stored user with the same name takes precedence.
    demo_users: Vec<User>,
    commits: CommitMetrics,
    write_probe: WriteProbe<StoreError>,
}

/// The migrations of this service, oldest first.
pub(super) fn migrations() -> Migrations {
    let users = include_str!("../../migrations/postgres/1_users.sql");
    let made_by_operator = include_str!("../../migrations/postgres/made_by_operator.sql");
    Migrations::new(&[Migration { name: "users", sql: users, min_reader: 1 }])
        .with_tables(&[made_by_operator])
}

impl PostgresUserStore {
    /// Waits for the database, and brings its schema up to date.
    ///
    /// # Errors
    ///
    /// The database cannot be reached, refuses us, or is newer than this service.
    pub async fn open(
        url: &str,
        demo_users: Vec<User>,
        commits: CommitMetrics,
    ) -> Result<Self, PostgresError> {
        let database = Database::open(url, SCHEMA, migrations()).await?;
        Ok(Self {
            connections: database.connections(CONNECTIONS),
            demo_users,
            commits,
            write_probe: WriteProbe::default(),
        })
    }

    async fn find_stored(&self, username: &Username) -> sqlx::Result<Option<User>> {
        let mut connection = self.connections.lease().await?;
        let user = select_user(&mut connection, username).await?;
        connection.release();
        Ok(user)
    }

    async fn insert(&self, user: &User) -> sqlx::Result<Registration> {
        let mut connection = self.connections.lease().await?;
        let inserted = sqlx::query(STATEMENTS.insert)
            .bind(&user.username.0)
            .bind(user.role.as_str())
            .bind::<&str>(user.password.as_ref())
            .execute(&mut *connection)
            .await?;
        let is_ours = inserted.rows_affected() == 1 || {
            let stored = select_user(&mut connection, &user.username).await?;
            stored.is_some_and(|stored| stored.password == user.password)
        };
        connection.release();
        Ok(if is_ours { Registration::Accepted } else { Registration::Taken })
    }

    async fn update(&self, user: &User, password: &PasswordHash) -> sqlx::Result<()> {
        let mut connection = self.connections.lease().await?;
        sqlx::query(STATEMENTS.rehash)
            .bind(&user.username.0)
            .bind::<&str>(user.password.as_ref())
            .bind::<&str>(password.as_ref())
            .execute(&mut *connection)
            .await?;
        connection.release();
        Ok(())
    }

    async fn stored_cost(&self) -> sqlx::Result<Option<String>> {
        let mut connection = self.connections.lease().await?;
        let cost = sqlx::query_scalar(STATEMENTS.greatest_cost).fetch_one(&mut *connection).await?;
        connection.release();
        Ok(cost)
    }

    async fn probe(&self) -> sqlx::Result<()> {
        let mut connection = self.connections.lease().await?;
        sqlx::query("UPDATE identity.proof SET at = now()").execute(&mut *connection).await?;
        connection.release();
        Ok(())
    }
}

async fn select_user(connection: &mut PgConnection, username: &Username) -> sqlx::Result<Option<User>> {
    let row = sqlx::query_as(STATEMENTS.find).bind(&username.0).fetch_optional(connection).await?;
    row.map(|row| user_from_row(username, row)).transpose()
}

/// What an error of the database means to the caller of the store.
fn store_error(error: sqlx::Error) -> StoreError {
    if is_our_fault(&error) {
        StoreError::Internal(Arc::new(error))
    } else {
        StoreError::Unavailable(error.to_string().into())
    }
}

#[async_trait]
impl UserStore for PostgresUserStore {
    async fn find(&self, username: &Username) -> Result<Option<User>, StoreError> {
        // PostgreSQL stores no NUL, so no user has a name with one.
        if username.0.contains('\0') {
            return Ok(None);
        }
        let stored = self.connections.retry(STATEMENT_DEADLINE, || self.find_stored(username)).await;
        Ok(stored.map_err(store_error)?.or_else(|| find_by_name(&self.demo_users, username)))
    }

    async fn register(&self, user: User) -> Result<Registration, StoreError> {
        if find_by_name(&self.demo_users, &user.username).is_some() {
            return Ok(Registration::Taken);
        }
        let begin = Instant::now();
        let inserted = self.connections.retry(STATEMENT_DEADLINE, || self.insert(&user)).await;
        inserted.map_err(store_error).inspect(|_| self.commits.observe(begin.elapsed(), 1))
    }

    async fn rehash(&self, user: &User, password: PasswordHash) -> Result<(), StoreError> {
        let updated = self.connections.retry(STATEMENT_DEADLINE, || self.update(user, &password)).await;
        updated.map_err(store_error)
    }

    async fn greatest_cost(&self) -> Result<Option<Cost>, StoreError> {
        let stored = self.connections.retry(STATEMENT_DEADLINE, || self.stored_cost()).await;
        Ok(cost_from_row(stored.map_err(store_error)?))
    }

    fn count(&self) -> Option<u64> {
        None
    }

    async fn ready(&self) -> Result<(), StoreError> {
        let probe =
            async { self.connections.retry(STATEMENT_DEADLINE, || self.probe()).await.map_err(store_error) };
        self.write_probe.get_or(probe).await
    }
}
