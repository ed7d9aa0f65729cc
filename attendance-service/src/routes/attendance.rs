use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{
    body::Body,
    extract::State,
    http::{
        HeaderMap, HeaderName, StatusCode,
        header::{
            ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE, ETAG, VARY,
        },
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use headers::{HeaderMapExt, IfNoneMatch};
use http_body::{Frame, SizeHint};
use serde::Serialize;
use shared_http::{ApiError, ValidQuery, error::ErrorBody, openapi::AnyRoute};
use utoipa::ToSchema;

use super::{
    accept::{FormatQuery, wants_csv},
    path::EventPath,
};
use crate::{
    AppState, attendance_csv,
    record::{EventId, Record},
    store::{Chunk, Records, StoreError},
};

/// Who came to an event.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub(super) struct AttendanceBody {
    /// The event.
    #[schema(example = "evt1")]
    event_id: String,
    /// How many tickets were checked in.
    #[schema(example = 1)]
    total_checked_in: usize,
    /// All of them, oldest first.
    records: Vec<Record>,
}

/// Who came to an event
///
/// An event that nobody checked in to has 0 records. The list is compressed with gzip where the client
/// accepts it. As CSV it has the name and the kind of every ticket, where the event has a list, and begins with a byte
/// order mark for spreadsheets.
#[utoipa::path(
    get,
    path = "/attendance/{event_id}",
    tag = "gate",
    params(
        ("event_id" = String, Path, description = "The event, percent-encoded, `/` included.", example = "evt1"),
        ("format" = Option<String>, Query, description = "`csv` for CSV, whatever `Accept` says.", example = "json"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the list that the client has.")
    ),
    responses(
        (
            status = 200,
            description = "The list.",
            content((AttendanceBody = "application/json"), (String = "text/csv")),
            headers(("ETag" = Option<String>, description = "Changes whenever the list does. Not with CSV."))
        ),
        (status = 304, description = "The list is still the one that the client has."),
        (
            status = 400,
            description = "The event in the path is not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "event_id in the path must be percent-encoded UTF-8"})
        ),
        AnyRoute
    )
)]
pub(super) async fn attendance(
    State(state): State<AppState>,
    EventPath(event_id): EventPath,
    ValidQuery(query): ValidQuery<FormatQuery>,
    request: HeaderMap,
) -> Result<Response, ApiError> {
    list_or_csv(&state, event_id, &request, &query).await
}

/// Who came to an event, in the form that the client wants.
pub(super) async fn list_or_csv(
    state: &AppState,
    event_id: EventId,
    request: &HeaderMap,
    query: &FormatQuery,
) -> Result<Response, ApiError> {
    if wants_csv(request, query) {
        let records = state.check_ins.attendance(&event_id).await?.records;
        return Ok(csv(state, event_id, records, accepts_gzip(request)));
    }
    list(state, &event_id, request, Around::NOTHING).await
}

/// What stands around the list in the answer.
pub(super) struct Around {
    /// The JSON before it.
    pub(super) beginning: Vec<u8>,
    /// The JSON from its last record on.
    pub(super) end: &'static [u8],
    /// What the beginning depends on, for the `ETag`.
    pub(super) version: String,
}

impl Around {
    /// Nothing but the list.
    const NOTHING: Self = Self { beginning: Vec::new(), end: b"]}", version: String::new() };
}

/// Who came to an event, as JSON.
pub(super) async fn list(
    state: &AppState,
    event_id: &EventId,
    request: &HeaderMap,
    around: Around,
) -> Result<Response, ApiError> {
    let attendance = state.check_ins.attendance(event_id).await?;

    let tag = format!("W/\"{}{}\"", attendance.version, around.version);
    if is_unchanged(request, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, CACHING, [(ETAG, tag)]).into_response());
    }
    let beginning = beginning(around.beginning, event_id, attendance.total).map_err(ApiError::internal)?;
    let end = around.end;
    let headers = [(CONTENT_TYPE, "application/json".to_owned()), (ETAG, tag)];
    if accepts_gzip(request) {
        let compressor = Arc::clone(&state.compressor);
        let stream = compressor.stream(&beginning, attendance.records.chunks, end);
        let body = Body::from_stream(stream);
        return Ok((CACHING, headers, [(CONTENT_ENCODING, "gzip")], body).into_response());
    }
    let body = Body::new(List::new(beginning, attendance.records, end));
    Ok((CACHING, headers, body).into_response())
}

/// No shared cache may store the list. The client may, and has to revalidate it every time.
const CACHING: [(HeaderName, &str); 2] =
    [(CACHE_CONTROL, "private, no-cache"), (VARY, "accept, accept-encoding")];

/// The list as CSV.
fn csv(state: &AppState, event: EventId, records: Records, is_compressed: bool) -> Response {
    let disposition = format!("attachment; filename=\"check-ins-{}.csv\"", harmless(&event.0));
    let headers = [(CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, disposition)];
    let beginning = attendance_csv::beginning();
    let rows = attendance_csv::rows(event, records.chunks, state.events.clone());
    if is_compressed {
        let stream = state.compressor.clone().stream(&beginning, rows.map_ok(Chunk::from).boxed(), b"");
        return (CACHING, headers, [(CONTENT_ENCODING, "gzip")], Body::from_stream(stream)).into_response();
    }
    let body = Body::from_stream(stream::iter([Ok(beginning.into())]).chain(rows));
    (CACHING, headers, body).into_response()
}

/// The beginning of an id, without what a header or a file system could take for something else.
fn harmless(id: &str) -> String {
    let kept = |char: char| if char.is_ascii_alphanumeric() || char == '-' { char } else { '_' };
    id.chars().take(40).map(kept).collect()
}

/// Whether the client prefers gzip to `identity`, or accepts both equally. A client that refuses both gets `identity`,
/// which RFC 9110 (section 12.5.3) allows.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut identity) = (0.0, 0.0);
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for coding in values.flat_map(|value| value.split(',')) {
        let (name, parameter) = coding.split_once(';').unwrap_or((coding, ""));
        let q = parameter.trim().strip_prefix("q=");
        let q = q.map_or(1.0, |q| q.trim().parse().unwrap_or(0.0));
        match name.trim() {
            name if name.eq_ignore_ascii_case("gzip") => gzip = q,
            name if name.eq_ignore_ascii_case("identity") => identity = q,
            _ => {}
        }
    }
    gzip > 0.0 && gzip >= identity
}

/// Whether the client has what `tag` stands for.
pub(crate) fn is_unchanged(headers: &HeaderMap, tag: &str) -> bool {
    match (headers.typed_get::<IfNoneMatch>(), tag.parse()) {
        (Some(known), Ok(tag)) => !known.precondition_passes(&tag),
        _ => false,
    }
}

/// The JSON document up to its first record.
fn beginning(mut json: Vec<u8>, event_id: &EventId, total_checked_in: usize) -> serde_json::Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Beginning<'a> {
        event_id: &'a EventId,
        total_checked_in: usize,
        records: [(); 0],
    }
    serde_json::to_writer(&mut json, &Beginning { event_id, total_checked_in, records: [] })?;
    json.truncate(json.len() - "]}".len());
    Ok(json)
}

/// The JSON document as a response body. Its length is known if the length of the records is.
struct List {
    /// Bytes still to send.
    left: Option<u64>,
    chunks: BoxStream<'static, Result<Bytes, StoreError>>,
}

impl List {
    fn new(beginning: Vec<u8>, records: Records, end: &'static [u8]) -> Self {
        let around = (beginning.len() + end.len()) as u64;
        let chunks = records.chunks.map_ok(|chunk| chunk.json);
        let once = |bytes| stream::iter([Ok(bytes)]);
        let chunks = once(beginning.into()).chain(chunks).chain(once(Bytes::from_static(end)));
        Self { left: records.length.map(|length| length + around), chunks: chunks.boxed() }
    }
}

impl http_body::Body for List {
    type Data = Bytes;
    type Error = StoreError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StoreError>>> {
        let chunk = ready!(self.chunks.poll_next_unpin(cx));
        if let (Some(Ok(chunk)), Some(left)) = (&chunk, &mut self.left) {
            *left -= chunk.len() as u64;
        }
        Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map(SizeHint::with_exact).unwrap_or_default()
    }
}
