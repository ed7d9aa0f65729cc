//! Why a service's process ends with an error.

mod config_error;

use std::{error::Error, io, net::SocketAddr};

pub use self::config_error::ConfigError;
use crate::tls::TlsError;

/// Why a process ends with an error.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The configuration is wrong. Exit status 78; all other failures have 1.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address of the service cannot be listened on.
    #[error("cannot listen on {address}: {error}. Stop what listens there, or set HOST and PORT.")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The address of the metrics cannot be listened on.
    #[error("cannot show metrics on {address}: {error}. Stop what listens there, or set METRICS_ADDR.")]
    Metrics {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// There is no certificate to speak TLS with.
    #[error("cannot start: {0}")]
    Tls(#[from] TlsError),
    /// `healthcheck` found the service unhealthy, for this reason.
    #[error("{0}")]
    Unhealthy(String),
    /// This many checks of `doctor` failed.
    #[error("{0} wrong")]
    ChecksFailed(usize),
    /// The system refused something basic, such as a thread.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
    /// The store cannot be opened.
    #[error("cannot start: {0}")]
    Store(Box<dyn Error + Send + Sync>),
    /// A subcommand on the stored data failed, such as `backup` or `users`.
    #[error("{0}")]
    Maintenance(Box<dyn Error + Send + Sync>),
}
