//! A client for `/health` and `/ready` of a running service, for `healthcheck` and `doctor`.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    time::Duration,
};

use axum::{
    body::Body,
    http::{Request, StatusCode, header::HOST},
};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use shared_http::{text::printable_sentence, tls::Pinned};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

/// How long `/health` may take.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);

/// How long `/ready` may take. It is longer, because `/ready` waits for the store.
const READY_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest body that is read. Any program may listen on the address.
const MAX_BODY_BYTES: usize = 16 << 10;

/// Asks the service that listens on `address` for its `/health`. An unspecified address, such as 0.0.0.0, is
/// asked over loopback. If a certificate is `trusted`, it has to be the service's; without one plain HTTP is spoken.
///
/// # Errors
///
/// Why the service is unhealthy, as a sentence: it cannot be reached, or does not answer 200 within three seconds.
pub(crate) async fn check(address: SocketAddr, trusted: Option<&Pinned>) -> Result<(), String> {
    identify(address, trusted).await.map(drop)
}

/// The name of the service in the answer of `/health` on `address`. Empty if the answer has none.
///
/// # Errors
///
/// Those of [`check`].
pub(crate) async fn identify(address: SocketAddr, trusted: Option<&Pinned>) -> Result<String, String> {
    match get(address, trusted, "/health", HEALTH_TIMEOUT).await? {
        Answer { status: StatusCode::OK, body, .. } => Ok(text_of(&body, "service").unwrap_or_default()),
        Answer { status, url, .. } => Err(format!("{url} answers {status}")),
    }
}

/// Asks the service that listens on `address` for its `/ready`.
///
/// # Errors
///
/// Why the service cannot do its work: the `detail` of its answer where there is one, safe to show on a terminal.
pub(crate) async fn ready(address: SocketAddr, trusted: Option<&Pinned>) -> Result<(), String> {
    match get(address, trusted, "/ready", READY_TIMEOUT).await? {
        Answer { status: StatusCode::OK, .. } => Ok(()),
        Answer { status, url, body } => Err(match text_of(&body, "detail") {
            Some(detail) => printable_sentence(&detail).to_string(),
            None => format!("{url} answers {status}"),
        }),
    }
}

/// The text that a JSON object has under `key`.
fn text_of(body: &[u8], key: &str) -> Option<String> {
    let object: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(object.get(key)?.as_str()?.to_owned())
}

struct Answer {
    url: String,
    status: StatusCode,
    body: Bytes,
}

async fn get(
    address: SocketAddr,
    trusted: Option<&Pinned>,
    path: &str,
    limit: Duration,
) -> Result<Answer, String> {
    let host = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        specific => specific,
    };
    let address = SocketAddr::new(host, address.port());
    let scheme = if trusted.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{address}{path}");
    match timeout(limit, ask(address, trusted, path)).await {
        Ok(Ok((status, body))) => Ok(Answer { url, status, body }),
        Ok(Err(error)) => Err(format!("{url} cannot be reached: {error}")),
        Err(_elapsed) => Err(format!("{url} does not answer")),
    }
}

type Asked = Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>>;

async fn ask(address: SocketAddr, trusted: Option<&Pinned>, path: &str) -> Asked {
    let stream = TcpStream::connect(address).await?;
    match trusted {
        Some(trusted) => ask_over(trusted.connect(stream, address.ip()).await?, address, path).await,
        None => ask_over(stream, address, path).await,
    }
}

async fn ask_over(stream: impl AsyncRead + AsyncWrite + Unpin, address: SocketAddr, path: &str) -> Asked {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path).header(HOST, address.to_string()).body(Body::empty())?;
    let answer = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        Ok((head.status, Limited::new(body, MAX_BODY_BYTES).collect().await?.to_bytes()))
    };
    let mut connection = pin!(connection);
    let mut answer = pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        ended = &mut connection => match ended {
            // The end of the answer may have arrived together with the close.
            Ok(()) => answer.await,
            Err(error) => Err(error.into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Answers one request with a status line and a body.
    async fn answering(status: &str, body: String) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n{body}");
        tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.expect("a client");
            let _ = client.read(&mut [0; 1024]).await;
            // Fails if the client has closed the connection, because it reads no more.
            let _ = client.write_all(answer.as_bytes()).await;
        });
        address
    }

    #[tokio::test]
    async fn an_answer_of_any_program_is_bounded_and_its_control_characters_are_escaped() {
        let detail = answering("503 Busy", r#"{"detail":"full\u001b[2J"}"#.to_owned()).await;
        assert_eq!(ready(detail, None).await, Err(r"full\u{1b}[2J".to_owned()));
        let long = answering("503 Busy", format!(r#"{{"detail":"{}"}}"#, "x".repeat(1000))).await;
        assert_eq!(ready(long, None).await, Err(format!("{}…", "x".repeat(256))));
        let silent = answering("404 Lost", "<html>".to_owned()).await;
        assert_eq!(ready(silent, None).await, Err(format!("http://{silent}/ready answers 404 Not Found")));
        let endless = answering("200 OK", "x".repeat(1 << 20)).await;
        let refused = identify(endless, None).await.expect_err("too long");
        assert!(refused.contains("/health cannot be reached: "), "{refused}");
    }

    #[tokio::test]
    async fn a_service_is_asked_for_its_name() {
        let named = answering("200 OK", r#"{"status":"ok","service":"attendance"}"#.to_owned()).await;
        assert_eq!(identify(named, None).await, Ok("attendance".to_owned()));
        let other = answering("200 OK", "hello".to_owned()).await;
        assert_eq!(identify(other, None).await, Ok(String::new()));
    }
}
