//! Where users are kept: in SQLite, in a file or in memory, or in PostgreSQL. Knows no HTTP: `routes` turns outcomes
//! into answers.

pub mod operator;
pub mod schema;
pub mod sql;

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use shared_auth::Role;
use shared_http::text::printable;
use utoipa::ToSchema;

use crate::password_hash::{Cost, PasswordHash};

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
    async fn find(&self, username: &Username) -> Result<Option<User>, StoreError>;

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

/// `panitia1` (committee) and `admin1` (admin). Their password is `secret`. Its hashes are part of the program, so that
/// a start does not wait for bcrypt.
pub fn demo_users(cost: Cost) -> Vec<User> {
    let hash = DEMO_HASHES[(cost.power() - Cost::MIN) as usize];
    [("panitia1", Role::Committee), ("admin1", Role::Admin)]
        .map(|(name, role)| User {
            username: Username(name.to_owned()),
            role,
            password: PasswordHash::from_stored(hash),
        })
        .into()
}

/// bcrypt hashes of `secret`, from cost 4 on.
const DEMO_HASHES: [&str; 12] = [
    "$2b$04$LuiHNXw2TvOCq1.rrE/4fO8rTqQU/GL5SkAafDpkNNwYnwfNrS.BW",
    "$2b$05$VPRQmaoe6PRM2XMpn4dYbuvRvJRXS0xcgpwXOpTT1ucnx4wnEOYum",
    "$2b$06$mhqGcHTggYiw0I4WYURqOuDvg3rbfj5NG4sCHdI0yULCULFNg5caW",
    "$2b$07$0gzpbGlHVCnY.MBDQCIHTuaXrutCjhNQz8h7hcHWSaiOrSVbr3O7i",
    "$2b$08$PZbYk224Ln47RVaVn7q28urzhSjIpDbR5wRjTLmQUSJzIgllvO1nm",
    "$2b$09$9EHsd8.akGpmKQ51yDhz8uMAH9KRW3.nRKHVckB.QIwTDZYdoPzSC",
    "$2b$10$pwhVwtmG0yjsVIzLCU.g..RO21tMsgTLpRVSTxhihgsRq.xo9T6IK",
    "$2b$11$btCWJ/DnFNovfMhSR435lujd1gkDD5AgS14zdnMRomdH9Bc6c14PS",
    "$2b$12$s.rhAQ51.uYnPUKtqG7ON.DUTiVUD3itXlQvajcHI3m2x7ViH0hSC",
    "$2b$13$80A7aOUVzH/Li2RLFS7i1.XpQCvS5ruE/KMfl.kl4Pim3fPUQXMlO",
    "$2b$14$.7QvcJH6unRCzN.Q17pdJOn247hbMIgJ6rAHXoCeaI0M.nhX/9mAq",
    "$2b$15$hTyBZlf8en588J0LSb.uAOsvUg/tbNhHTivChcd46bqeirQsf.zmC",
];
