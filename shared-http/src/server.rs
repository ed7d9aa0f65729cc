//! The accept loop: a server that can stand on the internet. HTTP/1.1 only.
//!
//! Every connection has a seat. It knows whose turn it is, the client's or ours, and when the
//! client last moved. When all seats are taken the client that has kept us waiting longest loses
//! its own, so that silent and slow clients cannot lock the others out.

use std::{
    collections::HashMap,
    convert::Infallible,
    io::{self, IoSlice},
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, header::CONNECTION},
};
use http_body::{Frame, SizeHint};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::AbortHandle,
    time::{interval, sleep, timeout},
};
use tower::Service;

use crate::metrics::ConnectionMetrics;

/// What hyper may buffer for one connection, in bytes: the longest request head among it.
const BUFFER: usize = 16 * 1024;

/// File descriptors kept back for what is not a connection: listener, runtime, storage, logs.
const RESERVED_DESCRIPTORS: u64 = 32;

/// How long to wait before looking again for a seat, or after a failed accept.
const BACK_OFF: Duration = Duration::from_millis(20);

/// How long a client may keep us waiting even when all seats are taken: a request that is already here
/// has to be read first.
const PATIENCE: Duration = Duration::from_millis(20);

/// How long a client may take nothing of an answer that waits for it. The kernel holds megabytes for a
/// client and tells us of progress late: at 8 kB/s it is silent for minutes.
const STALLED: Duration = Duration::from_secs(600);

/// How many clients at once, and how long they may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections, if the process may have as many file descriptors.
    pub max_connections: usize,
    /// From one request to the end of the next request's head, and from there to the answer.
    pub request_timeout: Duration,
    /// From the shutdown signal until the last connection is closed.
    pub shutdown_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            request_timeout: Duration::from_secs(10),
            shutdown_grace: Duration::from_secs(8),
        }
    }
}

/// Serves `app` until `shutdown` resolves, then drains: requests in flight are answered, clients that
/// owe us the head of a request are closed at once, those that owe us a body at half of the grace, and
/// whatever is left at its end.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    limits: Limits,
    metrics: ConnectionMetrics,
    shutdown: impl Future<Output = ()>,
) {
    let capacity = capacity(limits.max_connections);
    let hall = Arc::new(Hall { metrics, ..Hall::default() });
    let seats = Arc::new(Semaphore::new(capacity));
    tokio::select! {
        () = accept(listener, app, limits, &hall, &seats) => {}
        () = sweep(&hall, limits.request_timeout) => {}
        () = shutdown => {}
    }

    hall.draining.store(true, Ordering::Relaxed);
    let mut everybody_left = pin!(async { drop(seats.acquire_many(capacity as u32).await) });
    let begin = Instant::now();
    while timeout(PATIENCE, &mut everybody_left).await.is_err() {
        if begin.elapsed() >= limits.shutdown_grace {
            hall.evict_if(|_| true);
            // Their requests are told to the log as they end.
            let _ = timeout(PATIENCE * 5, everybody_left).await;
            return;
        }
        hall.evict_if(|seat| match seat.turn() {
            // What has arrived by now is read before its connection is taken for an idle one.
            Turn::Head => seat.since().elapsed() >= PATIENCE,
            Turn::Body => begin.elapsed() >= limits.shutdown_grace / 2,
            Turn::Service | Turn::Answer => false,
        });
    }
}

async fn accept(
    listener: TcpListener,
    app: Router,
    limits: Limits,
    hall: &Arc<Hall>,
    seats: &Arc<Semaphore>,
) {
    let mut failing = false;
    loop {
        let seat = free_seat(seats, hall).await;
        match listener.accept().await {
            Ok((stream, peer)) => {
                failing = false;
                hall.enter(peer, seat, |seat| converse(stream, app.clone(), seat, limits.request_timeout));
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                // Once, not fifty times a second until it is over.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "cannot accept connections; trying on");
                }
                hall.metrics.refused.inc();
                hall.evict_longest_waiting();
                sleep(BACK_OFF).await;
            }
        }
    }
}

/// Closes the connections of clients that take too long over the head of a request, the first or the
/// next, and of those that have stopped taking their answer. What takes too long between head and
/// answer is the middleware's to refuse.
async fn sweep(hall: &Hall, request_timeout: Duration) {
    let mut round = interval((request_timeout / 4).min(Duration::from_secs(1)));
    loop {
        round.tick().await;
        hall.evict_if(|seat| match seat.turn() {
            Turn::Head => seat.since().elapsed() >= request_timeout,
            Turn::Answer => seat.since().elapsed() >= STALLED,
            Turn::Body | Turn::Service => false,
        });
    }
}

/// Resolves at SIGTERM or SIGINT.
///
/// # Errors
///
/// The signal handlers cannot be installed.
pub fn shutdown_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "shutting down");
    })
}

/// As many connections as were asked for, or as the limit on file descriptors allows.
fn capacity(wanted: usize) -> usize {
    let descriptors = rlimit::increase_nofile_limit(wanted as u64 + RESERVED_DESCRIPTORS);
    let allowed = match descriptors {
        Ok(limit) => usize::try_from(limit.saturating_sub(RESERVED_DESCRIPTORS)).unwrap_or(wanted),
        Err(_) => wanted,
    };
    let capacity = wanted.min(allowed.max(1));
    if capacity < wanted {
        tracing::warn!(
            max_connections = wanted,
            capacity,
            "the limit on open files (ulimit -n) allows fewer connections"
        );
    }
    capacity
}

async fn free_seat(seats: &Arc<Semaphore>, hall: &Hall) -> OwnedSemaphorePermit {
    loop {
        if seats.available_permits() == 0 {
            hall.evict_longest_waiting();
        }
        if let Ok(Ok(permit)) = timeout(BACK_OFF, seats.clone().acquire_owned()).await {
            return permit;
        }
    }
}

/// The client went away between the handshake and our accept: no reason to wait.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
    )
}

async fn converse(stream: TcpStream, app: Router, seat: Arc<Seat>, request_timeout: Duration) {
    // Answers are written whole: waiting for more (Nagle) only delays them.
    let _ = stream.set_nodelay(true);

    let service = service_fn(|request: Request<Incoming>| {
        let mut request = request.map(|body| RequestBody::new(body, seat.clone()));
        request.extensions_mut().insert(seat.clone());
        let answer = app.clone().call(request);
        let seat = seat.clone();
        async move {
            let mut response = answer.await?;
            if seat.hall.draining.load(Ordering::Relaxed) {
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
    match (&mut connection).await {
        Ok(()) if seat.has_unread_body() => {
            seat.give_turn(Turn::Body);
            linger(connection.into_parts().io.into_inner().stream, request_timeout).await;
        }
        Ok(()) => {}
        Err(error) => tracing::debug!(peer = %seat.peer, %error, "connection closed"),
    }
}

/// Lets a client that was answered before it had sent its whole body finish sending. Closing on it
/// would reset the connection, and the answer would be lost on its way.
async fn linger(mut stream: TcpStream, at_most: Duration) {
    let rest = async {
        stream.shutdown().await?;
        let mut discarded = [0; 4096];
        while stream.read(&mut discarded).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = timeout(at_most, rest).await;
}

/// Who moves next on a connection, and with what.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Turn {
    /// The client owes the head of a request.
    Head,
    /// The client owes the rest of a body.
    Body,
    /// We owe the answer.
    Service,
    /// The client has to take the answer.
    Answer,
}

/// The place of one connection.
pub(crate) struct Seat {
    /// When the last move was made, in microseconds since `opened`, and whose turn it is now.
    state: AtomicU64,
    opened: Instant,
    peer: SocketAddr,
    hall: Arc<Hall>,
}

impl Seat {
    const TURNS: [Turn; 4] = [Turn::Head, Turn::Body, Turn::Service, Turn::Answer];
    const UNREAD_BODY: u64 = 4;
    const BLOCKED: u64 = 8;
    const MICROSECOND: u64 = 16;

    fn new(peer: SocketAddr, hall: Arc<Hall>) -> Self {
        Self { state: AtomicU64::new(Turn::Head as u64), opened: Instant::now(), peer, hall }
    }

    fn give_turn(&self, turn: Turn) {
        let before = self.state.load(Ordering::Relaxed);
        let moved = match turn {
            // Nobody asks how long we have been at work.
            Turn::Service => before / Self::MICROSECOND,
            Turn::Head | Turn::Body | Turn::Answer => self.opened.elapsed().as_micros() as u64,
        };
        let kept = before & (Self::UNREAD_BODY | Self::BLOCKED);
        self.state.store((moved * Self::MICROSECOND) | kept | turn as u64, Ordering::Relaxed);
    }

    /// The client does not take what we write, or takes it again. Whoever's turn it would be, it is the
    /// client's while it is blocked.
    fn set_blocked(&self, blocked: bool) {
        let before = self.state.load(Ordering::Relaxed);
        if (before & Self::BLOCKED != 0) == blocked {
            return;
        }
        let moved = self.opened.elapsed().as_micros() as u64;
        let kept = (before % Self::MICROSECOND) ^ Self::BLOCKED;
        self.state.store((moved * Self::MICROSECOND) | kept, Ordering::Relaxed);
    }

    fn leave_body_unread(&self) {
        self.state.fetch_or(Self::UNREAD_BODY, Ordering::Relaxed);
    }

    fn has_unread_body(&self) -> bool {
        self.state.load(Ordering::Relaxed) & Self::UNREAD_BODY != 0
    }

    /// Whose turn it is.
    fn turn(&self) -> Turn {
        let state = self.state.load(Ordering::Relaxed);
        if state & Self::BLOCKED != 0 { Turn::Answer } else { Self::TURNS[(state % 4) as usize] }
    }

    /// Since when.
    fn since(&self) -> Instant {
        self.opened + Duration::from_micros(self.state.load(Ordering::Relaxed) / Self::MICROSECOND)
    }

    /// Who is at the other end of the connection.
    pub(crate) fn peer(&self) -> IpAddr {
        self.peer.ip()
    }

    /// Whether the client still owes a part of its request.
    pub(crate) fn awaits_body(&self) -> bool {
        self.turn() == Turn::Body
    }
}

/// All open connections.
#[derive(Default)]
struct Hall {
    draining: AtomicBool,
    entered: AtomicU64,
    metrics: ConnectionMetrics,
    taken: Mutex<HashMap<u64, (Arc<Seat>, AbortHandle)>>,
}

impl Hall {
    /// Spawns the conversation of a new connection; its permit goes back when it ends.
    fn enter<F>(
        self: &Arc<Self>,
        peer: SocketAddr,
        permit: OwnedSemaphorePermit,
        talk: impl FnOnce(Arc<Seat>) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let seat = Arc::new(Seat::new(peer, self.clone()));
        let number = self.entered.fetch_add(1, Ordering::Relaxed);
        let conversation = talk(seat.clone());
        let leave = Leave { seat: seat.clone(), number, _permit: permit };

        // Held while spawning: a conversation that is over at once must not leave before it has entered.
        let mut taken = self.taken.lock();
        let task = tokio::spawn(async move {
            let _leave = leave;
            conversation.await;
        });
        taken.insert(number, (seat, task.abort_handle()));
        self.metrics.open.set(taken.len() as i64);
    }

    /// Closes the connection whose client has kept us waiting longest, if any has tried our patience.
    fn evict_longest_waiting(&self) {
        let taken = self.taken.lock();
        let longest = taken
            .values()
            .filter(|(seat, task)| seat.turn() != Turn::Service && !task.is_finished())
            .map(|(seat, task)| (seat.since(), task))
            .min_by_key(|(since, _)| *since);
        if let Some((since, task)) = longest
            && since.elapsed() >= PATIENCE
        {
            task.abort();
            self.metrics.refused.inc();
        }
    }

    fn evict_if(&self, condition: impl Fn(&Seat) -> bool) {
        for (seat, task) in self.taken.lock().values() {
            if condition(seat) {
                task.abort();
            }
        }
    }
}

/// Gives a seat back, however its conversation ends.
struct Leave {
    seat: Arc<Seat>,
    number: u64,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Leave {
    fn drop(&mut self) {
        let hall = &self.seat.hall;
        let mut taken = hall.taken.lock();
        taken.remove(&self.number);
        hall.metrics.open.set(taken.len() as i64);
    }
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
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.written(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A request's body, which tells the seat how far the client has come.
struct RequestBody {
    body: Incoming,
    seat: Arc<Seat>,
}

impl RequestBody {
    fn new(body: Incoming, seat: Arc<Seat>) -> Self {
        let complete = http_body::Body::is_end_stream(&body);
        seat.give_turn(if complete { Turn::Service } else { Turn::Body });
        Self { body, seat }
    }
}

impl http_body::Body for RequestBody {
    type Data = bytes::Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let complete = frame.is_none() || self.body.is_end_stream();
        self.seat.give_turn(if complete { Turn::Service } else { Turn::Body });
        Poll::Ready(frame)
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

/// A response's body, which tells the seat that its client takes it, and when it is taken.
struct ResponseBody {
    body: Body,
    seat: Arc<Seat>,
}

impl http_body::Body for ResponseBody {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if !self.body.is_end_stream() {
            self.seat.give_turn(Turn::Answer);
        }
        Poll::Ready(frame)
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
