//! A gate, in plain HTTP/1.1.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    io,
    net::SocketAddr,
    time::Instant,
};

use serde_json::{Value, json};
use shared_auth::{Role, Secret, TokenIssuer};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::{SECOND, UNAVAILABLE};

pub(crate) fn token() -> String {
    TokenIssuer::new(&Secret::new("dev-secret"), SECOND * 3600).issue("panitia1", Role::Committee).unwrap()
}

/// The request that checks a ticket in.
pub(crate) fn scan(event: &str, ticket: &str, key: Option<&str>, token: &str) -> String {
    let body = json!({ "event_id": event, "ticket_id": ticket }).to_string();
    let key = key.map(|key| format!("Idempotency-Key: {key}\r\n")).unwrap_or_default();
    format!(
        "POST /checkins HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer {token}\r\n{key}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn admin_token() -> String {
    TokenIssuer::new(&Secret::new("dev-secret"), SECOND * 3600).issue("admin1", Role::Admin).unwrap()
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn text(&self) -> (u16, &str) {
        (self.status, &self.body)
    }

    pub(crate) fn is_replayed(&self) -> bool {
        self.head.contains("\r\nidempotency-replayed: true\r\n")
    }

    /// The record of a check-in that succeeded, as it was sent.
    pub(crate) fn record(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        let body = self.body.strip_prefix(r#"{"status":"checked_in","record":"#);
        body.and_then(|body| body.strip_suffix('}')).expect("a record").to_owned()
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// The records of an event's list as they were sent, by ticket; none torn, none twice, none out of order.
    pub(crate) fn records(&self, event: &str) -> BTreeMap<String, String> {
        let body = self.json();
        let list = body["records"].as_array().expect("a list");
        let moments: Vec<_> = list.iter().map(|record| record["checked_in_at"].as_str().unwrap()).collect();
        assert!(moments.is_sorted(), "{moments:?}");
        let records: BTreeMap<_, _> = list
            .iter()
            .map(|record| {
                assert_eq!(
                    (&record["event_id"], &record["checked_in_by"]),
                    (&event.into(), &"panitia1".into())
                );
                (record["ticket_id"].as_str().unwrap().to_owned(), record.to_string())
            })
            .collect();
        assert_eq!((records.len(), &body["total_checked_in"]), (list.len(), &list.len().into()), "twice");
        records
    }

    /// The storage takes no writes, says the answer, and nothing else.
    pub(crate) fn assert_unavailable(&self) {
        assert_eq!(self.text(), (503, UNAVAILABLE));
        assert!(self.head.contains("\r\nretry-after: 1\r\n"), "{self:?}");
    }
}

/// A gate, with a connection of its own.
pub(crate) struct Gate {
    connection: BufReader<TcpStream>,
    pub(crate) token: String,
}

impl Gate {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let connection = BufReader::new(TcpStream::connect(address).await.unwrap());
        Self { connection, token: token() }
    }

    /// An error where the service is gone before its answer is whole.
    pub(crate) async fn try_send(&mut self, request: &str) -> io::Result<Answer> {
        self.connection.write_all(request.as_bytes()).await?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.connection.read_line(&mut head).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let body = match head.split_once("content-length: ") {
            Some((_, rest)) => self.read(rest.split("\r\n").next().unwrap().parse().unwrap()).await?,
            None => self.chunks().await?,
        };
        Ok(Answer { status: head[9..12].parse().unwrap(), body: String::from_utf8(body).unwrap(), head })
    }

    async fn read(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.connection.read_exact(&mut bytes).await?;
        Ok(bytes)
    }

    /// A body of a length that nobody knew when it began.
    async fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let mut length = String::new();
            self.connection.read_line(&mut length).await?;
            let length = usize::from_str_radix(length.trim_end(), 16).map_err(io::Error::other)?;
            let chunk = self.read(length + "\r\n".len()).await?;
            if length == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&chunk[..length]);
        }
    }

    pub(crate) async fn send(&mut self, request: &str) -> Answer {
        timeout(SECOND * 90, self.try_send(request)).await.expect("an answer in time").expect("an answer")
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        let token = &self.token;
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer {token}\r\n\r\n"))
            .await
    }

    /// Any request. An error where the service is gone before its answer is whole.
    pub(crate) async fn try_request(
        &mut self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &str,
    ) -> io::Result<Answer> {
        let (token, length) = (&self.token, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.try_send(&request).await
    }

    /// Any request with a body of JSON, or none.
    pub(crate) async fn request(&mut self, method: &str, path: &str, body: &str) -> Answer {
        let answer = self.try_request(method, path, "application/json", body);
        timeout(SECOND * 90, answer).await.expect("an answer in time").expect("an answer")
    }

    pub(crate) async fn check_in(&mut self, event: &str, ticket: &str, key: Option<&str>) -> Answer {
        self.send(&scan(event, ticket, key, &self.token)).await
    }

    /// Checks a ticket in, however long the disk of a busy machine takes.
    pub(crate) async fn insist(&mut self, event: &str, ticket: &str, key: &str) -> Answer {
        loop {
            let answer = self.check_in(event, ticket, Some(key)).await;
            if answer.text() != (503, UNAVAILABLE) {
                return answer;
            }
        }
    }

    pub(crate) async fn list(&mut self, event: &str) -> Answer {
        let list = self.get(&format!("/attendance/{event}")).await;
        assert_eq!(list.status, 200, "{list:?}");
        list
    }

    /// The records of an event, as [`Answer::records`] gives them.
    pub(crate) async fn records(&mut self, event: &str) -> BTreeMap<String, String> {
        self.list(event).await.records(event)
    }

    /// Waits until the service takes writes.
    pub(crate) async fn ready(&mut self) {
        let ready = async { while self.get("/ready").await.status != 200 {} };
        timeout(SECOND * 30, ready).await.expect("ready again with no restart");
    }

    /// Waits until the service knows that it takes none, and says why.
    pub(crate) async fn not_ready(&mut self) -> Answer {
        let not_ready = async {
            loop {
                let begin = Instant::now();
                let answer = self.get("/ready").await;
                // Two seconds, on a machine with nothing else to do.
                assert!(begin.elapsed() < SECOND * 10, "{:?}", begin.elapsed());
                if answer.status != 200 {
                    return answer;
                }
            }
        };
        let answer = timeout(SECOND * 30, not_ready).await.expect("not ready");
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.head.contains("\r\nretry-after: "), "{answer:?}");
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert!(body["detail"].as_str().is_some_and(|reason| !reason.is_empty()), "{body}");
        answer
    }
}

/// Numbers that nobody can foresee.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new() -> Self {
        Self(RandomState::new().hash_one(0))
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}
