//! How many lines of the access log one client may cause. A flood of requests must not displace the lines of others.

use std::{
    hash::{BuildHasher, RandomState},
    mem,
    net::IpAddr,
    time::Duration,
};

use super::notice::Notice;
use crate::client::network;

/// Lines are counted for each period. At its end a notice says how many were left out.
pub(crate) const PERIOD: Duration = Duration::from_secs(10);

/// Lines in a period about requests with a valid token: for one client, and for all. No event needs as many.
const USER_LIMIT: u32 = 2_000;
const ALL_USERS_LIMIT: u32 = 20_000;

/// Lines in a period about requests without a valid token, which anybody can send.
const ANONYMOUS_LIMIT: u32 = 200;
const ALL_ANONYMOUS_LIMIT: u32 = 2_000;

/// Slots of a table. Clients whose hashes select the same slot share its limit, which bounds the memory.
const SLOTS: usize = 512;

/// Counts the lines of each client, and the lines that were left out.
pub(crate) struct Rates {
    users: Table,
    anonymous: Table,
    hasher: RandomState,
    /// The number of the current period since 1970.
    period: u64,
    /// The first period with left-out lines that no notice has reported yet.
    notice_of: Option<u64>,
}

struct Table {
    client_limit: u32,
    limit: u32,
    /// The lines of all slots in the current period.
    lines: u32,
    slots: Vec<Slot>,
}

#[derive(Clone, Default)]
struct Slot {
    period: u64,
    lines: u32,
    left_out: u32,
    /// The first client whose line was left out.
    client: Option<IpAddr>,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            users: Table::new(USER_LIMIT, ALL_USERS_LIMIT),
            anonymous: Table::new(ANONYMOUS_LIMIT, ALL_ANONYMOUS_LIMIT),
            hasher: RandomState::new(),
            period: 0,
            notice_of: None,
        }
    }
}

impl Rates {
    /// Whether another line about `client` may be written now, at `second` since 1970. If not, it is counted as left
    /// out.
    pub(crate) fn allow(&mut self, client: Option<IpAddr>, has_token: bool, second: u64) -> bool {
        let period = second / PERIOD.as_secs();
        if period != self.period {
            self.period = period;
            self.users.lines = 0;
            self.anonymous.lines = 0;
        }
        let slot = (self.hasher.hash_one(client.map(network)) % SLOTS as u64) as usize;
        let table = if has_token { &mut self.users } else { &mut self.anonymous };
        let is_allowed = table.allow(slot, client, period);
        if !is_allowed {
            self.notice_of.get_or_insert(period);
        }
        is_allowed
    }

    /// Whether lines were left out that no notice has reported yet.
    pub(crate) fn has_notice(&self) -> bool {
        self.notice_of.is_some()
    }

    /// Whether there are such lines, and their period is over.
    pub(crate) fn is_notice_due(&self, second: u64) -> bool {
        self.notice_of.is_some_and(|period| period != second / PERIOD.as_secs())
    }

    /// The notices that are due, one for each slot.
    pub(crate) fn take_notices(&mut self, second: u64) -> Vec<Notice> {
        if !self.is_notice_due(second) {
            return Vec::new();
        }
        self.notice_of = None;
        self.users.take_notices().chain(self.anonymous.take_notices()).collect()
    }
}

impl Table {
    fn new(client_limit: u32, limit: u32) -> Self {
        Self { client_limit, limit, lines: 0, slots: vec![Slot::default(); SLOTS] }
    }

    fn allow(&mut self, slot: usize, client: Option<IpAddr>, period: u64) -> bool {
        let Some(slot) = self.slots.get_mut(slot) else { return false };
        if slot.period != period {
            slot.period = period;
            slot.lines = 0;
        }
        if slot.lines < self.client_limit && self.lines < self.limit {
            slot.lines += 1;
            self.lines += 1;
            return true;
        }
        if slot.left_out == 0 {
            slot.client = client;
        }
        slot.left_out = slot.left_out.saturating_add(1);
        false
    }

    fn take_notices(&mut self) -> impl Iterator<Item = Notice> {
        self.slots.iter_mut().filter(|slot| slot.left_out > 0).map(|slot| Notice {
            message: "lines of the access log were left out: too many requests of one client",
            lines: mem::take(&mut slot.left_out).into(),
            client: slot.client.map(|client| client.to_string()),
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
    fn the_lines_of_a_client_are_limited_and_one_notice_counts_the_others() {
        for (has_token, most) in [(true, USER_LIMIT), (false, ANONYMOUS_LIMIT)] {
            let mut rates = Rates::default();
            let one = client("198.51.100.1");
            assert_eq!(allowed(&mut rates, one, has_token, NOW, most + 500), most);
            assert_eq!(allowed(&mut rates, one, has_token, NOW + 9, 100), 0);
            assert!(rates.take_notices(NOW + 9).is_empty(), "not before the period is over");

            assert_eq!(allowed(&mut rates, one, has_token, LATER, 10), 10);
            let notices = rates.take_notices(LATER);
            assert_eq!(notices.len(), 1);
            assert_eq!((notices[0].lines, notices[0].client.as_deref()), (600, Some("198.51.100.1")));
            assert!(rates.take_notices(LATER + 100).is_empty(), "once");
        }
    }

    #[test]
    fn requests_without_a_token_use_up_no_lines_of_requests_with_one() {
        let mut rates = Rates::default();
        let one = client("198.51.100.1");
        assert_eq!(allowed(&mut rates, one, false, NOW, 100_000), ANONYMOUS_LIMIT);
        for number in 0..100_000_u32 {
            rates.allow(Some(IpAddr::V4((0x0a00_0000 + number).into())), false, NOW);
        }
        assert_eq!(rates.anonymous.lines, ALL_ANONYMOUS_LIMIT, "however many they are");
        assert_eq!(allowed(&mut rates, one, true, NOW, 500), 500);
        // At most one for each slot.
        assert!(rates.take_notices(LATER).len() <= SLOTS);
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_client() {
        let mut rates = Rates::default();
        let lines =
            (0..1000).filter(|number| rates.allow(client(&format!("2001:db8:0:7::{number:x}")), false, NOW));
        assert_eq!(lines.count(), ANONYMOUS_LIMIT as usize);
    }

    #[test]
    fn a_clock_that_is_set_back_begins_a_new_period() {
        let mut rates = Rates::default();
        let one = client("198.51.100.1");
        assert_eq!(allowed(&mut rates, one, false, LATER, 1000), ANONYMOUS_LIMIT);
        assert_eq!(allowed(&mut rates, one, false, NOW, 1000), ANONYMOUS_LIMIT);
        assert_eq!(rates.take_notices(LATER + 100).iter().map(|notice| notice.lines).sum::<u64>(), 1600);
    }
}
