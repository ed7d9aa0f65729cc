//! Many scans at the same moment; with PostgreSQL at two replicas.

use std::{collections::BTreeMap, sync::Arc};

use shared_service::{on_every_store, testing::Store};
use tempfile::TempDir;
use tokio::sync::Semaphore;

use super::{DUPLICATE, REPLAYED, REUSED, app_at, attempt, attendance, record};
use crate::UNAVAILABLE;

on_every_store![of_scans_at_once_each_ticket_gets_in_once_and_each_attempt_has_one_answer];

/// User, event, ticket and key.
type Attempt = (&'static str, &'static str, String, Option<String>);

const USERS: [&str; 2] = ["panitia1", "panitia2"];
const EVENTS: [&str; 2] = ["even", "odd"];

async fn of_scans_at_once_each_ticket_gets_in_once_and_each_attempt_has_one_answer(store: Store) {
    let one = || "T1".to_owned();
    let (ticket, key) = (|number| format!("T{number}"), |number| Some(format!("k{number}")));
    // And how many are checked in, replayed, refused as duplicates, and refused for their key.
    let of_one_ticket = (0..200).map(|number| (USERS[number % 2], "even", one(), None));
    answers(store, of_one_ticket, [1, 0, 199, 0]).await;
    let of_different_tickets = (0..200).map(|number| (USERS[0], EVENTS[number % 2], ticket(number), None));
    answers(store, of_different_tickets, [200, 0, 0, 0]).await;
    let one_attempt = (0..50).map(|_| (USERS[0], "even", one(), key(1)));
    answers(store, one_attempt, [1, 49, 0, 0]).await;
    // Retries arrive at different moments of the commits of other scans, and at the other replica.
    let four_times = (0..1008).map(|n| n / 84 * 21 + n % 21);
    let attempts_four_times = four_times.map(|n| (USERS[0], EVENTS[n % 2], ticket(n), key(n)));
    answers(store, attempts_four_times, [252, 756, 0, 0]).await;
    let of_one_ticket_with_many_keys =
        (0..200).map(|number| (USERS[number % 2], "even", one(), key(number / 2)));
    answers(store, of_one_ticket_with_many_keys, [1, 0, 199, 0]).await;
    let of_many_tickets_with_one_key =
        (0..200).map(|number| (USERS[0], EVENTS[number % 2], ticket(number), key(1)));
    answers(store, of_many_tickets_with_one_key, [1, 0, 0, 199]).await;
    // Both of a pair meet the same replica, and the next pair the other.
    let pairs = (0..400).map(|n| (USERS[0], EVENTS[n % 2], format!("T{n}"), key(n / 4 * 2 + n % 2)));
    answers(store, pairs, [200, 0, 0, 200]).await;
}

/// Sends `attempts`, fifty at once. Checks how often each answer came, and that the lists hold every accepted ticket.
async fn answers(store: Store, attempts: impl Iterator<Item = Attempt>, expected: [usize; 4]) {
    let directory = TempDir::new().unwrap();
    let url = store.new_url(directory.path()).await;
    let mut doors = vec![app_at(&url, &[]).await];
    if store == Store::Postgres {
        doors.push(app_at(&url, &[]).await);
    }
    // Those under way, so that no request waits for hundreds of others.
    let under_way = Arc::new(Semaphore::new(50));
    let scans: Vec<_> = attempts
        .zip(doors.iter().cloned().cycle())
        .map(|(scan, app)| {
            let under_way = under_way.clone();
            tokio::spawn(async move {
                let _permit = under_way.acquire().await.unwrap();
                let (user, event, ticket, key) = &scan;
                let ask = async || attempt(&app, user, event, ticket, key.as_deref()).await;
                let mut answer = ask().await;
                // The disk of a busy machine may take longer than the service waits.
                let mut is_retried = false;
                while key.is_some() && answer.text() == (503, UNAVAILABLE) {
                    (answer, is_retried) = (ask().await, true);
                }
                (answer, scan, is_retried)
            })
        })
        .collect();
    let mut counts = [0; 4];
    let (mut made, mut replayed) = (BTreeMap::new(), Vec::new());
    for scan in scans {
        let (answer, scan, is_retried) = scan.await.expect("an answer");
        let kind = match (answer.status.as_u16(), answer.header(REPLAYED)) {
            (200, "") => {
                let record = record(&answer);
                assert_eq!((&record["event_id"], &record["checked_in_by"]), (&scan.1.into(), &scan.0.into()));
                assert_eq!(record["ticket_id"], *scan.2);
                assert!(made.insert(scan, answer).is_none(), "one attempt made two records");
                0
            }
            (200, "true") => {
                replayed.push((answer, scan, is_retried));
                continue;
            }
            (400, "") => {
                assert_eq!(answer.text(), (400, DUPLICATE));
                2
            }
            _ => {
                assert_eq!((answer.text(), answer.header(REPLAYED)), ((422, REUSED), ""));
                3
            }
        };
        counts[kind] += 1;
    }
    for (answer, scan, is_retried) in replayed {
        // A client that has no record yet gets it from the replay.
        let is_first = is_retried && !made.contains_key(&scan);
        counts[usize::from(!is_first)] += 1;
        let text = answer.text().1.to_owned();
        assert!(is_first || made.contains_key(&scan), "a replay of nothing: {scan:?}");
        assert_eq!(made.entry(scan).or_insert(answer).text(), (200, &*text));
    }
    assert_eq!(counts, expected);
    for event in EVENTS {
        let list = attendance(&doors[0], event).await.json();
        let records = list["records"].as_array().expect("a list");
        let of_event: Vec<_> = made.iter().filter(|(scan, _)| scan.1 == event).collect();
        assert_eq!((records.len(), &list["total_checked_in"]), (of_event.len(), &of_event.len().into()));
        assert!(of_event.iter().all(|(_, answer)| records.contains(&record(answer))));
        let moments: Vec<_> = records.iter().map(|record| record["checked_in_at"].as_str()).collect();
        assert!(moments.is_sorted(), "oldest first");
    }
}
