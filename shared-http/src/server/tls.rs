//! How a connection begins where the server speaks TLS: with a handshake, or with plain HTTP from somebody who wrote
//! `http://`, who is sent on.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{
    Router,
    extract::Request,
    http::{
        HeaderMap, StatusCode, Uri,
        header::{CONNECTION, HOST, LOCATION},
        uri::Authority,
    },
    response::{IntoResponse, Response},
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::error::ApiError;

/// The first byte of every TLS handshake (RFC 8446, 5.1). No HTTP request begins with it.
const HANDSHAKE: u8 = 22;

/// How many bytes are read until the handshake is over; rustls alone would hold 64 KiB. They are more than enough for the
/// handshake, and for the first record of a request that comes with its end.
const MAX_HANDSHAKE: usize = 40 * 1024;

/// How much rustls may hold of what the kernel does not take: one record.
const UNSENT: usize = 16 * 1024;

/// The TLS of a listener.
#[derive(Clone)]
pub(super) struct Tls {
    acceptor: TlsAcceptor,
    /// Answers plain HTTP.
    pub(super) redirect: Router,
}

/// What a client begins a connection with.
pub(super) enum Greeting {
    Handshake(Box<TlsStream<Wire>>),
    Plain(TcpStream),
}

impl Tls {
    pub(super) fn new(config: Arc<ServerConfig>) -> Self {
        Self { acceptor: config.into(), redirect: Router::new().fallback(redirect) }
    }

    /// Does the handshake, unless the client speaks plain HTTP. Meanwhile the connection waits for the head of its first
    /// request, so it is closed like one that does not send it in time.
    pub(super) async fn accept(&self, tcp: TcpStream) -> io::Result<Greeting> {
        let mut first = [0];
        if tcp.peek(&mut first).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if first != [HANDSHAKE] {
            return Ok(Greeting::Plain(tcp));
        }
        let wire = Wire { tcp, handshake_left: Some(MAX_HANDSHAKE) };
        let mut stream =
            self.acceptor.accept_with(wire, |session| session.set_buffer_limit(Some(UNSENT))).await?;
        stream.get_mut().0.handshake_left = None;
        Ok(Greeting::Handshake(Box::new(stream)))
    }
}

/// Sends the client to the same address with `https://`.
async fn redirect(request: Request) -> Response {
    match https(request.headers(), request.uri()) {
        Some(location) => {
            (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, &*location), (CONNECTION, "close")]).into_response()
        }
        None => ApiError::BadRequest("This port speaks https:// only.".into()).into_response(),
    }
}

/// The address that was asked for, with `https://`, if `Host` is a host.
fn https(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let host: Authority = headers.get(HOST)?.to_str().ok()?.parse().ok()?;
    // A user in front of the host would only deceive.
    let is_host = !host.host().is_empty() && !host.as_str().contains('@');
    let path = uri.path_and_query().filter(|path| path.as_str().starts_with('/'))?;
    is_host.then(|| format!("https://{host}{path}"))
}

/// A TCP stream from which only so much is read before the handshake is over.
pub(super) struct Wire {
    tcp: TcpStream,
    /// How many bytes may still be read; `None` once the handshake is over.
    handshake_left: Option<usize>,
}

impl Wire {
    pub(super) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(cx, buffer))?;
        if let Some(left) = self.handshake_left {
            let Some(left) = left.checked_sub(buffer.filled().len() - before) else {
                return Poll::Ready(Err(io::Error::other("the handshake is too long")));
            };
            self.handshake_left = Some(left);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
