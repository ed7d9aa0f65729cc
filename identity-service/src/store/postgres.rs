//! Users in PostgreSQL, or in what speaks its protocol: shared by any number of replicas.
//!
//! The primary key decides who has a name. A registration whose outcome was lost can be sent again: its
//! hash has a salt that no other has, and so its row is recognised.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use shared_auth::Role;
use shared_store::postgres::{Database, PostgresError, is_absence};
use sqlx::{
    PgPool, Row, SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};
use tokio::time::{Instant, sleep, timeout_at};

use super::{Registration, StoreError, User, UserStore, Username, memory::MemoryUserStore};
use crate::password::PasswordHash;

/// The schema that this service has to itself.
const SCHEMA: &str = "identity";

/// Statements under way at once.
const CONNECTIONS: u32 = 8;

/// How long a client waits for the database. It has waited for bcrypt before.
const PATIENCE: Duration = Duration::from_millis(1500);

/// How long after a lost connection it is asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// How long one proof that the database takes writes is good for.
const PROOF: Duration = Duration::from_secs(1);

/// The shared store.
pub struct PostgresUserStore {
    pool: PgPool,
    /// Never stored, and there only while nobody stored has their names.
    demo_users: MemoryUserStore,
    proven: Mutex<Option<Instant>>,
}

/// The migrations of this service, oldest first.
fn migrations() -> Migrator {
    let first = include_str!("../../migrations/postgres/1_users.sql").into_sql_str();
    Migrator::with_migrations(vec![Migration::new(1, "users".into(), MigrationType::Simple, first, false)])
}

impl PostgresUserStore {
    /// Waits for the database, and brings its schema up to date.
    ///
    /// # Errors
    ///
    /// The database cannot be reached, refuses us, or is newer than this service.
    pub async fn open(url: &str, demo_users: Vec<User>) -> Result<Self, PostgresError> {
        let database = Database::open(url, SCHEMA, migrations()).await?;
        let demo_users = MemoryUserStore::new(demo_users);
        Ok(Self { pool: database.pool(CONNECTIONS), demo_users, proven: Mutex::default() })
    }

    async fn stored(&self, username: &Username) -> sqlx::Result<Option<User>> {
        let row = sqlx::query("SELECT role, password_hash FROM identity.users WHERE username = $1")
            .bind(&username.0)
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let role = match row.try_get(0)? {
            "admin" => Role::Admin,
            _ => Role::Committee,
        };
        let hash: String = row.try_get(1)?;
        Ok(Some(User { username: username.clone(), role, password: PasswordHash::from_stored(hash) }))
    }

    async fn insert(&self, user: &User) -> sqlx::Result<Registration> {
        let role = match user.role {
            Role::Admin => "admin",
            Role::Committee => "committee",
        };
        let inserted = sqlx::query("INSERT INTO identity.users VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
            .bind(&user.username.0)
            .bind(role)
            .bind::<&str>(user.password.as_ref())
            .execute(&self.pool)
            .await?;
        if inserted.rows_affected() == 1 {
            return Ok(Registration::Accepted);
        }
        let stands = self.stored(&user.username).await?;
        let is_ours = |stands: User| stands.password.as_ref() == user.password.as_ref();
        Ok(if stands.is_some_and(is_ours) { Registration::Accepted } else { Registration::Taken })
    }
}

fn storage(error: sqlx::Error) -> StoreError {
    if is_absence(&error) {
        StoreError::Unavailable(error.to_string().into())
    } else {
        StoreError::Internal(Arc::new(error))
    }
}

/// Asks again after a lost connection, as long as the client waits.
async fn patiently<T, Asked: Future<Output = sqlx::Result<T>>>(
    ask: impl Fn() -> Asked,
) -> Result<T, StoreError> {
    let end = Instant::now() + PATIENCE;
    loop {
        match timeout_at(end, ask()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) if is_absence(&error) && Instant::now() + PAUSE < end => sleep(PAUSE).await,
            Ok(Err(error)) => return Err(storage(error)),
            Err(_) => return Err(StoreError::Unavailable("the database does not answer".into())),
        }
    }
}

#[async_trait]
impl UserStore for PostgresUserStore {
    async fn find(&self, username: &Username) -> Result<Option<User>, StoreError> {
        // Which PostgreSQL cannot even be asked for, and nobody can have registered.
        if username.0.contains('\0') {
            return Ok(None);
        }
        match patiently(|| self.stored(username)).await? {
            Some(user) => Ok(Some(user)),
            None => self.demo_users.find(username).await,
        }
    }

    async fn register(&self, user: User) -> Result<Registration, StoreError> {
        if self.demo_users.find(&user.username).await?.is_some() {
            return Ok(Registration::Taken);
        }
        patiently(|| self.insert(&user)).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        if self.proven.lock().is_some_and(|at| at.elapsed() < PROOF) {
            return Ok(());
        }
        let proof = || sqlx::query("UPDATE identity.proof SET at = now()").execute(&self.pool);
        patiently(proof).await?;
        *self.proven.lock() = Some(Instant::now());
        Ok(())
    }
}
