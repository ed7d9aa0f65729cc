//! Hashes and verifies passwords. The only file that calls bcrypt: on blocking threads, and only with a permit of
//! the queue.

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use bcrypt::BcryptResult;
use prometheus_client::metrics::counter::Counter;
use tokio::{task::spawn_blocking, time::sleep};

use crate::{
    bcrypt_queue::{BcryptQueue, Permit, QueueFull},
    metrics::BcryptMetrics,
    password_hash::{Cost, PasswordHash},
};

/// bcrypt silently ignores all bytes after these.
const MAX_PASSWORD_BYTES: usize = 72;

/// How long a refusal is delayed. Otherwise clients that retry at once would cost more processor time than bcrypt.
const REFUSAL_DELAY: Duration = Duration::from_millis(250);

/// A password in plain text, of at most 72 bytes of UTF-8. `Debug` does not show it.
#[derive(Clone)]
pub struct Password(String);

/// The password is longer than 72 bytes.
#[derive(Debug)]
pub struct TooLong;

impl Password {
    /// Takes `text`, if bcrypt reads all of it.
    ///
    /// # Errors
    ///
    /// [`TooLong`]
    pub fn new(text: String) -> Result<Self, TooLong> {
        if text.len() > MAX_PASSWORD_BYTES { Err(TooLong) } else { Ok(Self(text)) }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Why a password was neither hashed nor verified.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The queue is full.
    #[error("too many passwords are being checked")]
    Busy,
    /// bcrypt itself failed.
    #[error("bcrypt failed: {0}")]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

/// Hashes and verifies passwords, on one core fewer than there are (at least one), so that a flood of logins leaves a
/// core to everything else.
pub struct Passwords {
    cost: Cost,
    /// The greatest cost of all stored hashes known of, and at least `cost`. Every mismatch takes the work of
    /// this cost: otherwise the time of a refusal would tell which users have a hash from before `BCRYPT_COST` was
    /// changed, and so exist. It never falls while the process runs; a restart reads it from the store again.
    max_cost: AtomicU32,
    queue: Arc<BcryptQueue>,
    rounds: Counter,
}

/// The result of [`Passwords::verify`].
#[derive(Debug)]
pub enum Verification {
    /// The password is wrong, or there is no such user.
    Mismatch,
    /// The password is right.
    Match {
        /// The same password hashed at the configured cost, to replace a stored hash of another cost.
        rehashed: Option<PasswordHash>,
    },
}

impl Passwords {
    /// New hashes are made at `cost`.
    pub fn new(cost: Cost, metrics: BcryptMetrics) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let workers = cores.saturating_sub(1).max(1);
        let rounds = metrics.rounds.clone();
        let queue = BcryptQueue::new(workers, metrics);
        Self { cost, max_cost: AtomicU32::new(cost.power()), queue, rounds }
    }

    /// Raises the cost of a mismatch to that of a stored hash.
    pub fn note_stored_cost(&self, cost: Cost) {
        self.max_cost.fetch_max(cost.power(), Ordering::Relaxed);
    }

    /// Waits in the queue for the right to run bcrypt, on behalf of `client` and about the account `username`.
    ///
    /// # Errors
    ///
    /// [`PasswordError::Busy`], after a delay.
    pub async fn acquire_permit(
        &self,
        client: Option<IpAddr>,
        username: &str,
    ) -> Result<Permit, PasswordError> {
        match self.queue.acquire(client, username).await {
            Ok(permit) => Ok(permit),
            Err(QueueFull) => {
                sleep(REFUSAL_DELAY).await;
                Err(PasswordError::Busy)
            }
        }
    }

    /// Hashes `password` with a random salt. For callers that act for no client.
    ///
    /// # Errors
    ///
    /// [`PasswordError`]
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, PasswordError> {
        self.hash_with(self.acquire_permit(None, "").await?, password).await
    }

    /// Whether `hash` was made from `password`. For callers that act for no client.
    ///
    /// # Errors
    ///
    /// [`PasswordError`]
    pub async fn matches(&self, password: Password, hash: PasswordHash) -> Result<bool, PasswordError> {
        let permit = self.acquire_permit(None, "").await?;
        let verification = self.verify(permit, password, Some(hash), |_| ()).await?;
        Ok(matches!(verification, Verification::Match { .. }))
    }

    /// Hashes `password` with a random salt.
    ///
    /// # Errors
    ///
    /// [`PasswordError::Failed`]
    pub async fn hash_with(&self, permit: Permit, password: Password) -> Result<PasswordHash, PasswordError> {
        let bcrypt = Bcrypt { cost: self.cost, rounds: self.rounds.clone() };
        run_blocking(permit, move || bcrypt.hash(&password)).await
    }

    /// Checks `password` against `hash`. `None` stands for an unknown user: it never matches, and takes as long.
    ///
    /// `on_result` is called on the blocking thread as soon as it is known whether the password matches, even if this
    /// future was dropped meanwhile. If bcrypt fails it is dropped uncalled.
    ///
    /// # Errors
    ///
    /// [`PasswordError::Failed`]
    pub async fn verify(
        &self,
        permit: Permit,
        password: Password,
        hash: Option<PasswordHash>,
        on_result: impl FnOnce(bool) + Send + 'static,
    ) -> Result<Verification, PasswordError> {
        let (bcrypt, max_cost) = self.bcrypt_for(hash.as_ref());
        run_blocking(permit, move || {
            if !bcrypt.matches(&password, hash.as_ref(), max_cost, on_result)? {
                return Ok(Verification::Mismatch);
            }
            let is_current = hash.and_then(|hash| hash.cost()) == Some(bcrypt.cost);
            let rehashed = if is_current { None } else { Some(bcrypt.hash(&password)?) };
            Ok(Verification::Match { rehashed })
        })
        .await
    }

    /// Checks `old` against `hash` as [`verify`](Self::verify) does, and hashes `new` if it matches.
    ///
    /// # Errors
    ///
    /// [`PasswordError::Failed`]
    pub async fn replace(
        &self,
        permit: Permit,
        old: Password,
        hash: Option<PasswordHash>,
        new: Password,
        on_result: impl FnOnce(bool) + Send + 'static,
    ) -> Result<Option<PasswordHash>, PasswordError> {
        let (bcrypt, max_cost) = self.bcrypt_for(hash.as_ref());
        run_blocking(permit, move || {
            let is_match = bcrypt.matches(&old, hash.as_ref(), max_cost, on_result)?;
            is_match.then(|| bcrypt.hash(&new)).transpose()
        })
        .await
    }

    /// What checks a password against `hash`, and the cost of a mismatch.
    fn bcrypt_for(&self, hash: Option<&PasswordHash>) -> (Bcrypt, u32) {
        if let Some(cost) = hash.and_then(PasswordHash::cost) {
            self.note_stored_cost(cost);
        }
        let bcrypt = Bcrypt { cost: self.cost, rounds: self.rounds.clone() };
        (bcrypt, self.max_cost.load(Ordering::Relaxed))
    }
}

/// A well-formed hash that no password is known for: verifying against it takes as long as against any other of this
/// cost.
fn dummy_hash(cost: u32) -> PasswordHash {
    PasswordHash::from_stored(format!("$2b${cost:02}${}", ".".repeat(53)))
}

/// Calls bcrypt, and counts the rounds. Blocks.
struct Bcrypt {
    cost: Cost,
    rounds: Counter,
}

impl Bcrypt {
    /// Whether `hash` was made from `password`. A mismatch takes the work of `max_cost`, whatever the cost of the hash is,
    /// and so does a hash that is not there.
    fn matches(
        &self,
        password: &Password,
        hash: Option<&PasswordHash>,
        max_cost: u32,
        on_result: impl FnOnce(bool),
    ) -> BcryptResult<bool> {
        let Some(hash) = hash else {
            self.verify(password, &dummy_hash(max_cost))?;
            on_result(false);
            return Ok(false);
        };
        let matches = self.verify(password, hash)?;
        on_result(matches);
        if !matches {
            let cost = hash.cost().map_or(max_cost, Cost::power);
            // Work at the costs n (again), n+1, … m-1 brings the total to that of m:
            // 2^n + 2^n + 2^(n+1) + … + 2^(m-1) = 2^m.
            (cost..max_cost).try_for_each(|cost| self.verify(password, &dummy_hash(cost)).map(drop))?;
        }
        Ok(matches)
    }

    fn hash(&self, password: &Password) -> BcryptResult<PasswordHash> {
        self.rounds.inc_by(self.cost.rounds());
        #[expect(clippy::disallowed_methods, reason = "the caller holds a permit of the queue")]
        bcrypt::hash(&password.0, self.cost.power()).map(PasswordHash::from_stored)
    }

    fn verify(&self, password: &Password, hash: &PasswordHash) -> BcryptResult<bool> {
        self.rounds.inc_by(hash.cost().map_or(0, Cost::rounds));
        #[expect(clippy::disallowed_methods, reason = "the caller holds a permit of the queue")]
        let matches = bcrypt::verify(&password.0, hash.as_ref())?;
        // bcrypt cannot tell `a` from `a\0a`; no stored password contains U+0000.
        Ok(matches && !password.0.contains('\0'))
    }
}

/// Runs `work` on a blocking thread. The permit moves along: work that has begun keeps its worker until it is done,
/// even if the client disconnects.
async fn run_blocking<T: Send + 'static>(
    permit: Permit,
    work: impl FnOnce() -> BcryptResult<T> + Send + 'static,
) -> Result<T, PasswordError> {
    let task = spawn_blocking(move || {
        let _permit = permit;
        work()
    });
    match task.await {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(error)) => Err(PasswordError::Failed(Box::new(error))),
        Err(error) => Err(PasswordError::Failed(Box::new(error))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use futures_util::future::{join_all, select_all};
    use prometheus_client::registry::Registry;

    use super::*;

    #[tokio::test]
    async fn a_refusal_is_delayed() {
        let cost = Cost::new(Cost::MIN).unwrap();
        let passwords = Passwords::new(cost, BcryptMetrics::new(&mut Registry::default()));
        let cores = thread::available_parallelism().unwrap().get();
        let acquire = || Box::pin(passwords.acquire_permit(None, ""));
        let _permits = join_all((1..cores.max(2)).map(|_| acquire())).await;
        let start = Instant::now();
        let (first, ..) = select_all((0..17).map(|_| acquire())).await;
        assert!(matches!(first, Err(PasswordError::Busy)));
        assert!(start.elapsed() >= REFUSAL_DELAY, "{:?}", start.elapsed());
    }
}
