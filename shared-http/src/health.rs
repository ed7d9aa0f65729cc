//! `/health`, and the client that asks for it from inside a container that has no curl.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use axum::{
    body::Body,
    http::{Request, StatusCode, header::HOST},
};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::{net::TcpStream, time::timeout};
use utoipa::ToSchema;

/// The answer of `GET /health`: the process is up.
#[derive(Serialize, ToSchema)]
pub struct Health {
    /// Always `ok`.
    #[schema(example = "ok")]
    pub status: &'static str,
    /// Which service answers.
    pub service: &'static str,
}

/// Asks the service that listens on `address` for its `/health`, over loopback where it listens on
/// every address.
///
/// # Errors
///
/// A sentence that tells why the service is not well: it cannot be reached, or does not answer 200
/// within three seconds.
pub async fn check(address: SocketAddr) -> Result<(), String> {
    let host = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        specific => specific,
    };
    let address = SocketAddr::new(host, address.port());
    match timeout(Duration::from_secs(3), ask(address)).await {
        Ok(Ok(StatusCode::OK)) => Ok(()),
        Ok(Ok(status)) => Err(format!("http://{address}/health answers {status}")),
        Ok(Err(error)) => Err(format!("http://{address}/health cannot be reached: {error}")),
        Err(_elapsed) => Err(format!("http://{address}/health does not answer")),
    }
}

async fn ask(address: SocketAddr) -> Result<StatusCode, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get("/health").header(HOST, address.to_string()).body(Body::empty())?;
    let answer = async { Ok(sender.send_request(request).await?.status()) };
    tokio::select! {
        answer = answer => answer,
        ended = connection => Err(ended.err().map_or_else(|| "connection closed".into(), Into::into)),
    }
}
