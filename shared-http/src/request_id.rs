//! Request ids. A response and the log lines about its request have the same id.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue},
};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Makes the ids of requests.
pub(crate) struct RequestIds(AtomicU64);

impl RequestIds {
    /// Counts from a random number, so that two processes have different ids.
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(RandomState::new().hash_one(0)))
    }

    /// The client's own `X-Request-Id` where it is well-formed, else a new one.
    pub(crate) fn id_of(&self, request: &Request) -> HeaderValue {
        match request.headers().get(REQUEST_ID) {
            Some(given) if is_well_formed(given) => given.clone(),
            _ => HeaderValue::from(self.0.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

/// Whether an id that a client chose can be logged and sent back: 1 to 64 letters, digits, `-`, `_` and `.`, all ASCII.
pub(crate) fn is_well_formed(id: &HeaderValue) -> bool {
    (1..=64).contains(&id.len())
        && id.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}
