//! What a handler learns of its caller. [`Access`](crate::Access) has verified the token before the handler is called.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{header::AUTHORIZATION, request::Parts},
};
use shared_http::{ApiError, client::Caller};

use crate::{
    access::GATE_ONLY,
    token::{Claims, Permission, Role, TokenError, TokenVerifier},
};

/// The claims of the caller's token. On a route with [`Access::Public`](crate::Access::Public) nobody is let in.
#[derive(Clone, Debug)]
pub struct AuthUser(pub Arc<Claims>);

impl<S: Sync> FromRequestParts<S> for AuthUser {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let claims = parts.extensions.get::<Arc<Claims>>().cloned();
        claims.map(Self).ok_or(ApiError::Unauthorized(MISSING))
    }
}

/// A caller who is a user, and no gate.
#[derive(Clone, Debug)]
pub struct User {
    /// The name.
    pub name: Arc<str>,
    /// What the user may do.
    pub role: Role,
}

impl<S: Sync> FromRequestParts<S> for User {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let AuthUser(claims) = AuthUser::from_request_parts(parts, state).await?;
        match claims.permission {
            Permission::User(role) => Ok(Self { name: Arc::clone(&claims.sub), role }),
            Permission::Gate { .. } => Err(ApiError::Forbidden(GATE_ONLY)),
        }
    }
}

/// Verifies the token of a request, whatever the route is.
///
/// # Errors
///
/// 401: there is no good token.
pub fn authenticate(parts: &Parts, verifier: &TokenVerifier) -> Result<Arc<Claims>, ApiError> {
    let header = parts.headers.get(AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
    let token = bearer_token(header).map_err(ApiError::Unauthorized)?;
    match verifier.verify(token) {
        Ok(claims) => {
            if let Some(caller) = Caller::of(parts) {
                caller.identify(&claims.sub);
            }
            Ok(claims)
        }
        Err(TokenError::Expired) => Err(ApiError::Unauthorized("Token expired")),
        Err(TokenError::Invalid) => Err(ApiError::Unauthorized(INVALID)),
    }
}

const MISSING: &str = "Missing Authorization header";
const INVALID: &str = "Invalid token";

/// The token of an `Authorization` header (RFC 6750, section 2.1), or what is wrong with the header.
fn bearer_token(header: &[u8]) -> Result<&str, &'static str> {
    if header.is_empty() {
        return Err(MISSING);
    }
    let space = header.iter().position(|byte| *byte == b' ').unwrap_or(header.len());
    match header.split_at(space) {
        (scheme, [b' ', token @ ..]) if scheme.eq_ignore_ascii_case(b"bearer") => {
            std::str::from_utf8(token).map(str::trim).map_err(|_| INVALID)
        }
        _ => Err("Invalid Authorization header format. Use: Bearer <token>"),
    }
}
