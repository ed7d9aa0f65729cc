//! What holds only of the store in PostgreSQL. Each test needs the server that `.ci/run` starts.

mod lists;
mod outages;
mod replicas;

use shared_store::testing::{new_database, undisturbed};
use tokio::sync::RwLockReadGuard;

/// A new database, of a server that no other test stops.
async fn database() -> (RwLockReadGuard<'static, ()>, String) {
    (undisturbed().await, new_database().await)
}
