//! The tokens of TixGo. identity-service issues them, and both services verify them without calling each other.

pub mod access;
pub mod config;
pub mod extract;
pub mod openapi;
pub mod token;

pub use access::Access;
pub use extract::{AuthUser, User};
pub use token::{Claims, Permission, Role, Secret, Secrets, TokenIssuer, TokenVerifier};
