//! Bodies that break the schema, in FastAPI's words. Compared as bytes, for clients read the order of
//! the entries.

use axum::http::header::CONTENT_TYPE;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use shared_http::testing::{Answer, post};

use crate::{REGISTER, app, detail};

async fn send(body: impl Into<axum::body::Body>) -> Answer {
    post(&app().await, REGISTER).header(CONTENT_TYPE, "application/json").body(body).send().await
}

async fn refuses(body: &str, detail: &str) {
    let answer = send(body.to_owned()).await;
    let expected = format!(r#"{{"detail":[{detail}]}}"#);
    assert_eq!(answer.text(), (422, expected.as_str()), "{body}");
    assert_eq!(answer.headers["content-type"], "application/json", "{body}");
}

fn missing(field: &str, input: &str) -> String {
    format!(r#"{{"type":"missing","loc":["body","{field}"],"msg":"Field required","input":{input}}}"#)
}

fn no_text(field: &str, input: &str) -> String {
    format!(
        r#"{{"type":"string_type","loc":["body","{field}"],"msg":"Input should be a valid string","input":{input}}}"#
    )
}

fn too_short(field: &str, input: &str, least: usize) -> String {
    format!(
        r#"{{"type":"string_too_short","loc":["body","{field}"],"msg":"String should have at least {least} characters","input":"{input}","ctx":{{"min_length":{least}}}}}"#
    )
}

fn too_long(field: &str, input: &str, most: usize) -> String {
    format!(
        r#"{{"type":"string_too_long","loc":["body","{field}"],"msg":"String should have at most {most} characters","input":"{input}","ctx":{{"max_length":{most}}}}}"#
    )
}

const NO_BODY: &str = r#"{"type":"missing","loc":["body"],"msg":"Field required","input":null}"#;

fn no_object(input: &str) -> String {
    format!(
        r#"{{"type":"model_attributes_type","loc":["body"],"msg":"Input should be a valid dictionary or object to extract fields from","input":{input}}}"#
    )
}

#[tokio::test]
async fn the_worked_examples_are_answered_byte_for_byte() {
    let rows = [
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
    ];
    for (body, expected) in rows {
        assert_eq!(send(body).await.text(), (422, expected), "{body}");
    }
}

#[tokio::test]
async fn a_missing_field_echoes_the_whole_body_in_its_own_order() {
    for body in [
        r#"{"password":"rahasia"}"#,
        r#"{"z":1,"password":"rahasia","a":[true,null,{"y":0.5,"b":"é"}],"role":"admin"}"#,
        r#"{"password":"rahasia","n":123456789012345678901234567890}"#,
        r#"{"Username":"budi","password":"rahasia"," username":"budi"}"#,
        r#"{"password":"rahasia","text":"\"\\/\u0001\n😀\u007f"}"#.replace("\\u007f", "\u{7f}").as_str(),
    ] {
        refuses(body, &missing("username", body)).await;
    }
    let both = r#"{"role":"admin"}"#;
    refuses(both, &format!("{},{}", missing("username", both), missing("password", both))).await;
}

#[tokio::test]
async fn what_is_no_string_is_echoed_as_it_was_sent() {
    for value in [
        "5",
        "0",
        "-17",
        "0.5",
        "18446744073709551616",
        "123456789012345678901234567890",
        "-98765432109876543210987654321098765432109876543210",
        "true",
        "false",
        "null",
        "[]",
        r#"["abc",{"b":[1]}]"#,
        "{}",
        r#"{"z":1,"a":{"c":2,"b":3}}"#,
    ] {
        let body = |username: &str, password: &str, role: &str| {
            format!(r#"{{"username":{username},"password":{password},"role":{role}}}"#)
        };
        let fine = r#""rahasia""#;
        refuses(&body(value, fine, fine), &no_text("username", value)).await;
        refuses(&body(fine, value, fine), &no_text("password", value)).await;
        refuses(&body(fine, fine, value), &no_text("role", value)).await;
        let all = ["username", "password", "role"].map(|field| no_text(field, value)).join(",");
        refuses(&body(value, value, value), &all).await;
    }
}

#[tokio::test]
async fn of_an_input_over_8192_bytes_of_json_the_first_256_characters_are_echoed() {
    let cut =
        |json: &str| Value::from(format!("{}…", json.chars().take(256).collect::<String>())).to_string();
    let list = |length: usize| format!("[{}]", vec!["0"; length].join(","));
    // Two brackets, and a comma between every two items.
    for (length, is_whole) in [(4095, true), (4096, false)] {
        let value = list(length);
        let echo = if is_whole { value.clone() } else { cut(&value) };
        refuses(&format!(r#"{{"username":{value},"password":"rahasia"}}"#), &no_text("username", &echo))
            .await;
        refuses(&value, &no_object(&echo)).await;
    }
    // Counted as it would be echoed, not as it was sent: without white space and members that lost.
    let spaced = format!(r#"{{"username":"budi","password":[{}"\u0041"]}}"#, " ".repeat(9000));
    refuses(&spaced, &no_text("password", r#"["A"]"#)).await;
    let body = format!(r#"{{"é":"{}","role":5,"é":2}}"#, "x".repeat(9000));
    let echo = r#"{"é":2,"role":5}"#;
    let fields = [missing("username", echo), missing("password", echo), no_text("role", "5")];
    refuses(&body, &fields.join(",")).await;
    // For every field that is missing, and however deep.
    let body = format!(r#"{{"é":{{"":[{}1e5]}}}}"#, r#"{"":1e5},"#.repeat(1000));
    let echo = cut(&body.replace("1e5", "1e+5"));
    refuses(&body, &[missing("username", &echo), missing("password", &echo)].join(",")).await;
    // A text is cut as its JSON is: with its first quote, and its escapes.
    let name = "\u{1}".repeat(2000);
    let echo = cut(&Value::from(name.as_str()).to_string());
    let too_long = too_long("username", "", 50).replace(r#""input":"""#, &format!(r#""input":{echo}"#));
    refuses(&json!({ "username": name, "password": "rahasia" }).to_string(), &too_long).await;
    let plain = post(&app().await, REGISTER).header(CONTENT_TYPE, "text/plain").body(name).send().await;
    let expected = format!(r#"{{"detail":[{}]}}"#, no_object(&echo));
    assert_eq!(plain.text(), (422, expected.as_str()));
}

#[tokio::test]
async fn an_object_is_echoed_whatever_its_keys_are() {
    // Under names like these a parser may keep its numbers to itself.
    for key in ["$serde_json::private::Number", "$serde_json::private::RawValue", "", "__proto__"] {
        let value = format!(r#"{{"{key}":"5"}}"#);
        let body = format!(r#"{{"username":"budi","password":{value}}}"#);
        refuses(&body, &no_text("password", &value)).await;
        let body = format!(r#"{{"{key}":"x"}}"#);
        let both = format!("{},{}", missing("username", &body), missing("password", &body));
        refuses(&body, &both).await;
    }
}

#[tokio::test]
async fn lengths_out_of_bounds_are_refused_in_characters_of_any_width() {
    for character in ["a", "é", "札", "🔑"] {
        let of = |length: usize| character.repeat(length);
        for length in [0, 1, 2] {
            let body = json!({ "username": of(length), "password": "rahasia" }).to_string();
            refuses(&body, &too_short("username", &of(length), 3)).await;
        }
        for length in [51, 52, 200] {
            let body = json!({ "username": of(length), "password": "rahasia" }).to_string();
            refuses(&body, &too_long("username", &of(length), 50)).await;
        }
        for length in [0, 1, 3] {
            let body = json!({ "username": "budi", "password": of(length) }).to_string();
            refuses(&body, &too_short("password", &of(length), 4)).await;
        }
        for length in [201, 1000] {
            let body = json!({ "username": "budi", "password": of(length) }).to_string();
            refuses(&body, &too_long("password", &of(length), 200)).await;
        }
    }
    // Two code points that are drawn as one character, and one that JSON writes as two escapes.
    refuses(r#"{"username":"e\u0301","password":"rahasia"}"#, &too_short("username", "e\u{301}", 3)).await;
    let body = r#"{"username":"\ud83d\ude00\uD83D\uDE00","password":"rahasia"}"#;
    refuses(body, &too_short("username", "😀😀", 3)).await;
}

#[tokio::test]
async fn failures_come_in_the_order_of_the_schema_all_at_once() {
    let rows = [
        (
            r#"{"role":5,"password":"abc","username":"ab"}"#,
            [too_short("username", "ab", 3), too_short("password", "abc", 4), no_text("role", "5")].to_vec(),
        ),
        (
            r#"{"role":null,"password":false}"#,
            vec![
                missing("username", r#"{"role":null,"password":false}"#),
                no_text("password", "false"),
                no_text("role", "null"),
            ],
        ),
        (
            r#"{"password":"","role":"nobody","username":[]}"#,
            vec![no_text("username", "[]"), too_short("password", "", 4)],
        ),
    ];
    for (body, expected) in rows {
        refuses(body, &expected.join(",")).await;
    }
}

#[tokio::test]
async fn a_body_that_is_absent_or_null_is_missing_and_any_other_value_is_no_object() {
    let absent = post(&app().await, REGISTER).send().await;
    assert_eq!(absent.text(), (422, format!(r#"{{"detail":[{NO_BODY}]}}"#).as_str()));
    for content_type in ["application/json", "text/plain"] {
        let empty = post(&app().await, REGISTER).header(CONTENT_TYPE, content_type).send().await;
        assert_eq!(empty.text(), absent.text(), "{content_type}");
    }
    refuses("null", NO_BODY).await;
    refuses(" \r\n\tnull ", NO_BODY).await;
    for value in
        ["5", "true", "\"username\"", "\"\"", "[]", r#"[{"username":"budi"}]"#, "18446744073709551616"]
    {
        refuses(value, &no_object(value)).await;
        refuses(&format!("\n {value} "), &no_object(value)).await;
    }
}

/// The words are those of the parser of the original (`CPython` 3.11), the offsets count characters.
#[tokio::test]
async fn a_body_that_is_no_json_is_told_where_and_why() {
    let rows = [
        ("{", 1, "Expecting property name enclosed in double quotes"),
        ("{'username':1}", 1, "Expecting property name enclosed in double quotes"),
        ("  ", 2, "Expecting value"),
        ("nul", 0, "Expecting value"),
        ("True", 0, "Expecting value"),
        ("username=budi", 0, "Expecting value"),
        ("[1,", 3, "Expecting value"),
        ("{\"username\":\"名\",\"password\":}", 27, "Expecting value"),
        ("{\"a\":\u{a0}1}", 5, "Expecting value"),
        ("[1 2]", 3, "Expecting ',' delimiter"),
        ("{\"a\":1 \"b\":2}", 7, "Expecting ',' delimiter"),
        ("{\"é\":\"日本\",\"😀\" 1}", 14, "Expecting ':' delimiter"),
        ("{\"a\":1}x", 7, "Extra data"),
        ("01", 1, "Extra data"),
        ("\"é", 0, "Unterminated string starting at"),
        ("{\"a\":\"\n\"}", 6, "Invalid control character at"),
        ("{\"a\":\"\0\"}", 6, "Invalid control character at"),
        ("{\"é\":\"\\x\"}", 6, "Invalid \\escape"),
        ("{\"é\":\"\\u12\"}", 7, "Invalid \\uXXXX escape"),
    ];
    for (body, offset, error) in rows {
        let error = Value::from(error);
        let entry = format!(
            r#"{{"type":"json_invalid","loc":["body",{offset}],"msg":"JSON decode error","input":{{}},"ctx":{{"error":{error}}}}}"#
        );
        refuses(body, &entry).await;
    }
}

/// The original answers 500 to these.
#[tokio::test]
async fn what_only_python_takes_for_json_is_none() {
    let huge = "9".repeat(400);
    for value in [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "-1e400",
        "1e999999999999",
        &huge,
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800\ud800""#,
        r#""a\ud83d""#,
        r#""\ud83dx""#,
        r#"{"\udfff":1}"#,
        r#"[[{"x":[NaN]}]]"#,
    ] {
        // In a field, in one that is ignored, and alone.
        for body in [
            format!(r#"{{"username":"budi","password":{value}}}"#),
            format!(r#"{{"username":"budi","password":"rahasia","extra":{value}}}"#),
            value.to_owned(),
        ] {
            let answer = send(body.clone()).await;
            assert_eq!(answer.status, 422, "{body}");
            let detail = detail(&answer);
            let Value::Array(entries) = &detail else { panic!("{body}: {detail}") };
            let [entry] = &entries[..] else { panic!("{body}: {detail}") };
            assert_eq!(entry["type"], "json_invalid", "{body}");
            assert_eq!(entry["loc"][0], "body", "{body}");
            let offset = entry["loc"][1].as_u64().expect("an offset") as usize;
            assert!(offset < body.chars().count(), "{body}: {offset}");
            assert_eq!(entry["msg"], "JSON decode error", "{body}");
            assert_eq!(entry["input"], json!({}), "{body}");
            assert_ne!(entry["ctx"]["error"].as_str().expect("words"), "", "{body}");
        }
    }
}

#[tokio::test]
async fn nul_is_refused_in_what_is_stored() {
    let entry = |field: &str, input: &str| {
        json!({
            "type": "value_error",
            "loc": ["body", field],
            "msg": "Value error, NUL characters are not allowed",
            "input": input,
        })
    };
    let rows = [
        ("a\0bc", "rahasia", vec![entry("username", "a\0bc")]),
        ("\0\0\0", "rahasia", vec![entry("username", "\0\0\0")]),
        ("budi", "secret\0", vec![entry("password", "secret\0")]),
        ("budi\0", "\0secret", vec![entry("username", "budi\0"), entry("password", "\0secret")]),
    ];
    for (username, password, expected) in rows {
        let request = json!({ "password": password, "username": username });
        let answer = send(request.to_string()).await;
        assert_eq!(answer.status, 422, "{request}");
        let detail = detail(&answer);
        let entries = detail.as_array().expect("a list");
        assert_eq!(entries.len(), expected.len(), "{detail}");
        for (entry, expected) in entries.iter().zip(&expected) {
            for (key, value) in expected.as_object().expect("an object") {
                assert_eq!(&entry[key], value, "{request}");
            }
        }
    }
    let request = r#"{"password":5,"username":"a\u0000bc"}"#;
    let detail = detail(&send(request).await);
    assert_eq!(detail[0]["type"], "value_error");
    assert_eq!(detail[1]["type"], "string_type");
}

#[tokio::test]
async fn the_last_of_two_equal_keys_wins() {
    let body = r#"{"username":5,"password":"rahasia","username":"andi"}"#;
    assert_eq!(send(body).await.text(), (200, r#"{"username":"andi","role":"committee"}"#));
    let body = r#"{"username":"andi","password":"rahasia","username":5}"#;
    refuses(body, &no_text("username", "5")).await;
    let body = r#"{"username":"andi","password":"rahasia","user\u006eame":"ab"}"#;
    refuses(body, &too_short("username", "ab", 3)).await;
    let body = r#"{"a":1,"password":"rahasia","a":2}"#;
    refuses(body, &missing("username", r#"{"a":2,"password":"rahasia"}"#)).await;
}

#[tokio::test]
async fn a_byte_order_mark_is_skipped() {
    let body = "\u{feff}{\"username\":\"andi\",\"password\":\"rahasia\"}";
    assert_eq!(send(body).await.text(), (200, r#"{"username":"andi","role":"committee"}"#));
    refuses("\u{feff}null", NO_BODY).await;
    let answer = send("\u{feff}{bad").await;
    assert_eq!(answer.text(), send("{bad").await.text());
}

#[tokio::test]
async fn a_body_that_is_not_utf_8_cannot_be_parsed() {
    let rows: [&[u8]; 6] = [
        b"\xff",
        b"{\"username\":\"\xe9\xe9\xe9\",\"password\":\"rahasia\"}",
        // Cut in the middle of a character, too long a form, and half of a pair.
        b"{\"username\":\"\xf0\x9f\x98\"}",
        b"{\"username\":\"\xc0\xaf\"}",
        b"{\"username\":\"\xed\xa0\x80\"}",
        b"{bad\x80",
    ];
    for body in rows {
        for content_type in ["application/json", "text/plain"] {
            let call = post(&app().await, REGISTER).header(CONTENT_TYPE, content_type);
            let answer = call.body(body.to_vec()).send().await;
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
        let answer = post(&app().await, REGISTER).header(CONTENT_TYPE, content_type).body(BODY).send().await;
        assert_eq!(answer.status, 200, "{content_type}");
    }
    assert_eq!(post(&app().await, REGISTER).body(BODY).send().await.status, 200, "no content type");

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
            let answer =
                post(&app().await, REGISTER).header(CONTENT_TYPE, content_type).body(body).send().await;
            let entry = no_object(&Value::from(body).to_string());
            let expected = format!(r#"{{"detail":[{entry}]}}"#);
            assert_eq!(answer.text(), (422, expected.as_str()), "{content_type}");
        }
    }
}

/// What the schema says of one field, or nothing.
fn failure(
    field: &str,
    value: Option<&Value>,
    bounds: Option<(usize, usize)>,
    body: &Value,
) -> Option<String> {
    match (value, bounds) {
        (None, None) => None,
        (None, Some(_)) => Some(missing(field, &body.to_string())),
        (Some(Value::String(_)), None) => None,
        (Some(Value::String(text)), Some((least, most))) => match text.chars().count() {
            length if length < least => Some(too_short(field, text, least)),
            length if length > most => Some(too_long(field, text, most)),
            _ => None,
        },
        (Some(other), _) => Some(no_text(field, &other.to_string())),
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => (0_usize..60, "[aé札🔑]").prop_map(|(length, text)| Value::from(text.repeat(length))),
        1 => (190_usize..210).prop_map(|length| Value::from("x".repeat(length))),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(json!(null)),
        1 => Just(json!(["x", {"b": 1, "a": 2}])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_object_is_refused_with_all_its_failures_or_not_at_all(
        fields in prop::sample::subsequence(vec!["username", "password", "role", "extra"], 0..=4).prop_shuffle(),
        values in prop::collection::vec(any_value(), 4),
    ) {
        let fields: Map<_, _> = fields.into_iter().map(str::to_owned).zip(values).collect();
        let body = Value::Object(fields);
        let schema = [("username", Some((3, 50))), ("password", Some((4, 200))), ("role", None)];
        let failures: Vec<_> = schema
            .into_iter()
            .filter_map(|(field, bounds)| failure(field, body.get(field), bounds, &body))
            .collect();

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let answer = runtime.block_on(send(body.to_string()));
        if failures.is_empty() {
            prop_assert_ne!(answer.status.as_u16(), 422, "{}", body);
        } else {
            let expected = format!(r#"{{"detail":[{}]}}"#, failures.join(","));
            prop_assert_eq!(answer.text(), (422, expected.as_str()));
        }
    }
}
