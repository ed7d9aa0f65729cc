//! When a ticket is accepted.

use std::sync::atomic::{AtomicBool, Ordering};

use chrono::TimeDelta;

use crate::record::Timestamp;

/// How far moments may be ahead of the clock before that is said in the log.
const AHEAD: TimeDelta = TimeDelta::seconds(1);

/// Moments that differ and do not go back within an event, whatever the clock does. After one that was ahead was
/// set right they go on by a microsecond a check-in until the clock has caught up: the order of a list stays, and
/// no time is made up that may have to be made up for.
#[derive(Default)]
pub(super) struct Moments {
    has_warned: AtomicBool,
}

impl Moments {
    /// The moment of a check-in at `now` to an event whose last one was at `latest`.
    pub(super) fn next(&self, latest: Option<Timestamp>, now: Timestamp) -> Timestamp {
        let Some(latest) = latest.filter(|latest| *latest >= now) else { return now };
        self.warn(latest.since(now));
        latest.next()
    }

    /// Says once that the clock is behind by `ahead`, if that is much.
    pub(super) fn warn(&self, ahead: TimeDelta) {
        if ahead > AHEAD && !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                seconds = ahead.num_seconds(),
                "the last check-in of an event is of a moment that is still to come, so the clock was ahead once: \
                 check-ins of that event go on from there, a microsecond apart, until the clock has caught up"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_differ_and_never_go_back() {
        let moment = |micros| Timestamp::from_micros(micros).unwrap();
        let moments = Moments::default();
        for (latest, now, expected) in [
            (None, 5, 5),
            (Some(4), 5, 5),
            (Some(5), 5, 6),
            (Some(6), 5, 7),
            (Some(3_600_000_000), 5, 3_600_000_001),
        ] {
            assert_eq!(moments.next(latest.map(moment), moment(now)), moment(expected), "{latest:?}");
        }
        assert!(moments.has_warned.load(Ordering::Relaxed));
        let at_once = Moments::default();
        at_once.next(Some(moment(1_000_005)), moment(5));
        assert!(!at_once.has_warned.load(Ordering::Relaxed));
    }
}
