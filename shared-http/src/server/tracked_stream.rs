//! Tracks whether a client reads what is written to it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    connection::{Connection, Phase},
    stream::Stream,
};

/// After a connection is closed, the kernel drops data that the client has not acknowledged for this long.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(10);

/// While a response has no end, a connection is closed if the client acknowledges nothing for this long. It is gone then:
/// otherwise the kernel would try on for a quarter of an hour.
const LOST_TIMEOUT: Duration = Duration::from_secs(30);

/// The head and the body of a response that is not longer than this are written as one, which costs the kernel less.
const SHORT_WRITE: usize = 1024;

/// A stream that records on its connection whether the kernel takes what is written. hyper cannot tell: it has the end of
/// a response in its buffer long before the client has read it. What TLS writes of its own passes below.
pub(super) struct TrackedStream {
    stream: Stream,
    connection: Arc<Connection>,
    /// Whether [`LOST_TIMEOUT`] is set.
    has_lost_timeout: bool,
}

impl TrackedStream {
    pub(super) fn new(stream: Stream, connection: Arc<Connection>) -> Self {
        Self { stream, connection, has_lost_timeout: false }
    }

    /// The stream itself, for what hyper does not write.
    pub(super) fn untracked(&mut self) -> &mut Stream {
        &mut self.stream
    }

    fn track_write<T>(&mut self, outcome: Poll<T>) -> Poll<T> {
        if self.connection.is_endless() != self.has_lost_timeout {
            self.has_lost_timeout = !self.has_lost_timeout;
            let timeout = self.has_lost_timeout.then_some(LOST_TIMEOUT);
            // Without it the client holds its place for longer.
            let _ = SockRef::from(self.stream.tcp()).set_tcp_user_timeout(timeout);
        }
        self.connection.set_write_blocked(outcome.is_pending());
        outcome
    }
}

impl AsyncRead for TrackedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for TrackedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.connection.detect_rejection() {
            // hyper's own response is dropped. `rejected` makes another one.
            return Poll::Ready(Ok(bytes.len()));
        }
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.track_write(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = slices.iter().map(|slice| slice.len()).sum();
        if self.connection.detect_rejection() {
            return Poll::Ready(Ok(length));
        }
        let mut joined = [0; SHORT_WRITE];
        let outcome = if let Some(joined) = joined.get_mut(..length) {
            let mut rest = &mut *joined;
            for slice in slices {
                let (begin, end) = rest.split_at_mut(slice.len());
                begin.copy_from_slice(slice);
                rest = end;
            }
            Pin::new(&mut self.stream).poll_write(cx, joined)
        } else {
            Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
        };
        self.track_write(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        let outcome = self.track_write(outcome);
        if outcome.is_ready() {
            self.connection.flushed();
        }
        outcome
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.connection.is_rejected() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for TrackedStream {
    fn drop(&mut self) {
        // Otherwise the kernel would keep unsent data for minutes, and try to send it.
        if self.connection.is_write_blocked() {
            let _ = self.stream.tcp().set_zero_linger();
        } else {
            if self.connection.phase() == Phase::Head {
                self.stream.notify_close();
            }
            let _ = SockRef::from(self.stream.tcp()).set_tcp_user_timeout(Some(ORPHAN_TIMEOUT));
        }
    }
}
