//! A client for tests: it speaks HTTP to a router in process, through the whole middleware, or to a
//! server on a port of its own.

use std::net::SocketAddr;

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header},
};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tower::ServiceExt;

use crate::server::{Limits, serve};

/// A request to a router in process.
pub struct Call {
    app: Router,
    request: Request<Body>,
}

/// Begins a request to `app`.
pub fn call(app: &Router, method: Method, path: &str) -> Call {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().expect("a path");
    Call { app: app.clone(), request }
}

/// Begins a `GET`.
pub fn get(app: &Router, path: &str) -> Call {
    call(app, Method::GET, path)
}

/// Begins a `POST`.
pub fn post(app: &Router, path: &str) -> Call {
    call(app, Method::POST, path)
}

impl Call {
    /// Adds a header.
    pub fn header(mut self, name: HeaderName, value: impl AsRef<[u8]>) -> Self {
        let value = HeaderValue::from_bytes(value.as_ref()).expect("a header value");
        self.request.headers_mut().append(name, value);
        self
    }

    /// Adds a bearer token.
    pub fn bearer(self, token: &str) -> Self {
        self.header(header::AUTHORIZATION, format!("Bearer {token}"))
    }

    /// Sends `body` as it is, without a content type.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        *self.request.body_mut() = body.into();
        self
    }

    /// Sends `value` as JSON.
    pub fn json(self, value: &Value) -> Self {
        self.header(header::CONTENT_TYPE, "application/json").body(value.to_string())
    }

    /// Sends the request and reads the whole answer.
    pub async fn send(self) -> Answer {
        let response = self.app.oneshot(self.request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its bytes.
    pub body: Bytes,
}

impl Answer {
    /// The status and the body as text, to compare both at once.
    pub fn text(&self) -> (u16, &str) {
        (self.status.as_u16(), std::str::from_utf8(&self.body).expect("UTF-8"))
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// A header's value, empty where there is none.
    pub fn header(&self, name: HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }
}

/// A real server on a free port of loopback.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts serving `app`.
    pub async fn start(app: Router, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(listener, app, limits, async { drop(stopped.await) }));
        Self { address, stop: Some(stop), task }
    }

    /// Tells the server to shut down, as a signal would.
    pub fn signal(&mut self) {
        self.stop = None;
    }

    /// Waits until the server has drained.
    pub async fn stopped(self) {
        self.task.await.expect("no panic");
    }
}
