//! Users in the database of this service. The same SQL serves SQLite, in a file or in memory, and PostgreSQL.

use std::sync::Arc;

use async_trait::async_trait;
use shared_store::{SqlError, SqlStore};

use super::{Registration, StoreError, User, UserStore, Username, stored_role};
use crate::password_hash::{Cost, PasswordHash};

pub(super) const FIND: &str = "SELECT role, password_hash FROM users WHERE username = $1";

/// Changes nothing if another user has the name. After a lost connection PostgreSQL may get the statement twice: then the
/// row is this user's, as its hash shows, whose salt is unique.
const INSERT: &str = "INSERT INTO users (username, role, password_hash) VALUES ($1, $2, $3)
    ON CONFLICT (username) DO UPDATE SET role = excluded.role WHERE users.password_hash = excluded.password_hash";

const REHASH: &str = "UPDATE users SET password_hash = $3 WHERE username = $1 AND password_hash = $2";

/// The two digits after `$2b$`, of the costs that `Cost` allows.
pub(super) const GREATEST_COST: &str =
    "SELECT max(cost) FROM (SELECT substr(password_hash, 5, 2) AS cost FROM users) AS costs
     WHERE cost BETWEEN '04' AND '15'";

/// The users of this service.
pub struct SqlUserStore {
    sql: Arc<SqlStore>,
    /// Never stored. A stored user with the same name takes precedence.
    demo_users: Vec<User>,
    /// How many demo users have a name that no stored user had at the start.
    demo_count: u64,
}

impl SqlUserStore {
    /// The users in `sql`, and the `demo_users`, which stay out of it.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub async fn new(sql: Arc<SqlStore>, demo_users: Vec<User>) -> Result<Self, StoreError> {
        let mut store = Self { sql, demo_users, demo_count: 0 };
        if store.sql.rows().is_some() {
            let mut demo_count = 0;
            for user in &store.demo_users {
                demo_count += u64::from(store.find_stored(&user.username).await?.is_none());
            }
            store.demo_count = demo_count;
        }
        Ok(store)
    }

    async fn find_stored(&self, username: &Username) -> Result<Option<User>, StoreError> {
        let row = self.sql.fetch_optional(FIND, &[&username.0]).await?;
        row.map(|row| user_from_row(username, row)).transpose()
    }

    fn find_demo(&self, username: &Username) -> Option<User> {
        self.demo_users.iter().find(|user| user.username == *username).cloned()
    }
}

#[async_trait]
impl UserStore for SqlUserStore {
    async fn find(&self, username: &Username) -> Result<Option<User>, StoreError> {
        let outage = self.sql.outage();
        let user = self.find_stored(username).await?.or_else(|| self.find_demo(username));
        match (user, outage) {
            // A commit whose outcome is unknown may have stored the user.
            (None, Some(reason)) => Err(StoreError::Unavailable(reason)),
            (user, _) => Ok(user),
        }
    }

    async fn register(&self, user: User) -> Result<Registration, StoreError> {
        if self.find_demo(&user.username).is_some() {
            return Ok(Registration::Taken);
        }
        let arguments = [user.username.as_ref(), user.role.as_str(), user.password.as_ref()];
        let is_ours = self.sql.insert(INSERT, &arguments).await?;
        Ok(if is_ours { Registration::Accepted } else { Registration::Taken })
    }

    async fn rehash(&self, user: &User, password: PasswordHash) -> Result<(), StoreError> {
        let arguments = [user.username.as_ref(), user.password.as_ref(), password.as_ref()];
        self.sql.execute(REHASH, &arguments).await?;
        Ok(())
    }

    async fn greatest_cost(&self) -> Result<Option<Cost>, StoreError> {
        let cost = self.sql.fetch_at_start::<(Option<String>,)>(GREATEST_COST).await?;
        Ok(cost.and_then(|(cost,)| Cost::new(cost?.parse().ok()?)))
    }

    fn count(&self) -> Option<u64> {
        Some(self.sql.rows()? + self.demo_count)
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.sql.probe_write().await?;
        if self.sql.rows().is_some() {
            // SQLite reads on another connection than the probe, and every login begins with a read. No user has this name.
            self.find_stored(&Username(String::new())).await?;
        }
        Ok(())
    }
}

/// The user with that name, and with a role and a hash as they are stored.
fn user_from_row(username: &Username, (role, hash): (String, String)) -> Result<User, StoreError> {
    let role = stored_role(&role).map_err(|error| StoreError::Internal(Arc::new(error)))?;
    Ok(User { username: username.clone(), role, password: PasswordHash::from_stored(hash) })
}

impl From<SqlError> for StoreError {
    fn from(error: SqlError) -> Self {
        match error {
            SqlError::Unavailable(reason) => Self::Unavailable(reason),
            SqlError::Internal(cause) => Self::Internal(cause),
        }
    }
}
