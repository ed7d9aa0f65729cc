//! The server with TLS of its own, over real sockets, with clients that do the handshake, and others that do not.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "clippy knows test functions, not what they call"
)]

use std::{path::Path, sync::Arc, time::Duration};

use axum::{Router, body::Body, http::StatusCode, response::Response, routing::get, routing::post};
use bytes::Bytes;
use futures_util::StreamExt;
use rustls::{
    ClientConfig, ProtocolVersion, RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};
use shared_http::{
    middleware::{Options, stack},
    server::{Endless, Limits},
    testing::{Raw, Server},
    tls::{CertificateSource, Pinned},
};
use tempfile::TempDir;
use tokio::{io::AsyncReadExt, net::TcpStream, time::sleep};
use tokio_rustls::{TlsConnector, client::TlsStream};

const SECOND: Duration = Duration::from_secs(1);
const GET: &str = "GET /quick HTTP/1.1\r\nHost: t\r\n\r\n";
const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

type TlsClient = Raw<TlsStream<TcpStream>>;

/// A server with a self-signed certificate, which its clients trust and nothing else.
struct Site {
    server: Server,
    directory: TempDir,
}

fn app() -> Router {
    let endless = || async {
        let begin =
            futures_util::stream::once(async { Ok::<_, std::io::Error>(Bytes::from_static(b"begin")) });
        let mut response = Response::new(Body::from_stream(begin.chain(futures_util::stream::pending())));
        response.extensions_mut().insert(Endless);
        response
    };
    let router = Router::new()
        .route("/quick", get(async || "quick"))
        .route(
            "/slow",
            get(async || {
                sleep(SECOND / 2).await;
                "slow"
            }),
        )
        .route("/long", get(async || "x".repeat(8 << 20)))
        .route("/endless", get(endless))
        .route("/refuse", post(async || (StatusCode::UNAUTHORIZED, "refused")));
    stack(router, Options::default())
}

fn self_signed(directory: &Path) -> Arc<ServerConfig> {
    CertificateSource::SelfSigned { directory: directory.to_owned(), names: Vec::new() }.open().unwrap()
}

impl Site {
    async fn start(limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let server = Server::start_with(app(), limits, Some(self_signed(directory.path()))).await;
        Self { server, directory }
    }

    /// A client with these versions and protocols, after its handshake.
    async fn connect(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut trusted = RootCertStore::empty();
        let file = self.directory.path().join("certificate.pem");
        trusted.add(CertificateDer::from_pem_file(file).unwrap()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(trusted)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(self.server.address).await.unwrap();
        let name = ServerName::from(self.server.address.ip());
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    async fn client(&self) -> TlsClient {
        Raw::over(self.connect(BOTH, &[]).await.expect("a handshake"))
    }

    /// A client that has sent `bytes`.
    async fn open(&self, bytes: &str) -> TlsClient {
        let mut client = self.client().await;
        client.send(bytes).await;
        client
    }

    async fn assert_served(&self) {
        let answer = self.open(GET).await.until("quick", SECOND * 5).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
}

fn limits() -> Limits {
    Limits { request_timeout: SECOND * 2, ..Limits::default() }
}

/// What the server sends until it says that nothing more comes, and not only closes.
async fn rest_and_close_notify(client: &mut TlsClient) -> String {
    let mut said = String::new();
    let read = client.stream().read_to_string(&mut said);
    tokio::time::timeout(SECOND * 5, read).await.expect("closed").expect("a close_notify");
    said
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_and_a_connection_serves_several_requests() {
    let site = Site::start(limits()).await;
    for (version, expected) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let stream = site.connect(&[version], &["h2", "http/1.1"]).await.unwrap();
        let session = stream.get_ref().1;
        assert_eq!(session.protocol_version(), Some(expected));
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
        let mut client = Raw::over(stream);
        for _ in 0..3 {
            client.send(GET).await;
            let answer = client.until("quick", SECOND * 5).await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        }
    }
    let refused = site.connect(BOTH, &["h2"]).await.unwrap_err().to_string();
    assert!(refused.contains("NoApplicationProtocol"), "{refused}");
}

#[tokio::test]
async fn a_client_that_does_not_finish_the_handshake_is_closed_in_time_and_delays_no_other() {
    let site = Site::start(limits()).await;
    let mut hostile = Vec::new();
    for bytes in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x16\x03\x01\x40\x00"]
    {
        hostile.push(Raw::open(site.server.address, bytes).await);
    }
    // One that has done it, and sends no request.
    let mut idle = site.client().await;
    site.assert_served().await;
    for client in &mut hostile {
        assert_eq!(client.rest(SECOND * 4).await, "");
    }
    assert_eq!(rest_and_close_notify(&mut idle).await, "");
}

#[tokio::test]
async fn a_handshake_that_is_too_long_is_closed_at_once() {
    let site = Site::start(Limits { request_timeout: SECOND * 60, ..limits() }).await;
    // A ClientHello of 64 KiB, in records of 4 KiB.
    let mut hello = b"\x01\x00\xff\xff".to_vec();
    hello.resize(64 << 10, 0);
    let records: Vec<u8> =
        hello.chunks(4096).flat_map(|part| [b"\x16\x03\x01\x10\x00", part].concat()).collect();
    let mut client = Raw::open(site.server.address, records).await;
    assert!(client.is_closed(SECOND * 5).await);
    site.assert_served().await;
}

#[tokio::test]
async fn plain_http_is_sent_to_https_where_the_host_is_one() {
    let site = Site::start(limits()).await;
    let ask = async |head: &str| {
        let request = format!("{head}\r\nConnection: close\r\n\r\n");
        Raw::open(site.server.address, request).await.rest(SECOND * 5).await
    };
    for (host, target, location) in [
        ("192.168.1.5:18082", "/gate?a=b", "https://192.168.1.5:18082/gate?a=b"),
        ("[fe80::1]:18082", "/", "https://[fe80::1]:18082/"),
        ("tixgo.local", "http://elsewhere/desk", "https://tixgo.local/desk"),
    ] {
        let answer = ask(&format!("GET {target} HTTP/1.1\r\nHost: {host}")).await;
        assert!(answer.starts_with("HTTP/1.1 307 Temporary Redirect\r\n"), "{answer}");
        assert!(answer.contains(&format!("\r\nlocation: {location}\r\n")), "{answer}");
    }
    for head in [
        "GET / HTTP/1.1\r\nX: y",
        "GET / HTTP/1.1\r\nHost: ",
        "GET / HTTP/1.1\r\nHost: tixgo.local@elsewhere",
        "GET / HTTP/1.1\r\nHost: tixgo.local/elsewhere",
        "OPTIONS * HTTP/1.1\r\nHost: tixgo.local",
        "no request at all",
    ] {
        let answer = ask(head).await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}: {answer}");
        assert!(answer.ends_with(r#"{"detail":"This port speaks https:// only."}"#), "{head}: {answer}");
    }
    // The body is read, so that the answer is not lost.
    let post = "POST /refuse HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n";
    let mut client = Raw::open(site.server.address, format!("{post}{}", "x".repeat(100_000))).await;
    assert!(client.rest(SECOND * 5).await.starts_with("HTTP/1.1 307 "));
}

#[tokio::test]
async fn silent_clients_make_room_before_and_after_their_handshake() {
    let limits = Limits { max_connections: 16, request_timeout: SECOND * 60, ..limits() };
    let site = Site::start(limits).await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(Raw::open(site.server.address, "").await);
    }
    let mut idle = Vec::new();
    for _ in 0..24 {
        idle.push(site.client().await);
    }
    for _ in 0..10 {
        site.assert_served().await;
    }
    for client in &mut silent {
        assert_eq!(client.rest(SECOND * 5).await, "");
    }
    for client in &mut idle[..8] {
        assert_eq!(rest_and_close_notify(client).await, "");
    }
}

#[tokio::test]
async fn what_is_no_request_is_answered_over_tls() {
    let site = Site::start(limits()).await;
    let mut client = site.open("no request at all\r\n\r\n").await;
    let answer = rest_and_close_notify(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.ends_with(r#"{"detail":"The request is not valid HTTP/1.1."}"#), "{answer}");

    let head = "POST /refuse HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: 200000\r\n\r\n";
    let mut client = site.open(&format!("{head}{}", "x".repeat(200_000))).await;
    let answer = rest_and_close_notify(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{answer}");
}

#[tokio::test]
async fn a_long_answer_arrives_whole_also_at_a_client_that_pauses() {
    let site = Site::start(limits()).await;
    let mut client = site.open("GET /long HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").await;
    // Longer than the time-out for a request: what the client owes is only to read.
    sleep(SECOND * 3).await;
    let answer = rest_and_close_notify(&mut client).await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(body.len() == 8 << 20 && body.bytes().all(|byte| byte == b'x'), "{}", body.len());
}

#[tokio::test]
async fn a_drain_answers_requests_in_flight_ends_what_has_no_end_and_closes_the_rest() {
    let mut site = Site::start(limits()).await;
    let mut idle = site.open(GET).await;
    idle.until("quick", SECOND * 5).await;
    let mut endless = site.open("GET /endless HTTP/1.1\r\nHost: t\r\n\r\n").await;
    endless.until("begin", SECOND * 5).await;
    let mut silent = Raw::open(site.server.address, "").await;
    let mut slow = site.open("GET /slow HTTP/1.1\r\nHost: t\r\n\r\n").await;
    sleep(SECOND / 10).await;
    site.server.signal();
    let answer = rest_and_close_notify(&mut slow).await;
    assert!(answer.contains("\r\nconnection: close\r\n") && answer.ends_with("slow"), "{answer}");
    assert_eq!(rest_and_close_notify(&mut idle).await, "");
    assert!(rest_and_close_notify(&mut endless).await.ends_with("0\r\n\r\n"));
    assert_eq!(silent.rest(SECOND).await, "");
    site.server.stopped().await;
}

#[tokio::test]
async fn whoever_trusts_one_certificate_trusts_its_key_and_no_other() {
    let site = Site::start(limits()).await;
    let connect = async |directory: &Path| {
        let pinned = Pinned::load(&directory.join("certificate.pem")).unwrap();
        let stream = TcpStream::connect(site.server.address).await.unwrap();
        pinned.connect(stream, site.server.address.ip()).await
    };
    connect(site.directory.path()).await.unwrap();
    // Made anew with the same key, as at a start on another network.
    let names = vec!["192.168.1.5".to_owned()];
    CertificateSource::SelfSigned { directory: site.directory.path().to_owned(), names }.open().unwrap();
    connect(site.directory.path()).await.unwrap();
    let stranger = tempfile::tempdir().unwrap();
    self_signed(stranger.path());
    let refused = connect(stranger.path()).await.unwrap_err().to_string();
    assert!(refused.contains("it does not show the certificate of the file; if that"), "{refused}");
}
