//! Bodies that break the schema, in FastAPI's words. Identity-service's tests have the whole table.

use axum::http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use shared_http::testing::{Answer, post};

use super::{CHECK_IN, app, detail};
use shared_service::testing::Store;
use shared_service::testing::forge::{claims, token};

async fn send(body: impl Into<axum::body::Body>) -> Answer {
    let call = post(&app(Store::Memory).await, CHECK_IN).bearer(&token(&claims()));
    call.header(CONTENT_TYPE, "application/json").body(body).send().await
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

fn empty(field: &str) -> String {
    format!(
        r#"{{"type":"string_too_short","loc":["body","{field}"],"msg":"String should have at least 1 character","input":"","ctx":{{"min_length":1}}}}"#
    )
}

#[tokio::test]
async fn an_empty_id_is_too_short_and_one_character_is_enough() {
    refuses(r#"{"event_id":"","ticket_id":"T1"}"#, &empty("event_id")).await;
    refuses(r#"{"event_id":"evt1","ticket_id":""}"#, &empty("ticket_id")).await;
    let both = format!("{},{}", empty("event_id"), empty("ticket_id"));
    refuses(r#"{"ticket_id":"","event_id":""}"#, &both).await;
    for id in ["x", " ", "é", "札", "🎫", "\n"] {
        let body = json!({ "event_id": id, "ticket_id": id }).to_string();
        assert_eq!(send(body).await.status, 200, "{id:?}");
    }
}

#[tokio::test]
async fn failures_come_in_the_order_of_the_schema_all_at_once() {
    let rows = [
        ("{}", vec![missing("event_id", "{}"), missing("ticket_id", "{}")]),
        (r#"{"event_id":"e"}"#, vec![missing("ticket_id", r#"{"event_id":"e"}"#)]),
        (
            r#"{"z":[1,{"y":2,"x":3}],"ticket_id":"T","a":123456789012345678901234567890}"#,
            vec![missing(
                "event_id",
                r#"{"z":[1,{"y":2,"x":3}],"ticket_id":"T","a":123456789012345678901234567890}"#,
            )],
        ),
        (r#"{"ticket_id":5,"event_id":null}"#, vec![no_text("event_id", "null"), no_text("ticket_id", "5")]),
        (
            r#"{"ticket_id":true}"#,
            vec![missing("event_id", r#"{"ticket_id":true}"#), no_text("ticket_id", "true")],
        ),
        (
            r#"{"ticket_id":{"b":1,"a":[]},"event_id":""}"#,
            vec![empty("event_id"), no_text("ticket_id", r#"{"b":1,"a":[]}"#)],
        ),
        (
            r#"{"event_id":123456789012345678901234567890,"ticket_id":[0.5]}"#,
            vec![no_text("event_id", "123456789012345678901234567890"), no_text("ticket_id", "[0.5]")],
        ),
        (r#"{"event_id":"e","ticket_id":"T","ticket_id":false}"#, vec![no_text("ticket_id", "false")]),
    ];
    for (body, expected) in rows {
        refuses(body, &expected.join(",")).await;
    }
}

#[tokio::test]
async fn a_body_that_is_no_object_is_refused_as_a_whole() {
    let absent = r#"{"type":"missing","loc":["body"],"msg":"Field required","input":null}"#;
    refuses("", absent).await;
    refuses("null", absent).await;
    refuses("\u{feff} null", absent).await;
    let answer = post(&app(Store::Memory).await, CHECK_IN).bearer(&token(&claims())).send().await;
    assert_eq!(answer.text(), (422, format!(r#"{{"detail":[{absent}]}}"#).as_str()));

    let no_object = |input: &str| {
        format!(
            r#"{{"type":"model_attributes_type","loc":["body"],"msg":"Input should be a valid dictionary or object to extract fields from","input":{input}}}"#
        )
    };
    for value in ["5", "false", r#""evt1""#, "[]", r#"["evt1","T1"]"#] {
        refuses(value, &no_object(value)).await;
    }

    const BODY: &str = r#"{"event_id":"evt1","ticket_id":"T1"}"#;
    for (content_type, is_json) in [
        ("application/json; charset=utf-8", true),
        ("APPLICATION/JSON", true),
        ("application/vnd.x+json", true),
        ("text/plain", false),
        ("application/x-www-form-urlencoded", false),
        ("text/json", false),
    ] {
        let call = post(&app(Store::Memory).await, CHECK_IN)
            .bearer(&token(&claims()))
            .header(CONTENT_TYPE, content_type);
        let answer = call.body(BODY).send().await;
        if is_json {
            assert_eq!(answer.status, 200, "{content_type}");
        } else {
            let expected = format!(r#"{{"detail":[{}]}}"#, no_object(&Value::from(BODY).to_string()));
            assert_eq!(answer.text(), (422, expected.as_str()), "{content_type}");
        }
    }
    let answer = post(&app(Store::Memory).await, CHECK_IN).bearer(&token(&claims())).body(BODY).send().await;
    assert_eq!(answer.status, 200, "no content type");
    assert_eq!(send(format!("\u{feff}{BODY}")).await.status, 200, "a byte order mark");
}

#[tokio::test]
async fn a_body_that_is_no_json_is_told_where() {
    for (body, offset, error) in [
        ("{bad", 1, "Expecting property name enclosed in double quotes"),
        ("event_id=evt1", 0, "Expecting value"),
        ("{\"event_id\":\"札幌🎫\" 1}", 18, "Expecting ',' delimiter"),
        ("{} {}", 3, "Extra data"),
    ] {
        let entry = format!(
            r#"{{"type":"json_invalid","loc":["body",{offset}],"msg":"JSON decode error","input":{{}},"ctx":{{"error":"{error}"}}}}"#
        );
        refuses(body, &entry).await;
    }
    for value in ["NaN", "Infinity", "-Infinity", "1e400", r#""\ud800""#] {
        let body = format!(r#"{{"event_id":"evt1","ticket_id":"T1","extra":{value}}}"#);
        let answer = send(body).await;
        assert_eq!(answer.status, 422, "{value}");
        assert_eq!(detail(&answer)[0]["type"], "json_invalid", "{value}");
    }
    let answer = send(&b"{\"event_id\":\"\xff\"}"[..]).await;
    assert_eq!(answer.text(), (400, r#"{"detail":"There was an error parsing the body"}"#));
}

#[tokio::test]
async fn nul_is_refused_in_an_id() {
    for (event, ticket, fields) in [
        ("a\0b", "T1", &["event_id"][..]),
        ("evt1", "\0", &["ticket_id"]),
        ("evt1\0", "T1\0", &["event_id", "ticket_id"]),
    ] {
        let request = json!({ "ticket_id": ticket, "event_id": event });
        let answer = send(request.to_string()).await;
        assert_eq!(answer.status, 422, "{request}");
        let detail = detail(&answer);
        assert_eq!(detail.as_array().map(Vec::len), Some(fields.len()), "{detail}");
        for (entry, field) in detail.as_array().into_iter().flatten().zip(fields) {
            assert_eq!(entry["type"], "value_error", "{request}");
            assert_eq!(entry["loc"], json!(["body", field]), "{request}");
            assert_eq!(entry["msg"], "Value error, NUL characters are not allowed", "{request}");
            assert_eq!(entry["input"], request[field], "{request}");
        }
    }
}
