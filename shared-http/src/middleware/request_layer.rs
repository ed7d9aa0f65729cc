//! The layer around every request: request id, headers of the response, log and metrics, deadline, panic handler.

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    extract::Request,
    http::{
        HeaderMap, HeaderValue,
        header::{REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
    },
    response::{IntoResponse, Response},
};
use futures_util::{FutureExt, future::BoxFuture, poll};
use http_body::Body as _;
use tokio::time::{Instant, error::Elapsed, timeout};
use tower::{Layer, Service};

use crate::{
    body::LONGEST_BODY,
    client::{Caller, TrustedProxies},
    error::ApiError,
    json::BODY_LIMIT,
    request_id::{REQUEST_ID, RequestIds},
    request_record::RequestRecord,
    server::Connection,
    telemetry::Telemetry,
};

#[derive(Clone)]
pub(super) struct RequestLayer(Arc<Shared>);

/// What all requests share.
struct Shared {
    ids: RequestIds,
    deadline: Duration,
    trusted_proxies: TrustedProxies,
    /// Whether the warning about an untrusted proxy was logged. It is logged only once.
    has_warned: AtomicBool,
    telemetry: Arc<Telemetry>,
}

impl RequestLayer {
    pub(super) fn new(deadline: Duration, trusted_proxies: TrustedProxies, telemetry: Telemetry) -> Self {
        Self(Arc::new(Shared {
            ids: RequestIds::new(),
            deadline,
            trusted_proxies,
            has_warned: AtomicBool::default(),
            telemetry: Arc::new(telemetry),
        }))
    }
}

impl<S> Layer<S> for RequestLayer {
    type Service = RequestService<S>;

    fn layer(&self, inner: S) -> RequestService<S> {
        RequestService { inner, shared: Arc::clone(&self.0) }
    }
}

#[derive(Clone)]
pub(super) struct RequestService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Service<Request> for RequestService<S>
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
        let shared = &self.shared;
        // None where the request came over no socket. Removed, because no handler reads it, and with one extension fewer
        // the map does not have to grow.
        let connection = request.extensions_mut().remove::<Arc<Connection>>();
        let caller = Arc::new(shared.caller(connection.as_deref(), request.headers()));
        let id = shared.ids.id_of(&request);
        let record = RequestRecord::begin(&request, id, caller.clone(), shared.telemetry.clone());
        request.extensions_mut().insert(caller);
        let deadline = shared.deadline;
        let for_body = time_for_body(request.body().size_hint().lower());
        let handling = AssertUnwindSafe(self.inner.call(request)).catch_unwind();

        Box::pin(async move {
            let mut handling = pin!(handling);
            // Most responses are ready at once. Only the others need a timer.
            let outcome = match poll!(handling.as_mut()) {
                Poll::Ready(outcome) => Ok(outcome),
                Poll::Pending => wait(handling, deadline, for_body, connection.as_deref()).await,
            };
            let mut response = match outcome {
                Ok(Ok(Ok(response))) => response,
                Ok(Err(_panic)) => ApiError::internal("the handler panicked").into_response(),
                Err(_elapsed) if connection.is_some_and(|connection| connection.awaits_body()) => {
                    ApiError::RequestTimeout.into_response()
                }
                Err(_elapsed) => ApiError::Overdue.into_response(),
            };
            let headers = response.headers_mut();
            headers.insert(REQUEST_ID, record.id().into());
            headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
            Ok(record.finish(response))
        })
    }
}

/// The slowest client that can send a long body: 32 KiB a second, in bytes. That is a bad day of a mobile network.
const SLOWEST: u64 = 32 * 1024;

/// The time that a body of `length` bytes may take beyond the deadline of the request. Only what no ordinary route reads
/// has any, and nothing has more than the longest body that is read.
fn time_for_body(length: u64) -> Duration {
    let length = length.min(LONGEST_BODY as u64);
    if length <= BODY_LIMIT as u64 { Duration::ZERO } else { Duration::from_secs(length / SLOWEST) }
}

/// Waits for the response, for `deadline`. As long as the client sends a long body, it waits once more, until
/// `for_body` is over too.
async fn wait<F: Future>(
    mut handling: Pin<&mut F>,
    deadline: Duration,
    for_body: Duration,
    connection: Option<&Connection>,
) -> Result<F::Output, Elapsed> {
    let begin = Instant::now();
    loop {
        // As it is now, so that the handler has the whole deadline once the body has arrived.
        let awaits_body = connection.is_some_and(Connection::awaits_body);
        match timeout(deadline, handling.as_mut()).await {
            Err(_) if awaits_body && begin.elapsed() < for_body => {}
            outcome => return outcome,
        }
    }
}

impl Shared {
    fn caller(&self, connection: Option<&Connection>, headers: &HeaderMap) -> Caller {
        let address = connection.map(|connection| self.trusted_proxies.client(connection.peer(), headers));
        if let Some(peer) = address
            && self.trusted_proxies.ignores_proxy(headers)
            && !self.has_warned.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                %peer,
                "a proxy says for whom a request is, and is not believed: all its clients count as one; set TRUSTED_PROXIES"
            );
        }
        Caller::new(address, self.telemetry.access_log.is_some())
    }
}
