use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    http::{
        HeaderMap, StatusCode,
        header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, VARY},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use headers::{HeaderMapExt, IfNoneMatch};
use http_body::{Frame, SizeHint};
use serde::Serialize;
use shared_auth::{AuthUser, openapi::Unauthorized};
use shared_http::{ApiError, error::ErrorBody, openapi::AnyRoute};
use utoipa::ToSchema;

use crate::{
    AppState,
    record::{EventId, Record},
    store::{Records, StoreError},
};

/// Who came to an event.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
struct AttendanceBody {
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
/// accepts it.
#[utoipa::path(
    get,
    path = "/attendance/{event_id}",
    tag = "gate",
    security(("bearer" = [])),
    params(
        ("event_id" = String, Path, description = "The event, percent-encoded, `/` included.", example = "evt1"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the list that the client has.")
    ),
    responses(
        (
            status = 200,
            description = "The list.",
            body = AttendanceBody,
            headers(("ETag" = String, description = "Changes whenever the list does."))
        ),
        (status = 304, description = "The list is still the one that the client has."),
        (
            status = 400,
            description = "The event in the path is not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "event_id in the path must be percent-encoded UTF-8"})
        ),
        Unauthorized,
        AnyRoute
    )
)]
pub(super) async fn attendance(
    State(state): State<AppState>,
    _: AuthUser,
    event_id: Result<Path<EventId>, PathRejection>,
    request: HeaderMap,
) -> Result<Response, ApiError> {
    let Path(event_id) = event_id
        .map_err(|_| ApiError::BadRequest("event_id in the path must be percent-encoded UTF-8".into()))?;
    let attendance = state.check_ins.attendance(&event_id).await?;

    let tag = format!("W/\"{}\"", attendance.version);
    // No shared cache may store the list. The client may, and has to revalidate it every time.
    let caching = [(CACHE_CONTROL, "private, no-cache"), (VARY, "accept-encoding")];
    if is_unchanged(&request, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, caching, [(ETAG, tag)]).into_response());
    }
    let beginning = beginning(&event_id, attendance.total).map_err(ApiError::internal)?;
    let headers = [(CONTENT_TYPE, "application/json".to_owned()), (ETAG, tag)];
    if accepts_gzip(&request) {
        let stream = state.compressor.stream(&beginning, attendance.records.chunks, END);
        let body = Body::from_stream(stream);
        return Ok((caching, headers, [(CONTENT_ENCODING, "gzip")], body).into_response());
    }
    let body = Body::new(List::new(beginning, attendance.records));
    Ok((caching, headers, body).into_response())
}

/// Whether the client prefers gzip to `identity`, or accepts both equally. A client that refuses both gets `identity`,
/// which RFC 9110 (section 12.5.3) allows.
fn accepts_gzip(headers: &HeaderMap) -> bool {
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

fn is_unchanged(headers: &HeaderMap, tag: &str) -> bool {
    match (headers.typed_get::<IfNoneMatch>(), tag.parse()) {
        (Some(known), Ok(tag)) => !known.precondition_passes(&tag),
        _ => false,
    }
}

/// The JSON document up to its first record.
fn beginning(event_id: &EventId, total_checked_in: usize) -> serde_json::Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Beginning<'a> {
        event_id: &'a EventId,
        total_checked_in: usize,
        records: [(); 0],
    }
    let mut json = serde_json::to_vec(&Beginning { event_id, total_checked_in, records: [] })?;
    json.truncate(json.len() - "]}".len());
    Ok(json)
}

/// The JSON document after its last record.
const END: &[u8] = b"]}";

/// The JSON document as a response body. Its length is known if the length of the records is.
struct List {
    /// Bytes still to send.
    left: Option<u64>,
    chunks: BoxStream<'static, Result<Bytes, StoreError>>,
}

impl List {
    fn new(beginning: Vec<u8>, records: Records) -> Self {
        let around = (beginning.len() + END.len()) as u64;
        let chunks = records.chunks.map_ok(|chunk| chunk.json);
        let once = |bytes| stream::iter([Ok(bytes)]);
        let chunks = once(beginning.into()).chain(chunks).chain(once(Bytes::from_static(END)));
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
