//! HTTP/1.1 on one connection, served by hyper.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use axum::{
    Router,
    http::{HeaderValue, header::CONNECTION},
};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tower::Service;

use super::{
    body::{Endless, RequestBody, ResponseBody},
    connection::{Connection, Phase},
    rejected,
    stream::Stream,
    tls::{Greeting, Tls},
    tracked_stream::TrackedStream,
};

/// The size of hyper's buffer for one connection, in bytes. It is also the longest head of a request.
const BUFFER: usize = 16 * 1024;

/// Serves all requests of a connection, one after the other. With `tls` the client has to begin with a handshake.
pub(super) async fn serve_connection(
    tcp: TcpStream,
    tls: Option<Tls>,
    app: Router,
    connection: Arc<Connection>,
    request_timeout: Duration,
) {
    // Responses are written whole, so waiting for more data (Nagle's algorithm) would only delay them.
    let _ = tcp.set_nodelay(true);
    let (stream, app) = match tls {
        None => (Stream::Plain(tcp), app),
        // In a box of its own, which is free again once the handshake is over.
        Some(tls) => match Box::pin(tls.accept(tcp)).await {
            Ok(Greeting::Handshake(stream)) => (Stream::Tls(stream), app),
            Ok(Greeting::Plain(tcp)) => (Stream::Plain(tcp), tls.redirect),
            Err(error) => {
                tracing::debug!(peer = %connection.peer(), %error, "no TLS handshake");
                return;
            }
        },
    };
    serve_requests(stream, app, connection, request_timeout).await;
}

async fn serve_requests(
    stream: Stream,
    mut app: Router,
    connection: Arc<Connection>,
    request_timeout: Duration,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let mut request = request.map(|body| RequestBody::new(body, connection.clone()));
        request.extensions_mut().insert(connection.clone());
        let response = app.clone().call(request);
        let connection = connection.clone();
        async move {
            let mut response = response.await?;
            connection.release_request();
            if connection.closes_after_response() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            let is_endless = response.extensions_mut().remove::<Endless>().is_some();
            Ok::<_, Infallible>(response.map(|body| ResponseBody::new(body, connection, is_endless)))
        }
    });
    // hyper's own time-out would arm a timer for every request. The sweep checks all connections instead.
    let mut http = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(TrackedStream::new(stream, connection.clone())), service);
    let outcome = (&mut http).await;
    let mut tracked = http.into_parts().io.into_inner();
    let stream = tracked.untracked();
    match outcome {
        Ok(()) if connection.has_unread_body() => linger(stream, &connection, request_timeout).await,
        Ok(()) => {}
        Err(error) if connection.is_rejected() => {
            let response = rejected::response(&mut app, &connection, &error).await;
            if stream.write_all(&response).await.is_ok() {
                linger(stream, &connection, request_timeout).await;
            }
        }
        Err(error) => tracing::debug!(peer = %connection.peer(), %error, "connection closed"),
    }
}

/// Reads on after a response that was sent before the whole request had arrived. Closing at once would reset the
/// connection, and the client would lose the response.
async fn linger(stream: &mut Stream, connection: &Connection, at_most: Duration) {
    connection.enter_phase(Phase::Body);
    let rest = async {
        stream.shutdown().await?;
        let mut discarded = vec![0; 4096];
        while stream.read(&mut discarded).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = timeout(at_most, rest).await;
}
