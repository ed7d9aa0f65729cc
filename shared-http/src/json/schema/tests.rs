//! Fields of every kind, with the answers that FastAPI 0.165 (Pydantic 2.14) gave for the same fields.

use proptest::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    error::ApiError,
    json::{
        Field as _, Fields, Moment, Schema, boolean, describe, integer, list_of, moment, parse_like_fastapi,
        schema::read_flat, text,
    },
};

#[derive(Debug, Default, PartialEq, Serialize)]
struct Body {
    title: String,
    kind: String,
    count: i64,
    scans: Option<Vec<Scan>>,
    at: Option<Moment>,
    open: Option<bool>,
}

impl Schema for Body {
    const DESCRIPTION: &'static str = "Everything at once.";

    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            title: fields.get(text("title").min(1).max(3).no_nul().or("x".to_owned())),
            kind: fields.get(text("kind").about("The kind.").example("VIP").or("guest".to_owned())),
            count: fields.get(integer("count").min(1).max(100).or(5)),
            scans: fields.get(list_of("scans", 2).min(1).optional()),
            at: fields.get(moment("at").optional()),
            open: fields.get(boolean("open").about("Whether it is open.").optional()),
        }
    }
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct Scan {
    event_id: String,
    gate: Option<String>,
}

impl Schema for Scan {
    const DESCRIPTION: &'static str = "One of them.";

    fn read(fields: &mut Fields<'_>) -> Self {
        Self { event_id: fields.get(text("event_id").min(1)), gate: fields.get(text("gate").optional()) }
    }
}

fn read(text: &str) -> Result<Body, Value> {
    parse_like_fastapi(text, true).map_err(|error| match error {
        ApiError::Invalid(failures) => serde_json::to_value(failures).unwrap(),
        other => panic!("{text}: {other:?}"),
    })
}

/// Kind and message of the only failure of a body with this value of one field.
fn refusal(field: &str, value: &str) -> (String, String) {
    let failures = read(&format!(r#"{{"{field}":{value}}}"#)).unwrap_err();
    let text = |part: &str| failures[0][part].as_str().unwrap().to_owned();
    assert_eq!(failures.as_array().unwrap().len(), 1, "{failures}");
    assert_eq!(failures[0]["loc"], json!(["body", field]), "{value}");
    (text("type"), text("msg"))
}

#[test]
fn whole_numbers_are_read_as_fastapi_reads_them() {
    for (value, expected) in [
        ("5", 5),
        ("5.0", 5),
        (r#""5""#, 5),
        (r#""5.0""#, 5),
        (r#"" 5 ""#, 5),
        (r#""+5""#, 5),
        ("true", 1),
        ("1e2", 100),
        ("1.0e1", 10),
    ] {
        assert_eq!(read(&format!(r#"{{"count":{value}}}"#)).unwrap().count, expected, "{value}");
    }
    let fraction = "Input should be a valid integer, got a number with a fractional part";
    let unparsable = "Input should be a valid integer, unable to parse string as an integer";
    let no_number = "Input should be a valid integer";
    let (small, large) =
        ("Input should be greater than or equal to 1", "Input should be less than or equal to 100");
    for (value, kind, msg) in [
        ("5.5", "int_from_float", fraction),
        (r#""abc""#, "int_parsing", unparsable),
        (r#""""#, "int_parsing", unparsable),
        (r#""0x5""#, "int_parsing", unparsable),
        (r#""1e1""#, "int_parsing", unparsable),
        (r#""5.""#, "int_parsing", unparsable),
        (r#""٥""#, "int_parsing", unparsable),
        ("null", "int_type", no_number),
        ("[]", "int_type", no_number),
        ("{}", "int_type", no_number),
        ("0", "greater_than_equal", small),
        ("-0", "greater_than_equal", small),
        (r#""-0""#, "greater_than_equal", small),
        ("-99999999999999999999999", "greater_than_equal", small),
        ("101", "less_than_equal", large),
        ("99999999999999999999999", "less_than_equal", large),
        (r#""99999999999999999999999""#, "less_than_equal", large),
        ("9007199254740993.0", "less_than_equal", large),
    ] {
        assert_eq!(refusal("count", value), (kind.to_owned(), msg.to_owned()), "{value}");
    }
    assert_eq!(read(r#"{"count":0}"#).unwrap_err()[0]["ctx"], json!({"ge": 1}));
}

/// A number without limits, and a list with a minimum length.
#[derive(Debug)]
struct Unlimited {
    number: i64,
}

impl Schema for Unlimited {
    const DESCRIPTION: &'static str = "Without limits.";

    fn read(fields: &mut Fields<'_>) -> Self {
        fields.get(list_of::<Scan>("scans", 9).min(2).optional());
        Self { number: fields.get(integer("number").or(0)) }
    }
}

fn read_unlimited(text: &str) -> Result<i64, String> {
    match parse_like_fastapi::<Unlimited>(text, true) {
        Ok(body) => Ok(body.number),
        Err(ApiError::Invalid(failures)) => {
            Err(failures.iter().map(|failure| failure.kind).collect::<Vec<_>>().join(" "))
        }
        Err(other) => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_number_out_of_range_is_refused_and_not_truncated() {
    for (number, expected) in
        [("9223372036854775807", i64::MAX), ("-9223372036854775808", i64::MIN), ("1e3", 1000)]
    {
        assert_eq!(read_unlimited(&format!(r#"{{"number":{number}}}"#)), Ok(expected));
    }
    for number in [
        "9223372036854775808",
        "-9223372036854775809",
        r#""9223372036854775808""#,
        "9223372036854775808.0",
        "-1e300",
    ] {
        let outcome = read_unlimited(&format!(r#"{{"number":{number}}}"#));
        assert_eq!(outcome, Err("int_parsing_size".to_owned()), "{number}");
    }
}

#[test]
fn a_list_with_a_wrong_item_is_not_also_too_short() {
    assert_eq!(read_unlimited(r#"{"scans":[{}]}"#), Err("missing".to_owned()));
    assert_eq!(read_unlimited(r#"{"scans":[{"event_id":"a"}]}"#), Err("too_short".to_owned()));
}

#[test]
fn moments_keep_their_offset() {
    for (value, expected) in [
        (r#""2026-12-01T19:00:00+07:00""#, "2026-12-01T19:00:00+07:00"),
        (r#""2026-12-01""#, "2026-12-01T00:00:00"),
        (r#""2026-12-01T19:00""#, "2026-12-01T19:00:00"),
        (r#""2026-12-01 19:00:00.5""#, "2026-12-01T19:00:00.500000"),
        (r#""2026-12-01T19:00:00.1234567""#, "2026-12-01T19:00:00.123456"),
        (r#""2026-12-01T19:00:00+00:00""#, "2026-12-01T19:00:00Z"),
        (r#""2026-12-01T19:00:00-0730""#, "2026-12-01T19:00:00-07:30"),
        (r#""2026-12-01T19:00:00.5+07:00""#, "2026-12-01T19:00:00.500000+07:00"),
        ("0", "1970-01-01T00:00:00Z"),
        ("1700000000", "2023-11-14T22:13:20Z"),
        ("1700000000.5", "2023-11-14T22:13:20.500000Z"),
        (r#""1700000000""#, "2023-11-14T22:13:20Z"),
        ("-1", "1969-12-31T23:59:59Z"),
    ] {
        let at = read(&format!(r#"{{"at":{value}}}"#)).unwrap().at;
        assert_eq!(serde_json::to_value(at).unwrap(), json!(expected), "{value}");
    }
    assert_eq!(read(r#"{"at":null}"#).unwrap().at, None);
    assert_eq!(Moment::default().to_string(), "1970-01-01T00:00:00Z");

    let no_moment = "Input should be a valid datetime";
    let too_late = "Input should be a valid datetime, dates after 9999 are not supported as unix timestamps";
    for (value, kind, msg) in [
        ("true", "datetime_type", no_moment),
        ("[]", "datetime_type", no_moment),
        ("99999999999999999", "datetime_parsing", too_late),
    ] {
        assert_eq!(refusal("at", value), (kind.to_owned(), msg.to_owned()), "{value}");
    }
    for (value, why) in [
        ("besok", "input is too short"),
        ("0000-01-01", "year 0 is out of range"),
        ("2026-02-30", "day value is outside expected range"),
        ("2026-12-01T24:00:00", "unexpected extra characters at the end of the input"),
    ] {
        let text = format!(r#"{{"at":"{value}"}}"#);
        let msg = format!("Input should be a valid datetime or date, {why}");
        let expected = json!([{
            "type": "datetime_from_date_parsing", "loc": ["body", "at"], "msg": msg, "input": value,
            "ctx": {"error": why}
        }]);
        assert_eq!(read(&text).unwrap_err(), expected);
    }
}

#[test]
fn truth_is_read_as_fastapi_reads_it() {
    for (values, expected) in [
        (
            [
                "true",
                "1",
                "1.0",
                r#""true""#,
                r#""TRUE""#,
                r#""1""#,
                r#""oN""#,
                r#""y""#,
                r#""yes""#,
                r#""T""#,
            ],
            true,
        ),
        (
            [
                "false",
                "0",
                "-0.0",
                r#""false""#,
                r#""F""#,
                r#""0""#,
                r#""off""#,
                r#""N""#,
                r#""no""#,
                r#""n""#,
            ],
            false,
        ),
    ] {
        for value in values {
            assert_eq!(read(&format!(r#"{{"open":{value}}}"#)).unwrap().open, Some(expected), "{value}");
        }
    }
    assert_eq!(read(r#"{"open":null}"#).unwrap().open, None);
    let uninterpretable = "Input should be a valid boolean, unable to interpret input";
    for value in ["2", "-1", "2.0", r#"" true""#, r#""true ""#, r#""""#, r#""ja""#, r#""1.0""#] {
        assert_eq!(
            refusal("open", value),
            ("bool_parsing".to_owned(), uninterpretable.to_owned()),
            "{value}"
        );
    }
    for value in ["0.5", "1000000000000000000000000000000", "[]", "{}"] {
        let expected = ("bool_type".to_owned(), "Input should be a valid boolean".to_owned());
        assert_eq!(refusal("open", value), expected, "{value}");
    }
}

#[test]
fn a_list_says_which_of_its_items_is_wrong() {
    let scans = |items: &str| read(&format!(r#"{{"scans":{items}}}"#));
    let good = scans(r#"[{"event_id":"a"},{"event_id":"b","gate":null}]"#).unwrap().scans.unwrap();
    assert_eq!(good.iter().map(|scan| &*scan.event_id).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(
        scans(r#"[5,{"event_id":"","gate":1}]"#).unwrap_err(),
        json!([
            {"type": "model_attributes_type", "loc": ["body", "scans", 0], "input": 5,
             "msg": "Input should be a valid dictionary or object to extract fields from"},
            {"type": "string_too_short", "loc": ["body", "scans", 1, "event_id"], "input": "",
             "msg": "String should have at least 1 character", "ctx": {"min_length": 1}},
            {"type": "string_type", "loc": ["body", "scans", 1, "gate"], "input": 1,
             "msg": "Input should be a valid string"},
        ])
    );
    assert_eq!(
        scans("[{}]").unwrap_err(),
        json!([{"type": "missing", "loc": ["body", "scans", 0, "event_id"], "msg": "Field required", "input": {}}])
    );
    assert_eq!(
        scans("[1,2,3]").unwrap_err(),
        json!([{"type": "too_long", "loc": ["body", "scans"], "input": [1, 2, 3],
                "msg": "List should have at most 2 items after validation, not 3",
                "ctx": {"field_type": "List", "max_length": 2, "actual_length": 3}}])
    );
    assert_eq!(
        scans("[]").unwrap_err(),
        json!([{"type": "too_short", "loc": ["body", "scans"], "input": [],
                "msg": "List should have at least 1 item after validation, not 0",
                "ctx": {"field_type": "List", "min_length": 1, "actual_length": 0}}])
    );
    for value in ["5", "{}", r#""x""#] {
        assert_eq!(
            refusal("scans", value),
            ("list_type".to_owned(), "Input should be a valid list".to_owned())
        );
    }
}

#[test]
fn every_field_is_reported_in_the_order_of_the_schema() {
    let failures = read(r#"{"at":true,"scans":5,"count":"x","kind":null,"title":"\u0000"}"#).unwrap_err();
    let said: Vec<_> =
        failures.as_array().unwrap().iter().map(|failure| (&failure["loc"][1], &failure["type"])).collect();
    let expected = [
        ("title", "value_error"),
        ("kind", "string_type"),
        ("count", "int_parsing"),
        ("scans", "list_type"),
        ("at", "datetime_type"),
    ];
    assert_eq!(said.len(), expected.len(), "{failures}");
    for ((field, kind), expected) in said.iter().zip(expected) {
        assert_eq!((field.as_str().unwrap(), kind.as_str().unwrap()), expected);
    }
}

#[test]
fn a_field_that_is_left_out_has_its_default() {
    let expected = Body { title: "x".to_owned(), kind: "guest".to_owned(), count: 5, ..Body::default() };
    assert_eq!(read("{}").unwrap(), expected);
    assert_eq!(read_flat::<Body>("{}").unwrap(), expected);
}

#[test]
fn the_openapi_schema_has_every_limit() {
    assert_eq!(
        serde_json::to_value(describe::<Body>()).unwrap(),
        json!({
            "type": "object",
            "description": "Everything at once.",
            "properties": {
                "title": {
                    "type": "string", "minLength": 1, "maxLength": 3, "pattern": "^[^\\u0000]*$", "default": "x"
                },
                "kind": {"type": "string", "description": "The kind.", "examples": ["VIP"], "default": "guest"},
                "count": {"type": "integer", "minimum": 1, "maximum": 100, "default": 5},
                "scans": {
                    "type": ["array", "null"], "minItems": 1, "maxItems": 2,
                    "items": {
                        "type": "object", "description": "One of them.", "required": ["event_id"],
                        "properties": {
                            "event_id": {"type": "string", "minLength": 1}, "gate": {"type": ["string", "null"]}
                        }
                    }
                },
                "at": {"type": ["string", "number", "null"], "format": "date-time", "minLength": 1,
                    "minimum": -62135596800000_i64, "maximum": 253402300799999_i64},
                "open": {"type": ["boolean", "null"], "description": "Whether it is open."}
            }
        })
    );
}

proptest! {
    /// A body that the fast path accepts is read as the slow path reads it.
    #[test]
    fn the_fast_path_reads_what_the_slow_path_reads(
        members in prop::collection::vec(("title|kind|count|at|open|other", "[ab5\\\\\"é\0]{0,4}|2026-12-01|yes"), 0..5)
    ) {
        let members: Vec<_> = members.iter().map(|(name, value)| format!("{}:{}", json!(name), json!(value))).collect();
        let text = format!("{{{}}}", members.join(","));
        if let Some(body) = read_flat::<Body>(&text) {
            prop_assert_eq!(body, read(&text).unwrap());
        }
    }
}
