//! One connection: its requests, its answers, and what of both is in memory.

use std::{
    convert::Infallible,
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    BoxError, Router,
    body::Body,
    http::{HeaderValue, header::CONNECTION},
};
use bytes::{Buf, Bytes};
use http_body::{Frame, SizeHint};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tower::Service;

use super::{
    BUFFER,
    budget::OverBudget,
    rejected,
    seat::{Reservation, Seat, Turn},
};

/// Of a body so many bytes are part of what every connection may hold.
const SMALL_BODY: usize = 4 * 1024;

/// So is a piece of an answer of so many bytes.
const SMALL_PIECE: usize = 16 * 1024;

/// How long the kernel keeps what a client does not take once its connection is closed.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers every request of a connection, one after the other.
pub(super) async fn converse(stream: TcpStream, mut app: Router, seat: Arc<Seat>, request_timeout: Duration) {
    // Answers are written whole: waiting for more (Nagle) only delays them.
    let _ = stream.set_nodelay(true);

    let service = service_fn(|request: Request<Incoming>| {
        let mut request = request.map(|body| RequestBody::new(body, seat.clone()));
        request.extensions_mut().insert(seat.clone());
        let answer = app.clone().call(request);
        let seat = seat.clone();
        async move {
            let mut response = answer.await?;
            seat.release_body();
            if seat.closes_after_answer() || seat.hall.draining.load(Ordering::Relaxed) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response.map(|body| ResponseBody { body, seat }))
        }
    });
    // Time is kept for all connections at once, in sweep(): a timer each costs every request.
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(Watched { stream, seat: seat.clone() }), service);
    let outcome = (&mut connection).await;
    let mut stream = connection.into_parts().io.into_inner();
    match outcome {
        Ok(()) if seat.has_unread_body() => linger(&mut stream, request_timeout).await,
        Ok(()) => {}
        Err(error) if seat.is_rejected() => {
            let answer = rejected::answer(&mut app, &seat, &error).await;
            if stream.stream.write_all(&answer).await.is_ok() {
                linger(&mut stream, request_timeout).await;
            }
        }
        Err(error) => tracing::debug!(peer = %seat.peer(), %error, "connection closed"),
    }
}

/// Lets a client that was answered before it had sent all of its request finish sending. Closing on it
/// would reset the connection, and the answer would be lost on its way.
async fn linger(Watched { stream, seat }: &mut Watched, at_most: Duration) {
    seat.give_turn(Turn::Body);
    let rest = async {
        stream.shutdown().await?;
        let mut discarded = vec![0; 4096];
        while stream.read(&mut discarded).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = timeout(at_most, rest).await;
}

/// A connection, which tells the seat whether its client takes what is written: hyper has the end of an
/// answer in its buffer long before the client has it.
struct Watched {
    stream: TcpStream,
    seat: Arc<Seat>,
}

impl Watched {
    fn written<T>(&self, outcome: Poll<T>) -> Poll<T> {
        self.seat.set_blocked(outcome.is_pending());
        outcome
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.seat.rejects() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.seat.rejects() {
            return Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()));
        }
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.written(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.seat.flushed();
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.seat.is_rejected() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // The kernel would go on offering its part of the answer, and keep it, for minutes.
        if self.seat.is_blocked() {
            let _ = self.stream.set_zero_linger();
        } else {
            let _ = SockRef::from(&self.stream).set_tcp_user_timeout(Some(ORPHAN_TIMEOUT));
        }
    }
}

/// A request's body, which tells the seat how far the client has come.
struct RequestBody {
    body: Incoming,
    received: usize,
    seat: Arc<Seat>,
}

impl RequestBody {
    fn new(body: Incoming, seat: Arc<Seat>) -> Self {
        seat.begin_request(!http_body::Body::is_end_stream(&body));
        Self { body, received: 0, seat }
    }

    /// Takes room for what came, once as it is and once as it is parsed.
    fn hold(&mut self, bytes: usize) -> Result<(), OverBudget> {
        let paid = self.received.max(SMALL_BODY);
        self.received += bytes;
        let owed = self.received.saturating_sub(paid);
        if owed > 0 { self.seat.hold_body(2 * owed) } else { Ok(()) }
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
        let complete = frame.is_none() || self.body.is_end_stream();
        self.seat.give_turn(if complete { Turn::Service } else { Turn::Body });
        let Some(frame) = frame else { return Poll::Ready(None) };
        let frame = frame.map_err(BoxError::from).and_then(|frame| {
            self.hold(frame.data_ref().map_or(0, Bytes::len))?;
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
            self.seat.leave_body_unread();
        }
    }
}

/// A piece of an answer, until hyper has written it.
#[derive(Default)]
struct Piece {
    bytes: Bytes,
    _held: Option<Reservation>,
}

impl Piece {
    /// What others have as well, such as a page of the binary or a chunk of a list, costs nothing here.
    fn new(bytes: Bytes, seat: &Arc<Seat>) -> Result<Self, OverBudget> {
        let is_small = bytes.len() <= SMALL_PIECE;
        let held =
            if is_small || !bytes.is_unique() { None } else { Some(Reservation::new(seat, bytes.len())?) };
        Ok(Self { bytes, _held: held })
    }
}

impl Buf for Piece {
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

/// A response's body, which tells the seat that its client takes it, and when it is taken.
struct ResponseBody {
    body: Body,
    seat: Arc<Seat>,
}

impl http_body::Body for ResponseBody {
    type Data = Piece;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if !self.body.is_end_stream() {
            self.seat.give_turn(Turn::Answer);
        }
        let Some(frame) = frame else { return Poll::Ready(None) };
        let piece = |bytes| Piece::new(bytes, &self.seat);
        Poll::Ready(Some(frame.map_err(BoxError::from).and_then(|frame| {
            Ok(match frame.into_data() {
                Ok(bytes) => Frame::data(piece(bytes)?),
                Err(frame) => frame.map_data(|_| Piece::default()),
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
        self.seat.give_turn(Turn::Head);
    }
}
