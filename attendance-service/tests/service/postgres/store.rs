//! The store itself, without HTTP: what two replicas do with one database is seen best there.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use attendance_service::{
    history::{Change, EntryKind, HistoryEntry, Undo},
    record::{EventId, IdempotencyKey, Scan, TicketId},
    store::{CheckIn, CheckInStore, UndoOutcome, postgres::PostgresCheckInStore},
};
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use shared_http::metrics::Registry;
use shared_store::CommitMetrics;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UnixStream},
};
use url::Url;

pub(super) type Store = Arc<PostgresCheckInStore>;

pub(super) async fn open(url: &str) -> Store {
    let commits = CommitMetrics::new(&mut Registry::default());
    Arc::new(PostgresCheckInStore::open(url, commits).await.expect("a store"))
}

pub(super) async fn two_replicas(url: &str) -> [Store; 2] {
    [open(url).await, open(url).await]
}

pub(super) fn event(id: &str) -> EventId {
    EventId(id.to_owned())
}

#[expect(clippy::needless_pass_by_value, reason = "callers have numbers and literals")]
pub(super) fn ticket(id: impl ToString) -> TicketId {
    TicketId(id.to_string())
}

/// A scan for `evt1`, by `panitia1`.
pub(super) fn scan(id: impl ToString, key: Option<&str>) -> Scan {
    let idempotency_key = key.map(|key| IdempotencyKey::new(key.as_bytes()).expect("a key"));
    Scan { idempotency_key, ..Scan::new(event("evt1"), ticket(id), "panitia1".into()) }
}

/// The same of a guest who was let in already.
pub(super) fn admitted(id: impl ToString, key: &str) -> Scan {
    Scan { admitted: true, ..scan(id, Some(key)) }
}

pub(super) async fn accept(store: &Store, id: impl ToString) -> String {
    match store.check_in(scan(id, None)).await {
        Ok(CheckIn::Accepted(record)) => text(&record),
        other => panic!("{other:?}"),
    }
}

/// An undo by an admin.
pub(super) fn undo(id: impl ToString) -> Undo {
    Undo { event_id: event("evt1"), ticket_id: ticket(id), by: "admin1".into(), is_admin: true }
}

pub(super) async fn undone(store: &Store, id: impl ToString) -> String {
    match store.undo(undo(id)).await {
        Ok(UndoOutcome::Undone(record)) => text(&record),
        other => panic!("{other:?}"),
    }
}

pub(super) fn text(record: &[u8]) -> String {
    String::from_utf8(record.to_vec()).unwrap()
}

/// The list of `evt1` as it is now: total, version, JSON.
pub(super) async fn list(store: &Store) -> (usize, String, String) {
    let list = store.attendance(&event("evt1")).await.unwrap();
    let (total, version) = (list.total, list.version);
    let chunks: Vec<_> = list.records.chunks.try_collect().await.unwrap();
    let json: String = chunks.iter().map(|chunk| text(&chunk.json)).collect();
    assert_eq!(json.matches(r#""ticket_id":"#).count(), total);
    (total, version, json)
}

pub(super) async fn history(store: &Store, id: impl ToString) -> Vec<HistoryEntry> {
    store.history(&event("evt1"), &ticket(id)).await.unwrap()
}

/// All entries of `evt1`, read `limit` at a time.
pub(super) async fn changes(store: &Store, limit: usize) -> Vec<Change> {
    let mut all: Vec<Change> = Vec::new();
    loop {
        let after = all.last().map_or(0, |last| last.seq);
        let next = store.changes(&event("evt1"), after, limit).await.unwrap();
        if next.changes.is_empty() {
            assert_eq!(next.version, after);
            return all;
        }
        all.extend(next.changes);
    }
}

/// Whether entries could have happened in this order: a ticket is in once, is undone only if it is in, and a conflict is
/// with a check-in that stands. Returns the tickets that are in at the end.
pub(super) fn assert_possible(changes: &[Change]) -> BTreeMap<String, u64> {
    let mut standing = BTreeMap::new();
    for (index, change) in changes.iter().enumerate() {
        assert!(index == 0 || changes[index - 1].seq < change.seq, "{changes:?}");
        let id = change.ticket_id.0.clone();
        match change.kind {
            EntryKind::CheckedIn => assert_eq!(standing.insert(id, change.seq), None, "{change:?}"),
            EntryKind::Undone => assert!(standing.remove(&id).is_some(), "{change:?}"),
            EntryKind::Conflict => assert!(standing.contains_key(&id), "{change:?}"),
        }
    }
    standing
}

/// A key of the tables.
pub(super) fn digest(texts: &[&[u8]]) -> Vec<u8> {
    let hash = texts.iter().fold(Sha256::new(), |hash, text| {
        hash.chain_update((text.len() as u64).to_le_bytes()).chain_update(text)
    });
    hash.finalize().to_vec()
}

/// A way to the server that loses one answer: the one after a message that contains a text. The connection ends then.
pub(super) async fn losing_answer_to(url: &str, text: &'static str) -> String {
    let mut url: Url = url.parse().unwrap();
    let parameter =
        |name| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let port = parameter("port").unwrap_or_else(|| "5432".to_owned());
    let socket = format!("{}/.s.PGSQL.{port}", parameter("host").expect("a directory"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    url.set_query(Some("user=postgres"));
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
    let losses = Arc::new(AtomicUsize::new(1));
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (socket, losses) = (socket.clone(), losses.clone());
            tokio::spawn(async move {
                let mut server = UnixStream::connect(&socket).await.unwrap();
                let (mut question, mut answer) = (vec![0; 1 << 16], vec![0; 1 << 16]);
                let mut is_lost = false;
                loop {
                    tokio::select! {
                        Ok(length) = client.read(&mut question) => {
                            let question = &question[..length];
                            is_lost = question.windows(text.len()).any(|part| part == text.as_bytes())
                                && losses.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
                            if length == 0 || server.write_all(question).await.is_err() {
                                return;
                            }
                        }
                        Ok(length) = server.read(&mut answer) => {
                            if is_lost || length == 0 || client.write_all(&answer[..length]).await.is_err() {
                                return;
                            }
                        }
                    }
                }
            });
        }
    });
    url.into()
}
