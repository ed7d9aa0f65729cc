//! What is known of one connection.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::AbortHandle;

use super::{SEND_BUFFER, budget::OverBudget, hall::Hall};

/// Who moves next on a connection, and with what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Turn {
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
    /// How many connections the peer's address has.
    neighbours: Arc<AtomicUsize>,
    pub(super) hall: Arc<Hall>,
    /// What is held of the request, in bytes of the budget, and of its answer.
    body: AtomicUsize,
    pieces: AtomicUsize,
    task: OnceLock<AbortHandle>,
    closes_after_answer: AtomicBool,
}

impl Seat {
    const TURNS: [Turn; 4] = [Turn::Head, Turn::Body, Turn::Service, Turn::Answer];
    const UNREAD_BODY: u64 = 4;
    const BLOCKED: u64 = 8;
    /// From the head of a request until the last byte of its answer is with the kernel.
    const ANSWERING: u64 = 16;
    /// What came is no request, and hyper has answered it.
    const REJECTED: u64 = 32;
    const MICROSECOND: u64 = 64;

    pub(super) fn new(peer: SocketAddr, neighbours: Arc<AtomicUsize>, hall: Arc<Hall>) -> Self {
        Self {
            state: AtomicU64::new(Turn::Head as u64),
            opened: Instant::now(),
            peer,
            neighbours,
            hall,
            body: AtomicUsize::new(0),
            pieces: AtomicUsize::new(0),
            task: OnceLock::new(),
            closes_after_answer: AtomicBool::new(false),
        }
    }

    pub(super) fn give_turn(&self, turn: Turn) {
        let before = self.state.load(Ordering::Relaxed);
        let moved = match turn {
            // Nobody asks how long we have been at work.
            Turn::Service => before / Self::MICROSECOND,
            // A byte now and then is no progress worth more time.
            Turn::Body if before % 4 == Turn::Body as u64 => before / Self::MICROSECOND,
            Turn::Head | Turn::Body | Turn::Answer => self.opened.elapsed().as_micros() as u64,
        };
        let kept = before & (Self::UNREAD_BODY | Self::BLOCKED | Self::ANSWERING);
        self.state.store((moved * Self::MICROSECOND) | kept | turn as u64, Ordering::Relaxed);
    }

    /// A request is here.
    pub(super) fn begin_request(&self, has_body: bool) {
        // Only the connection's own task writes here: no need for an atomic step.
        self.state.store(self.state.load(Ordering::Relaxed) | Self::ANSWERING, Ordering::Relaxed);
        self.give_turn(if has_body { Turn::Body } else { Turn::Service });
    }

    /// All that was to be written is written.
    pub(super) fn flushed(&self) {
        let state = self.state.load(Ordering::Relaxed);
        if state % 4 == Turn::Head as u64 && state & Self::ANSWERING != 0 {
            self.state.store(state & !Self::ANSWERING, Ordering::Relaxed);
        }
    }

    /// Whether what is written now answers no request: hyper writes by itself only when it cannot
    /// understand what came.
    pub(super) fn rejects(&self) -> bool {
        let state = self.state.load(Ordering::Relaxed);
        if state % 4 != Turn::Head as u64 || state & Self::ANSWERING != 0 {
            return false;
        }
        self.state.fetch_or(Self::REJECTED, Ordering::Relaxed);
        true
    }

    pub(super) fn is_rejected(&self) -> bool {
        self.state.load(Ordering::Relaxed) & Self::REJECTED != 0
    }

    /// The client does not take what we write, or takes it again. Whoever's turn it would be, it is the
    /// client's while it is blocked.
    pub(super) fn set_blocked(&self, blocked: bool) {
        let before = self.state.load(Ordering::Relaxed);
        if (before & Self::BLOCKED != 0) == blocked {
            return;
        }
        let moved = self.opened.elapsed().as_micros() as u64;
        let kept = (before % Self::MICROSECOND) ^ Self::BLOCKED;
        self.state.store((moved * Self::MICROSECOND) | kept, Ordering::Relaxed);
        // So much the kernel holds for it.
        if blocked {
            self.hall.unsent.take(SEND_BUFFER);
        } else {
            self.hall.unsent.give_back(SEND_BUFFER);
        }
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.state.load(Ordering::Relaxed) & Self::BLOCKED != 0
    }

    /// Takes room for `bytes` of the request, until it is answered.
    pub(super) fn hold_body(&self, bytes: usize) -> Result<(), OverBudget> {
        self.hall.budget.try_take(bytes)?;
        self.body.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn release_body(&self) {
        if self.body.load(Ordering::Relaxed) > 0 {
            self.hall.budget.give_back(self.body.swap(0, Ordering::Relaxed));
        }
    }

    /// How much of the budget is free when the connection is closed.
    pub(super) fn held(&self) -> usize {
        self.body.load(Ordering::Relaxed) + self.pieces.load(Ordering::Relaxed)
    }

    pub(super) fn leave_body_unread(&self) {
        self.state.fetch_or(Self::UNREAD_BODY, Ordering::Relaxed);
    }

    pub(super) fn has_unread_body(&self) -> bool {
        self.state.load(Ordering::Relaxed) & Self::UNREAD_BODY != 0
    }

    /// Whose turn it is.
    pub(super) fn turn(&self) -> Turn {
        let state = self.state.load(Ordering::Relaxed);
        if state & Self::BLOCKED != 0 {
            return Turn::Answer;
        }
        match Self::TURNS[(state % 4) as usize] {
            // The client takes what there is, and the next piece is ours to make.
            Turn::Answer => Turn::Service,
            turn => turn,
        }
    }

    /// Since when.
    pub(super) fn since(&self) -> Instant {
        self.opened + Duration::from_micros(self.state.load(Ordering::Relaxed) / Self::MICROSECOND)
    }

    /// Who is at the other end of the connection.
    pub(crate) fn peer(&self) -> IpAddr {
        self.peer.ip()
    }

    /// How many connections that address has.
    pub(super) fn neighbours(&self) -> usize {
        self.neighbours.load(Ordering::Relaxed)
    }

    /// The task that serves the connection.
    pub(super) fn set_task(&self, task: AbortHandle) {
        // There is one.
        let _ = self.task.set(task);
    }

    /// Closes the connection, whatever is going on.
    pub(super) fn close(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }

    /// Lets the client finish its request, and no other.
    pub(super) fn close_after_answer(&self) {
        self.closes_after_answer.store(true, Ordering::Relaxed);
    }

    pub(super) fn closes_after_answer(&self) -> bool {
        self.closes_after_answer.load(Ordering::Relaxed)
    }

    /// Whether the connection is closed, or there is no task yet that could be ended.
    pub(super) fn is_closing(&self) -> bool {
        self.task.get().is_none_or(AbortHandle::is_finished)
    }

    /// Whether the client still owes a part of its request.
    pub(crate) fn awaits_body(&self) -> bool {
        self.turn() == Turn::Body
    }
}

/// Bytes of the budget that a piece of an answer takes, until it is dropped.
pub(super) struct Reservation {
    seat: Arc<Seat>,
    bytes: usize,
}

impl Reservation {
    pub(super) fn new(seat: &Arc<Seat>, bytes: usize) -> Result<Self, OverBudget> {
        seat.hall.budget.try_take(bytes)?;
        seat.pieces.fetch_add(bytes, Ordering::Relaxed);
        Ok(Self { seat: seat.clone(), bytes })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.seat.pieces.fetch_sub(self.bytes, Ordering::Relaxed);
        self.seat.hall.budget.give_back(self.bytes);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.set_blocked(false);
        self.release_body();
    }
}
