//! What every request passes, outermost first: CORS, request id and the headers of every answer, log and
//! metrics, deadline, panic catcher. A preflight passes all but CORS first, and is answered by CORS.
//!
//! All but CORS is one layer of our own. As five layers of tower-http it costs a fifth of the
//! throughput, more than the work of a check-in; see ARCHITECTURE.md.

mod cors;
mod slashes;

use std::{
    convert::Infallible,
    hash::{BuildHasher, RandomState},
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    extract::{MatchedPath, Request},
    http::{
        HeaderName, HeaderValue, Method,
        header::{REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture, poll};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::timeout;
use tower::{Layer, Service};

pub use cors::Cors;

use self::{cors::CorsScopeLayer, slashes::without_slashes};
use crate::{
    access_log::Line,
    client::{Caller, TrustedProxies},
    error::{ApiError, Cause},
    metrics::method_label,
    server::{Rejected, Seat},
    telemetry::Telemetry,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the stack depends on.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who may call from a web page.
    pub cors: Cors,
    /// A request that takes longer is answered 408 while its body is still on the way, else 503.
    pub deadline: Duration,
    /// Who may say for whom a request is.
    pub trusted_proxies: TrustedProxies,
    /// What is told of requests.
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

/// Puts the whole stack around all routes of `router`, and JSON in place of its own 404 and 405.
pub fn stack(router: Router, options: Options) -> Router {
    let Options { cors, deadline, trusted_proxies, telemetry } = options;
    let known_paths = router.clone();
    let router = router
        .fallback(move |request: Request| unrouted(known_paths, request))
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed);
    let scope = RequestScopeLayer(Arc::new(Scope {
        ids: RequestIds::new(),
        deadline,
        trusted_proxies,
        has_warned: AtomicBool::default(),
        telemetry,
    }));
    match CorsScopeLayer::new(cors, scope.clone()) {
        None => router.layer(scope),
        Some(cors) => router.layer(cors),
    }
}

/// The answer to what no route takes.
async fn unrouted(known_paths: Router, request: Request) -> Response {
    match request.extensions().get::<Rejected>() {
        Some(rejected) => ApiError::from(*rejected).into_response(),
        None => without_slashes(known_paths, request).await,
    }
}

/// What all requests share.
struct Scope {
    ids: RequestIds,
    deadline: Duration,
    trusted_proxies: TrustedProxies,
    /// Of a proxy that nobody named. Once is enough.
    has_warned: AtomicBool,
    telemetry: Telemetry,
}

#[derive(Clone)]
struct RequestScopeLayer(Arc<Scope>);

impl<S> Layer<S> for RequestScopeLayer {
    type Service = RequestScope<S>;

    fn layer(&self, inner: S) -> RequestScope<S> {
        RequestScope { inner, scope: Arc::clone(&self.0) }
    }
}

#[derive(Clone)]
struct RequestScope<S> {
    inner: S,
    scope: Arc<Scope>,
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
        let scope = &self.scope;
        let seat = request.extensions().get::<Arc<Seat>>().cloned();
        let address = seat.as_ref().map(|seat| scope.trusted_proxies.client(seat.peer(), request.headers()));
        if let Some(peer) = address
            && scope.trusted_proxies.ignores(request.headers())
            && !scope.has_warned.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                %peer,
                "a proxy says for whom a request is, and is not believed: all its clients count as one; set TRUSTED_PROXIES"
            );
        }
        let caller = Arc::new(Caller::new(address, scope.telemetry.access_log.is_some()));
        let id = scope.ids.of(&request);
        let exchange = Exchange::begin(&request, id.clone(), caller.clone(), Arc::clone(scope));
        request.extensions_mut().insert(caller);
        let deadline = scope.deadline;
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
            let headers = response.headers_mut();
            headers.insert(REQUEST_ID, id);
            headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
            Ok(exchange.end(response))
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

/// A request on its way to its answer, and what is to be told of it.
struct Exchange {
    begin: Instant,
    method: Method,
    route: Option<MatchedPath>,
    id: HeaderValue,
    caller: Arc<Caller>,
    traceparent: Option<HeaderValue>,
    cf_ray: Option<HeaderValue>,
    scope: Arc<Scope>,
    is_answered: bool,
}

/// What is told of a request whose client was gone before the answer, as nginx calls it.
const CLIENT_CLOSED_REQUEST: u16 = 499;

impl Exchange {
    fn begin(request: &Request, id: HeaderValue, caller: Arc<Caller>, scope: Arc<Scope>) -> Self {
        if let Some(metrics) = &scope.telemetry.metrics {
            metrics.in_flight.inc();
        }
        let header = |name: &str| {
            scope.telemetry.access_log.as_ref()?;
            request.headers().get(name).filter(|value| is_well_formed(value.as_bytes()))
        };
        Self {
            begin: Instant::now(),
            method: request.method().clone(),
            route: request.extensions().get::<MatchedPath>().cloned(),
            id,
            caller,
            traceparent: header("traceparent").cloned(),
            cf_ray: header("cf-ray").cloned(),
            scope,
            is_answered: false,
        }
    }

    fn route(&self) -> &str {
        self.route.as_ref().map_or("none", MatchedPath::as_str)
    }

    /// Counts the answer, and logs it, once it is known how long it is.
    fn end(mut self, response: Response) -> Response {
        self.is_answered = true;
        let (route, status) = (self.route(), response.status().as_u16());
        if let Some(Cause(cause)) = response.extensions().get::<Cause>() {
            tracing::error!(id = ?self.id, method = self.method.as_str(), route, status, %cause, "request failed");
        }
        if let Some(metrics) = &self.scope.telemetry.metrics {
            metrics.observe(&self.method, route, status, self.begin.elapsed());
        }
        if !self.scope.telemetry.access_log.as_ref().is_some_and(|log| log.wants(route)) {
            return response;
        }
        match response.body().size_hint().exact() {
            Some(bytes) => {
                self.log(status, bytes);
                response
            }
            None => response.map(|body| Body::new(Counted { body, bytes: 0, status, exchange: Some(self) })),
        }
    }

    fn log(&self, status: u16, bytes: u64) {
        let Some(log) = &self.scope.telemetry.access_log else { return };
        log.add(&Line {
            id: text(&self.id),
            method: method_label(&self.method),
            route: self.route(),
            status,
            microseconds: self.begin.elapsed().as_micros() as u64,
            bytes,
            client: self.caller.address,
            user: self.caller.user.get().map(AsRef::as_ref),
            traceparent: self.traceparent.as_ref().map(text),
            cf_ray: self.cf_ray.as_ref().map(text),
        });
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(metrics) = &self.scope.telemetry.metrics {
            metrics.in_flight.dec();
            if !self.is_answered {
                metrics.observe(&self.method, self.route(), CLIENT_CLOSED_REQUEST, self.begin.elapsed());
            }
        }
        let is_wanted = self.scope.telemetry.access_log.as_ref().is_some_and(|log| log.wants(self.route()));
        if !self.is_answered && is_wanted {
            self.log(CLIENT_CLOSED_REQUEST, 0);
        }
    }
}

fn text(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or_default()
}

/// A body of unknown length, which is logged when it ends or when its client is gone.
struct Counted {
    body: Body,
    bytes: u64,
    status: u16,
    exchange: Option<Exchange>,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            exchange.log(self.status, self.bytes);
        }
    }
}
