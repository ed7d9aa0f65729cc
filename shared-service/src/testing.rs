//! What the tests of both services share: the stores that they run on, tokens made by hand, and checks that both make.

pub mod app;
pub mod configuration;
pub mod flood;
pub mod forge;
pub mod pages;
pub mod property;
pub mod roles;
pub mod routes;
pub mod schema;

use std::path::Path;

use shared_store::testing::{new_database, undisturbed};
use tokio::sync::RwLockReadGuard;

/// A store that a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// `memory:`
    Memory,
    /// A SQLite file.
    Sqlite,
    /// A database of the server at `TEST_POSTGRES_URL`.
    Postgres,
}

impl Store {
    /// The URL of a store that holds nothing yet, in `directory` if it needs one.
    pub async fn new_url(self, directory: &Path) -> String {
        match self {
            Self::Memory => "memory:".to_owned(),
            Self::Sqlite => format!("sqlite://{}/", directory.display()),
            Self::Postgres => new_database().await,
        }
    }

    /// While a test holds this, no other test stops the server of its store.
    pub async fn undisturbed(self) -> Option<RwLockReadGuard<'static, ()>> {
        match self {
            Self::Memory | Self::Sqlite => None,
            Self::Postgres => Some(undisturbed().await),
        }
    }
}

/// Runs async test functions that take a [`Store`] on every store. Those on PostgreSQL need the server that `.ci/run`
/// starts, so they run only when asked for: `cargo test postgres -- --ignored`.
#[macro_export]
macro_rules! on_every_store {
    (@one $store:ident $test:ident [$($attribute:tt)*]) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        $($attribute)*
        async fn $test() {
            let store = $crate::testing::Store::$store;
            let _turn = store.undisturbed().await;
            super::$test(store).await;
        }
    };
    (@all $store:ident $attributes:tt $($test:ident)+) => {
        $($crate::on_every_store! { @one $store $test $attributes })+
    };
    ($($test:ident),+ $(,)?) => {
        mod memory { $crate::on_every_store! { @all Memory [] $($test)+ } }
        $crate::on_lasting_stores! { $($test),+ }
    };
}

/// As [`on_every_store`], but not in memory: what is tested outlasts the process.
#[macro_export]
macro_rules! on_lasting_stores {
    ($($test:ident),+ $(,)?) => {
        mod sqlite { $crate::on_every_store! { @all Sqlite [] $($test)+ } }
        mod postgres { $crate::on_every_store! { @all Postgres [#[ignore = "needs PostgreSQL"]] $($test)+ } }
    };
}
