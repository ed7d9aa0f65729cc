//! How many lines of the access log one client may fill: a flood must not wash away what others did.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    time::Duration,
};

use super::Notice;
use crate::client::network;

/// What is counted is counted so long, and what was left out is said once after it.
pub(crate) const PERIOD: Duration = Duration::from_secs(10);

/// Lines a period about requests with a good token: of one client, and of all. No event has as many.
const OF_USER: u32 = 2_000;
const OF_USERS: u32 = 20_000;

/// Lines a period about requests without one, which anybody can send.
const OF_STRANGER: u32 = 200;
const OF_STRANGERS: u32 = 2_000;

/// Places in a table. Clients that share one share what it allows: so the memory is bounded, and so are all lines.
const PLACES: usize = 512;

/// Counts lines, and what was left out.
pub(crate) struct Rates {
    users: Table,
    strangers: Table,
    hasher: RandomState,
    /// Which period it is, counted from 1970.
    period: u64,
    /// In which something was left out that has not been said yet.
    left_out_in: Option<u64>,
}

struct Table {
    of_one: u32,
    of_all: u32,
    lines: u32,
    places: Vec<Place>,
}

#[derive(Clone, Default)]
struct Place {
    period: u64,
    lines: u32,
    left_out: u32,
    /// The first of whom a line was left out.
    client: Option<IpAddr>,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            users: Table::new(OF_USER, OF_USERS),
            strangers: Table::new(OF_STRANGER, OF_STRANGERS),
            hasher: RandomState::new(),
            period: 0,
            left_out_in: None,
        }
    }
}

impl Rates {
    /// Whether another line about `client` may be written at this second since 1970; else it is counted.
    pub(crate) fn allow(&mut self, client: Option<IpAddr>, has_token: bool, second: u64) -> bool {
        let period = second / PERIOD.as_secs();
        if period != self.period {
            self.period = period;
            self.users.lines = 0;
            self.strangers.lines = 0;
        }
        let place = (self.hasher.hash_one(client.map(network)) % PLACES as u64) as usize;
        let table = if has_token { &mut self.users } else { &mut self.strangers };
        let is_allowed = table.allow(place, client, period);
        if !is_allowed {
            self.left_out_in.get_or_insert(period);
        }
        is_allowed
    }

    /// Whether something was left out that has not been said yet.
    pub(crate) fn has_left_out(&self) -> bool {
        self.left_out_in.is_some()
    }

    /// Whether it is to be said now: its period is over.
    pub(crate) fn is_due(&self, second: u64) -> bool {
        self.left_out_in.is_some_and(|period| period != second / PERIOD.as_secs())
    }

    /// What there is to be said of periods before this second, if anything.
    pub(crate) fn take_left_out(&mut self, second: u64) -> Vec<Notice> {
        if !self.is_due(second) {
            return Vec::new();
        }
        self.left_out_in = None;
        self.users.take_left_out().chain(self.strangers.take_left_out()).collect()
    }
}

impl Table {
    fn new(of_one: u32, of_all: u32) -> Self {
        Self { of_one, of_all, lines: 0, places: vec![Place::default(); PLACES] }
    }

    fn allow(&mut self, place: usize, client: Option<IpAddr>, period: u64) -> bool {
        let Some(place) = self.places.get_mut(place) else { return false };
        if place.period != period {
            place.period = period;
            place.lines = 0;
        }
        if place.lines < self.of_one && self.lines < self.of_all {
            place.lines += 1;
            self.lines += 1;
            return true;
        }
        if place.left_out == 0 {
            place.client = client;
        }
        place.left_out = place.left_out.saturating_add(1);
        false
    }

    fn take_left_out(&mut self) -> impl Iterator<Item = Notice> {
        self.places.iter_mut().filter(|place| place.left_out > 0).map(|place| Notice {
            message: "lines of the access log were left out: too many requests of one client",
            lines: std::mem::take(&mut place.left_out).into(),
            client: place.client.map(|client| client.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_767_446_750;
    const LATER: u64 = NOW + PERIOD.as_secs();

    fn client(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    fn allowed(rates: &mut Rates, client: Option<IpAddr>, has_token: bool, second: u64, lines: u32) -> u32 {
        (0..lines).map(|_| u32::from(rates.allow(client, has_token, second))).sum()
    }

    #[test]
    fn a_client_fills_so_many_lines_a_period_and_is_told_of_once() {
        for (has_token, most) in [(true, OF_USER), (false, OF_STRANGER)] {
            let mut rates = Rates::default();
            let one = client("198.51.100.1");
            assert_eq!(allowed(&mut rates, one, has_token, NOW, most + 500), most);
            assert_eq!(allowed(&mut rates, one, has_token, NOW + 9, 100), 0);
            assert!(rates.take_left_out(NOW + 9).is_empty(), "not before the period is over");

            assert_eq!(allowed(&mut rates, one, has_token, LATER, 10), 10);
            let notices = rates.take_left_out(LATER);
            assert_eq!(notices.len(), 1);
            assert_eq!((notices[0].lines, notices[0].client.as_deref()), (600, Some("198.51.100.1")));
            assert!(rates.take_left_out(LATER + 100).is_empty(), "once");
        }
    }

    #[test]
    fn what_strangers_send_takes_nothing_from_who_has_a_token() {
        let mut rates = Rates::default();
        let one = client("198.51.100.1");
        assert_eq!(allowed(&mut rates, one, false, NOW, 100_000), OF_STRANGER);
        for number in 0..100_000_u32 {
            rates.allow(Some(IpAddr::V4((0x0a00_0000 + number).into())), false, NOW);
        }
        assert_eq!(rates.strangers.lines, OF_STRANGERS, "however many they are");
        assert_eq!(allowed(&mut rates, one, true, NOW, 500), 500);
        // At most one a place, whoever they were.
        assert!(rates.take_left_out(LATER).len() <= PLACES);
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_client() {
        let mut rates = Rates::default();
        let lines =
            (0..1000).filter(|number| rates.allow(client(&format!("2001:db8:0:7::{number:x}")), false, NOW));
        assert_eq!(lines.count(), OF_STRANGER as usize);
    }

    #[test]
    fn a_clock_that_is_set_back_begins_a_new_period() {
        let mut rates = Rates::default();
        let one = client("198.51.100.1");
        assert_eq!(allowed(&mut rates, one, false, LATER, 1000), OF_STRANGER);
        assert_eq!(allowed(&mut rates, one, false, NOW, 1000), OF_STRANGER);
        assert_eq!(rates.take_left_out(LATER + 100).iter().map(|notice| notice.lines).sum::<u64>(), 1600);
    }
}
