//! Request ids. A response and the log lines about its request have the same id.

use std::{
    fmt::{self, Display},
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue},
};
use serde::{Serialize, Serializer};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request.
pub(crate) enum RequestId {
    /// The client's own, which is well-formed.
    Given(HeaderValue),
    /// A new one.
    Made(u64),
}

impl Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(id) => f.write_str(id.to_str().unwrap_or_default()),
            Self::Made(id) => id.fmt(f),
        }
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<&RequestId> for HeaderValue {
    fn from(id: &RequestId) -> Self {
        match id {
            RequestId::Given(id) => id.clone(),
            RequestId::Made(id) => Self::from(*id),
        }
    }
}

/// Makes the ids of requests.
pub(crate) struct RequestIds(AtomicU64);

impl RequestIds {
    /// Counts from a random number, so that two processes have different ids.
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(RandomState::new().hash_one(0)))
    }

    /// The client's own `X-Request-Id` where it is well-formed, else a new one.
    pub(crate) fn id_of(&self, request: &Request) -> RequestId {
        match request.headers().get(REQUEST_ID) {
            Some(given) if is_well_formed(given) => RequestId::Given(given.clone()),
            _ => RequestId::Made(self.0.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

/// Whether an id that a client chose can be logged and sent back: 1 to 64 letters, digits, `-`, `_` and `.`, all ASCII.
pub(crate) fn is_well_formed(id: &HeaderValue) -> bool {
    (1..=64).contains(&id.len())
        && id.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}
