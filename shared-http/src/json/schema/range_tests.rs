//! A rule about several fields, and a pattern.

use serde_json::{Value, json};

use crate::{
    error::ApiError,
    json::{
        Field as _, Fields, Moment, Schema, describe, moment, parse_like_fastapi, schema::read_flat, text,
    },
};

#[derive(Debug, PartialEq)]
struct Range {
    key: Option<String>,
    after: Option<Moment>,
}

impl Schema for Range {
    const DESCRIPTION: &'static str = "One of two.";

    fn read(fields: &mut Fields<'_>) -> Self {
        let key = text("key").pattern("^[a-z]+$", |key| key.bytes().all(|byte| byte.is_ascii_lowercase()));
        let range = Self { key: fields.get(key.optional()), after: fields.get(moment("after").optional()) };
        fields.require(range.key.is_some() || range.after.is_some(), "one of key and after is needed");
        range
    }
}

fn failures(text: &str) -> Value {
    match parse_like_fastapi::<Range>(text, true) {
        Err(ApiError::Invalid(failures)) => serde_json::to_value(failures).unwrap(),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_rule_about_several_fields_is_reported_of_the_whole_and_only_if_no_field_has_failed() {
    for text in ["{}", r#"{"key":null,"other":"x"}"#] {
        let input: Value = serde_json::from_str(text).unwrap();
        let msg = "Value error, one of key and after is needed";
        let expected = json!([{ "type": "value_error", "loc": ["body"], "msg": msg, "input": input }]);
        assert_eq!(failures(text), expected);
        assert_eq!(read_flat::<Range>(text), None);
    }
    assert_eq!(failures(r#"{"after":true}"#)[0]["type"], "datetime_type");
    assert_eq!(failures(r#"{"after":true}"#).as_array().unwrap().len(), 1);
    assert_eq!(read_flat::<Range>(r#"{"key":"a"}"#).unwrap().key.as_deref(), Some("a"));
}

#[test]
fn a_text_matches_its_pattern() {
    let expected = json!([{
        "type": "string_pattern_mismatch", "loc": ["body", "key"], "msg": "String should match pattern '^[a-z]+$'",
        "input": "A", "ctx": {"pattern": "^[a-z]+$"},
    }]);
    assert_eq!(failures(r#"{"key":"A"}"#), expected);
    let described = serde_json::to_value(describe::<Range>()).unwrap();
    assert_eq!(described["properties"]["key"]["pattern"], "^[a-z]+$");
}

#[test]
fn a_moment_counts_from_1970_and_as_utc_unless_it_says_otherwise() {
    for (text, micros) in [
        ("1970-01-01", 0),
        ("1970-01-01T00:00:01.5", 1_500_000),
        ("1970-01-01T07:00:00.000001+07:00", 1),
        ("1969-12-31T23:59:59.25Z", -750_000),
    ] {
        let body = format!(r#"{{"after":"{text}"}}"#);
        assert_eq!(read_flat::<Range>(&body).unwrap().after.unwrap().micros(), micros, "{text}");
    }
}
