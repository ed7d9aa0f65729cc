//! Where the server listens, and whether it speaks TLS there.

use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::TcpListener;

use super::tls::Tls;

/// A TCP listener, with TLS or without.
pub struct Listener {
    pub(super) tcp: TcpListener,
    pub(super) tls: Option<Tls>,
}

impl Listener {
    /// Speaks TLS on `tcp` if there is a `config`.
    pub fn new(tcp: TcpListener, config: Option<Arc<ServerConfig>>) -> Self {
        Self { tcp, tls: config.map(Tls::new) }
    }
}

impl From<TcpListener> for Listener {
    fn from(tcp: TcpListener) -> Self {
        Self { tcp, tls: None }
    }
}
