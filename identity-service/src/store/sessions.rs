//! The statements about sessions, for one database.

use shared_store::{
    SqlStore,
    sql::{Change, Transaction},
};
use sqlx::Error;

use super::{
    StoreError, StoredUser, User, Username,
    people::{FIND, UserRow, user_from_row},
};
use crate::{
    clock::Micros,
    session::{Continued, Ended, RefreshToken, Session, SessionId, random},
};

/// Finds the user as it was when its password was checked, and keeps others from changing it.
const LOCK_USER: &str = "UPDATE users SET session_epoch = session_epoch
    WHERE username = $1 AND active AND session_epoch = CAST($2 AS BIGINT)";

/// Leaves 15 sessions, and so with the new one a user has at most 16.
pub(super) const END_LEAST_RECENTLY_USED: &str = "DELETE FROM sessions WHERE username = $1 AND id NOT IN
    (SELECT id FROM sessions WHERE username = $1 ORDER BY used_at DESC LIMIT 15)";

/// After a lost connection PostgreSQL may get it twice.
const INSERT: &str = "INSERT INTO sessions (id, username, session_epoch, used_at, newest, used)
    VALUES ($1, $2, CAST($3 AS BIGINT), CAST($4 AS BIGINT), $5, '[]') ON CONFLICT DO NOTHING";

pub(super) const IS_THERE: &str = "SELECT username FROM sessions WHERE id = $1";

/// Finds the session, and keeps others from changing it.
const LOCK: &str = "UPDATE sessions SET used_at = used_at WHERE id = $1
    RETURNING id, username, session_epoch, used_at, newest, used";

const UPDATE: &str = "UPDATE sessions SET used_at = CAST($2 AS BIGINT), newest = $3, used = $4 WHERE id = $1";

const DELETE: &str = "DELETE FROM sessions WHERE id = $1";

pub(super) const LATEST: &str = "SELECT max(used_at) FROM sessions";

/// A row: id, name of the user, epoch, when it was used, its newest token, and those before it.
pub(super) type SessionRow = (String, String, i64, i64, String, String);

/// The user of a session, the epoch in which it was opened, and the session.
pub(super) fn session_from_row(row: SessionRow) -> sqlx::Result<(Username, i64, Session)> {
    let (_, username, epoch, used_at, newest, used) = row;
    let used = serde_json::from_str(&used).map_err(|error| Error::Decode(error.into()))?;
    Ok((Username(username), epoch, Session { used_at: Micros(used_at), newest, used }))
}

/// The outcome of opening a session.
#[derive(Debug)]
pub enum Opening {
    /// It is open, and this is its token.
    Opened(RefreshToken),
    /// The user was changed, deactivated or removed since the password was checked.
    UserChanged,
}

/// The outcome of a refresh.
#[derive(Debug)]
pub enum Refreshed {
    /// The session goes on, for this user.
    Continued(User, Continued),
    /// The session of this user has ended just now.
    Ended(Username, Ended),
    /// There is no such session.
    Unknown,
}

/// Opens a session for `user`, with the first of its tokens.
pub(super) async fn open(
    sql: &SqlStore,
    user: &StoredUser,
    token: RefreshToken,
    now: Micros,
) -> Result<Opening, StoreError> {
    let (username, epoch) = (user.user.username.clone(), user.session_epoch);
    let opened = sql.transact(OpenSession { username, epoch, token: token.clone(), now }).await?;
    Ok(if opened { Opening::Opened(token) } else { Opening::UserChanged })
}

/// Whether there is such a session.
pub(super) async fn is_there(sql: &SqlStore, id: &SessionId) -> Result<bool, StoreError> {
    let found: Option<(String,)> = sql.fetch_optional(IS_THERE, &[id.as_ref()]).await?;
    Ok(found.is_some())
}

/// Continues the session of `token`.
pub(super) async fn refresh(
    sql: &SqlStore,
    token: RefreshToken,
    now: Micros,
) -> Result<Refreshed, StoreError> {
    let fresh = random().map_err(|error| StoreError::Internal(std::sync::Arc::new(error)))?;
    Ok(sql.transact(Refresh { token, fresh, now }).await?)
}

/// Ends a session.
pub(super) async fn end(sql: &SqlStore, id: &SessionId) -> Result<(), StoreError> {
    sql.execute(DELETE, &[id.as_ref()]).await?;
    Ok(())
}

/// When a session was used last. None where there is no session.
pub(super) async fn latest_use(sql: &SqlStore) -> Result<Option<Micros>, StoreError> {
    let latest: Option<(Option<i64>,)> = sql.fetch_at_start(LATEST).await?;
    Ok(latest.and_then(|(latest,)| latest).map(Micros))
}

struct OpenSession {
    username: Username,
    epoch: i64,
    token: RefreshToken,
    now: Micros,
}

impl Change for OpenSession {
    /// Whether the user is as it was.
    type Outcome = bool;

    async fn run(&self, transaction: &mut Transaction<'_>) -> sqlx::Result<bool> {
        let (username, epoch) = (&*self.username.0, &*self.epoch.to_string());
        if transaction.execute(LOCK_USER, &[username, epoch]).await? == 0 {
            return Ok(false);
        }
        transaction.execute(END_LEAST_RECENTLY_USED, &[username]).await?;
        let id = self.token.session();
        let session = Session::open(&self.token, self.now);
        let used_at = session.used_at.0.to_string();
        let arguments = [id.as_ref(), username, epoch, &used_at, &session.newest];
        transaction.execute(INSERT, &arguments).await?;
        Ok(true)
    }
}

struct Refresh {
    token: RefreshToken,
    /// The secret of the next token.
    fresh: [u8; 16],
    now: Micros,
}

impl Change for Refresh {
    type Outcome = Refreshed;

    async fn run(&self, transaction: &mut Transaction<'_>) -> sqlx::Result<Refreshed> {
        let id = self.token.session();
        let row: Option<SessionRow> = transaction.fetch_optional(LOCK, &[id.as_ref()]).await?;
        let Some(row) = row else { return Ok(Refreshed::Unknown) };
        let (username, epoch, mut session) = session_from_row(row)?;
        let user: Option<UserRow> = transaction.fetch_optional(FIND, &[&username.0]).await?;
        let user = user.map(user_from_row).transpose()?;
        let user = user.filter(|user| user.active && user.session_epoch == epoch);
        let outcome = match user {
            Some(user) => {
                session.refresh(&self.token, self.fresh, self.now).map(|continued| (user, continued))
            }
            None => Err(Ended::ByUser),
        };
        match outcome {
            Ok((user, continued)) => {
                let used_at = session.used_at.0.to_string();
                let used =
                    serde_json::to_string(&session.used).map_err(|error| Error::Encode(error.into()))?;
                let arguments = [id.as_ref(), &used_at, &session.newest, &used];
                transaction.execute(UPDATE, &arguments).await?;
                Ok(Refreshed::Continued(user.user, continued))
            }
            Err(ended) => {
                transaction.execute(DELETE, &[id.as_ref()]).await?;
                Ok(Refreshed::Ended(username, ended))
            }
        }
    }
}
