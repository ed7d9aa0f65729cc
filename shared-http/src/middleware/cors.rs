//! Cross-origin requests of web pages (Fetch standard, "CORS protocol").

use std::{
    convert::Infallible,
    fmt::{self, Display},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    extract::Request,
    http::{
        HeaderName, HeaderValue, Method,
        header::{
            ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CONTENT_TYPE, ETAG, IF_NONE_MATCH, ORIGIN,
            RETRY_AFTER,
        },
    },
    response::{IntoResponse, Response},
};
use futures_util::future::{BoxFuture, Either};
use tower::{Layer, Service, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_http::cors::{self, AllowOrigin, CorsLayer};

use super::request_layer::{RequestLayer, RequestService};
use crate::{config::Origin, error::ApiError, request_id::REQUEST_ID};

// Headers that web pages send and read.
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

impl Cors {
    /// `*`, or origins separated by commas, such as `https://gate.example.org`.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::AnyOrigin);
        }
        text.split(',').map(parse_origin).collect::<Option<_>>().map(Self::Origins)
    }
}

fn parse_origin(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(Origin::parse(text)?.as_str()).ok()
}

impl Display for Cors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("none"),
            Self::AnyOrigin => f.write_str("*"),
            Self::Origins(origins) => {
                let origins: Vec<_> = origins.iter().filter_map(|origin| origin.to_str().ok()).collect();
                f.write_str(&origins.join(","))
            }
        }
    }
}

fn cors_layer(cors: Cors) -> Option<CorsLayer> {
    let origins = match cors {
        Cors::Off => return None,
        Cors::AnyOrigin => AllowOrigin::any(),
        Cors::Origins(origins) => AllowOrigin::list(origins),
    };
    Some(
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([
                Method::GET,
                Method::HEAD,
                Method::POST,
                Method::PUT,
                Method::PATCH,
                Method::DELETE,
            ])
            .allow_headers([AUTHORIZATION, CONTENT_TYPE, IDEMPOTENCY_KEY, IF_NONE_MATCH, REQUEST_ID])
            .expose_headers([ETAG, IDEMPOTENCY_REPLAYED, RETRY_AFTER, REQUEST_ID])
            .max_age(Duration::from_secs(600)),
    )
}

/// The request layer together with CORS.
#[derive(Clone)]
pub(super) struct CorsRequestLayer {
    cors: CorsLayer,
    request_layer: RequestLayer,
    preflights: Arc<Preflights>,
}

type Preflights = BoxCloneSyncService<Request, Response, Infallible>;

impl CorsRequestLayer {
    /// `None` if CORS is off.
    pub(super) fn new(cors: Cors, request_layer: RequestLayer) -> Option<Self> {
        let cors = cors_layer(cors)?;
        let answered_by_cors = service_fn(async |_: Request| Ok(ApiError::NotFound.into_response()));
        let preflights = request_layer.layer(cors.layer(answered_by_cors));
        Some(Self { cors, request_layer, preflights: Arc::new(BoxCloneSyncService::new(preflights)) })
    }
}

impl<S> Layer<S> for CorsRequestLayer {
    type Service = CorsService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CorsService {
            requests: self.cors.layer(self.request_layer.layer(inner)),
            preflights: Arc::clone(&self.preflights),
        }
    }
}

/// For an ordinary request CORS is outside the request layer. So every response has the headers of CORS, also that to a
/// request which took too long.
///
/// A preflight is answered by CORS itself. So for it the request layer is outside, which logs and counts it.
///
/// Two kinds of requests bypass CORS, for no web page of another origin sends them. Those without `Origin`: CORS would cost
/// a tenth of a request. And any other `OPTIONS`: CORS would answer it as a preflight, and no preflight allows that method.
#[derive(Clone)]
pub(super) struct CorsService<S> {
    requests: cors::Cors<RequestService<S>>,
    preflights: Arc<Preflights>,
}

impl<S> Service<Request> for CorsService<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<
        <cors::Cors<RequestService<S>> as Service<Request>>::Future,
        BoxFuture<'static, Result<Response, Infallible>>,
    >;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.requests.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let has = |name| request.headers().contains_key(name);
        match request.method() == Method::OPTIONS {
            false if has(ORIGIN) => Either::Left(self.requests.call(request)),
            true if has(ACCESS_CONTROL_REQUEST_METHOD) => {
                Either::Right(Box::pin(Preflights::clone(&self.preflights).oneshot(request)))
            }
            _ => Either::Right(self.requests.get_mut().call(request)),
        }
    }
}
