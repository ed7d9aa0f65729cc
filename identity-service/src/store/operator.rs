//! How an operator lists and changes users without the service. Both databases get the same SQL.

use std::path::Path;

use shared_auth::Role;
use shared_http::text::printable;
use shared_store::{
    Location,
    postgres::{Database, Lease, PostgresError},
    sqlite::{FileLock, MissingFile, SqliteError, open_read_only},
};
use sqlx::{Connection, SqliteConnection};

use super::{
    User, Username,
    schema::{CONTENT, SCHEMA},
    stored_role,
};
use crate::{clock::Micros, password_hash::PasswordHash};

/// Why a command of an operator failed.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// There is no database.
    #[error(
        "DATABASE_URL names no database: users in memory are known to the process that serves alone, and go with it; set it as the service has it, or do this in the directory of its .env"
    )]
    Memory,
    /// There is no file.
    #[error(transparent)]
    Missing(#[from] MissingFile),
    /// A service serves from the file.
    #[error("{0}. Stop the service, do this, and start it again; while it runs there is `users list` alone")]
    InUse(SqliteError),
    /// The file cannot be used.
    #[error(transparent)]
    Sqlite(#[from] SqliteError),
    /// The database cannot be used.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// A statement failed.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// Nobody has the name.
    #[error("nobody is registered as \"{}\"; `users list` shows who is", printable(&.0.0))]
    Unknown(Username),
    /// Another user has the name.
    #[error("somebody is registered as \"{}\" already", printable(&.0.0))]
    Taken(Username),
    /// No admin would be left to register others.
    #[error("\"{}\" is the last admin: without one nobody can register admins; --force does it all the same", printable(&.0.0))]
    LastAdmin(Username),
}

/// A user, and whether the operator made it.
#[derive(Debug)]
pub struct UserWithOrigin {
    /// The user.
    pub user: User,
    /// Whether the user may log in.
    pub active: bool,
    /// Whether the operator made it, or gave it its password.
    pub by_operator: bool,
}

/// The table of users, to be changed.
pub enum OperatorStore {
    /// In a SQLite file, which no service uses meanwhile.
    Sqlite {
        /// The connection to the file.
        connection: SqliteConnection,
        /// Keeps services from using the file.
        _lock: FileLock,
    },
    /// In PostgreSQL. Services may use the table meanwhile, and see changes at once.
    Postgres(Lease),
}

/// A selected row: name, role, hash, whether the user is active, and whether the operator made it.
type UserRow = (String, String, String, bool, bool);

impl OperatorStore {
    /// Opens the table at `location`, and brings it up to date. Locks the file, if it is in one.
    ///
    /// # Errors
    ///
    /// A service serves from the file, or the database cannot be used.
    pub async fn open(location: &Location) -> Result<Self, OperatorError> {
        match location {
            Location::Memory => Err(OperatorError::Memory),
            Location::Sqlite { path, is_expected } => {
                let mut lock = FileLock::take(path, *is_expected).map_err(|error| {
                    if error.is_in_use() { OperatorError::InUse(error) } else { error.into() }
                })?;
                lock.inspect(&CONTENT).await?;
                let connection = lock.connect(&(CONTENT.migrations)()).await?;
                Ok(Self::Sqlite { connection, _lock: lock })
            }
            Location::Postgres(url) => {
                let database = Database::open(url, SCHEMA.name, (SCHEMA.migrations)()).await?;
                Ok(Self::Postgres(database.connections(1).lease().await?))
            }
        }
    }

    /// Like [`open`](Self::open), but does not create a SQLite file.
    ///
    /// # Errors
    ///
    /// Those of `open`, and that there is no file.
    pub async fn open_existing(location: &Location) -> Result<Self, OperatorError> {
        if let Location::Sqlite { path, .. } = location {
            MissingFile::check(path)?;
        }
        Self::open(location).await
    }

    /// The user with that name.
    ///
    /// # Errors
    ///
    /// The database cannot be asked.
    pub async fn find(&mut self, username: &Username) -> Result<Option<UserWithOrigin>, OperatorError> {
        let select = "SELECT username, role, password_hash, active, made.username IS NOT NULL
                      FROM users LEFT JOIN made_by_operator AS made USING (username) WHERE users.username = $1";
        let rows = self.select(select, &[&username.0]).await?;
        Ok(rows.into_iter().next().map(user_with_origin).transpose()?)
    }

    /// Adds a user, and records that the operator made it. False if another user has the name.
    ///
    /// # Errors
    ///
    /// The database takes no writes.
    pub async fn add(&mut self, user: &User) -> Result<bool, OperatorError> {
        let insert =
            "INSERT INTO users (username, role, password_hash, created_at) VALUES ($1, $2, $3, CAST($4 AS BIGINT))
             ON CONFLICT DO NOTHING";
        let now = Micros::of_machine().0.to_string();
        let (role, password) = (user.role.as_str(), user.password.as_ref());
        // In one transaction: without a row in `made_by_operator` a user counts as registered by somebody else. After
        // an error, closing the connection rolls it back.
        self.raw("BEGIN").await?;
        let is_added = self.execute(insert, &[&user.username.0, role, password, &now]).await? == 1;
        if is_added {
            self.record_made_by_operator(&user.username).await?;
        }
        self.raw("COMMIT").await?;
        Ok(is_added)
    }

    /// Records that the operator made a user.
    ///
    /// # Errors
    ///
    /// The database takes no writes.
    pub async fn record_made_by_operator(&mut self, username: &Username) -> Result<(), OperatorError> {
        let insert = "INSERT INTO made_by_operator SELECT username FROM users WHERE username = $1
                      ON CONFLICT DO NOTHING";
        self.execute(insert, &[&username.0]).await?;
        Ok(())
    }

    /// Gives a user a new password, ends its sessions, and records the user as made by the operator.
    ///
    /// # Errors
    ///
    /// Nobody has the name, or the database takes no writes.
    pub async fn set_password(
        mut self,
        username: &Username,
        password: &PasswordHash,
    ) -> Result<(), OperatorError> {
        self.raw("BEGIN").await?;
        let update =
            "UPDATE users SET password_hash = $2, session_epoch = session_epoch + 1 WHERE username = $1";
        if self.execute(update, &[&username.0, password.as_ref()]).await? == 0 {
            return Err(OperatorError::Unknown(username.clone()));
        }
        self.record_made_by_operator(username).await?;
        self.raw("COMMIT").await
    }

    /// Gives a user a role, and ends its sessions if that is another one. The user is not recorded as made by the operator, because whoever registered it still knows
    /// the password. The last admin keeps the role, unless `forced`.
    ///
    /// # Errors
    ///
    /// Nobody has the name, it is the last admin, or the database takes no writes.
    pub async fn set_role(
        mut self,
        username: &Username,
        role: Role,
        forced: bool,
    ) -> Result<(), OperatorError> {
        let forced = forced || role == Role::Admin;
        self.begin_without_last_admin(username, forced).await?;
        let update = "UPDATE users SET role = $2, session_epoch = session_epoch + 1
                      WHERE username = $1 AND role <> $2";
        self.execute(update, &[&username.0, role.as_str()]).await?;
        self.raw("COMMIT").await
    }

    /// Lets a user log in, or no longer, which ends its sessions. The last admin stays active, unless `forced`.
    ///
    /// # Errors
    ///
    /// Nobody has the name, it is the last admin, or the database takes no writes.
    pub async fn set_active(
        mut self,
        username: &Username,
        active: bool,
        forced: bool,
    ) -> Result<(), OperatorError> {
        self.begin_without_last_admin(username, forced || active).await?;
        let update = "UPDATE users SET active = CAST($2 AS BOOLEAN), session_epoch = session_epoch + 1
                      WHERE username = $1 AND active <> CAST($2 AS BOOLEAN)";
        self.execute(update, &[&username.0, if active { "1" } else { "0" }]).await?;
        self.raw("COMMIT").await
    }

    /// Removes a user, and with it its sessions. The last admin stays, unless `forced`.
    ///
    /// # Errors
    ///
    /// Nobody has the name, it is the last admin, or the database takes no writes.
    pub async fn remove(mut self, username: &Username, forced: bool) -> Result<(), OperatorError> {
        self.begin_without_last_admin(username, forced).await?;
        self.execute("DELETE FROM users WHERE username = $1", &[&username.0]).await?;
        self.raw("COMMIT").await
    }

    /// Closes the file and unlocks it.
    ///
    /// # Errors
    ///
    /// The file cannot be closed.
    pub async fn close(self) -> Result<(), OperatorError> {
        match self {
            Self::Sqlite { connection, .. } => Ok(connection.close().await?),
            Self::Postgres(_) => Ok(()),
        }
    }

    /// Begins a transaction in which nobody else changes users. Fails if `username` is the last admin, unless `forced`.
    /// After an error closing the connection rolls it back.
    async fn begin_without_last_admin(
        &mut self,
        username: &Username,
        forced: bool,
    ) -> Result<(), OperatorError> {
        self.raw(match self {
            Self::Sqlite { .. } => "BEGIN IMMEDIATE",
            Self::Postgres(_) => "BEGIN; LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE",
        })
        .await?;
        let found = self.find(username).await?.ok_or_else(|| OperatorError::Unknown(username.clone()))?;
        let others = "SELECT username, role, password_hash, active, FALSE FROM users
                      WHERE role = 'admin' AND active AND username <> $1 LIMIT 1";
        let is_admin = found.user.role == Role::Admin && found.active;
        if is_admin && !forced && self.select(others, &[&username.0]).await?.is_empty() {
            return Err(OperatorError::LastAdmin(username.clone()));
        }
        Ok(())
    }

    async fn select(&mut self, sql: &'static str, arguments: &[&str]) -> sqlx::Result<Vec<UserRow>> {
        match self {
            Self::Sqlite { connection, .. } => {
                let query =
                    arguments.iter().fold(sqlx::query_as(sql), |query, argument| query.bind(*argument));
                query.fetch_all(connection).await
            }
            Self::Postgres(lease) => {
                let query =
                    arguments.iter().fold(sqlx::query_as(sql), |query, argument| query.bind(*argument));
                query.fetch_all(&mut **lease).await
            }
        }
    }

    /// Executes a statement. Returns how many rows it changed.
    async fn execute(&mut self, sql: &'static str, arguments: &[&str]) -> sqlx::Result<u64> {
        match self {
            Self::Sqlite { connection, .. } => {
                let query = arguments.iter().fold(sqlx::query(sql), |query, argument| query.bind(*argument));
                Ok(query.execute(connection).await?.rows_affected())
            }
            Self::Postgres(lease) => {
                let query = arguments.iter().fold(sqlx::query(sql), |query, argument| query.bind(*argument));
                Ok(query.execute(&mut **lease).await?.rows_affected())
            }
        }
    }

    async fn raw(&mut self, sql: &'static str) -> Result<(), OperatorError> {
        match self {
            Self::Sqlite { connection, .. } => sqlx::raw_sql(sql).execute(connection).await.map(drop),
            Self::Postgres(lease) => sqlx::raw_sql(sql).execute(&mut **lease).await.map(drop),
        }?;
        Ok(())
    }
}

/// All users at `location`: in a SQLite file in the order of registration, in PostgreSQL by name. A service may use the
/// database meanwhile.
///
/// # Errors
///
/// There is no database, or it cannot be read.
pub async fn list(location: &Location) -> Result<Vec<UserWithOrigin>, OperatorError> {
    let rows = match location {
        Location::Memory => return Err(OperatorError::Memory),
        Location::Sqlite { path, .. } => {
            MissingFile::check(path)?;
            list_file(path).await?
        }
        Location::Postgres(_) => {
            let select = "SELECT username, role, password_hash, active, made.username IS NOT NULL
                          FROM users LEFT JOIN made_by_operator AS made USING (username) ORDER BY users.username";
            OperatorStore::open(location).await?.select(select, &[]).await?
        }
    };
    Ok(rows.into_iter().map(user_with_origin).collect::<sqlx::Result<_>>()?)
}

async fn list_file(path: &Path) -> sqlx::Result<Vec<UserRow>> {
    let mut connection = open_read_only(path).await?;
    // Listing migrates nothing, so the file may be from a version without `made_by_operator`, or without `active`.
    let knows =
        "SELECT (SELECT count(*) > 0 FROM sqlite_schema WHERE type = 'table' AND name = 'made_by_operator'),
                        (SELECT count(*) > 0 FROM pragma_table_info('users') WHERE name = 'active')";
    let select = match sqlx::query_as(knows).fetch_one(&mut connection).await? {
        (true, true) => {
            "SELECT username, role, password_hash, active, made.username IS NOT NULL
             FROM users LEFT JOIN made_by_operator AS made USING (username) ORDER BY seq"
        }
        (true, false) => {
            "SELECT username, role, password_hash, TRUE, made.username IS NOT NULL
             FROM users LEFT JOIN made_by_operator AS made USING (username) ORDER BY seq"
        }
        (false, _) => "SELECT username, role, password_hash, TRUE, FALSE FROM users ORDER BY seq",
    };
    let rows = sqlx::query_as(select).fetch_all(&mut connection).await?;
    connection.close().await?;
    Ok(rows)
}

fn user_with_origin(
    (username, role, password, active, by_operator): UserRow,
) -> sqlx::Result<UserWithOrigin> {
    let (username, role) = (Username(username), stored_role(&role)?);
    let user = User { username, role, password: PasswordHash::from_stored(password) };
    Ok(UserWithOrigin { user, active, by_operator })
}
