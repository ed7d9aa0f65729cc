//! The state of one connection.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::Notify, task::AbortHandle};

use super::{
    budget::{Budgets, OverBudget},
    kernel_buffers::SEND_BUFFER,
};

/// A connection whose phase began less than this ago is not closed for waiting, because a request may have arrived that
/// is not read yet.
pub(super) const READ_TIME: Duration = Duration::from_millis(20);

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Phase {
    /// The client has to send the head of a request.
    Head,
    /// The client has to send the rest of the body.
    Body,
    /// The handler has to produce the response, or its next chunk.
    Handler,
    /// The client has to read the response.
    Response,
}

/// The state of one connection. Its task changes it. The sweep, the accept loop and the drain read it.
pub(crate) struct Connection {
    /// The phase in the lowest two bits, the flags below, and the microseconds from `opened` to the begin of the phase.
    /// One word, so that all of it is read at once.
    state: AtomicU64,
    opened: Instant,
    peer: SocketAddr,
    /// How many connections the peer's address has.
    connections_of_address: Arc<AtomicUsize>,
    /// The budgets of all connections.
    budgets: Arc<Budgets>,
    /// Bytes of the budget that the request has taken, and that the chunks of its response have.
    request_bytes: AtomicUsize,
    response_bytes: AtomicUsize,
    task: OnceLock<AbortHandle>,
    closes_after_response: AtomicBool,
    /// Told when the connection is to close after its response: one without an end has to end then.
    closing: Notify,
    /// The response has no end of its own.
    is_endless: AtomicBool,
}

impl Connection {
    const PHASES: [Phase; 4] = [Phase::Head, Phase::Body, Phase::Handler, Phase::Response];
    const PHASE_COUNT: u64 = 4;
    /// The handler did not read the whole body.
    const UNREAD_BODY: u64 = 4;
    /// The kernel takes no more of the response, because the client does not read.
    const WRITE_BLOCKED: u64 = 8;
    /// A request has begun, and the kernel has not taken the last byte of its response yet.
    const RESPONDING: u64 = 16;
    /// The client sent something that is no request, and hyper has responded to it.
    const REJECTED: u64 = 32;
    const MICROSECOND: u64 = 64;

    pub(super) fn new(
        peer: SocketAddr,
        connections_of_address: Arc<AtomicUsize>,
        budgets: Arc<Budgets>,
    ) -> Self {
        Self {
            state: AtomicU64::new(Phase::Head as u64),
            opened: Instant::now(),
            peer,
            connections_of_address,
            budgets,
            request_bytes: AtomicUsize::new(0),
            response_bytes: AtomicUsize::new(0),
            task: OnceLock::new(),
            closes_after_response: AtomicBool::new(false),
            closing: Notify::new(),
            is_endless: AtomicBool::new(false),
        }
    }

    pub(super) fn enter_phase(&self, phase: Phase) {
        let before = self.state.load(Ordering::Relaxed);
        let begin = match phase {
            // Nothing depends on how long the handler has been running.
            Phase::Handler => before / Self::MICROSECOND,
            // The time of a body does not begin again with every part that arrives.
            Phase::Body if before % Self::PHASE_COUNT == Phase::Body as u64 => before / Self::MICROSECOND,
            Phase::Head | Phase::Body | Phase::Response => self.opened.elapsed().as_micros() as u64,
        };
        let kept = before & (Self::UNREAD_BODY | Self::WRITE_BLOCKED | Self::RESPONDING);
        self.state.store((begin * Self::MICROSECOND) | kept | phase as u64, Ordering::Relaxed);
    }

    /// The head of a request has arrived.
    pub(super) fn begin_request(&self, has_body: bool) {
        // Load and store need not be one atomic operation, because only the task of the connection writes.
        self.state.store(self.state.load(Ordering::Relaxed) | Self::RESPONDING, Ordering::Relaxed);
        self.enter_phase(if has_body { Phase::Body } else { Phase::Handler });
    }

    /// The kernel has taken everything that was to be written.
    pub(super) fn flushed(&self) {
        let state = self.state.load(Ordering::Relaxed);
        if state % Self::PHASE_COUNT == Phase::Head as u64 && state & Self::RESPONDING != 0 {
            self.state.store(state & !Self::RESPONDING, Ordering::Relaxed);
        }
    }

    /// Whether hyper writes although there is no request. It does so only to reject bytes that it cannot parse. Then
    /// the connection is [rejected](Self::is_rejected) from now on.
    pub(super) fn detect_rejection(&self) -> bool {
        let state = self.state.load(Ordering::Relaxed);
        if state % Self::PHASE_COUNT != Phase::Head as u64 || state & Self::RESPONDING != 0 {
            return false;
        }
        self.state.fetch_or(Self::REJECTED, Ordering::Relaxed);
        true
    }

    /// Whether hyper could not parse what the client sent.
    pub(super) fn is_rejected(&self) -> bool {
        self.state.load(Ordering::Relaxed) & Self::REJECTED != 0
    }

    /// Records whether the kernel takes no more to write. Meanwhile the connection waits for its client, whatever its
    /// phase.
    pub(super) fn set_write_blocked(&self, is_blocked: bool) {
        let before = self.state.load(Ordering::Relaxed);
        if (before & Self::WRITE_BLOCKED != 0) == is_blocked {
            return;
        }
        let begin = self.opened.elapsed().as_micros() as u64;
        let kept = (before % Self::MICROSECOND) ^ Self::WRITE_BLOCKED;
        self.state.store((begin * Self::MICROSECOND) | kept, Ordering::Relaxed);
        // The kernel holds a full send buffer.
        if is_blocked {
            self.budgets.unsent.take(SEND_BUFFER);
        } else {
            self.budgets.unsent.give_back(SEND_BUFFER);
        }
    }

    pub(super) fn is_write_blocked(&self) -> bool {
        self.state.load(Ordering::Relaxed) & Self::WRITE_BLOCKED != 0
    }

    /// Reserves `bytes` of the budget for the request, until its response begins.
    pub(super) fn reserve_request(&self, bytes: usize) -> Result<(), OverBudget> {
        self.budgets.buffered.try_take(bytes)?;
        self.request_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn release_request(&self) {
        if self.request_bytes.load(Ordering::Relaxed) > 0 {
            self.budgets.buffered.give_back(self.request_bytes.swap(0, Ordering::Relaxed));
        }
    }

    /// Bytes of the budget that are free again when the connection is closed.
    pub(super) fn buffered(&self) -> usize {
        self.request_bytes.load(Ordering::Relaxed) + self.response_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn mark_body_unread(&self) {
        self.state.fetch_or(Self::UNREAD_BODY, Ordering::Relaxed);
    }

    pub(super) fn has_unread_body(&self) -> bool {
        self.state.load(Ordering::Relaxed) & Self::UNREAD_BODY != 0
    }

    /// What the connection waits for now.
    pub(super) fn phase(&self) -> Phase {
        let state = self.state.load(Ordering::Relaxed);
        if state & Self::WRITE_BLOCKED != 0 {
            return Phase::Response;
        }
        match Self::PHASES[(state % Self::PHASE_COUNT) as usize] {
            // The client has read all there is, so the connection waits for the next chunk.
            Phase::Response => Phase::Handler,
            phase => phase,
        }
    }

    /// When the phase began.
    pub(super) fn since(&self) -> Instant {
        self.opened + Duration::from_micros(self.state.load(Ordering::Relaxed) / Self::MICROSECOND)
    }

    /// The address of the peer.
    pub(crate) fn peer(&self) -> IpAddr {
        self.peer.ip()
    }

    /// How many connections the address of the peer has.
    pub(super) fn connections_of_address(&self) -> usize {
        self.connections_of_address.load(Ordering::Relaxed)
    }

    /// Sets the task that serves the connection.
    pub(super) fn set_task(&self, task: AbortHandle) {
        // It is called once.
        let _ = self.task.set(task);
    }

    /// Closes the connection at once.
    pub(super) fn close(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }

    /// Closes the connection after the response to the current or the next request. A response without an end ends now.
    pub(super) fn close_after_response(&self) {
        self.closes_after_response.store(true, Ordering::Relaxed);
        self.closing.notify_one();
    }

    /// Resolves when the connection is to close after its response. Only one may wait for it.
    pub(super) async fn closing(&self) {
        if !self.closes_after_response() {
            self.closing.notified().await;
        }
    }

    pub(super) fn set_endless(&self, is_endless: bool) {
        self.is_endless.store(is_endless, Ordering::Relaxed);
    }

    pub(super) fn is_endless(&self) -> bool {
        self.is_endless.load(Ordering::Relaxed)
    }

    pub(super) fn closes_after_response(&self) -> bool {
        self.closes_after_response.load(Ordering::Relaxed)
    }

    /// Whether the connection is closed, or has no task yet that could be aborted.
    pub(super) fn is_closing(&self) -> bool {
        self.task.get().is_none_or(AbortHandle::is_finished)
    }

    /// Whether the client has not sent the whole request yet.
    pub(crate) fn awaits_body(&self) -> bool {
        self.phase() == Phase::Body
    }
}

/// Bytes of the budget that a chunk of a response takes, until it is dropped.
pub(super) struct Reservation {
    connection: Arc<Connection>,
    bytes: usize,
}

impl Reservation {
    pub(super) fn new(connection: &Arc<Connection>, bytes: usize) -> Result<Self, OverBudget> {
        connection.budgets.buffered.try_take(bytes)?;
        connection.response_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(Self { connection: connection.clone(), bytes })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.connection.response_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.connection.budgets.buffered.give_back(self.bytes);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.set_write_blocked(false);
        self.release_request();
    }
}
