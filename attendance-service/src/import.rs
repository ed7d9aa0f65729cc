//! Lists of tickets as committees bring them: CSV out of a spreadsheet, or JSON.

mod csv;

use std::collections::HashMap;

use axum::http::{HeaderMap, header::CONTENT_TYPE};
use serde_json::json;
use shared_http::{
    ApiError,
    body::LONGEST_BODY,
    describe_body,
    error::{FieldError, Input, Location},
    json::{Failure, Field as _, Fields, Schema, TextField, is_json, list_of, parse, text},
};

use crate::{record::TicketId, ticket::NewTicket};

/// The longest list, in bytes.
pub const MAX_BYTES: usize = LONGEST_BODY;

/// The longest list, in tickets.
pub const MAX_TICKETS: usize = 50_000;

/// How many mistakes are reported at most.
const MAX_FAILURES: usize = 100;

/// A list of tickets.
pub struct ImportRequest {
    tickets: Vec<Item>,
}

struct Item {
    ticket_id: String,
    name: Option<Option<String>>,
    kind: Option<Option<String>>,
}

impl Schema for ImportRequest {
    const DESCRIPTION: &'static str = "Tickets to put on the list of an event.";
    const BODY_LIMIT: usize = MAX_BYTES;
    const MAX_FAILURES: Option<usize> = Some(MAX_FAILURES);

    fn read(fields: &mut Fields<'_>) -> Self {
        let tickets = list_of("tickets", MAX_TICKETS).min(1).about("The tickets, 1 to 50,000.");
        Self { tickets: fields.get(tickets) }
    }
}

impl Schema for Item {
    const DESCRIPTION: &'static str = "A ticket.";

    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            ticket_id: fields.get(ticket_id()),
            name: fields.get(name().clearable()),
            kind: fields.get(kind().clearable()),
        }
    }
}

describe_body!(ImportRequest);

fn ticket_id() -> TextField {
    let id = text("ticket_id").trimmed().min(1).max_bytes(200).no_control().no_dot_segment();
    id.about("Its id, 1 to 200 bytes of UTF-8, and neither `.` nor `..`.").example("A-001")
}

fn name() -> TextField {
    let name = text("name").trimmed().max(200).no_control();
    name.about("The name of the guest; `null` or empty clears it. Left out, it stays as it is.")
        .example("Siti Rahayu")
}

/// The class of a ticket.
pub fn kind() -> TextField {
    let kind = text("kind").trimmed().max(200).no_control();
    kind.about("Its class; `null` or empty clears it. Left out, it stays as it is.").example("VIP")
}

/// `None` for a text without a character.
pub fn non_empty(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// Reads the body of an import. It takes a while, so it belongs on a thread that may block.
///
/// # Errors
///
/// 422 with every mistake, or 400 where JSON is not UTF-8.
pub fn read(headers: &HeaderMap, body: &[u8]) -> Result<Vec<NewTicket>, ApiError> {
    if is_csv(headers)? {
        return csv::read(body).map_err(ApiError::Invalid);
    }
    let ImportRequest { tickets } = parse(body, is_json(headers))?;
    without_duplicates(&tickets).map_err(ApiError::Invalid)?;
    let ticket = |Item { ticket_id, name, kind }| NewTicket {
        ticket_id: TicketId(ticket_id),
        name: name.map(non_empty),
        kind: kind.map(non_empty),
    };
    Ok(tickets.into_iter().map(ticket).collect())
}

/// Whether the body is `text/csv`. Its charset, if it names one, is UTF-8.
fn is_csv(headers: &HeaderMap) -> Result<bool, ApiError> {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = value.split(';').map(str::trim);
    if !parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("text/csv")) {
        return Ok(false);
    }
    let charset = parts.filter_map(|parameter| parameter.split_once('=')).find_map(|(name, value)| {
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    match charset {
        Some(charset) if !["utf-8", "utf8", "us-ascii"].iter().any(|it| charset.eq_ignore_ascii_case(it)) => {
            let failure = Failure::new("value_error", "Value error, a CSV file must be UTF-8");
            let loc = vec![Location::Name("header"), Location::Name("content-type")];
            Err(ApiError::Invalid(vec![failure.at(loc, Input::new(value))]))
        }
        _ => Ok(true),
    }
}

fn without_duplicates(tickets: &[Item]) -> Result<(), Vec<FieldError>> {
    let mut first = HashMap::with_capacity(tickets.len());
    let duplicates = tickets.iter().enumerate().filter_map(|(index, Item { ticket_id, .. })| {
        let before = *first.entry(ticket_id).or_insert(index);
        (before != index).then(|| duplicate(index, before, ticket_id))
    });
    let failures: Vec<_> = duplicates.take(MAX_FAILURES).collect();
    if failures.is_empty() { Ok(()) } else { Err(failures) }
}

fn duplicate(index: usize, before: usize, ticket_id: &str) -> FieldError {
    let failure =
        Failure::new("value_error", format!("Value error, this ticket_id is that of item {before} too"));
    let loc = [Location::Name("body"), Location::Name("tickets"), Location::Index(index)];
    let loc = loc.into_iter().chain([Location::Name("ticket_id")]).collect();
    failure.with(json!({ "first_index": before })).at(loc, Input::new(ticket_id))
}
