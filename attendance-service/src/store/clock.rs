//! Times of acceptance.

use std::sync::atomic::{AtomicBool, Ordering};

use chrono::TimeDelta;

use crate::record::Timestamp;

/// A warning is logged if an event's latest check-in is further than this ahead of the system clock.
const MAX_AHEAD: TimeDelta = TimeDelta::seconds(1);

/// Gives timestamps that strictly increase within an event, whatever the system clock does.
///
/// If the system clock was ahead and is set back, timestamps increase by a microsecond a check-in until the clock has
/// caught up. This keeps the order of the list.
#[derive(Default)]
pub(super) struct MonotonicClock {
    has_warned: AtomicBool,
}

impl MonotonicClock {
    /// The timestamp of a check-in at `now` to an event whose last one has the timestamp `latest`.
    pub(super) fn next(&self, latest: Option<Timestamp>, now: Timestamp) -> Timestamp {
        let Some(latest) = latest.filter(|latest| *latest >= now) else { return now };
        self.warn_if_ahead(latest.since(now));
        latest.next()
    }

    /// Logs once that an event's latest check-in is `ahead` of the clock, if that is much.
    pub(super) fn warn_if_ahead(&self, ahead: TimeDelta) {
        if ahead > MAX_AHEAD && !self.has_warned.swap(true, Ordering::Relaxed) {
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
    fn timestamps_differ_and_never_go_back() {
        let moment = |micros| Timestamp::from_micros(micros).unwrap();
        let clock = MonotonicClock::default();
        for (latest, now, expected) in [
            (None, 5, 5),
            (Some(4), 5, 5),
            (Some(5), 5, 6),
            (Some(6), 5, 7),
            (Some(3_600_000_000), 5, 3_600_000_001),
        ] {
            assert_eq!(clock.next(latest.map(moment), moment(now)), moment(expected), "{latest:?}");
        }
        assert!(clock.has_warned.load(Ordering::Relaxed));
        let at_once = MonotonicClock::default();
        at_once.next(Some(moment(1_000_005)), moment(5));
        assert!(!at_once.has_warned.load(Ordering::Relaxed));
    }
}
