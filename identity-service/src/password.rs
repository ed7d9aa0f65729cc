//! Passwords: bcrypt off the async threads and behind a queue. Nothing else here knows bcrypt.

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
    bcrypt_queue::{BcryptQueue, QueueFull, Worker},
    metrics::BcryptMetrics,
    password_hash::{Cost, PasswordHash},
};

/// What bcrypt reads of a password, in bytes. It would cut silently what is longer.
const LONGEST: usize = 72;

/// How long a refusal takes. Clients that retry at once would otherwise keep the processors busier than the passwords
/// do.
const REFUSAL_DELAY: Duration = Duration::from_millis(250);

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
    /// The greatest cost that a stored hash was seen to have. What does not match is worked on for as long as it
    /// takes at this cost, whoever it belongs to: a hash of another cost, from before `BCRYPT_COST` was changed,
    /// would otherwise tell who exists. It is given up at a restart after the last of those users has logged in.
    greatest_cost: AtomicU32,
    queue: Arc<BcryptQueue>,
    rounds: Counter,
}

/// What a password turned out to be.
#[derive(Debug)]
pub enum Verdict {
    /// Not the user's.
    Wrong,
    /// The user's.
    Right {
        /// Takes the place of the stored hash, where that has another cost than new ones.
        rehashed: Option<PasswordHash>,
    },
}

impl Passwords {
    /// Hashes at `cost`.
    pub fn new(cost: Cost, metrics: BcryptMetrics) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let workers = cores.saturating_sub(1).max(1);
        let rounds = metrics.rounds.clone();
        let queue = BcryptQueue::new(workers, metrics);
        Self { cost, greatest_cost: AtomicU32::new(cost.power()), queue, rounds }
    }

    /// There are stored hashes of this cost.
    pub fn expect(&self, stored: Cost) {
        self.greatest_cost.fetch_max(stored.power(), Ordering::Relaxed);
    }

    /// Waits until it is the turn of `client`, which asks about the account `username`.
    ///
    /// # Errors
    ///
    /// [`PasswordError::Busy`]
    pub async fn worker(&self, client: Option<IpAddr>, username: &str) -> Result<Worker, PasswordError> {
        match self.queue.enter(client, username).await {
            Ok(worker) => Ok(worker),
            Err(QueueFull) => {
                sleep(REFUSAL_DELAY).await;
                Err(PasswordError::Busy)
            }
        }
    }

    /// A hash of `password` with a salt of its own, where no client asks for it and so none waits.
    ///
    /// # Errors
    ///
    /// [`PasswordError`]
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, PasswordError> {
        self.hash_on(self.worker(None, "").await?, password).await
    }

    /// Whether `password` is the one behind `hash`, where no client asks.
    ///
    /// # Errors
    ///
    /// [`PasswordError`]
    pub async fn matches(&self, password: Password, hash: PasswordHash) -> Result<bool, PasswordError> {
        let worker = self.worker(None, "").await?;
        let verdict = self.verify(worker, password, Some(hash), |_| ()).await?;
        Ok(matches!(verdict, Verdict::Right { .. }))
    }

    /// A hash of `password` with a salt of its own.
    ///
    /// # Errors
    ///
    /// [`PasswordError::Failed`]
    pub async fn hash_on(&self, worker: Worker, password: Password) -> Result<PasswordHash, PasswordError> {
        let bcrypt = Bcrypt { cost: self.cost, rounds: self.rounds.clone() };
        work(worker, move || bcrypt.hash(&password)).await
    }

    /// Whether `password` is the one behind `hash`. For an unknown user, `None`, it never is, and finding
    /// out takes as long. `verdict` is told before anything else, even if nobody waits for the outcome any
    /// more; if bcrypt fails it is dropped.
    ///
    /// # Errors
    ///
    /// [`PasswordError::Failed`]
    pub async fn verify(
        &self,
        worker: Worker,
        password: Password,
        hash: Option<PasswordHash>,
        verdict: impl FnOnce(bool) + Send + 'static,
    ) -> Result<Verdict, PasswordError> {
        if let Some(stored) = hash.as_ref().and_then(PasswordHash::cost) {
            self.expect(stored);
        }
        let greatest_cost = self.greatest_cost.load(Ordering::Relaxed);
        let bcrypt = Bcrypt { cost: self.cost, rounds: self.rounds.clone() };
        work(worker, move || {
            let Some(hash) = hash else {
                bcrypt.verify(&password, &nobodys(greatest_cost))?;
                verdict(false);
                return Ok(Verdict::Wrong);
            };
            let matches = bcrypt.verify(&password, &hash)?;
            verdict(matches);
            if !matches {
                let cost = hash.cost().map_or(greatest_cost, Cost::power);
                // 2^n + 2^n + 2^(n+1) + … + 2^(m-1) = 2^m
                (cost..greatest_cost)
                    .try_for_each(|cost| bcrypt.verify(&password, &nobodys(cost)).map(drop))?;
                return Ok(Verdict::Wrong);
            }
            let is_current = hash.cost() == Some(bcrypt.cost);
            let rehashed = if is_current { None } else { Some(bcrypt.hash(&password)?) };
            Ok(Verdict::Right { rehashed })
        })
        .await
    }
}

/// The right form, and nobody's password: verifying against it takes as long as against any other of this cost.
fn nobodys(cost: u32) -> PasswordHash {
    PasswordHash::from_stored(format!("$2b${cost:02}${}", ".".repeat(53)))
}

/// bcrypt itself, on a thread that may take its time.
struct Bcrypt {
    cost: Cost,
    rounds: Counter,
}

impl Bcrypt {
    fn hash(&self, password: &Password) -> BcryptResult<PasswordHash> {
        self.rounds.inc_by(self.cost.rounds());
        #[expect(clippy::disallowed_methods, reason = "a worker of the queue is held")]
        bcrypt::hash(&password.0, self.cost.power()).map(PasswordHash::from_stored)
    }

    fn verify(&self, password: &Password, hash: &PasswordHash) -> BcryptResult<bool> {
        self.rounds.inc_by(hash.cost().map_or(0, Cost::rounds));
        #[expect(clippy::disallowed_methods, reason = "a worker of the queue is held")]
        let matches = bcrypt::verify(&password.0, hash.as_ref())?;
        // bcrypt cannot tell `a` from `a\0a`; no stored password contains U+0000.
        Ok(matches && !password.0.contains('\0'))
    }
}

/// The worker moves into the work: what has begun keeps its core until it is done, whoever hangs up.
async fn work<T: Send + 'static>(
    worker: Worker,
    work: impl FnOnce() -> BcryptResult<T> + Send + 'static,
) -> Result<T, PasswordError> {
    let done = spawn_blocking(move || {
        let _held = worker;
        work()
    });
    match done.await {
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
    async fn a_refusal_takes_a_while() {
        let cost = Cost::new(Cost::LEAST).unwrap();
        let passwords = Passwords::new(cost, BcryptMetrics::new(&mut Registry::default()));
        let cores = thread::available_parallelism().unwrap().get();
        let ask = || Box::pin(passwords.worker(None, ""));
        let _workers = join_all((1..cores.max(2)).map(|_| ask())).await;
        let begin = Instant::now();
        let (first, ..) = select_all((0..17).map(|_| ask())).await;
        assert!(matches!(first, Err(PasswordError::Busy)));
        assert!(begin.elapsed() >= REFUSAL_DELAY, "{:?}", begin.elapsed());
    }
}
