//! The accept loop: a server that can stand on the internet. HTTP/1.1 only.
//!
//! Every connection has a seat. It knows whose turn it is, the client's or ours, and when the
//! client last moved. When all seats are taken the client that has kept us waiting longest loses
//! its own, so that silent and slow clients cannot lock the others out.

mod budget;
mod connection;
mod hall;
mod rejected;
mod seat;

use std::{
    io,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use axum::Router;
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{interval, sleep, timeout},
};

pub(crate) use self::{budget::OverBudget, rejected::Rejected, seat::Seat};
use self::{connection::converse, hall::Hall, seat::Turn};
use crate::{client::TrustedProxies, metrics::ConnectionMetrics};

/// What hyper may buffer for one connection, in bytes: the longest request head among it.
const BUFFER: usize = 16 * 1024;

/// File descriptors kept back for what is not a connection: listener, runtime, storage, logs.
const RESERVED_DESCRIPTORS: u64 = 32;

/// How long to wait before looking again for a seat, or after a failed accept.
const BACK_OFF: Duration = Duration::from_millis(20);

/// How long a client may keep us waiting even when all seats are taken: a request that is already here
/// has to be read first.
const PATIENCE: Duration = Duration::from_millis(20);

/// How often those are looked for who take too long.
const SWEEP: Duration = Duration::from_secs(1);

/// How long a client may take nothing of an answer that waits for it. The kernel tells us of progress only
/// when a third of its buffer is free.
const STALLED: Duration = Duration::from_secs(600);

/// The same while memory is short.
const STALLED_WHILE_SHORT: Duration = Duration::from_secs(2);

/// What the kernel may hold of the answers to one client, and of what it sends, in bytes. Unless told
/// otherwise it holds megabytes of both, and a container is killed for them as for its own.
const SEND_BUFFER: usize = 128 * 1024;
const RECEIVE_BUFFER: usize = 64 * 1024;

/// While fewer connections than this are open, a new one gets the larger send buffer, which takes a long list in a
/// third of the writes. Linux allows no more than this unless its `wmem_max` is raised.
const FEW_CONNECTIONS: usize = 8;
const LARGE_SEND_BUFFER: usize = 416 * 1024;

/// How many clients at once, and how long they may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections, if the process may have as many file descriptors.
    pub max_connections: usize,
    /// From one request to the end of the next request's head, and from there to the answer.
    pub request_timeout: Duration,
    /// From the shutdown signal until the last connection is closed.
    pub shutdown_grace: Duration,
    /// Bytes that all connections together may hold of requests and of answers that are not taken, beyond
    /// the 40 KiB that each may hold in any case. When the kernel holds as many for clients that take nothing, some
    /// of these are closed.
    pub buffered: usize,
    /// Peers whose connections are those of many clients.
    pub proxies: TrustedProxies,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            request_timeout: Duration::from_secs(10),
            shutdown_grace: Duration::from_secs(8),
            buffered: 24 << 20,
            proxies: TrustedProxies::default(),
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
    bound_receive_buffers(&listener);
    let hall = Arc::new(Hall::new(capacity, &limits, metrics));
    let seats = Arc::new(Semaphore::new(capacity));
    tokio::select! {
        () = accept(listener, app, limits.request_timeout, &hall, &seats) => {}
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
    request_timeout: Duration,
    hall: &Arc<Hall>,
    seats: &Arc<Semaphore>,
) {
    let mut failing = false;
    loop {
        let seat = free_seat(seats, hall).await;
        match listener.accept().await {
            Ok((stream, peer)) => {
                failing = false;
                let few = hall.len() < FEW_CONNECTIONS;
                bound_send_buffer(&stream, if few { LARGE_SEND_BUFFER } else { SEND_BUFFER });
                hall.enter(peer, seat, |seat| converse(stream, app.clone(), seat, request_timeout));
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                // Once, not fifty times a second until it is over.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "cannot accept connections; trying on");
                }
                hall.metrics.refused.inc();
                hall.evict_for_another();
                sleep(BACK_OFF).await;
            }
        }
    }
}

/// Closes the connections of clients that take too long over the head of a request, the first or the
/// next, and of those that have stopped taking their answer. What takes too long between head and
/// answer is the middleware's to refuse.
async fn sweep(hall: &Hall, request_timeout: Duration) {
    let mut round = interval((request_timeout / 4).min(SWEEP));
    let mut was_short = false;
    loop {
        round.tick().await;
        hall.metrics.buffered.set(hall.budget.used() as i64);
        let excess = hall.evict_stalled();
        if excess > 0 && !was_short {
            tracing::warn!(bytes = excess, "connections hold too much; closing some that take no answer");
        }
        was_short = excess > 0;
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

/// Connections inherit it: once they are open it would come too late.
fn bound_receive_buffers(listener: &TcpListener) {
    if let Err(error) = SockRef::from(listener).set_recv_buffer_size(RECEIVE_BUFFER / 2) {
        tracing::warn!(%error, "the kernel's buffers of connections cannot be bounded");
    }
}

/// The kernel doubles what it is told, for what it needs beside the bytes.
fn bound_send_buffer(stream: &TcpStream, bytes: usize) {
    if let Err(error) = SockRef::from(stream).set_send_buffer_size(bytes / 2) {
        tracing::debug!(%error, "the kernel's buffer of a connection cannot be bounded");
    }
}

async fn free_seat(seats: &Arc<Semaphore>, hall: &Hall) -> OwnedSemaphorePermit {
    loop {
        if seats.available_permits() == 0 {
            hall.evict_for_another();
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
