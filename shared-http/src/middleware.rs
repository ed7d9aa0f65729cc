//! What every request passes, outermost first: CORS, request id, log line, deadline, panic catcher.
//!
//! All but CORS is one layer of our own. As five layers of tower-http it costs a fifth of the
//! throughput, more than the work of a check-in; see ARCHITECTURE.md.

use std::{
    convert::Infallible,
    hash::{BuildHasher, RandomState},
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{MatchedPath, Request},
    http::{
        HeaderName, HeaderValue, Method,
        header::{AUTHORIZATION, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use futures_util::{FutureExt, future::BoxFuture, poll};
use tokio::time::timeout;
use tower::{Layer, Service};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::{Level, enabled};

use crate::{
    client::{Caller, TrustedProxies},
    error::{ApiError, Cause},
    server::Seat,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

// What a gate in a browser has to be able to send and to see.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Which web pages of other origins may call the service.
#[derive(Clone, Debug, PartialEq)]
pub enum Cors {
    /// None: no CORS header is ever sent.
    Off,
    /// Those of any origin.
    AnyOrigin,
    /// Those of these origins.
    Origins(Vec<HeaderValue>),
}

/// What the stack depends on.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who may call from a web page.
    pub cors: Cors,
    /// A request that takes longer is answered 408 while its body is still on the way, else 503.
    pub deadline: Duration,
    /// Who may say for whom a request is.
    pub trusted_proxies: TrustedProxies,
}

/// Puts the whole stack around all routes of `router`, and JSON in place of its own 404 and 405.
pub fn stack(router: Router, options: Options) -> Router {
    let Options { cors, deadline, trusted_proxies } = options;
    let router = router
        .fallback(async || ApiError::NotFound)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(RequestScopeLayer {
            ids: Arc::new(RequestIds::new()),
            deadline,
            trusted_proxies: trusted_proxies.into(),
        });
    let origins = match cors {
        Cors::Off => return router,
        Cors::AnyOrigin => AllowOrigin::any(),
        Cors::Origins(origins) => AllowOrigin::list(origins),
    };
    router.layer(
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::HEAD, Method::POST])
            .allow_headers([AUTHORIZATION, CONTENT_TYPE, IDEMPOTENCY_KEY, IF_NONE_MATCH, REQUEST_ID])
            .expose_headers([ETAG, IDEMPOTENCY_REPLAYED, RETRY_AFTER, REQUEST_ID])
            .max_age(Duration::from_secs(600)),
    )
}

#[derive(Clone)]
struct RequestScopeLayer {
    ids: Arc<RequestIds>,
    deadline: Duration,
    trusted_proxies: Arc<TrustedProxies>,
}

impl<S> Layer<S> for RequestScopeLayer {
    type Service = RequestScope<S>;

    fn layer(&self, inner: S) -> RequestScope<S> {
        RequestScope { inner, layer: self.clone() }
    }
}

#[derive(Clone)]
struct RequestScope<S> {
    inner: S,
    layer: RequestScopeLayer,
}

impl<S> Service<Request> for RequestScope<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let id = self.layer.ids.of(&request);
        let line = LogLine::begin(&request);
        let seat = request.extensions().get::<Arc<Seat>>().cloned();
        let deadline = self.layer.deadline;
        let address =
            seat.as_ref().map(|seat| self.layer.trusted_proxies.client(seat.peer(), request.headers()));
        request.extensions_mut().insert(Arc::new(Caller::new(address)));
        let answer = AssertUnwindSafe(self.inner.call(request)).catch_unwind();

        Box::pin(async move {
            let mut answer = pin!(answer);
            // Most answers need no waiting: only the others are worth a timer.
            let answered = match poll!(answer.as_mut()) {
                Poll::Ready(answered) => Ok(answered),
                Poll::Pending => timeout(deadline, answer).await,
            };
            let mut response = match answered {
                Ok(Ok(Ok(response))) => response,
                Ok(Err(_panic)) => ApiError::internal("the handler panicked").into_response(),
                Err(_elapsed) if seat.is_some_and(|seat| seat.awaits_body()) => {
                    ApiError::RequestTimeout.into_response()
                }
                Err(_elapsed) => ApiError::Overdue.into_response(),
            };
            line.end(&id, &response);
            response.headers_mut().insert(REQUEST_ID, id);
            Ok(response)
        })
    }
}

/// Names requests, so that an answer and the lines about it in the log can be brought together.
struct RequestIds(AtomicU64);

impl RequestIds {
    /// Counts from anywhere, so that the ids of one process are not those of the next.
    fn new() -> Self {
        Self(AtomicU64::new(RandomState::new().hash_one(0)))
    }

    /// The client's own `X-Request-Id` where it is well-formed, else a new one.
    fn of(&self, request: &Request) -> HeaderValue {
        match request.headers().get(REQUEST_ID) {
            Some(given) if is_well_formed(given.as_bytes()) => given.clone(),
            _ => HeaderValue::from(self.0.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

fn is_well_formed(id: &[u8]) -> bool {
    (1..=64).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// What is logged of a request: never a header, a body, or the raw path.
struct LogLine {
    begin: Option<Instant>,
    method: Method,
    route: Option<MatchedPath>,
}

impl LogLine {
    fn begin(request: &Request) -> Self {
        let route = request.extensions().get::<MatchedPath>().cloned();
        let begin = enabled!(Level::DEBUG).then(Instant::now);
        Self { begin, method: request.method().clone(), route }
    }

    fn end(self, id: &HeaderValue, response: &Response) {
        let method = self.method.as_str();
        let route = self.route.as_ref().map_or("none", MatchedPath::as_str);
        let status = response.status().as_u16();
        match response.extensions().get::<Cause>() {
            Some(Cause(cause)) => {
                tracing::error!(?id, method, route, status, %cause, "request failed");
            }
            None => {
                let microseconds = self.begin.map(|begin| begin.elapsed().as_micros() as u64);
                tracing::debug!(?id, method, route, status, microseconds, "request");
            }
        }
    }
}
