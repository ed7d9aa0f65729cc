//! How many check-ins there were in each of the last 60 minutes.

use crate::record::Timestamp;

const MINUTES: usize = 60;

/// Counts the check-ins of the last 60 minutes.
pub(super) struct Arrivals {
    /// A minute is counted at its number modulo 60.
    counts: [u32; MINUTES],
    /// The newest minute that is counted, in minutes since 1970.
    newest: i64,
}

impl Default for Arrivals {
    fn default() -> Self {
        Self { counts: [0; MINUTES], newest: i64::MIN }
    }
}

impl Arrivals {
    /// Counts a check-in.
    pub(super) fn add(&mut self, at: Timestamp) {
        let minute = minute(at);
        self.advance(minute);
        if let Some(count) = self.count(minute) {
            *count += 1;
        }
    }

    /// Takes back a check-in that was counted.
    pub(super) fn remove(&mut self, at: Timestamp) {
        if let Some(count) = self.count(minute(at)) {
            *count = count.saturating_sub(1);
        }
    }

    /// The counts at `now`, oldest first.
    pub(super) fn at(&self, now: Timestamp) -> [u32; MINUTES] {
        let last = self.newest.max(minute(now));
        let first = last - MINUTES as i64 + 1;
        std::array::from_fn(|index| {
            let minute = first + index as i64;
            if minute > self.newest { 0 } else { self.counts[minute.rem_euclid(MINUTES as i64) as usize] }
        })
    }

    /// The count of a minute, if it is one of the 60 that are counted.
    fn count(&mut self, minute: i64) -> Option<&mut u32> {
        let is_counted = minute <= self.newest && self.newest - minute < MINUTES as i64;
        is_counted.then(|| &mut self.counts[minute.rem_euclid(MINUTES as i64) as usize])
    }

    /// Makes `minute` the newest one, if it is newer.
    fn advance(&mut self, minute: i64) {
        let new = minute.saturating_sub(self.newest).clamp(0, MINUTES as i64);
        for minute in minute - new + 1..=minute {
            self.counts[minute.rem_euclid(MINUTES as i64) as usize] = 0;
        }
        self.newest = self.newest.max(minute);
    }
}

fn minute(at: Timestamp) -> i64 {
    at.micros().div_euclid(60_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_micros(minute * 60_000_000 + 59_000_000).unwrap()
    }

    #[test]
    fn a_minute_is_counted_until_it_is_an_hour_old() {
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.at(at(1000)), [0; 60]);
        for minute in [1000, 1000, 1001, 1059] {
            arrivals.add(at(minute));
        }
        let counts = arrivals.at(at(1059));
        assert_eq!((counts[0], counts[1], counts[59]), (2, 1, 1));
        assert_eq!(counts.iter().sum::<u32>(), 4);
        assert_eq!(arrivals.at(at(1060))[0], 1);
        assert_eq!(arrivals.at(at(1118)).iter().sum::<u32>(), 1);
        assert_eq!(arrivals.at(at(1119)), [0; 60]);

        arrivals.add(at(1060));
        let counts = arrivals.at(at(1060));
        assert_eq!(
            (counts[0], counts[58], counts[59]),
            (1, 1, 1),
            "minute 1060 takes the place of minute 1000"
        );
        arrivals.add(at(5000));
        assert_eq!(arrivals.at(at(5000)).iter().sum::<u32>(), 1);
    }

    #[test]
    fn what_is_undone_is_not_counted_and_a_clock_that_is_set_back_loses_nothing() {
        let mut arrivals = Arrivals::default();
        arrivals.add(at(1000));
        arrivals.add(at(1000));
        arrivals.remove(at(1000));
        arrivals.remove(at(900));
        assert_eq!(arrivals.at(at(1000))[59], 1);
        assert_eq!(arrivals.at(at(10))[59], 1);
    }
}
