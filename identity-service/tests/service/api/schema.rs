//! Bodies that break the schema, in FastAPI's words. Compared as bytes, for clients read the order of the entries. How
//! JSON is read is tested in shared-http.

use axum::{Router, body::Body, http::header::CONTENT_TYPE};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{select, subsequence},
};
use serde_json::{Map, Value, json};
use shared_http::testing::{Answer, post};
use shared_service::testing::{
    Store,
    app::detail as detail_of,
    property::for_all,
    schema::{detail, missing, no_body, no_json, no_object, no_text, too_long, too_short},
};

use super::{LOGIN, REGISTER, app, app_with};

async fn send(app: &Router, path: &str, content_type: &str, body: impl Into<Body>) -> Answer {
    post(app, path).header(CONTENT_TYPE, content_type).body(body).send().await
}

async fn refuses(app: &Router, body: &str, entries: &[String]) {
    let answer = send(app, REGISTER, "application/json", body.to_owned()).await;
    assert_eq!(answer.text(), (422, detail(entries).as_str()), "{body}");
    assert_eq!(answer.headers["content-type"], "application/json", "{body}");
}

#[tokio::test]
async fn the_worked_examples_are_answered_byte_for_byte() {
    let app = app().await;
    for (body, expected) in [
        (
            r#"{"username":"ab","password":"abc","role":5}"#,
            r#"{"detail":[{"type":"string_too_short","loc":["body","username"],"msg":"String should have at least 3 characters","input":"ab","ctx":{"min_length":3}},{"type":"string_too_short","loc":["body","password"],"msg":"String should have at least 4 characters","input":"abc","ctx":{"min_length":4}},{"type":"string_type","loc":["body","role"],"msg":"Input should be a valid string","input":5}]}"#,
        ),
        (
            "{}",
            r#"{"detail":[{"type":"missing","loc":["body","username"],"msg":"Field required","input":{}},{"type":"missing","loc":["body","password"],"msg":"Field required","input":{}}]}"#,
        ),
        ("", r#"{"detail":[{"type":"missing","loc":["body"],"msg":"Field required","input":null}]}"#),
        (
            "{bad",
            r#"{"detail":[{"type":"json_invalid","loc":["body",1],"msg":"JSON decode error","input":{},"ctx":{"error":"Expecting property name enclosed in double quotes"}}]}"#,
        ),
    ] {
        assert_eq!(send(&app, REGISTER, "application/json", body).await.text(), (422, expected), "{body}");
    }
}

#[tokio::test]
async fn a_login_body_is_checked_like_every_other() {
    let app = app().await;
    for (request, expected) in [
        ("{}", vec![missing("username", "{}"), missing("password", "{}")]),
        (r#"{"password":"p","z":1}"#, vec![missing("username", r#"{"password":"p","z":1}"#)]),
        (r#"{"username":"u"}"#, vec![missing("password", r#"{"username":"u"}"#)]),
        (r#"{"password":null,"username":5}"#, vec![no_text("username", "5"), no_text("password", "null")]),
        (r#"{"username":"","password":["a"]}"#, vec![no_text("password", r#"["a"]"#)]),
        // A role is no field of a login, so it may be anything.
        (
            r#"{"role":5,"password":{}}"#,
            vec![missing("username", r#"{"role":5,"password":{}}"#), no_text("password", "{}")],
        ),
    ] {
        let answer = send(&app, LOGIN, "application/json", request).await;
        assert_eq!(answer.text(), (422, detail(&expected).as_str()), "{request}");
    }
}

#[tokio::test]
async fn of_an_input_over_8192_bytes_of_json_the_first_256_characters_are_echoed() {
    let app = app().await;
    let cut =
        |json: &str| Value::from(format!("{}…", json.chars().take(256).collect::<String>())).to_string();
    let list = |length: usize| format!("[{}]", vec!["0"; length].join(","));
    // Two brackets, and a comma between every two items.
    for (value, echo) in [(list(4095), list(4095)), (list(4096), cut(&list(4096)))] {
        let body = format!(r#"{{"username":{value},"password":"rahasia"}}"#);
        refuses(&app, &body, &[no_text("username", &echo)]).await;
        refuses(&app, &value, &[no_object(&echo)]).await;
    }
    // Counted as it would be echoed, not as it was sent: without white space and members that lost.
    let spaced = format!(r#"{{"username":"budi","password":[{}"\u0041"]}}"#, " ".repeat(9000));
    refuses(&app, &spaced, &[no_text("password", r#"["A"]"#)]).await;
    let body = format!(r#"{{"é":"{}","role":5,"é":2}}"#, "x".repeat(9000));
    let echo = r#"{"é":2,"role":5}"#;
    refuses(&app, &body, &[missing("username", echo), missing("password", echo), no_text("role", "5")]).await;
    // For every field that is missing, and however deep.
    let body = format!(r#"{{"é":{{"":[{}1e5]}}}}"#, r#"{"":1e5},"#.repeat(1000));
    let echo = cut(&body.replace("1e5", "1e+5"));
    refuses(&app, &body, &[missing("username", &echo), missing("password", &echo)]).await;
    // A text is cut as its JSON is: with its first quote, and its escapes.
    let name = "\u{1}".repeat(2000);
    let echo = cut(&Value::from(name.as_str()).to_string());
    let body = json!({ "username": name, "password": "rahasia" }).to_string();
    refuses(&app, &body, &[too_long("username", &echo, 50)]).await;
    let plain = send(&app, REGISTER, "text/plain", name).await;
    assert_eq!(plain.text(), (422, detail(&[no_object(&echo)]).as_str()));
}

#[tokio::test]
async fn a_body_that_is_absent_or_null_is_missing_and_any_other_value_is_no_object() {
    let app = app().await;
    let absent = post(&app, REGISTER).send().await;
    assert_eq!(absent.text(), (422, detail(&[no_body()]).as_str()));
    for content_type in ["application/json", "text/plain"] {
        assert_eq!(send(&app, REGISTER, content_type, "").await.text(), absent.text(), "{content_type}");
    }
    for body in ["null", " \r\n\tnull ", "\u{feff}null"] {
        refuses(&app, body, &[no_body()]).await;
    }
    for value in
        ["5", "true", "\"username\"", "\"\"", "[]", r#"[{"username":"budi"}]"#, "18446744073709551616"]
    {
        refuses(&app, value, &[no_object(value)]).await;
        refuses(&app, &format!("\n {value} "), &[no_object(value)]).await;
    }
}

/// The words are those of the parser of the original (`CPython` 3.11), the offsets count characters.
#[tokio::test]
async fn a_body_that_is_no_json_is_told_where_and_why() {
    let app = app().await;
    let huge = format!(r#"{{"username":"budi","password":"rahasia","extra":{}}}"#, "9".repeat(400));
    for (body, offset, error) in [
        ("  ", 2, "Expecting value"),
        ("username=budi", 0, "Expecting value"),
        ("{\"username\":\"名\",\"password\":}", 27, "Expecting value"),
        ("{\"é\":\"日本\",\"😀\" 1}", 14, "Expecting ':' delimiter"),
        ("{\"a\":\"\0\"}", 6, "Invalid control character at"),
        ("{\"é\":\"\\x\"}", 6, "Invalid \\\\escape"),
        ("\u{feff}{bad", 1, "Expecting property name enclosed in double quotes"),
        // The original answers 500 to these.
        ("[[{\"x\":[NaN]}]]", 8, "Expecting value"),
        ("{\"password\":\"a\\ud83d\"}", 14, "Lone surrogate in string"),
        (&huge, 48, "Number out of range"),
    ] {
        refuses(&app, body, &[no_json(offset, error)]).await;
    }
}

#[tokio::test]
async fn nul_is_refused_in_what_is_stored() {
    let app = app().await;
    let nul = |field| (field, "value_error", "Value error, NUL characters are not allowed");
    for (body, expected) in [
        (json!({ "username": "a\0bc", "password": "rahasia" }), vec![nul("username")]),
        (json!({ "username": "\0\0\0", "password": "rahasia" }), vec![nul("username")]),
        (json!({ "password": "secret\0", "username": "budi" }), vec![nul("password")]),
        (json!({ "password": "\0secret", "username": "budi\0" }), vec![nul("username"), nul("password")]),
        (
            json!({ "password": 5, "username": "a\0bc" }),
            vec![nul("username"), ("password", "string_type", "Input should be a valid string")],
        ),
    ] {
        let answer = send(&app, REGISTER, "application/json", body.to_string()).await;
        assert_eq!(answer.status, 422, "{body}");
        let detail = detail_of(&answer);
        let entries = detail.as_array().expect("a list");
        assert_eq!(entries.len(), expected.len(), "{detail}");
        for (entry, (field, kind, message)) in entries.iter().zip(expected) {
            assert_eq!((&entry["type"], &entry["msg"]), (&kind.into(), &message.into()), "{body}");
            assert_eq!(entry["loc"], json!(["body", field]), "{body}");
            assert_eq!(entry["input"], body[field], "{body}");
        }
    }
}

#[tokio::test]
async fn the_last_of_two_equal_keys_wins_and_a_byte_order_mark_is_skipped() {
    let accepted = (200, r#"{"username":"andi","role":"committee"}"#);
    for body in [
        r#"{"username":5,"password":"rahasia","username":"andi"}"#,
        "\u{feff}{\"username\":\"andi\",\"password\":\"rahasia\"}",
    ] {
        assert_eq!(send(&app().await, REGISTER, "application/json", body).await.text(), accepted, "{body}");
    }
    let app = app().await;
    let body = r#"{"username":"andi","password":"rahasia","user\u006eame":"ab"}"#;
    refuses(&app, body, &[too_short("username", "\"ab\"", 3)]).await;
    let body = r#"{"a":1,"password":"rahasia","a":2}"#;
    refuses(&app, body, &[missing("username", r#"{"a":2,"password":"rahasia"}"#)]).await;
}

#[tokio::test]
async fn a_body_that_is_not_utf_8_cannot_be_parsed() {
    let app = app().await;
    for body in [
        &b"\xff"[..],
        b"{\"username\":\"\xe9\xe9\xe9\",\"password\":\"rahasia\"}",
        // Cut in the middle of a character, too long a form, and half of a pair.
        b"{\"username\":\"\xf0\x9f\x98\"}",
        b"{\"username\":\"\xc0\xaf\"}",
        b"{\"username\":\"\xed\xa0\x80\"}",
        b"{bad\x80",
    ] {
        for content_type in ["application/json", "text/plain"] {
            let answer = send(&app, REGISTER, content_type, body).await;
            let expected = (400, r#"{"detail":"There was an error parsing the body"}"#);
            assert_eq!(answer.text(), expected, "{}", String::from_utf8_lossy(body));
        }
    }
}

#[tokio::test]
async fn only_a_content_type_of_json_makes_the_body_json() {
    const BODY: &str = r#"{"username":"andi","password":"rahasia"}"#;
    for content_type in [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "APPLICATION/JSON",
        "Application/Json; Charset=\"utf-8\"",
        "application/vnd.x+json",
        "application/problem+json; version=1",
        "application/VND.X+JSON",
    ] {
        let answer = send(&app().await, REGISTER, content_type, BODY).await;
        assert_eq!(answer.status, 200, "{content_type}");
    }
    let app = app().await;
    assert_eq!(post(&app, REGISTER).body(BODY).send().await.status, 200, "no content type");

    for content_type in [
        "text/plain",
        "text/json",
        "text/x+json",
        "text/plain; a=application/json",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
        "application/jsonp",
        "application/xjson",
        "application/json+x",
        "application/",
        "json",
        "*/*",
        "multipart/form-data; boundary=x",
    ] {
        for body in [BODY, "{bad", "username=andi&password=rahasia", "null", " ", "é\"\\"] {
            let answer = send(&app, REGISTER, content_type, body).await;
            let entry = no_object(&Value::from(body).to_string());
            assert_eq!(answer.text(), (422, detail(&[entry]).as_str()), "{content_type}");
        }
    }
}

/// What the schema says of one field, or nothing.
fn failure(field: &str, bounds: Option<(usize, usize)>, body: &Value) -> Option<String> {
    match (body.get(field), bounds) {
        (None, None) | (Some(Value::String(_)), None) => None,
        (None, Some(_)) => Some(missing(field, &body.to_string())),
        (Some(Value::String(text)), Some((least, most))) => match text.chars().count() {
            length if length < least => Some(too_short(field, &json!(text).to_string(), least)),
            length if length > most => Some(too_long(field, &json!(text).to_string(), most)),
            _ => None,
        },
        (Some(other), _) => Some(no_text(field, &other.to_string())),
    }
}

/// Texts of lengths around the bounds in characters of any width, and what is no text.
fn any_value() -> impl Strategy<Value = Value> {
    let lengths = select(vec![0_usize, 1, 2, 3, 4, 20, 49, 50, 51, 199, 200, 201]);
    // Drawn as one character these are two, and JSON writes some with an escape.
    let characters = select(vec!["a", "é", "札", "🔑", "\"", "\\", "\u{1}", "\u{301}"]);
    let numbers =
        ["0", "-17", "0.5", "18446744073709551616", "-98765432109876543210987654321098765432109876543210"];
    let numbers = numbers.map(|text| serde_json::from_str::<Value>(text).unwrap());
    let others = [
        json!(true),
        json!(false),
        json!(null),
        json!([]),
        json!({}),
        json!(["x", { "b": 1, "a": [0.5] }]),
        // Under names like these a parser may keep its numbers to itself.
        json!({ "$serde_json::private::Number": "5" }),
        json!({ "$serde_json::private::RawValue": "5" }),
    ];
    prop_oneof![
        (lengths, characters).prop_map(|(length, text)| Value::from(text.repeat(length))),
        select([&numbers[..], &others].concat()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn any_object_is_refused_with_all_its_failures_in_the_order_of_the_schema_or_not_at_all() {
    let app = app_with(Store::Memory, &[("registrations-per-hour", "0")]).await;
    let keys = vec![
        "username",
        "password",
        "role",
        "Username",
        " password",
        "é",
        "",
        "$serde_json::private::Number",
    ];
    let fields = (subsequence(keys, 0..=8).prop_shuffle(), vec(any_value(), 8));
    for_all(1024, &fields, async |(keys, values)| {
        let fields: Map<_, _> = keys.into_iter().map(str::to_owned).zip(values).collect();
        let body = Value::Object(fields);
        let schema = [("username", Some((3, 50))), ("password", Some((4, 200))), ("role", None)];
        let failures: Vec<_> =
            schema.into_iter().filter_map(|(field, bounds)| failure(field, bounds, &body)).collect();
        if failures.is_empty() {
            let answer = send(&app, REGISTER, "application/json", body.to_string()).await;
            assert_ne!(answer.status, 422, "{body}");
        } else {
            refuses(&app, &body.to_string(), &failures).await;
        }
    });
}
