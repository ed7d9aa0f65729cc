//! The metrics and the access log of one request.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderName, HeaderValue, Method},
    response::Response,
};
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use crate::{
    access_log::Line,
    client::Caller,
    error::Cause,
    metrics::{Route, method_label},
    request_id::{RequestId, is_well_formed},
    telemetry::Telemetry,
};

/// Headers with which a request can be followed through several systems.
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static CF_RAY: HeaderName = HeaderName::from_static("cf-ray");

/// The status in log and metrics if the client disconnected before the response, as in nginx.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// A request that is being handled. If it is dropped without [`finish`](Self::finish), the client has disconnected, and
/// it is counted and logged as such.
pub(crate) struct RequestRecord {
    begin: Instant,
    method: Method,
    route: Route,
    id: RequestId,
    caller: Arc<Caller>,
    traceparent: Option<HeaderValue>,
    cf_ray: Option<HeaderValue>,
    telemetry: Arc<Telemetry>,
    is_finished: bool,
}

impl RequestRecord {
    pub(crate) fn begin(
        request: &Request,
        id: RequestId,
        caller: Arc<Caller>,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        if let Some(metrics) = &telemetry.metrics {
            metrics.in_flight.inc();
        }
        // For the access log only.
        let logged_header = |name: &HeaderName| {
            telemetry.access_log.as_ref()?;
            request.headers().get(name).filter(|value| is_well_formed(value)).cloned()
        };
        Self {
            begin: Instant::now(),
            method: request.method().clone(),
            route: Route(request.extensions().get().cloned()),
            id,
            caller,
            traceparent: logged_header(&TRACEPARENT),
            cf_ray: logged_header(&CF_RAY),
            telemetry,
            is_finished: false,
        }
    }

    pub(crate) fn id(&self) -> &RequestId {
        &self.id
    }

    /// Counts the response, and logs it once its length is known: at once, or at the end of its body.
    pub(crate) fn finish(mut self, response: Response) -> Response {
        self.is_finished = true;
        let status = response.status().as_u16();
        if let Some(Cause(cause)) = response.extensions().get::<Cause>() {
            let (method, route) = (self.method.as_str(), self.route.as_str());
            tracing::error!(id = %self.id, method, route, status, %cause, "request failed");
        }
        let took = self.begin.elapsed();
        if let Some(metrics) = &self.telemetry.metrics {
            metrics.observe(&self.method, &self.route, status, took);
        }
        if !self.is_logged() {
            return response;
        }
        match response.body().size_hint().exact() {
            Some(bytes) => {
                self.log(status, bytes, took);
                response
            }
            None => response.map(|body| Body::new(LoggedBody { body, bytes: 0, status, record: Some(self) })),
        }
    }

    fn is_logged(&self) -> bool {
        self.telemetry.access_log.as_ref().is_some_and(|log| log.wants(self.route.as_str()))
    }

    fn log(&self, status: u16, bytes: u64, took: Duration) {
        let Some(log) = &self.telemetry.access_log else { return };
        log.add(&Line {
            id: &self.id,
            method: method_label(&self.method),
            route: self.route.as_str(),
            status,
            microseconds: took.as_micros() as u64,
            bytes,
            client: self.caller.address,
            user: self.caller.user.get().map(AsRef::as_ref),
            traceparent: self.traceparent.as_ref().map(text),
            cf_ray: self.cf_ray.as_ref().map(text),
        });
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        if let Some(metrics) = &self.telemetry.metrics {
            metrics.in_flight.dec();
        }
        if self.is_finished {
            return;
        }
        let took = self.begin.elapsed();
        if let Some(metrics) = &self.telemetry.metrics {
            metrics.observe(&self.method, &self.route, CLIENT_CLOSED_REQUEST, took);
        }
        if self.is_logged() {
            self.log(CLIENT_CLOSED_REQUEST, 0, took);
        }
    }
}

fn text(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or_default()
}

/// A response body of unknown length. The request is logged when the body is dropped: at its end, or when the client
/// disconnects.
struct LoggedBody {
    body: Body,
    bytes: u64,
    status: u16,
    record: Option<RequestRecord>,
}

impl http_body::Body for LoggedBody {
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

impl Drop for LoggedBody {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            record.log(self.status, self.bytes, record.begin.elapsed());
        }
    }
}
