//! The tokens of TixGo. identity-service issues them, and both services verify them without calling each other.

pub mod config;
pub mod extract;
pub mod openapi;
pub mod token;

pub use extract::AuthUser;
pub use token::{Claims, Role, Secret, Secrets, TokenIssuer, TokenVerifier};
