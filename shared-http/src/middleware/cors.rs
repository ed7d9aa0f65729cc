//! Web pages of other origins (Fetch standard, "CORS protocol").

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
            ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER,
        },
    },
    response::{IntoResponse, Response},
};
use futures_util::future::{BoxFuture, Either};
use tower::{Layer, Service, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_http::cors::{self, AllowOrigin, CorsLayer};

use super::{REQUEST_ID, RequestScope, RequestScopeLayer};
use crate::error::ApiError;

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
            .allow_methods([Method::GET, Method::HEAD, Method::POST])
            .allow_headers([AUTHORIZATION, CONTENT_TYPE, IDEMPOTENCY_KEY, IF_NONE_MATCH, REQUEST_ID])
            .expose_headers([ETAG, IDEMPOTENCY_REPLAYED, RETRY_AFTER, REQUEST_ID])
            .max_age(Duration::from_secs(600)),
    )
}

/// Puts both around a route: the request scope, and CORS.
#[derive(Clone)]
pub(super) struct CorsScopeLayer {
    cors: CorsLayer,
    scope: RequestScopeLayer,
    preflights: Arc<Preflights>,
}

type Preflights = BoxCloneSyncService<Request, Response, Infallible>;

impl CorsScopeLayer {
    /// None where there is no CORS.
    pub(super) fn new(cors: Cors, scope: RequestScopeLayer) -> Option<Self> {
        let cors = cors_layer(cors)?;
        let answered_by_cors = service_fn(async |_: Request| Ok(ApiError::NotFound.into_response()));
        let preflights = scope.layer(cors.layer(answered_by_cors));
        Some(Self { cors, scope, preflights: Arc::new(BoxCloneSyncService::new(preflights)) })
    }
}

impl<S> Layer<S> for CorsScopeLayer {
    type Service = CorsScope<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CorsScope {
            requests: self.cors.layer(self.scope.layer(inner)),
            preflights: Arc::clone(&self.preflights),
        }
    }
}

/// CORS outside, so that every answer has its headers, those to a request that was not done in time among them;
/// but inside for a preflight, which CORS answers, so that it is seen like any other request. Any other `OPTIONS` goes
/// past CORS, which would answer it too: no web page sends one to another origin, for no preflight allows that method.
#[derive(Clone)]
pub(super) struct CorsScope<S> {
    requests: cors::Cors<RequestScope<S>>,
    preflights: Arc<Preflights>,
}

impl<S> Service<Request> for CorsScope<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<
        <cors::Cors<RequestScope<S>> as Service<Request>>::Future,
        BoxFuture<'static, Result<Response, Infallible>>,
    >;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.requests.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if request.method() != Method::OPTIONS {
            Either::Left(self.requests.call(request))
        } else if request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            Either::Right(Box::pin(Preflights::clone(&self.preflights).oneshot(request)))
        } else {
            Either::Right(self.requests.get_mut().call(request))
        }
    }
}
