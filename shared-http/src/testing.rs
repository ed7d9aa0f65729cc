//! An HTTP client for tests. It sends requests to a router in process, with all middleware, or to a server on a port.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header},
};
use bytes::Bytes;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use rustls::ServerConfig;
use serde_json::Value;
use socket2::SockRef;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpSocket, TcpStream},
    process::{Child, Command},
    sync::oneshot,
    task::{JoinHandle, JoinSet},
    time::{interval, timeout},
};
use tower::ServiceExt;

use crate::{
    metrics::ConnectionMetrics,
    server::{Limits, Listener, serve},
};

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
        self.open().await.answer().await
    }

    /// Sends the request and reads the head of the answer.
    pub async fn open(self) -> Opened {
        let response = self.app.oneshot(self.request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        Opened { status: parts.status, headers: parts.headers, body }
    }
}

/// An answer whose body is not read yet. It may have no end.
pub struct Opened {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    body: Body,
}

impl Opened {
    /// The whole answer.
    pub async fn answer(self) -> Answer {
        let body = self.body.collect().await.expect("a whole body").to_bytes();
        Answer { status: self.status, headers: self.headers, body }
    }

    /// The next piece of the body; `None` at its end. Panics after `at_most`.
    pub async fn next(&mut self, at_most: Duration) -> Option<Bytes> {
        let frame = timeout(at_most, self.body.frame()).await.expect("a piece in time")?;
        Some(frame.expect("a piece").into_data().expect("data"))
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
        Self::start_with(app, limits, None).await
    }

    /// Starts serving `app`, with TLS if there is a configuration for it.
    pub async fn start_with(app: Router, limits: Limits, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        let listener = Listener::new(listener, tls);
        let task = tokio::spawn(serve(listener, app, limits, ConnectionMetrics::default(), async {
            drop(stopped.await);
        }));
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

/// A connection on which a test writes bytes of its own making, over TCP or something on top of it.
pub struct Raw<S = TcpStream>(S);

impl Raw {
    /// Connects, and sends `bytes`.
    pub async fn open(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Self {
        let mut raw = Self(TcpStream::connect(address).await.expect("a connection"));
        raw.send(bytes).await;
        raw
    }

    /// Connects from `source` as over a network and not over loopback: segments are short, and the kernel takes
    /// little that is not read. Sends `bytes`.
    pub async fn open_from(source: IpAddr, address: SocketAddr, bytes: impl AsRef<[u8]>) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        let options = SockRef::from(&socket);
        options.set_tcp_mss(1448).expect("a segment size");
        options.set_recv_buffer_size(4096).expect("a buffer size");
        socket.bind((source, 0).into()).expect("an address of ours");
        let mut raw = Self(socket.connect(address).await.expect("a connection"));
        raw.send(bytes).await;
        raw
    }

    /// The port at this end.
    pub fn local_port(&self) -> u16 {
        self.0.local_addr().expect("an address").port()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    /// A connection that is there already.
    pub fn over(stream: S) -> Self {
        Self(stream)
    }

    /// What it goes over.
    pub fn stream(&mut self) -> &mut S {
        &mut self.0
    }

    /// Whether the server closes the connection within `at_most`. What it sends before is discarded.
    pub async fn is_closed(&mut self, at_most: Duration) -> bool {
        timeout(at_most, tokio::io::copy(&mut self.0, &mut tokio::io::sink())).await.is_ok()
    }

    /// Sends more. If the server has closed the connection, the next read shows it.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        drop(self.0.write_all(bytes.as_ref()).await);
        drop(self.0.flush().await);
    }

    /// Everything that the server sends until it closes the connection. Panics after `at_most`.
    pub async fn rest(&mut self, at_most: Duration) -> String {
        let mut said = Vec::new();
        let closed = timeout(at_most, self.0.read_to_end(&mut said)).await;
        assert!(closed.is_ok(), "not closed within {at_most:?}: {:.500}", String::from_utf8_lossy(&said));
        String::from_utf8_lossy(&said).into_owned()
    }

    /// What the server sends, up to and including `end`. Panics after `at_most`.
    pub async fn until(&mut self, end: &str, at_most: Duration) -> String {
        let mut said = Vec::new();
        let read = async {
            while !said.ends_with(end.as_bytes()) {
                said.push(self.0.read_u8().await.expect("more"));
            }
        };
        let found = timeout(at_most, read).await;
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(found.is_ok(), "no {end:?} within {at_most:?}: {said:.500}");
        said
    }
}

/// Opens `count` connections at once that send `bytes` and read nothing.
pub async fn flood(address: SocketAddr, count: usize, bytes: impl Into<Bytes>) -> Vec<Raw> {
    let bytes = bytes.into();
    let mut clients = JoinSet::new();
    for _ in 0..count {
        clients.spawn(Raw::open_from(Ipv4Addr::LOCALHOST.into(), address, bytes.clone()));
    }
    timeout(Duration::from_secs(60), clients.join_all()).await.expect("all connected")
}

/// Sends one request over a new connection, and returns status and body of the answer. `head` is the method and the
/// path. `bearer` may be empty.
pub async fn fetch(address: SocketAddr, head: &str, bearer: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let request = format!(
        "{head} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: Bearer {bearer}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let answer = Raw::open(address, request).await.rest(Duration::from_secs(30)).await;
    let status =
        answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer:.500}"));
    let (_, body) = answer.split_once("\r\n\r\n").expect("a whole head");
    (status, body.to_owned())
}

/// A service in another process, started as its users start it.
pub struct Process {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    log: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl Process {
    /// Starts `command` on a free port, and waits until it logs the address on which it listens.
    pub async fn start(mut command: Command) -> Self {
        let mut child =
            command.env("PORT", "0").stderr(Stdio::piped()).kill_on_drop(true).spawn().expect("a process");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let address = timeout(Duration::from_secs(20), async {
            loop {
                let line = lines
                    .next_line()
                    .await
                    .expect("UTF-8")
                    .unwrap_or_else(|| panic!("ended: {}", log.lock()));
                *log.lock() += &format!("{line}\n");
                if let Some(address) = address_in(&line) {
                    return address;
                }
            }
        });
        let address = address.await.expect("ready within 20 s");
        let rest = log.clone();
        let reader = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                *rest.lock() += &format!("{line}\n");
            }
        });
        Self { address, child, log, reader }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id().expect("running")
    }

    /// Everything that it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().clone()
    }

    /// Waits until the log contains `text`, and returns the whole log. Lines are written a moment after the event.
    pub async fn log_with(&self, text: &str) -> String {
        let mut tick = interval(Duration::from_millis(5));
        let said = async {
            loop {
                let log = self.log();
                if log.contains(text) {
                    return log;
                }
                tick.tick().await;
            }
        };
        let said = timeout(Duration::from_secs(20), said).await;
        said.unwrap_or_else(|_| panic!("{text:?} is not in the log after 20 s:\n{}", self.log()))
    }

    /// Ends the process with SIGTERM, and returns everything that it has logged.
    pub async fn finish(mut self) -> String {
        self.signal("TERM").await;
        assert_eq!(self.ended(Duration::from_secs(20)).await, Some(0));
        self.reader.await.expect("a reader");
        self.log.lock().clone()
    }

    /// Sends `TERM`, `INT` or another signal.
    pub async fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.id());
        let status = Command::new("sh").args(["-c", &kill]).status().await.expect("sh");
        assert!(status.success(), "{kill}");
    }

    /// Waits for the end of the process, for `at_most`, and returns its exit status.
    pub async fn ended(&mut self, at_most: Duration) -> Option<i32> {
        timeout(at_most, self.child.wait()).await.expect("ended in time").expect("a status").code()
    }

    /// A figure of `/proc/PID/status`, such as `VmHWM`, in KiB.
    pub fn kibibytes(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("procfs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).expect("a figure")
    }
}

/// `address=127.0.0.1:1234` of a text line, or `"address":"127.0.0.1:1234"` of a JSON one.
fn address_in(line: &str) -> Option<SocketAddr> {
    let rest = line.split_once("address")?.1;
    rest.trim_start_matches(['=', ':', '"']).split([' ', '"', ',']).next()?.parse().ok()
}

/// A command that runs `binary` with none of the test's own environment, in a directory without `.env`.
pub fn command(binary: &str) -> Command {
    let mut command = Command::new(binary);
    command.env_clear().current_dir(std::env::temp_dir());
    command
}
