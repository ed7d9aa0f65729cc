//! Users in PostgreSQL, or in what speaks its protocol: shared by any number of replicas.
//!
//! The primary key decides who has a name. A registration whose outcome was lost can be sent again: its
//! hash has a salt that no other has, and so its row is recognised.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use shared_store::{
    CommitMetrics, Migration, Migrations,
    postgres::{Connections, Database, PostgresError, WriteProbe, is_our_fault},
};
use sqlx::{PgConnection, Row};
use tokio::time::Instant;

use super::{
    Registration, StoreError, User, UserStore, Username, memory::MemoryUserStore, role_to_store, stored_role,
};
use crate::password_hash::{Cost, PasswordHash};

/// The schema that this service has to itself.
pub(super) const SCHEMA: &str = "identity";

/// Statements under way at once.
const CONNECTIONS: usize = 8;

/// How long the database may take. A registration asks it twice, and is answered within 2 s.
const PATIENCE: Duration = Duration::from_millis(900);

/// The shared store.
pub struct PostgresUserStore {
    connections: Connections,
    /// Never stored, and there only while nobody stored has their names.
    demo_users: MemoryUserStore,
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
        let demo_users = MemoryUserStore::new(demo_users);
        Ok(Self {
            connections: database.connections(CONNECTIONS),
            demo_users,
            commits,
            write_probe: WriteProbe::default(),
        })
    }

    async fn stored(&self, username: &Username) -> sqlx::Result<Option<User>> {
        let mut connection = self.connections.lease().await?;
        let user = stored(&mut connection, username).await?;
        connection.release();
        Ok(user)
    }

    async fn insert(&self, user: &User) -> sqlx::Result<Registration> {
        let mut connection = self.connections.lease().await?;
        let inserted = sqlx::query("INSERT INTO identity.users (username, role, password_hash) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
            .bind(&user.username.0)
            .bind(role_to_store(user.role))
            .bind::<&str>(user.password.as_ref())
            .execute(&mut *connection)
            .await?;
        let is_ours = inserted.rows_affected() == 1 || {
            let stands = stored(&mut connection, &user.username).await?;
            stands.is_some_and(|stands| stands.password.as_ref() == user.password.as_ref())
        };
        connection.release();
        Ok(if is_ours { Registration::Accepted } else { Registration::Taken })
    }

    async fn update(&self, user: &User, password: &PasswordHash) -> sqlx::Result<()> {
        let mut connection = self.connections.lease().await?;
        sqlx::query(
            "UPDATE identity.users SET password_hash = $3 WHERE username = $1 AND password_hash = $2",
        )
        .bind(&user.username.0)
        .bind::<&str>(user.password.as_ref())
        .bind::<&str>(password.as_ref())
        .execute(&mut *connection)
        .await?;
        connection.release();
        Ok(())
    }

    /// Two digits, of a cost that [`Cost`] allows.
    async fn stored_cost(&self) -> sqlx::Result<Option<String>> {
        let mut connection = self.connections.lease().await?;
        let query =
            "SELECT max(cost) FROM (SELECT split_part(password_hash, '$', 3) AS cost FROM identity.users) _
                     WHERE cost BETWEEN '04' AND '15'";
        let cost = sqlx::query_scalar(query).fetch_one(&mut *connection).await?;
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

async fn stored(connection: &mut PgConnection, username: &Username) -> sqlx::Result<Option<User>> {
    let row = sqlx::query("SELECT role, password_hash FROM identity.users WHERE username = $1")
        .bind(&username.0)
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let role = stored_role(row.try_get(0)?)?;
    let hash: String = row.try_get(1)?;
    Ok(Some(User { username: username.clone(), role, password: PasswordHash::from_stored(hash) }))
}

fn storage(error: sqlx::Error) -> StoreError {
    if is_our_fault(&error) {
        StoreError::Internal(Arc::new(error))
    } else {
        StoreError::Unavailable(error.to_string().into())
    }
}

#[async_trait]
impl UserStore for PostgresUserStore {
    async fn find(&self, username: &Username) -> Result<Option<User>, StoreError> {
        // Which PostgreSQL cannot even be asked for, and nobody can have registered.
        if username.0.contains('\0') {
            return Ok(None);
        }
        match self.connections.retry(PATIENCE, || self.stored(username)).await.map_err(storage)? {
            Some(user) => Ok(Some(user)),
            None => self.demo_users.find(username).await,
        }
    }

    async fn register(&self, user: User) -> Result<Registration, StoreError> {
        if self.demo_users.find(&user.username).await?.is_some() {
            return Ok(Registration::Taken);
        }
        let begin = Instant::now();
        let inserted = self.connections.retry(PATIENCE, || self.insert(&user)).await.map_err(storage);
        inserted.inspect(|_| self.commits.observe(begin.elapsed(), 1))
    }

    async fn rehash(&self, user: &User, password: PasswordHash) -> Result<(), StoreError> {
        self.connections.retry(PATIENCE, || self.update(user, &password)).await.map_err(storage)
    }

    async fn greatest_cost(&self) -> Result<Option<Cost>, StoreError> {
        let stored = self.connections.retry(PATIENCE, || self.stored_cost()).await.map_err(storage)?;
        Ok(stored.and_then(|text| Cost::new(text.parse().ok()?)))
    }

    fn held(&self) -> Option<u64> {
        None
    }

    async fn ready(&self) -> Result<(), StoreError> {
        let probe = async { self.connections.retry(PATIENCE, || self.probe()).await.map_err(storage) };
        self.write_probe.get_or(probe).await
    }
}
