//! What tells absent from null, what is said of bytes and control characters, and how many failures are reported.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    error::ApiError,
    json::{Field as _, Fields, Schema, describe, list_of, parse_like_fastapi, schema::read_flat, text},
};

#[derive(Debug, PartialEq)]
struct Change {
    title: Option<String>,
    place: Option<Option<String>>,
    items: Option<Vec<Item>>,
}

#[derive(Debug, PartialEq)]
struct Item(String);

impl Schema for Change {
    const DESCRIPTION: &'static str = "A change.";
    const MAX_FAILURES: Option<usize> = Some(3);

    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            title: fields.get(text("title").min(1).omittable()),
            place: fields.get(text("place").trimmed().max_bytes(4).no_control().clearable()),
            items: fields.get(list_of("items", 10).optional()),
        }
    }
}

impl Schema for Item {
    const DESCRIPTION: &'static str = "An item.";

    fn read(fields: &mut Fields<'_>) -> Self {
        Self(fields.get(text("id").min(1)))
    }
}

fn read(text: &str) -> Result<Change, Value> {
    parse_like_fastapi(text, true).map_err(|error| match error {
        ApiError::Invalid(failures) => serde_json::to_value(failures).unwrap(),
        other => panic!("{text}: {other:?}"),
    })
}

#[test]
fn what_is_left_out_is_not_what_is_null() {
    let place = |body: &str| read(body).unwrap().place;
    assert_eq!(place("{}"), None);
    assert_eq!(place(r#"{"place":null}"#), Some(None));
    assert_eq!(place(r#"{"place":""}"#), Some(Some(String::new())));
    assert_eq!(place(r#"{"place":" a "}"#), Some(Some("a".to_owned())));
    assert_eq!(read("{}").unwrap().title, None);
    assert_eq!(read(r#"{"title":"a"}"#).unwrap().title.as_deref(), Some("a"));
    assert_eq!(read(r#"{"title":null}"#).unwrap_err()[0]["type"], "string_type");
    assert_eq!(read(r#"{"title":""}"#).unwrap_err()[0]["type"], "string_too_short");
}

#[test]
fn bytes_and_control_characters_are_counted_after_trimming() {
    for place in ["éé", "  éé\t\n", "🎫", ""] {
        assert!(read(&json!({ "place": place }).to_string()).is_ok(), "{place:?}");
    }
    for (place, msg) in [
        ("ééa", "Value error, at most 4 bytes of UTF-8 are allowed"),
        ("a\tb", "Value error, control characters are not allowed"),
        ("\u{85}a\u{9f}", "Value error, control characters are not allowed"),
        ("\0", "Value error, control characters are not allowed"),
    ] {
        let failures = read(&json!({ "place": place }).to_string()).unwrap_err();
        let expected =
            json!([{ "type": "value_error", "loc": ["body", "place"], "msg": msg, "input": place }]);
        assert_eq!(failures, expected);
    }
}

#[test]
fn no_more_failures_are_reported_than_the_schema_says_and_all_are_noticed() {
    let places = |body: &str| -> Vec<Value> {
        read(body).unwrap_err().as_array().unwrap().iter().map(|failure| failure["loc"].clone()).collect()
    };
    let body = r#"{"title":"","items":[{},{"id":"a"},5,{"id":""},{}]}"#;
    let expected = [json!(["body", "title"]), json!(["body", "items", 0, "id"]), json!(["body", "items", 2])];
    assert_eq!(places(body), expected);
    // The list fails although none of its failures is reported.
    assert_eq!(places(r#"{"title":"","place":5,"items":[{},{},{},{}]}"#).len(), 3);
}

#[test]
fn openapi_says_what_may_be_null() {
    let described = serde_json::to_value(describe::<Change>()).unwrap();
    assert_eq!(described["properties"]["title"]["type"], "string");
    let place = json!({ "type": ["string", "null"], "pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$" });
    assert_eq!(described["properties"]["place"], place);
    assert_eq!(described.get("required"), None);
}

proptest! {
    /// A body that the fast path accepts is read as the slow path reads it.
    #[test]
    fn the_fast_path_reads_changes_as_the_slow_path_does(
        members in prop::collection::vec(("title|place|other", "[ ab\\\\\"é\0\n]{0,4}"), 0..4)
    ) {
        let members: Vec<_> = members.iter().map(|(name, value)| format!("{}:{}", json!(name), json!(value))).collect();
        let text = format!("{{{}}}", members.join(","));
        if let Some(change) = read_flat::<Change>(&text) {
            prop_assert_eq!(Ok(change), read(&text));
        }
    }
}
