//! The middleware around all routes, outermost first: CORS, request id and the headers of every response, log and
//! metrics, deadline, panic handler. For a preflight CORS is innermost, and answers it.
//!
//! All but CORS is one layer of our own. As five layers of tower-http it would cost a fifth of the throughput, which is
//! more than the work of a check-in; see docs/decisions/middleware-layer.md.

mod cors;
mod request_layer;
mod slashes;

use std::time::Duration;

use axum::{
    Router,
    extract::Request,
    response::{IntoResponse, Response},
};

pub use self::cors::Cors;
use self::{cors::CorsRequestLayer, request_layer::RequestLayer, slashes::redirect_without_slashes};
use crate::{client::TrustedProxies, error::ApiError, server::Rejected, telemetry::Telemetry};

/// The settings of the middleware.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who may call from a web page.
    pub cors: Cors,
    /// How long a request may take. After that the response is 408 if the body has not arrived, else 503.
    pub deadline: Duration,
    /// Which proxies may name the client of a request.
    pub trusted_proxies: TrustedProxies,
    /// Where requests are logged and counted.
    pub telemetry: Telemetry,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cors: Cors::Off,
            deadline: Duration::from_secs(10),
            trusted_proxies: TrustedProxies::default(),
            telemetry: Telemetry::default(),
        }
    }
}

/// Puts the middleware around all routes of `router`, and replaces the 404 and 405 of the router by JSON.
pub fn stack(router: Router, options: Options) -> Router {
    let Options { cors, deadline, trusted_proxies, telemetry } = options;
    let known_paths = router.clone();
    let router = router
        .fallback(move |request: Request| unrouted(known_paths, request))
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed);
    let layer = RequestLayer::new(deadline, trusted_proxies, telemetry);
    match CorsRequestLayer::new(cors, layer.clone()) {
        None => router.layer(layer),
        Some(with_cors) => router.layer(with_cors),
    }
}

/// Responds where there is no route.
async fn unrouted(known_paths: Router, request: Request) -> Response {
    match request.extensions().get::<Rejected>() {
        Some(rejected) => ApiError::from(*rejected).into_response(),
        None => redirect_without_slashes(known_paths, request).await,
    }
}
