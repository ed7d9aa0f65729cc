//! The statements about users, for one database, and the changes that admins make.

use std::sync::Arc;

use shared_auth::Role;
use shared_store::{
    SqlError, SqlStore,
    sql::{Change, Transaction},
};

use super::{StoreError, StoredUser, User, Username, stored_role};
use crate::{clock::Micros, password_hash::PasswordHash};

pub(super) const FIND: &str = "SELECT username, role, password_hash, active, created_at, session_epoch
    FROM users WHERE username = $1";

/// Changes nothing if another user has the name. After a lost connection PostgreSQL may get the statement twice: then the
/// row is this user's, as its hash shows, whose salt is unique.
const INSERT: &str = "INSERT INTO users (username, role, password_hash, created_at)
    VALUES ($1, $2, $3, CAST($4 AS BIGINT))
    ON CONFLICT (username) DO UPDATE SET role = excluded.role WHERE users.password_hash = excluded.password_hash";

/// A page of the list.
pub(super) const LIST: &str = "SELECT username, role, password_hash, active, created_at, session_epoch
    FROM users WHERE username > $1 ORDER BY username LIMIT 500";

pub(super) const ANOTHER_ADMIN: &str =
    "SELECT username FROM users WHERE role = 'admin' AND active AND username <> $1 LIMIT 1";

const CHANGE: &str = "UPDATE users SET role = $2, active = CAST($3 AS BOOLEAN), password_hash = $4,
    session_epoch = CAST($5 AS BIGINT) WHERE username = $1";

const REMOVE: &str = "DELETE FROM users WHERE username = $1";

/// Changes nothing if the sessions of the user were ended meanwhile: it has another password by now, or may not log in.
/// If the hash is the new one, the statement is sent a second time.
const SET_PASSWORD: &str = "UPDATE users SET password_hash = $2, session_epoch = CAST($3 AS BIGINT) + 1
    WHERE username = $1 AND (active AND session_epoch = CAST($3 AS BIGINT) OR password_hash = $2)";

/// A row: name, role, hash, whether it is active, when it was made, and how often its sessions were ended.
pub(super) type UserRow = (String, String, String, bool, i64, i64);

pub(super) fn user_from_row(row: UserRow) -> sqlx::Result<StoredUser> {
    let (username, role, hash, active, created_at, session_epoch) = row;
    let user = User {
        username: Username(username),
        role: stored_role(&role)?,
        password: PasswordHash::from_stored(hash),
    };
    Ok(StoredUser { user, active, created_at: Micros(created_at), session_epoch })
}

fn users_from_rows(rows: Vec<UserRow>) -> Result<Vec<StoredUser>, StoreError> {
    let users = rows.into_iter().map(user_from_row).collect::<sqlx::Result<_>>();
    users.map_err(|error| StoreError::Internal(Arc::new(error)))
}

/// The user with that name.
pub(super) async fn find(sql: &SqlStore, username: &Username) -> Result<Option<StoredUser>, StoreError> {
    let rows = sql.fetch_all(FIND, &[&username.0]).await?;
    Ok(users_from_rows(rows)?.pop())
}

/// Adds a user. False if another one has the name.
pub(super) async fn insert(sql: &SqlStore, user: &User, created_at: Micros) -> Result<bool, SqlError> {
    let created_at = created_at.0.to_string();
    sql.insert(INSERT, &[&user.username.0, user.role.as_str(), user.password.as_ref(), &created_at]).await
}

/// All users, in order of name.
pub(super) async fn list(sql: &SqlStore) -> Result<Vec<StoredUser>, StoreError> {
    let mut users: Vec<StoredUser> = Vec::new();
    loop {
        let after = users.last().map_or("", |last| &*last.user.username.0).to_owned();
        let page = users_from_rows(sql.fetch_all(LIST, &[&after]).await?)?;
        if page.is_empty() {
            return Ok(users);
        }
        users.extend(page);
    }
}

/// Whether there is an active admin besides `username`.
pub(super) async fn has_another_admin(sql: &SqlStore, username: &Username) -> Result<bool, StoreError> {
    let found: Option<(String,)> = sql.fetch_optional(ANOTHER_ADMIN, &[&username.0]).await?;
    Ok(found.is_some())
}

/// Gives `user` a new password, and ends its sessions. False if somebody else has done so since `user` was read.
pub(super) async fn set_password(
    sql: &SqlStore,
    user: &StoredUser,
    password: &PasswordHash,
) -> Result<bool, SqlError> {
    let epoch = user.session_epoch.to_string();
    let arguments = [user.user.username.as_ref(), password.as_ref(), &epoch];
    Ok(sql.execute(SET_PASSWORD, &arguments).await? > 0)
}

/// What an admin changes of a user. What is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// What the user may do.
    pub role: Option<Role>,
    /// Whether the user may log in.
    pub active: Option<bool>,
    /// The password.
    pub password: Option<PasswordHash>,
}

/// The outcome of a change.
#[derive(Clone, Debug)]
pub enum Changed<T> {
    /// It is made.
    Done(T),
    /// Nobody has the name.
    Unknown,
    /// No active admin would be left.
    LastAdmin,
}

/// A change of one user.
pub(super) struct ChangeUser {
    pub(super) username: Username,
    pub(super) change: UserChange,
    /// Whether there is an active admin in another database.
    pub(super) has_admin_elsewhere: bool,
}

impl Change for ChangeUser {
    /// The user before and after.
    type Outcome = Changed<(StoredUser, StoredUser)>;

    async fn run(&self, transaction: &mut Transaction<'_>) -> sqlx::Result<Self::Outcome> {
        let Some(before) = lock(transaction, &self.username).await? else { return Ok(Changed::Unknown) };
        let mut after = before.clone();
        after.user.role = self.change.role.unwrap_or(after.user.role);
        after.active = self.change.active.unwrap_or(after.active);
        after.user.password = self.change.password.clone().unwrap_or(after.user.password);
        let loses_admin = before.is_active_admin() && !after.is_active_admin();
        if loses_admin && !self.has_admin_elsewhere && is_last_admin(transaction, &self.username).await? {
            return Ok(Changed::LastAdmin);
        }
        let ends_sessions = before.user.password != after.user.password
            || before.user.role != after.user.role
            || before.active && !after.active;
        after.session_epoch += i64::from(ends_sessions);
        let (active, epoch) = (if after.active { "1" } else { "0" }, after.session_epoch.to_string());
        let User { username, role, password } = &after.user;
        let arguments = [username.as_ref(), role.as_str(), active, password.as_ref(), &epoch];
        transaction.execute(CHANGE, &arguments).await?;
        Ok(Changed::Done((before, after)))
    }
}

/// The removal of one user, and with it of its sessions.
pub(super) struct RemoveUser {
    pub(super) username: Username,
    /// Whether there is an active admin in another database.
    pub(super) has_admin_elsewhere: bool,
}

impl Change for RemoveUser {
    type Outcome = Changed<()>;

    async fn run(&self, transaction: &mut Transaction<'_>) -> sqlx::Result<Changed<()>> {
        let Some(user) = lock(transaction, &self.username).await? else {
            return Ok(if transaction.may_be_done() { Changed::Done(()) } else { Changed::Unknown });
        };
        if user.is_active_admin()
            && !self.has_admin_elsewhere
            && is_last_admin(transaction, &self.username).await?
        {
            return Ok(Changed::LastAdmin);
        }
        transaction.remove(REMOVE, &[&self.username.0]).await?;
        Ok(Changed::Done(()))
    }
}

/// The user with that name. Nobody else changes any user before the end of the transaction: of two admins who are
/// demoted at once, one has to stay.
async fn lock(transaction: &mut Transaction<'_>, username: &Username) -> sqlx::Result<Option<StoredUser>> {
    transaction.lock_table("users").await?;
    transaction.fetch_optional(FIND, &[&username.0]).await?.map(user_from_row).transpose()
}

async fn is_last_admin(transaction: &mut Transaction<'_>, username: &Username) -> sqlx::Result<bool> {
    let another: Option<(String,)> = transaction.fetch_optional(ANOTHER_ADMIN, &[&username.0]).await?;
    Ok(another.is_none())
}
