//! Bodies of requests and responses. They set the phase of their connection, and reserve the memory that they use from
//! the budget.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{BoxError, body::Body};
use bytes::{Buf, Bytes};
use futures_util::{FutureExt, future::BoxFuture};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use super::{
    budget::OverBudget,
    connection::{Connection, Phase, Reservation},
};

/// This many bytes of a request body are part of what every connection may hold, so they are not taken from the budget.
const SMALL_BODY: usize = 4 * 1024;

/// A chunk of a response that is not longer than this is not taken from the budget either.
const SMALL_CHUNK: usize = 16 * 1024;

/// The body of a request. It sets the phase of its connection as it arrives.
pub(super) struct RequestBody {
    body: Incoming,
    received: usize,
    connection: Arc<Connection>,
}

impl RequestBody {
    pub(super) fn new(body: Incoming, connection: Arc<Connection>) -> Self {
        connection.begin_request(!http_body::Body::is_end_stream(&body));
        Self { body, received: 0, connection }
    }

    /// Reserves memory for `bytes` that have arrived. Twice as many, because the parsed body takes memory too.
    fn reserve(&mut self, bytes: usize) -> Result<(), OverBudget> {
        let free_or_reserved = self.received.max(SMALL_BODY);
        self.received += bytes;
        let missing = self.received.saturating_sub(free_or_reserved);
        if missing > 0 { self.connection.reserve_request(2 * missing) } else { Ok(()) }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let is_complete = frame.is_none() || self.body.is_end_stream();
        self.connection.enter_phase(if is_complete { Phase::Handler } else { Phase::Body });
        let Some(frame) = frame else { return Poll::Ready(None) };
        let frame = frame.map_err(BoxError::from).and_then(|frame| {
            self.reserve(frame.data_ref().map_or(0, Bytes::len))?;
            Ok(frame)
        });
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if !http_body::Body::is_end_stream(&self.body) {
            self.connection.mark_body_unread();
        }
    }
}

/// A chunk of a response, until hyper has written it.
#[derive(Default)]
pub(super) struct Chunk {
    bytes: Bytes,
    _reservation: Option<Reservation>,
}

impl Chunk {
    /// Bytes that are shared, such as a page of the binary or a cached chunk of a list, are not taken from the budget.
    fn new(bytes: Bytes, connection: &Arc<Connection>) -> Result<Self, OverBudget> {
        let is_small = bytes.len() <= SMALL_CHUNK;
        let reservation = if is_small || !bytes.is_unique() {
            None
        } else {
            Some(Reservation::new(connection, bytes.len())?)
        };
        Ok(Self { bytes, _reservation: reservation })
    }
}

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

/// A response with this extension has no end of its own, such as a stream of events. The server ends it at a shutdown and
/// when it needs room for other connections, and closes its connection when the client is gone or reads nothing for
/// half a minute.
#[derive(Clone, Copy, Debug)]
pub struct Endless;

/// The body of a response. It sets the phase of its connection while it is sent and when it ends.
pub(super) struct ResponseBody {
    body: Body,
    connection: Arc<Connection>,
    /// Resolves when a body without an end has to end.
    end: Option<BoxFuture<'static, ()>>,
}

impl ResponseBody {
    pub(super) fn new(body: Body, connection: Arc<Connection>, is_endless: bool) -> Self {
        let end = is_endless.then(|| {
            connection.set_endless(true);
            let connection = connection.clone();
            async move { connection.closing().await }.boxed()
        });
        Self { body, connection, end }
    }
}

impl http_body::Body for ResponseBody {
    type Data = Chunk;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = match Pin::new(&mut self.body).poll_frame(cx) {
            // What is ready is sent before the end. Never polled again: hyper drops a body that has ended.
            Poll::Pending if self.end.as_mut().is_some_and(|end| end.poll_unpin(cx).is_ready()) => None,
            frame => ready!(frame),
        };
        if !self.body.is_end_stream() {
            self.connection.enter_phase(Phase::Response);
        }
        let Some(frame) = frame else { return Poll::Ready(None) };
        let chunk = |bytes| Chunk::new(bytes, &self.connection);
        Poll::Ready(Some(frame.map_err(BoxError::from).and_then(|frame| {
            Ok(match frame.into_data() {
                Ok(bytes) => Frame::data(chunk(bytes)?),
                Err(frame) => frame.map_data(|_| Chunk::default()),
            })
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if self.end.is_some() {
            self.connection.set_endless(false);
        }
        self.connection.enter_phase(Phase::Head);
    }
}
