//! The time, which never goes back while the process runs.
//!
//! A set-top box has no clock battery: after a power cut its clock starts in the past, and jumps when the network is
//! there. A session must outlast both.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// A moment, in microseconds since 1970.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Micros(pub i64);

impl Micros {
    /// What the clock of the machine shows. A clock that shows a time before 1970 is not set yet, and counts as 1970.
    pub fn of_machine() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::default() + since
    }

    /// How much later it is than `earlier`; nothing if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0).try_into().unwrap_or_default())
    }
}

impl std::ops::Add<Duration> for Micros {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(by))
    }
}

/// The time by which sessions end.
pub struct Clock {
    machine: Box<dyn Fn() -> Micros + Send + Sync>,
    /// The latest time that was read, and when that was.
    latest: Mutex<(Micros, Instant)>,
}

impl Clock {
    /// The clock that `machine` reads, which shows nothing before `earliest`.
    pub fn new(earliest: Micros, machine: impl Fn() -> Micros + Send + Sync + 'static) -> Self {
        Self { machine: Box::new(machine), latest: Mutex::new((earliest, Instant::now())) }
    }

    /// The time: that of the machine, unless it has gone back. Then the time goes on from the latest one.
    pub fn now(&self) -> Micros {
        let mut latest = self.latest.lock();
        let (time, read_at) = *latest;
        let now = (self.machine)().max(time + read_at.elapsed());
        *latest = (now, Instant::now());
        now
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    };

    use super::*;

    #[test]
    fn the_time_follows_the_machine_forward_and_never_back() {
        let shown = Arc::new(AtomicI64::new(1_000_000));
        let machine = Arc::clone(&shown);
        let clock = Clock::new(Micros(0), move || Micros(machine.load(Ordering::Relaxed)));
        assert!(clock.now() >= Micros(1_000_000));
        shown.store(9_000_000_000, Ordering::Relaxed);
        let forward = clock.now();
        assert!(forward >= Micros(9_000_000_000));
        shown.store(5, Ordering::Relaxed);
        let back = clock.now();
        assert!(back >= forward && clock.now() >= back);
    }

    #[test]
    fn the_time_begins_no_earlier_than_it_was_before() {
        let clock = Clock::new(Micros(7_000_000), || Micros(3));
        assert!(clock.now() >= Micros(7_000_000));
    }

    #[test]
    fn a_moment_that_is_not_later_is_not_far() {
        assert_eq!(Micros(5).since(Micros(9)), Duration::ZERO);
        assert_eq!(Micros(9).since(Micros(5)), Duration::from_micros(4));
        assert_eq!(Micros(i64::MIN).since(Micros(i64::MAX)), Duration::ZERO);
    }
}
