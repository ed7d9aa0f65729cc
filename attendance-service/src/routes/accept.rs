//! Which form of a list a client wants.

use axum::http::{HeaderMap, header::ACCEPT};
use shared_http::json::{Field, Fields, Schema, text};

/// The form that is asked for in the query.
pub(super) struct FormatQuery {
    format: Option<String>,
}

impl Schema for FormatQuery {
    const DESCRIPTION: &'static str = "The form that is wanted.";

    fn read(fields: &mut Fields<'_>) -> Self {
        Self { format: fields.get(text("format").optional()) }
    }
}

/// Whether the list is wanted as CSV: the query says so, or else `Accept` names CSV, and prefers it to JSON. A client
/// that takes everything gets JSON.
pub(super) fn wants_csv(headers: &HeaderMap, query: &FormatQuery) -> bool {
    match query.format.as_deref() {
        Some("csv") => return true,
        Some("json") => return false,
        _ => {}
    }
    let (mut csv, mut json) = (0.0, 0.0);
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    for range in values.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let q = parts.find_map(|parameter| parameter.strip_prefix("q="));
        let q = q.map_or(1.0, |q| q.trim().parse().unwrap_or(0.0));
        if media_type.eq_ignore_ascii_case("text/csv") {
            csv = q;
        } else if media_type.eq_ignore_ascii_case("application/json") {
            json = q;
        }
    }
    csv > json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_for_those_who_ask_for_it() {
        for (format, accept, expected) in [
            (None, "", false),
            (None, "*/*", false),
            (None, "text/html,application/xml;q=0.9,*/*;q=0.8", false),
            (None, "text/*", false),
            (None, "text/csv", true),
            (None, "Text/CSV; charset=utf-8; q=0.5", true),
            (None, "text/csv, */*", true),
            (None, "application/json, text/csv", false),
            (None, "application/json;q=0.5, text/csv", true),
            (None, "text/csv;q=0, */*", false),
            (None, "text/csv;q=nonsense", false),
            (Some("csv"), "application/json", true),
            (Some("json"), "text/csv", false),
            (Some("xml"), "text/csv", true),
            (Some("xml"), "", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().unwrap());
            let query = FormatQuery { format: format.map(str::to_owned) };
            assert_eq!(wants_csv(&headers, &query), expected, "{format:?} {accept}");
        }
    }
}
