//! The quota: how many users one client may register in an hour. Registrations that are accepted count, and those
//! under way. From when bcrypt begins a registration goes on to its end, also when the client hangs up; one that waits
//! for bcrypt ends with its connection and does not count.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use quick_cache::unsync::Cache;
use shared_http::client::network;

/// How many clients are remembered. bcrypt lets no more in within the hour.
const REMEMBERED: usize = 1 << 14;

const HOUR: Duration = Duration::from_secs(3600);

/// What is left for whom.
pub struct Quota {
    /// Whoever does not know its seed cannot choose addresses that are taken for each other.
    keys: RandomState,
    /// How long it takes to forget one registration.
    forget: Duration,
    /// When all of a client's registrations will be forgotten.
    clients: Mutex<Cache<u64, Instant>>,
}

/// A registration under way. Dropped it counts for nothing.
#[must_use]
pub struct Place {
    quota: Arc<Quota>,
    client: Option<u64>,
}

impl Quota {
    /// Allows `per_hour` at once, and as many every hour.
    pub fn new(per_hour: NonZeroU32) -> Self {
        Self {
            keys: RandomState::new(),
            forget: HOUR / per_hour.get(),
            clients: Mutex::new(Cache::new(REMEMBERED)),
        }
    }

    /// Counts a registration by `client`, if there is one left at `now`.
    ///
    /// # Errors
    ///
    /// How long to wait for the next one.
    pub fn take(self: &Arc<Self>, client: IpAddr, now: Instant) -> Result<Place, Duration> {
        let client = self.keys.hash_one(network(client));
        let mut clients = self.clients.lock();
        let forgotten_at = clients.get(&client).map_or(now, |at| now.max(*at)) + self.forget;
        match forgotten_at.saturating_duration_since(now).checked_sub(HOUR) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                clients.insert(client, forgotten_at);
                Ok(Place { quota: Arc::clone(self), client: Some(client) })
            }
        }
    }
}

impl Place {
    /// The registration was accepted.
    pub fn keep(mut self) {
        self.client = None;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(client) = self.client
            && let Some(mut forgotten_at) = self.quota.clients.lock().get_mut(&client)
        {
            *forgotten_at -= self.quota.forget;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn a_client_registers_so_many_at_once_and_then_as_many_an_hour() {
        let (quota, mut now) = (Arc::new(Quota::new(NonZeroU32::new(7).unwrap())), Instant::now());
        for _ in 0..7 {
            quota.take(CLIENT, now).ok().unwrap().keep();
        }
        for _ in 0..20 {
            let wait = quota.take(CLIENT, now).err().unwrap();
            assert!(wait <= HOUR / 7, "{wait:?}");
            assert!(quota.take(CLIENT, now + wait - Duration::from_millis(1)).is_err());
            now += wait;
            quota.take(CLIENT, now).ok().unwrap().keep();
        }
        assert!(quota.take(OTHER, now).is_ok());
        now += HOUR;
        for _ in 0..7 {
            quota.take(CLIENT, now).ok().unwrap().keep();
        }
        assert!(quota.take(CLIENT, now).is_err());
    }

    #[test]
    fn a_registration_that_is_not_accepted_counts_while_it_is_under_way_only() {
        let (quota, now) = (Arc::new(Quota::new(NonZeroU32::MIN)), Instant::now());
        for _ in 0..100 {
            let place = quota.take(CLIENT, now).ok().unwrap();
            assert!(quota.take(CLIENT, now).is_err());
            drop(place);
        }
        quota.take(CLIENT, now).ok().unwrap().keep();
        assert_eq!(quota.take(CLIENT, now).err(), Some(HOUR));
    }
}
