use axum::{
    Json,
    extract::State,
    http::header::CACHE_CONTROL,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use shared_auth::{AuthUser, Claims};
use shared_http::{
    ApiError, ValidJson, describe_body,
    error::ErrorBody,
    json::{Field, Fields, Moment, Schema, boolean, list_of, moment, text},
    openapi::{AnyRoute, JsonBody},
};
use utoipa::ToSchema;

use super::check_in::KEY_PATTERN;
use crate::{
    AppState,
    record::{EventId, IdempotencyKey, Record, Scan, TicketId},
    store::{BatchResult, CheckIn},
    ticket::TicketInfo,
};

/// The most scans of a batch.
const MAX_SCANS: usize = 500;

/// A scan of a batch.
struct ScanRequest {
    event_id: EventId,
    ticket_id: TicketId,
    idempotency_key: String,
    scanned_at: Option<Moment>,
    admitted: bool,
    gate: Option<String>,
}

/// The longest id in a batch, in bytes: two of them fit into the body of a single check-in, so no record is longer than one
/// that could be made there.
const LONGEST_ID: usize = 16 * 1024;

impl Schema for ScanRequest {
    const DESCRIPTION: &'static str = "A ticket to check in, as a client without a network has scanned it.";

    fn read(fields: &mut Fields<'_>) -> Self {
        let id = |name| text(name).min(1).max_bytes(LONGEST_ID).no_nul();
        let event_id = id("event_id").about("The event, at least 1 character.").example("evt1");
        let ticket_id = id("ticket_id").about("The ticket, at least 1 character.").example("TICKET123");
        let key = text("idempotency_key")
            .pattern(KEY_PATTERN, |key| IdempotencyKey::new(key.as_bytes()).is_some())
            .about(
                "1 to 128 visible ASCII characters that name this attempt, as the header `Idempotency-Key`.",
            )
            .example("0b8fa9a6-17");
        let scanned_at = moment("scanned_at").about("When it was scanned.");
        let admitted = boolean("admitted").about("Whether the guest was let in already.");
        let gate = text("gate").max(100).no_nul().about("At which gate.").example("Gerbang A");
        Self {
            event_id: EventId(fields.get(event_id)),
            ticket_id: TicketId(fields.get(ticket_id)),
            idempotency_key: fields.get(key),
            scanned_at: fields.get(scanned_at.optional()),
            admitted: fields.get(admitted.optional()).unwrap_or_default(),
            gate: fields.get(gate.optional()),
        }
    }
}

impl ScanRequest {
    fn by(self, claims: &Claims) -> Scan {
        let Self { event_id, ticket_id, idempotency_key, scanned_at, admitted, gate } = self;
        Scan {
            idempotency_key: IdempotencyKey::new(idempotency_key.as_bytes()),
            gate: gate.map(String::into_boxed_str),
            scanned_at: scanned_at.map(|moment| moment.to_string().into_boxed_str()),
            admitted,
            ..Scan::new(event_id, ticket_id, claims.sub.clone())
        }
    }
}

/// Scans to work off, one after the other.
pub(super) struct BatchRequest {
    scans: Vec<ScanRequest>,
}

impl Schema for BatchRequest {
    const DESCRIPTION: &'static str = "Scans to work off, one after the other.";
    const BODY_LIMIT: usize = 1 << 20;

    fn read(fields: &mut Fields<'_>) -> Self {
        let scans =
            list_of("scans", MAX_SCANS).min(1).about("The scans, in the order in which they were made.");
        Self { scans: fields.get(scans) }
    }
}

describe_body!(BatchRequest);

/// What happened to the scans.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
struct BatchBody {
    /// One for each scan, in the same order.
    results: Vec<ScanResult>,
}

/// What happened to a scan.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
struct ScanResult {
    /// The ticket.
    #[schema(example = "TICKET123")]
    ticket_id: String,
    /// What happened.
    status: ScanStatus,
    /// The record of the ticket that stands, where there is one.
    #[schema(nullable = false)]
    record: Option<Record>,
    /// Whose ticket it is, where the event has a list and the ticket is on it.
    #[schema(nullable = false)]
    ticket: Option<TicketInfo>,
}

/// What happened to a scan.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ScanStatus {
    /// The ticket is in.
    Accepted,
    /// This attempt was accepted before.
    Replayed,
    /// Another attempt was accepted before.
    Duplicate,
    /// Another attempt was accepted before, and this guest had been let in already. Both are in the history.
    Conflict,
    /// The event has a list of tickets, and this one is not on it.
    Unregistered,
    /// The ticket is on the list, and good no more.
    Revoked,
    /// The key was used for another ticket.
    KeyReused,
    /// The gate pass is for another event.
    Forbidden,
}

#[derive(Serialize)]
pub(super) struct Results {
    results: Vec<ResultOf>,
}

#[derive(Serialize)]
struct ResultOf {
    ticket_id: TicketId,
    status: ScanStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<TicketInfo>,
}

impl ResultOf {
    fn forbidden(ticket_id: TicketId) -> Self {
        Self { ticket_id, status: ScanStatus::Forbidden, record: None, ticket: None }
    }
}

/// The status of a scan, and the record that stands if its outcome tells it.
fn status_and_record(outcome: CheckIn) -> (ScanStatus, Option<Bytes>) {
    match outcome {
        CheckIn::Accepted(record) => (ScanStatus::Accepted, Some(record)),
        CheckIn::Replayed { record, stands } => (ScanStatus::Replayed, stands.then_some(record)),
        CheckIn::Duplicate(record) => (ScanStatus::Duplicate, Some(record)),
        CheckIn::Conflict(record) => (ScanStatus::Conflict, record),
        CheckIn::KeyReused => (ScanStatus::KeyReused, None),
        CheckIn::Unregistered => (ScanStatus::Unregistered, None),
        CheckIn::Revoked => (ScanStatus::Revoked, None),
    }
}

/// Check tickets in that were scanned without a network
///
/// The scans are worked off one after the other, and each has a result of its own. Sent again with the same keys, they
/// change nothing.
#[utoipa::path(
    post,
    path = "/checkins/batch",
    tag = "gate",
    request_body = BatchRequest,
    responses(
        (status = 200, description = "What happened to each scan.", body = BatchBody),
        (
            status = 400,
            description = "The body is not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "There was an error parsing the body"})
        ),
        JsonBody<BatchRequest>,
        AnyRoute
    )
)]
pub(super) async fn batch(
    State(state): State<AppState>,
    AuthUser(claims): AuthUser,
    ValidJson(BatchRequest { scans }): ValidJson<BatchRequest>,
) -> Result<Response, ApiError> {
    let mut tickets = Vec::with_capacity(scans.len());
    let mut allowed = Vec::with_capacity(scans.len());
    for scan in scans {
        let is_allowed = claims.is_for(&scan.event_id.0);
        tickets.push((scan.event_id.clone(), scan.ticket_id.clone(), is_allowed));
        if is_allowed {
            allowed.push(scan.by(&claims));
        }
    }
    state.metrics.count_forbidden(tickets.len() - allowed.len());
    let mut outcomes = check_in(&state, allowed).await?.into_iter();
    let mut results = Vec::with_capacity(tickets.len());
    for (event, ticket, is_allowed) in tickets {
        if !is_allowed {
            results.push(ResultOf::forbidden(ticket));
            continue;
        }
        let BatchResult { outcome, ticket: info } =
            outcomes.next().ok_or_else(|| ApiError::internal("a scan has no result"))?;
        let (status, record) = status_and_record(outcome);
        let record = match record {
            Some(record) => Some(record),
            // What was refused for another reason may be checked in all the same.
            None => state.check_ins.record(&event, &ticket).await?,
        };
        let record = record.map(|record| serde_json::from_slice(&record)).transpose();
        let record = record.map_err(ApiError::internal)?;
        results.push(ResultOf { ticket_id: ticket, status, record, ticket: info });
    }
    Ok(([(CACHE_CONTROL, "no-store")], Json(Results { results })).into_response())
}

async fn check_in(state: &AppState, scans: Vec<Scan>) -> Result<Vec<BatchResult>, ApiError> {
    if scans.is_empty() {
        return Ok(Vec::new());
    }
    let count = scans.len();
    let outcome = state.check_ins.check_in_batch(scans).await;
    state.metrics.count_batch(&outcome, count);
    Ok(outcome?)
}
