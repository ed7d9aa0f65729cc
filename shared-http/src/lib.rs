//! HTTP plumbing of the TixGo services: what a request meets before and after its handler.
//!
//! Nothing in here knows of users, tokens or tickets.

mod access_log;
pub mod body;
pub mod client;
pub mod config;
pub mod error;
pub mod json;
pub mod log;
pub mod metrics;
pub mod metrics_listener;
pub mod middleware;
pub mod openapi;
pub mod pages;
pub mod process;
pub mod query;
pub mod report;
mod request_id;
mod request_record;
pub mod server;
pub mod shown_settings;
pub mod telemetry;
#[cfg(feature = "testing")]
#[expect(clippy::expect_used, reason = "a test that cannot go on should say where")]
pub mod testing;
pub mod text;
pub mod tls;

pub use body::RawBody;
pub use error::ApiError;
pub use json::ValidJson;
pub use query::ValidQuery;
