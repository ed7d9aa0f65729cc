//! What holds only of the store in PostgreSQL. Each test needs the server that `.ci/run` starts.

mod lists;
mod log;
mod outages;
mod replicas;
mod store;
mod tickets;
mod undo;

use std::time::Instant;

use shared_store::testing::{new_database, undisturbed};
use sqlx::{Connection, PgConnection, query_scalar};
use tokio::{sync::RwLockReadGuard, time::sleep};

use crate::SECOND;

/// A new database, of a server that no other test stops.
async fn database() -> (RwLockReadGuard<'static, ()>, String) {
    (undisturbed().await, new_database().await)
}

/// Waits until all check-ins have a number. Those that a test inserts as the release before did have none.
async fn all_are_numbered(url: &str) {
    let mut database = PgConnection::connect(url).await.unwrap();
    let ask = "SELECT count(*) FROM attendance.check_ins WHERE entry IS NULL";
    let begin = Instant::now();
    while query_scalar::<_, i64>(ask).fetch_one(&mut database).await.unwrap() > 0 {
        assert!(begin.elapsed() < SECOND * 30);
        sleep(SECOND / 20).await;
    }
}
