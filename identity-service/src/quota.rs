//! The registration quota: how many users one client may register in an hour.
//!
//! Accepted registrations count, and so do those under way. A registration that waits for bcrypt is cancelled when its
//! client disconnects, and then does not count. Once bcrypt has begun it runs to its end, whether or not the client is
//! still there.

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

/// How many clients the quota is kept for. bcrypt lets no more register within an hour.
const MAX_CLIENTS: usize = 1 << 14;

const HOUR: Duration = Duration::from_secs(3600);

/// A rate limit per client, as a leaky bucket (GCRA). What is reserved can be given back.
pub struct Quota {
    /// A secret seed: nobody can choose addresses whose hashes collide.
    hasher: RandomState,
    /// A client's count falls by one this often.
    interval: Duration,
    /// By the hash of the client: when its count will be zero.
    empty_at: Mutex<Cache<u64, Instant>>,
}

/// A registration under way, which counts. If it is dropped without [`Self::commit`], it counts no longer.
#[must_use]
pub struct Reservation {
    quota: Arc<Quota>,
    client: Option<u64>,
}

impl Quota {
    /// Allows a burst of `per_hour`, and as many an hour in the long run.
    pub fn new(per_hour: NonZeroU32) -> Self {
        Self {
            hasher: RandomState::new(),
            interval: HOUR / per_hour.get(),
            empty_at: Mutex::new(Cache::new(MAX_CLIENTS)),
        }
    }

    /// Reserves a registration for `client`, if its quota allows one more at `now`.
    ///
    /// # Errors
    ///
    /// How long to wait until it does.
    pub fn reserve(self: &Arc<Self>, client: IpAddr, now: Instant) -> Result<Reservation, Duration> {
        let client = self.hasher.hash_one(network(client));
        let mut clients = self.empty_at.lock();
        let empty_at = clients.get(&client).map_or(now, |at| now.max(*at)) + self.interval;
        match empty_at.saturating_duration_since(now).checked_sub(HOUR) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                clients.insert(client, empty_at);
                Ok(Reservation { quota: Arc::clone(self), client: Some(client) })
            }
        }
    }
}

impl Reservation {
    /// Keeps the registration counted: it was accepted.
    pub fn commit(mut self) {
        self.client = None;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(client) = self.client
            && let Some(mut empty_at) = self.quota.empty_at.lock().get_mut(&client)
        {
            *empty_at -= self.quota.interval;
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
    fn a_client_registers_a_burst_and_then_as_many_an_hour() {
        let (quota, mut now) = (Arc::new(Quota::new(NonZeroU32::new(7).unwrap())), Instant::now());
        for _ in 0..7 {
            quota.reserve(CLIENT, now).ok().unwrap().commit();
        }
        for _ in 0..20 {
            let wait = quota.reserve(CLIENT, now).err().unwrap();
            assert!(wait <= HOUR / 7, "{wait:?}");
            assert!(quota.reserve(CLIENT, now + wait - Duration::from_millis(1)).is_err());
            now += wait;
            quota.reserve(CLIENT, now).ok().unwrap().commit();
        }
        assert!(quota.reserve(OTHER, now).is_ok());
        now += HOUR;
        for _ in 0..7 {
            quota.reserve(CLIENT, now).ok().unwrap().commit();
        }
        assert!(quota.reserve(CLIENT, now).is_err());
    }

    #[test]
    fn an_ipv6_network_counts_as_one_client() {
        let (quota, now) = (Arc::new(Quota::new(NonZeroU32::MIN)), Instant::now());
        let reserve = |client: &str| quota.reserve(client.parse().unwrap(), now).map(Reservation::commit);
        assert!(reserve("2001:db8:1:2::1").is_ok());
        assert!(reserve("2001:db8:1:2:3:4:5:6").is_err());
        assert!(reserve("2001:db8:1:3::1").is_ok());
    }

    #[test]
    fn a_registration_that_is_not_accepted_counts_only_while_it_is_under_way() {
        let (quota, now) = (Arc::new(Quota::new(NonZeroU32::MIN)), Instant::now());
        for _ in 0..100 {
            let reservation = quota.reserve(CLIENT, now).ok().unwrap();
            assert!(quota.reserve(CLIENT, now).is_err());
            drop(reservation);
        }
        quota.reserve(CLIENT, now).ok().unwrap().commit();
        assert_eq!(quota.reserve(CLIENT, now).err(), Some(HOUR));
    }
}
