//! The query of a request: read and checked like a body, or refused in FastAPI's words.

use axum::{extract::FromRequestParts, http::request::Parts};
use percent_encoding::percent_decode_str;

use crate::{
    ApiError,
    json::{Schema, read_query},
};

/// The parameters of a query, known to keep to the schema of `T`. Of two with equal names the last counts. Others are
/// ignored.
///
/// Refusal: 422 with every failing parameter at once.
#[derive(Clone, Copy, Debug)]
pub struct ValidQuery<T>(pub T);

impl<S: Sync, T: Schema> FromRequestParts<S> for ValidQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        read_query(&parameters(parts.uri.query().unwrap_or_default())).map(Self).map_err(ApiError::Invalid)
    }
}

/// Name and value of every parameter (`application/x-www-form-urlencoded`).
fn parameters(query: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
    parameters
        .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::json::{Field, Fields, integer, text};

    struct Page {
        after: i64,
        words: Option<String>,
        id: String,
    }

    impl Schema for Page {
        const DESCRIPTION: &'static str = "A page.";

        fn read(fields: &mut Fields<'_>) -> Self {
            Self {
                after: fields.get(integer("after").min(0).or(0)),
                words: fields.get(text("q").no_nul().optional()),
                id: fields.get(text("id").min(1)),
            }
        }
    }

    fn read(query: &str) -> Result<Page, Value> {
        let read = read_query(&parameters(query));
        read.map_err(|failures| serde_json::to_value(failures).unwrap())
    }

    #[test]
    fn parameters_are_decoded_and_the_last_of_equal_names_counts() {
        let page = read("id=1&&id=%C3%A9+a%2B&other&q=&after=17").ok().unwrap();
        assert_eq!((page.after, page.words.as_deref(), &*page.id), (17, Some(""), "é a+"));
        let page = read("id=%ff&q=a=b").ok().unwrap();
        assert_eq!((page.after, page.words.as_deref(), &*page.id), (0, Some("a=b"), "\u{fffd}"));
    }

    #[test]
    fn every_failure_is_told_in_the_words_of_fastapi() {
        let msg = "Input should be a valid integer, unable to parse string as an integer";
        let expected = json!([
            {"type": "int_parsing", "loc": ["query", "after"], "msg": msg, "input": "x"},
            {"type": "missing", "loc": ["query", "id"], "msg": "Field required", "input": null},
        ]);
        assert_eq!(read("after=x").err(), Some(expected));
        let expected = json!([{
            "type": "greater_than_equal", "loc": ["query", "after"],
            "msg": "Input should be greater than or equal to 0", "input": "-1", "ctx": {"ge": 0},
        }]);
        assert_eq!(read("id=1&after=-1").err(), Some(expected));
    }
}
