//! The listener for metrics. It is separate because metrics are never public.

use std::{future::pending, net::SocketAddr, sync::Arc};

use axum::{Router, extract::State, http::header::CONTENT_TYPE, response::IntoResponse, routing::get};
use prometheus_client::encoding::text::encode;
use tokio::net::TcpListener;

use crate::{
    error::ApiError,
    metrics::{ConnectionMetrics, Registry},
    middleware::{Options, stack},
    process::Failure,
    server::{self, Limits},
};

/// The most connections at a time. Prometheus needs one.
const MAX_CONNECTIONS: usize = 16;

/// Serves `registry` at `/metrics` on `address`, in the text format of Prometheus, until the process ends.
///
/// # Errors
///
/// The address cannot be listened on.
pub async fn serve(address: SocketAddr, registry: Registry) -> Result<(), Failure> {
    let listener = TcpListener::bind(address).await.map_err(|error| Failure::Metrics { address, error })?;
    let address = listener.local_addr()?;
    tracing::info!(metrics = %format_args!("http://{address}/metrics"), "metrics are shown");
    let app = Router::new().route("/metrics", get(show)).with_state(Arc::new(registry));
    let app = stack(app, Options::default());
    let limits = Limits { max_connections: MAX_CONNECTIONS, ..Limits::default() };
    tokio::spawn(server::serve(listener, app, limits, ConnectionMetrics::default(), pending()));
    Ok(())
}

async fn show(State(registry): State<Arc<Registry>>) -> Result<impl IntoResponse, ApiError> {
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|_| ApiError::internal("the metrics cannot be written"))?;
    Ok(([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
}
