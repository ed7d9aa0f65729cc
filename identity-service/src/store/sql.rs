//! The users of this service, and their sessions: in its database, and the demo users in memory. The same SQL serves
//! SQLite, in a file or in memory, and PostgreSQL.

use std::sync::Arc;

use async_trait::async_trait;
use shared_store::{SqlError, SqlStore};
use tokio::sync::Mutex;

use super::{
    Changed, Opening, Refreshed, Registration, StoreError, StoredUser, User, UserChange, UserStore, Username,
    demo::DemoUsers,
    people::{self, ChangeUser, RemoveUser},
    sessions,
};
use crate::{
    clock::Micros,
    password_hash::{Cost, PasswordHash},
    session::{RefreshToken, SessionId},
};

const REHASH: &str = "UPDATE users SET password_hash = $3 WHERE username = $1 AND password_hash = $2";

/// The two digits after `$2b$`, of the costs that `Cost` allows.
pub(super) const GREATEST_COST: &str =
    "SELECT max(cost) FROM (SELECT substr(password_hash, 5, 2) AS cost FROM users) AS costs
     WHERE cost BETWEEN '04' AND '15'";

/// The users of this service, and their sessions.
pub struct SqlUserStore {
    stored: Arc<SqlStore>,
    /// A stored user with the same name takes precedence.
    demo: DemoUsers,
    /// How many demo users have a name that no stored user had at the start.
    demo_count: u64,
    /// Held while an admin is changed: one of both databases may have the last.
    admins: Mutex<()>,
}

/// Where a user is, and where it is not.
struct Home<'s> {
    sql: &'s SqlStore,
    other: Option<&'s SqlStore>,
}

impl SqlUserStore {
    /// The users in `stored`, and the `demo_users`, which stay out of it.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub async fn new(stored: Arc<SqlStore>, demo_users: Vec<User>) -> Result<Self, StoreError> {
        let demo = DemoUsers::new(demo_users);
        let mut demo_count = 0;
        if stored.rows().is_some() {
            for name in demo.names() {
                demo_count += u64::from(people::find(&stored, name).await?.is_none());
            }
        }
        Ok(Self { stored, demo, demo_count, admins: Mutex::default() })
    }

    /// When a session was used last. None where there is no session.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub async fn latest_use(&self) -> Result<Option<Micros>, StoreError> {
        sessions::latest_use(&self.stored).await
    }

    /// All users, in order of name.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub async fn list(&self) -> Result<Vec<StoredUser>, StoreError> {
        let mut users = people::list(&self.stored).await?;
        if let Some(demo) = self.demo().await? {
            users.extend(people::list(demo).await?);
            // Stable: a stored user comes before a demo user of the same name.
            users.sort_by(|one, other| one.user.username.0.cmp(&other.user.username.0));
            users.dedup_by(|next, first| next.user.username == first.user.username);
        }
        Ok(users)
    }

    /// Changes a user, and ends its sessions if the password or the role is a new one or it becomes inactive. Returns
    /// what it was and what it is.
    ///
    /// # Errors
    ///
    /// The storage takes no writes.
    pub async fn change(
        &self,
        username: &Username,
        change: UserChange,
    ) -> Result<Changed<(StoredUser, StoredUser)>, StoreError> {
        let _turn = self.admins.lock().await;
        let home = self.home(username).await?;
        let has_admin_elsewhere = home.has_admin_elsewhere(username).await?;
        let change = ChangeUser { username: username.clone(), change, has_admin_elsewhere };
        Ok(home.sql.transact(change).await?)
    }

    /// Removes a user.
    ///
    /// # Errors
    ///
    /// The storage takes no writes.
    pub async fn remove(&self, username: &Username) -> Result<Changed<()>, StoreError> {
        let _turn = self.admins.lock().await;
        let home = self.home(username).await?;
        let has_admin_elsewhere = home.has_admin_elsewhere(username).await?;
        Ok(home.sql.transact(RemoveUser { username: username.clone(), has_admin_elsewhere }).await?)
    }

    /// Gives `user` a new password, and ends its sessions. False if that was done since `user` was read, or the user may
    /// no longer log in.
    ///
    /// # Errors
    ///
    /// The storage takes no writes.
    pub async fn set_password(&self, user: &StoredUser, password: &PasswordHash) -> Result<bool, StoreError> {
        let home = self.home(&user.user.username).await?;
        Ok(people::set_password(home.sql, user, password).await?)
    }

    /// Opens a session for `user`, whose password is right. Beyond 16 the least recently used session of the user ends.
    ///
    /// # Errors
    ///
    /// The storage takes no writes.
    pub async fn open_session(&self, user: &StoredUser, now: Micros) -> Result<Opening, StoreError> {
        let token = RefreshToken::generate().map_err(|error| StoreError::Internal(Arc::new(error)))?;
        let home = self.home(&user.user.username).await?;
        sessions::open(home.sql, user, token, now).await
    }

    /// Continues the session of `token`.
    ///
    /// # Errors
    ///
    /// The storage takes no writes.
    pub async fn refresh(&self, token: RefreshToken, now: Micros) -> Result<Refreshed, StoreError> {
        match self.home_of_session(&token.session()).await? {
            Some(sql) => sessions::refresh(sql, token, now).await,
            None => Ok(Refreshed::Unknown),
        }
    }

    /// Ends the session of `token`. False if there is none.
    ///
    /// # Errors
    ///
    /// The storage takes no writes.
    pub async fn end_session(&self, token: &RefreshToken) -> Result<bool, StoreError> {
        let id = token.session();
        let Some(sql) = self.home_of_session(&id).await? else { return Ok(false) };
        sessions::end(sql, &id).await?;
        Ok(true)
    }

    async fn demo(&self) -> Result<Option<&SqlStore>, StoreError> {
        self.demo.store(&self.stored).await
    }

    async fn find_demo(&self, username: &Username) -> Result<Option<StoredUser>, StoreError> {
        match self.demo().await? {
            Some(demo) => people::find(demo, username).await,
            None => Ok(None),
        }
    }

    /// The database with that user. That of the service, if nobody has the name.
    async fn home(&self, username: &Username) -> Result<Home<'_>, StoreError> {
        let stored = Home { sql: &self.stored, other: None };
        let Some(demo) = self.demo().await? else { return Ok(stored) };
        let is_demo = people::find(&self.stored, username).await?.is_none()
            && people::find(demo, username).await?.is_some();
        let other = Some(if is_demo { &*self.stored } else { demo });
        Ok(Home { sql: if is_demo { demo } else { stored.sql }, other })
    }

    /// The database with that session. It is looked for on the connection that reads: whoever guesses writes nothing.
    async fn home_of_session(&self, id: &SessionId) -> Result<Option<&SqlStore>, StoreError> {
        let outage = self.stored.outage();
        if sessions::is_there(&self.stored, id).await? {
            return Ok(Some(&self.stored));
        }
        if let Some(demo) = self.demo.opened()
            && sessions::is_there(demo, id).await?
        {
            return Ok(Some(demo));
        }
        // A commit whose outcome is unknown may have stored the session.
        outage.map_or(Ok(None), |reason| Err(StoreError::Unavailable(reason)))
    }
}

impl Home<'_> {
    async fn has_admin_elsewhere(&self, username: &Username) -> Result<bool, StoreError> {
        match self.other {
            Some(other) => people::has_another_admin(other, username).await,
            None => Ok(false),
        }
    }
}

#[async_trait]
impl UserStore for SqlUserStore {
    async fn find(&self, username: &Username) -> Result<Option<StoredUser>, StoreError> {
        let outage = self.stored.outage();
        let user = match people::find(&self.stored, username).await? {
            None => self.find_demo(username).await?,
            user => user,
        };
        match (user, outage) {
            // A commit whose outcome is unknown may have stored the user.
            (None, Some(reason)) => Err(StoreError::Unavailable(reason)),
            (user, _) => Ok(user),
        }
    }

    async fn register(&self, user: User) -> Result<Registration, StoreError> {
        if self.find_demo(&user.username).await?.is_some() {
            return Ok(Registration::Taken);
        }
        let is_ours = people::insert(&self.stored, &user, Micros::of_machine()).await?;
        Ok(if is_ours { Registration::Accepted } else { Registration::Taken })
    }

    async fn rehash(&self, user: &User, password: PasswordHash) -> Result<(), StoreError> {
        let arguments = [user.username.as_ref(), user.password.as_ref(), password.as_ref()];
        self.home(&user.username).await?.sql.execute(REHASH, &arguments).await?;
        Ok(())
    }

    async fn greatest_cost(&self) -> Result<Option<Cost>, StoreError> {
        let cost = self.stored.fetch_at_start::<(Option<String>,)>(GREATEST_COST).await?;
        Ok(cost.and_then(|(cost,)| Cost::new(cost?.parse().ok()?)))
    }

    fn count(&self) -> Option<u64> {
        let demo = self.demo.opened().and_then(SqlStore::rows).unwrap_or(self.demo_count);
        Some(self.stored.rows()? + demo)
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.stored.probe_write().await?;
        if self.stored.rows().is_some() {
            // SQLite reads on another connection than the probe, and every login begins with a read. No user has this name.
            people::find(&self.stored, &Username(String::new())).await?;
        }
        Ok(())
    }
}

impl From<SqlError> for StoreError {
    fn from(error: SqlError) -> Self {
        match error {
            SqlError::Unavailable(reason) => Self::Unavailable(reason),
            SqlError::Internal(cause) => Self::Internal(cause),
        }
    }
}
