//! Bodies of requests, read whole, up to a limit.

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::HeaderMap,
};
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::BodyExt;

use crate::{
    error::ApiError,
    json::{BODY_LIMIT, unreadable},
    server::OverBudget,
};

/// The longest body that any route may ask for, in bytes. The time that a request may take depends on it.
pub const LONGEST_BODY: usize = 8 << 20;

/// A body of any content type, read whole, with the headers that came with it.
///
/// Refusals: 413 over `LIMIT` bytes.
pub struct RawBody<const LIMIT: usize> {
    /// The headers of the request.
    pub headers: HeaderMap,
    /// The body.
    pub bytes: Bytes,
}

impl<S: Send + Sync, const LIMIT: usize> FromRequest<S> for RawBody<LIMIT> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        const { assert!(LIMIT <= LONGEST_BODY, "such a body would not have the time to arrive") };
        let (parts, body) = request.into_parts();
        let bytes = read(body, LIMIT).await?;
        Ok(Self { headers: parts.headers, bytes })
    }
}

/// Reads `body` unless it is longer than `limit`.
pub(crate) async fn read(mut body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let declared = body.size_hint().lower();
    // A `Content-Length` over the limit is refused at once. A client that waits for `100 Continue` then sends no body.
    if declared > limit as u64 {
        return Err(ApiError::BodyTooLarge(limit));
    }
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(interrupted)?.into_data() else { continue };
        if read.len() + data.len() > limit {
            return Err(ApiError::BodyTooLarge(limit));
        }
        if read.is_empty() && body.is_end_stream() {
            return Ok(data);
        }
        // A vector that grows by doubling takes up to twice the memory. What was declared is believed only once so much
        // has arrived as any request may send.
        if read.len() + data.len() > read.capacity() && read.len() >= BODY_LIMIT {
            read.reserve_exact((declared as usize).saturating_sub(read.len()));
        }
        // Copied, because a slice would keep the whole buffer of the server, 8 KiB, in memory.
        read.extend_from_slice(&data);
    }
    Ok(read.into())
}

fn interrupted(error: axum::Error) -> ApiError {
    if error.into_inner().is::<OverBudget>() { ApiError::Busy } else { unreadable() }
}

/// `bytes` as a person reads it: `64 KiB`, `8 MiB`.
pub(crate) fn shown(bytes: usize) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes >> 10) }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn a_body_of_several_frames_is_read_up_to_the_limit() {
        let body = |lengths: [usize; 2]| {
            let frames = lengths.map(|length| Ok::<_, Infallible>(Bytes::from(vec![b' '; length])));
            Body::from_stream(stream::iter(frames))
        };
        for limit in [BODY_LIMIT, 1 << 20, LONGEST_BODY] {
            assert_eq!(read(body([limit - 10, 10]), limit).await.unwrap().len(), limit);
            for lengths in [[limit - 10, 11], [limit, 1]] {
                let refused = read(body(lengths), limit).await;
                assert!(matches!(refused, Err(ApiError::BodyTooLarge(of)) if of == limit), "{lengths:?}");
            }
        }
    }

    #[test]
    fn a_limit_is_shown_in_the_unit_that_fits() {
        assert_eq!([64 << 10, 1 << 20, 8 << 20].map(shown), ["64 KiB", "1 MiB", "8 MiB"]);
    }
}
