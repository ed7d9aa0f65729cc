//! The login guard by itself, with times that the tests choose. What it does is told by the model at the end; the tests
//! before it are examples, and what the model leaves out.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use identity_service::login_guard::{LoginGuard, Refusal};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::SECOND;

const HOME: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));

fn address(number: u32) -> Option<IpAddr> {
    Some(Ipv4Addr::from_bits(0x0a00_0000 + number).into())
}

/// A login with a wrong password, or the refusal to check it.
fn fail(
    guard: &Arc<LoginGuard>,
    username: &str,
    client: Option<IpAddr>,
    now: Instant,
) -> Result<(), Refusal> {
    guard.try_begin(username, client, now).map(|attempt| attempt.failed(now))
}

/// A login with the right password, or the refusal to check it.
fn succeed(
    guard: &Arc<LoginGuard>,
    username: &str,
    client: Option<IpAddr>,
    now: Instant,
) -> Result<(), Refusal> {
    guard.try_begin(username, client, now).map(|attempt| attempt.succeeded(now))
}

#[test]
fn five_failures_are_free_and_the_delay_doubles_up_to_a_minute() {
    let (guard, mut now) = (Arc::new(LoginGuard::new()), Instant::now());
    for number in 0..5 {
        assert_eq!(fail(&guard, "budi", address(number), now), Ok(()), "{number}");
    }
    for seconds in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
        let wait = Refusal::Wait(SECOND * seconds);
        assert_eq!(fail(&guard, "budi", HOME, now), Err(wait), "whatever the address");
        now += SECOND * seconds - Duration::from_millis(1);
        assert_eq!(fail(&guard, "budi", HOME, now), Err(Refusal::Wait(Duration::from_millis(1))));
        now += Duration::from_millis(1);
        assert_eq!(fail(&guard, "siti", address(seconds), now), Ok(()), "another account");
        assert_eq!(fail(&guard, "budi", HOME, now), Ok(()), "after {seconds} seconds");
    }
}

#[test]
fn refreshes_are_counted_for_an_address_and_apart_from_logins() {
    let (guard, now) = (Arc::new(LoginGuard::new()), Instant::now());
    let fail_refresh = |client| guard.try_begin_refresh(client, now).map(|attempt| attempt.failed(now));
    for _ in 0..200 {
        // What fails for a reason of ours is not counted.
        guard.try_begin_refresh(HOME, now).unwrap().cancel();
    }
    for number in 0..100 {
        assert_eq!(fail_refresh(HOME), Ok(()), "{number}");
    }
    assert_eq!(fail_refresh(HOME), Err(Refusal::Wait(SECOND)));
    assert_eq!(fail_refresh(address(1)), Ok(()), "another address");
    assert_eq!(fail_refresh(None), Ok(()), "a request over no socket");
    assert_eq!(succeed(&guard, "budi", HOME, now), Ok(()), "a login from the same address");
    assert!(guard.try_begin_refresh(HOME, now + SECOND).is_ok());

    // Those that succeed are limited as logins are.
    for number in 0..600 {
        let attempt = guard.try_begin_refresh(address(2), now);
        assert_eq!(attempt.map(|attempt| attempt.succeeded(now)), Ok(()), "{number}");
    }
    let wait = Duration::from_millis(200);
    assert_eq!(guard.try_begin_refresh(address(2), now).err(), Some(Refusal::Wait(wait)));
}

#[test]
fn an_attempt_that_is_cancelled_makes_room_for_others() {
    let (guard, now) = (Arc::new(LoginGuard::new()), Instant::now());
    let under_way: Vec<_> = (0..100).map(|_| guard.try_begin_refresh(HOME, now).unwrap()).collect();
    assert_eq!(guard.try_begin_refresh(HOME, now).err(), Some(Refusal::Pending));
    let mut waiting = Box::pin(guard.begin_refresh(HOME));
    assert!((&mut waiting).now_or_never().is_none());
    for attempt in under_way {
        attempt.cancel();
    }
    assert!(waiting.now_or_never().is_some());
}

#[test]
fn failures_decay_one_by_one() {
    let (guard, mut now) = (Arc::new(LoginGuard::new()), Instant::now());
    for _ in 0..5 {
        fail(&guard, "budi", None, now).unwrap();
    }
    for _ in 0..20 {
        now += SECOND * 120;
        assert_eq!(fail(&guard, "budi", None, now), Ok(()));
        assert_eq!(fail(&guard, "budi", None, now), Err(Refusal::Wait(SECOND)));
    }
    // The count is bounded, however many failures there were.
    for _ in 0..100 {
        now += SECOND * 60;
        fail(&guard, "budi", None, now).unwrap();
    }
    now += SECOND * 22 * 60;
    for number in 0..5 {
        assert_eq!(fail(&guard, "budi", None, now), Ok(()), "{number}");
    }
}

#[test]
fn an_address_may_fail_a_hundred_times() {
    let (guard, now) = (Arc::new(LoginGuard::new()), Instant::now());
    for number in 0..100 {
        assert_eq!(fail(&guard, &format!("user {number}"), HOME, now), Ok(()), "{number}");
    }
    assert_eq!(fail(&guard, "user", HOME, now), Err(Refusal::Wait(SECOND)));
    assert_eq!(fail(&guard, "user", address(1), now), Ok(()));
    // Refused for its address, an attempt does not count against the account.
    for _ in 0..100 {
        let _ = fail(&guard, "budi", HOME, now);
    }
    assert_eq!(fail(&guard, "budi", address(1), now), Ok(()));
    assert_eq!(fail(&guard, "user", HOME, now + SECOND), Ok(()));
}

#[test]
fn an_attempt_without_a_result_is_a_failure() {
    let guard = Arc::new(LoginGuard::new());
    for number in 0..5 {
        drop(guard.try_begin("budi", address(number), Instant::now()).ok().unwrap());
    }
    let now = Instant::now();
    assert!(matches!(fail(&guard, "budi", HOME, now), Err(Refusal::Wait(wait)) if wait <= SECOND));
    assert!(guard.check("budi", HOME).is_err_and(|wait| wait <= SECOND));
}

#[test]
fn after_too_many_logins_there_is_a_wait_between_two_logins() {
    let (guard, mut now) = (Arc::new(LoginGuard::new()), Instant::now());
    // The first is counted for the account and makes the device known; the other 60 are counted for the device.
    for number in 0..61 {
        assert_eq!(succeed(&guard, "budi", HOME, now), Ok(()), "{number}");
    }
    for _ in 0..100 {
        assert_eq!(succeed(&guard, "budi", HOME, now), Err(Refusal::Wait(SECOND * 2)));
        assert_eq!(succeed(&guard, "siti", HOME, now), Ok(()), "another account");
        assert_eq!(succeed(&guard, "budi", address(1), now), Ok(()), "another device");
        now += SECOND * 2;
        assert_eq!(succeed(&guard, "budi", HOME, now), Ok(()));
    }
    // From new addresses: the limit of the account.
    for number in 2..62 {
        assert_eq!(succeed(&guard, "budi", address(number), now), Ok(()), "{number}");
    }
    assert!(matches!(succeed(&guard, "budi", address(62), now), Err(Refusal::Wait(_))));
}

#[test]
fn a_committee_behind_one_address_never_meets_the_login_limit() {
    let (guard, mut now) = (Arc::new(LoginGuard::new()), Instant::now());
    for minute in 0..10 {
        for number in 0..50 {
            let username = format!("panitia {number}");
            assert_eq!(succeed(&guard, &username, HOME, now), Ok(()), "{minute} {number}");
        }
        now += SECOND * 60;
    }
    // Nor do those who register and log in one by one.
    for number in 0..1000 {
        assert_eq!(succeed(&guard, &format!("tamu {number}"), HOME, now), Ok(()), "{number}");
        now += SECOND / 5;
    }
    for number in 0..600 {
        assert_eq!(succeed(&guard, &format!("bot {number}"), address(1), now), Ok(()), "{number}");
    }
    assert_eq!(succeed(&guard, "bot", address(1), now), Err(Refusal::Wait(SECOND / 5)));
    assert_eq!(succeed(&guard, "bot 1", address(1), now), Ok(()), "a device that logged in before");
}

#[tokio::test]
async fn an_attempt_that_depends_on_others_waits_for_their_results() {
    let guard = Arc::new(LoginGuard::new());
    let mut pending: Vec<_> =
        (0..5).map(|number| guard.try_begin("budi", address(number), Instant::now()).ok().unwrap()).collect();
    let mut waiting = Box::pin(guard.begin("budi", HOME));
    assert!(waiting.as_mut().now_or_never().is_none());
    assert_eq!(guard.check("budi", HOME), Ok(()), "nobody has failed");
    pending.pop().unwrap().succeeded(Instant::now());
    let attempt = waiting.await.ok().unwrap();
    pending.push(attempt);
    let waiting = guard.begin("budi", HOME);
    pending.into_iter().for_each(|attempt| attempt.failed(Instant::now()));
    assert!(waiting.await.is_err_and(|wait| wait <= SECOND));
}

#[test]
fn an_ipv6_network_counts_as_one_client_and_a_mapped_address_as_what_it_stands_for() {
    let rows = [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
        ("192.0.2.1", "::ffff:192.0.2.1", true),
        ("192.0.2.1", "192.0.2.2", false),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
    ];
    for (one, other, same) in rows {
        let (guard, now) = (Arc::new(LoginGuard::new()), Instant::now());
        for number in 0..100 {
            fail(&guard, &format!("user {number}"), Some(one.parse().unwrap()), now).unwrap();
        }
        let refused = fail(&guard, "user", Some(other.parse().unwrap()), now).is_err();
        assert_eq!(refused, same, "{one} {other}");
    }
}

#[test]
fn a_hundred_thousand_names_and_addresses_take_less_than_20_megabytes() {
    let taken = allocation_counter::measure(|| {
        let (guard, now) = (Arc::new(LoginGuard::new()), Instant::now());
        for number in 0..100_000 {
            // Long names, to see that names are not stored.
            let username = format!("{number}{}", "x".repeat(1000));
            fail(&guard, &username, address(number), now).unwrap();
            succeed(&guard, &username, address(200_000 + number), now).unwrap();
        }
    });
    assert!(taken.bytes_max < 20 << 20, "{taken:?}");
}

/// The counter of an account under attack is looked up again and again, so a flood of names does not evict it.
#[test]
fn a_flood_of_names_evicts_neither_an_account_under_attack_nor_a_device_in_use() {
    let (guard, now) = (Arc::new(LoginGuard::new()), Instant::now());
    for _ in 0..2 {
        succeed(&guard, "siti", HOME, now).unwrap();
    }
    for number in 0..5 {
        fail(&guard, "budi", address(number), now).unwrap();
    }
    for number in 0..100_000 {
        assert_eq!(fail(&guard, "budi", HOME, now), Err(Refusal::Wait(SECOND)), "{number}");
        let _ = fail(&guard, &format!("user {number}"), address(1000 + number), now);
    }
    for number in 0..1000 {
        let _ = fail(&guard, "siti", address(number), now);
    }
    assert_eq!(succeed(&guard, "siti", HOME, now), Ok(()));
}

#[derive(Clone, Debug)]
enum Step {
    Begin {
        account: usize,
        address: usize,
    },
    /// Ends the attempt under way of this index, modulo their number.
    End {
        attempt: usize,
        password: PasswordIs,
    },
    Wait {
        milliseconds: u64,
    },
}

#[derive(Clone, Copy, Debug)]
enum PasswordIs {
    Wrong,
    Right,
}

/// The same rules, with a list of failures instead of a single time.
#[derive(Default)]
struct Model {
    known: HashSet<(usize, usize)>,
    counters: HashMap<Key, ModelCounter>,
}

#[derive(Clone, Copy, Eq, Hash, PartialEq)]
enum Key {
    Account(usize),
    Address(usize),
    Device(usize, usize),
}

#[derive(Default)]
struct ModelCounter {
    pending: usize,
    /// When each failure expires, in milliseconds.
    failures: VecDeque<u64>,
    refused_until: u64,
    /// When the last login expires.
    logins_until: u64,
}

impl Model {
    fn keys(&self, account: usize, address: usize) -> Vec<Key> {
        if self.known.contains(&(account, address)) {
            vec![Key::Device(account, address)]
        } else {
            vec![Key::Account(account), Key::Address(address)]
        }
    }

    fn refusal(&mut self, keys: &[Key], now: u64) -> Option<Refusal> {
        let refusals = keys.iter().filter_map(|key| {
            let (free, _, free_logins, login_decay) = limits(*key);
            let counter = self.counters.entry(*key).or_default();
            counter.failures.retain(|expiry| *expiry > now);
            let allowed_at = counter.logins_until.saturating_sub(login_decay * (free_logins - 1));
            let logins = (allowed_at > now).then(|| Refusal::Wait(Duration::from_millis(allowed_at - now)));
            let failures = if counter.failures.len() + counter.pending < free {
                None
            } else if counter.failures.len() >= free && counter.refused_until > now {
                Some(Refusal::Wait(Duration::from_millis(counter.refused_until - now)))
            } else {
                (counter.pending > 0).then_some(Refusal::Pending)
            };
            failures.max(logins)
        });
        refusals.max()
    }

    fn fail(&mut self, key: Key, now: u64) {
        let (free, failure_decay, ..) = limits(key);
        let counter = self.counters.get_mut(&key).unwrap();
        counter.pending -= 1;
        counter.failures.retain(|expiry| *expiry > now);
        let last = counter.failures.back().copied().unwrap_or(now);
        counter.failures.push_back(last + failure_decay);
        let most = free + 6;
        if *counter.failures.back().unwrap() > now + failure_decay * most as u64 {
            counter.failures = (1..=most as u64).map(|number| now + failure_decay * number).collect();
        }
        let delay = match counter.failures.len() {
            few if few < free => 0,
            many => (1000 << (many - free)).min(60_000),
        };
        counter.refused_until = now + delay;
    }
}

/// Free failures, their decay in milliseconds, free logins, and their decay.
fn limits(key: Key) -> (usize, u64, u64, u64) {
    match key {
        Key::Address(_) => (100, 10_000, 600, 200),
        Key::Account(_) | Key::Device(..) => (5, 120_000, 60, 2000),
    }
}

/// Many wrong passwords, on few accounts or on many, or many logins to one.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let modes = [
        // Accounts, wrong and right passwords, and the longest of short, long and very long waits.
        (4_usize, 8, 1, [2000, 70_000, 900_000_u64]),
        (1000, 8, 1, [100, 2000, 20_000]),
        (1, 1, 8, [500, 2000, 5000]),
    ];
    select(modes.to_vec()).prop_flat_map(|(accounts, wrong, right, [short, long, very_long])| {
        let password = prop_oneof![wrong => Just(PasswordIs::Wrong), right => Just(PasswordIs::Right)];
        let wait = prop_oneof![4 => 0..short, 2 => 0..long, 1 => 0..very_long];
        let step = prop_oneof![
            8 => (0..accounts, 0..2_usize).prop_map(|(account, address)| Step::Begin { account, address }),
            7 => (any::<usize>(), password).prop_map(|(attempt, password)| Step::End { attempt, password }),
            3 => wait.prop_map(|milliseconds| Step::Wait { milliseconds }),
        ];
        vec(step, 1..800)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_attempts_agrees_with_the_model(steps in steps()) {
        let (guard, start) = (Arc::new(LoginGuard::new()), Instant::now());
        let (mut model, mut now, mut under_way) = (Model::default(), 0, Vec::new());
        for step in steps {
            let at = start + Duration::from_millis(now);
            match step {
                Step::Begin { account, address: number } => {
                    let keys = model.keys(account, number);
                    let expected = model.refusal(&keys, now);
                    match guard.try_begin(&account.to_string(), address(number as u32), at) {
                        Ok(attempt) => {
                            prop_assert_eq!(expected, None);
                            keys.iter().for_each(|key| model.counters.get_mut(key).unwrap().pending += 1);
                            under_way.push((attempt, (account, number), keys));
                        }
                        Err(refusal) => prop_assert_eq!(Some(refusal), expected),
                    }
                }
                Step::End { attempt, password } if !under_way.is_empty() => {
                    let (attempt, device, keys) = under_way.swap_remove(attempt % under_way.len());
                    match password {
                        PasswordIs::Wrong => {
                            attempt.failed(at);
                            keys.into_iter().for_each(|key| model.fail(key, now));
                            continue;
                        }
                        PasswordIs::Right => {
                            attempt.succeeded(at);
                            for key in &keys {
                                let counter = model.counters.get_mut(key).unwrap();
                                counter.logins_until = counter.logins_until.max(now) + limits(*key).3;
                            }
                            model.known.insert(device);
                            let key = Key::Device(device.0, device.1);
                            model.counters.entry(key).or_default().failures.clear();
                        }
                    }
                    keys.iter().for_each(|key| model.counters.get_mut(key).unwrap().pending -= 1);
                }
                Step::End { .. } => {}
                Step::Wait { milliseconds } => now += milliseconds,
            }
        }
    }
}
