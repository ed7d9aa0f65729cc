//! Where users are kept: in SQLite, in a file or in memory, or in PostgreSQL. Knows no HTTP: `routes` turns outcomes
//! into answers.

pub mod demo;
pub mod operator;
mod people;
pub mod schema;
mod sessions;
pub mod sql;

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use shared_auth::Role;
use shared_http::text::printable;
use utoipa::ToSchema;

pub use self::{
    people::{Changed, UserChange},
    sessions::{Opening, Refreshed},
};
use crate::{
    clock::Micros,
    password_hash::{Cost, PasswordHash},
};

/// The name of a user. Names are compared byte by byte: two that look alike are different names.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize, ToSchema)]
pub struct Username(pub String);

impl AsRef<str> for Username {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// A registered user.
#[derive(Clone, Debug)]
pub struct User {
    /// The name.
    pub username: Username,
    /// What the user may do.
    pub role: Role,
    /// The hash of the password.
    pub password: PasswordHash,
}

/// A user as the store has it.
#[derive(Clone, Debug)]
pub struct StoredUser {
    /// Name, role and password.
    pub user: User,
    /// Whether the user may log in.
    pub active: bool,
    /// When the user was registered.
    pub created_at: Micros,
    /// How often all sessions of the user were ended.
    pub session_epoch: i64,
}

impl StoredUser {
    /// Whether it is an admin who may log in.
    pub fn is_active_admin(&self) -> bool {
        self.active && self.user.role == Role::Admin
    }
}

/// The outcome of a registration.
#[derive(Debug, PartialEq)]
pub enum Registration {
    /// The user was added.
    Accepted,
    /// Another user has the name.
    Taken,
}

/// Why a store cannot answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The storage does not answer, or takes no writes. This write may have been stored nevertheless: trying it again
    /// shows whether it was.
    #[error("the storage is not available: {0}")]
    Unavailable(Arc<str>),
    /// A defect of the service.
    #[error("the user store failed: {0}")]
    Internal(Arc<dyn std::error::Error + Send + Sync>),
}

/// A store of users.
#[async_trait]
pub trait UserStore: Send + Sync {
    /// The user with that name.
    async fn find(&self, username: &Username) -> Result<Option<StoredUser>, StoreError>;

    /// Adds `user`, if nobody has the name: of concurrent registrations of a name one is accepted. When this returns,
    /// the user is on the disk.
    async fn register(&self, user: User) -> Result<Registration, StoreError>;

    /// Replaces the hash of `user` by `password`, the same password hashed at another cost, unless the hash was changed
    /// since `user` was read.
    async fn rehash(&self, user: &User, password: PasswordHash) -> Result<(), StoreError>;

    /// The greatest cost of all passwords.
    async fn greatest_cost(&self) -> Result<Option<Cost>, StoreError>;

    /// How many users there are. `None` if other processes serve the same users.
    fn count(&self) -> Option<u64>;

    /// Whether a user could be registered now.
    async fn ready(&self) -> Result<(), StoreError>;
}

/// The role that is stored as `text`.
///
/// # Errors
///
/// There is no such role. Another program wrote it. No role is guessed instead, because it decides what a user may do.
fn stored_role(text: &str) -> sqlx::Result<Role> {
    let unknown = || sqlx::Error::Decode(format!("\"{}\" is an unknown role", printable(text)).into());
    text.parse().map_err(|_| unknown())
}
