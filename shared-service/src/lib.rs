//! What both services have in common: the command line, the start and the end of the process, `/health` and `/ready`,
//! `healthcheck` and `doctor`.
//!
//! A service implements [`Service`], and its `main` calls [`run`].

mod args;
mod doctor;
pub mod health;
mod health_client;
pub mod metrics;
mod process;
mod run;
mod running;
mod service;
#[cfg(feature = "testing")]
#[expect(clippy::expect_used, reason = "a test that cannot go on should say where")]
pub mod testing;

pub use args::{Command, CommonArgs, Task};
pub use run::run;
pub use service::{ATTENDANCE, IDENTITY, Service, ServiceInfo};
