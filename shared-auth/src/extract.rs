//! A route is protected by an argument of its handler: [`AuthUser`] is extracted from a valid token only.

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{header::AUTHORIZATION, request::Parts},
};
use shared_http::{ApiError, client::Caller};

use crate::token::{Claims, TokenError, TokenVerifier};

/// The user that a valid token names.
#[derive(Clone, Debug)]
pub struct AuthUser(pub Arc<Claims>);

impl<S> FromRequestParts<S> for AuthUser
where
    Arc<TokenVerifier>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let header = parts.headers.get(AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
        let token = bearer_token(header).map_err(ApiError::Unauthorized)?;
        match Arc::<TokenVerifier>::from_ref(state).verify(token) {
            Ok(claims) => {
                if let Some(caller) = Caller::of(parts) {
                    caller.identify(&claims.sub);
                }
                Ok(Self(claims))
            }
            Err(TokenError::Expired) => Err(ApiError::Unauthorized("Token expired")),
            Err(TokenError::Invalid) => Err(ApiError::Unauthorized(INVALID)),
        }
    }
}

const INVALID: &str = "Invalid token";

/// The token of an `Authorization` header (RFC 6750, section 2.1), or what is wrong with the header.
fn bearer_token(header: &[u8]) -> Result<&str, &'static str> {
    if header.is_empty() {
        return Err("Missing Authorization header");
    }
    let space = header.iter().position(|byte| *byte == b' ').unwrap_or(header.len());
    match header.split_at(space) {
        (scheme, [b' ', token @ ..]) if scheme.eq_ignore_ascii_case(b"bearer") => {
            std::str::from_utf8(token).map(str::trim).map_err(|_| INVALID)
        }
        _ => Err("Invalid Authorization header format. Use: Bearer <token>"),
    }
}
