//! The token that both TixGo services agree on: one issues it, both verify it on their own, and
//! they never call each other.

pub mod config;
pub mod extract;
pub mod openapi;
pub mod token;

pub use extract::AuthUser;
pub use token::{Claims, Role, Secret, Secrets, TokenIssuer, TokenVerifier};
