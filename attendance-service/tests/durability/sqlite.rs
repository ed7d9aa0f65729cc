//! The stories of `restarts`, told to a SQLite file.

use tempfile::TempDir;

use crate::{restarts, service};

#[tokio::test]
async fn check_ins_keys_order_and_moments_survive() {
    let directory = TempDir::new().unwrap();
    restarts::check_ins_keys_order_and_moments_survive(|| service(directory.path())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_was_green_before_a_kill_is_there_afterwards_and_once() {
    let directory = TempDir::new().unwrap();
    restarts::whatever_was_green_before_a_kill_is_there_afterwards_and_once(
        || service(directory.path()),
        async || {},
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hangs_up_at_any_point_gets_its_answer_when_it_asks_again() {
    let directory = TempDir::new().unwrap();
    restarts::a_client_that_hangs_up_at_any_point_gets_its_answer_when_it_asks_again(|| {
        service(directory.path())
    })
    .await;
}
