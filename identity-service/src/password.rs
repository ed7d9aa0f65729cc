//! Passwords: bcrypt off the async threads and behind a gate. Nothing else here knows bcrypt.

use std::{fmt, sync::Arc, thread, time::Instant};

use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
};

use crate::metrics::BcryptMetrics;

/// What bcrypt reads of a password, in bytes. It would cut silently what is longer.
const LONGEST: usize = 72;

/// How many may wait for the gate. The last of them waits about two seconds on a development machine.
const QUEUE: usize = 8;

/// A password as somebody typed it, of at most 72 bytes of UTF-8.
#[derive(Clone)]
pub struct Password(String);

/// The password is over 72 bytes.
#[derive(Debug)]
pub struct TooLong;

impl Password {
    /// Takes `text`, if bcrypt can tell it from every other.
    ///
    /// # Errors
    ///
    /// [`TooLong`]
    pub fn new(text: String) -> Result<Self, TooLong> {
        if text.len() > LONGEST { Err(TooLong) } else { Ok(Self(text)) }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// The work of a hash: 2 to this power rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost(u32);

impl Cost {
    /// The least that bcrypt knows; for tests.
    pub const LEAST: u32 = 4;
    /// About 2 s on a development machine, and 8 s on a set-top box.
    pub const MOST: u32 = 15;

    /// `power`, if it is from [`Self::LEAST`] to [`Self::MOST`].
    pub fn new(power: u32) -> Option<Self> {
        (Self::LEAST..=Self::MOST).contains(&power).then_some(Self(power))
    }

    /// The power of two.
    pub fn power(self) -> u32 {
        self.0
    }
}

impl Default for Cost {
    fn default() -> Self {
        Self(12)
    }
}

/// What is kept of a password, in the format `$2b$…`.
#[derive(Clone)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// A hash made earlier.
    pub fn from_stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// What to store.
impl AsRef<str> for PasswordHash {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// Why there is no hash and no verdict.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// So many are waiting that this one would wait too long.
    #[error("too many passwords are being checked")]
    Busy,
    /// bcrypt itself failed.
    #[error("bcrypt failed: {0}")]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

/// Hashes and verifies passwords, a few at a time: one core fewer than there are, so that a flood of
/// logins leaves one to everything else.
pub struct Passwords {
    cost: Cost,
    unknown_user: PasswordHash,
    places: Arc<Semaphore>,
    workers: Arc<Semaphore>,
    metrics: BcryptMetrics,
}

impl Passwords {
    /// Hashes at `cost`.
    pub fn new(cost: Cost, metrics: BcryptMetrics) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let workers = cores.saturating_sub(1).max(1);
        Self {
            cost,
            // The right form and cost, and nobody's password: verifying against it takes as long as any other.
            unknown_user: PasswordHash(format!("$2b${:02}${}", cost.power(), ".".repeat(53))),
            places: Arc::new(Semaphore::new(workers + QUEUE)),
            workers: Arc::new(Semaphore::new(workers)),
            metrics,
        }
    }

    /// A hash of `password` with a salt of its own.
    ///
    /// # Errors
    ///
    /// [`PasswordError`]
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, PasswordError> {
        let cost = self.cost.power();
        #[expect(clippy::disallowed_methods, reason = "this is the gate")]
        let hash = self.work(move || bcrypt::hash(password.0, cost)).await?;
        Ok(PasswordHash(hash))
    }

    /// Whether `password` is the one behind `hash`. For an unknown user, `None`, it never is, and finding
    /// out takes as long.
    ///
    /// # Errors
    ///
    /// [`PasswordError`]
    pub async fn verify(
        &self,
        password: Password,
        hash: Option<PasswordHash>,
    ) -> Result<bool, PasswordError> {
        // bcrypt cannot tell `a` from `a\0a`; no stored password contains U+0000.
        let can_match = hash.is_some() && !password.0.contains('\0');
        let hash = hash.unwrap_or_else(|| self.unknown_user.clone());
        #[expect(clippy::disallowed_methods, reason = "this is the gate")]
        let matches = self.work(move || bcrypt::verify(password.0, &hash.0)).await?;
        Ok(matches && can_match)
    }

    /// The permits move into the work: a client that hangs up leaves the queue, but work that has begun
    /// keeps its core until it is done.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> bcrypt::BcryptResult<T> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            self.metrics.refusals.inc();
            return Err(PasswordError::Busy);
        };
        let place = Counted::new(place, &self.metrics.queue);
        let begin = Instant::now();
        let worker = self.workers.clone().acquire_owned().await.map_err(|_| PasswordError::Busy)?;
        self.metrics.wait.observe(begin.elapsed().as_secs_f64());
        let done = spawn_blocking(move || {
            let _held = (place, worker);
            work()
        });
        match done.await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(error)) => Err(PasswordError::Failed(Box::new(error))),
            Err(error) => Err(PasswordError::Failed(Box::new(error))),
        }
    }
}

/// A place in the queue, counted as long as it is taken.
struct Counted {
    _permit: OwnedSemaphorePermit,
    queue: Gauge,
}

impl Counted {
    fn new(permit: OwnedSemaphorePermit, queue: &Gauge) -> Self {
        queue.inc();
        Self { _permit: permit, queue: queue.clone() }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.queue.dec();
    }
}
