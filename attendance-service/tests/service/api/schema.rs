//! Bodies that break the schema, in FastAPI's words. Identity-service's tests have the whole table.

use axum::{body::Body, http::header::CONTENT_TYPE};
use serde_json::json;
use shared_http::testing::{Answer, post};
use shared_service::testing::{
    Store,
    schema::{detail, missing, no_body, no_json, no_object, no_text, too_short},
};

use super::{CHECK_IN, app, token};

async fn send(content_type: &str, body: impl Into<Body>) -> Answer {
    let call = post(&app(Store::Memory).await, CHECK_IN).bearer(&token());
    call.header(CONTENT_TYPE, content_type).body(body).send().await
}

/// Checks that `body` is refused, for these reasons and in their order.
async fn refuses(body: &str, entries: &[String]) {
    let answer = send("application/json", body.to_owned()).await;
    let expected = (422, &*detail(entries));
    assert_eq!((answer.text(), answer.header(CONTENT_TYPE)), (expected, "application/json"), "{body}");
}

fn empty(field: &str) -> String {
    too_short(field, r#""""#, 1)
}

#[tokio::test]
async fn failures_come_in_the_order_of_the_schema_all_at_once() {
    refuses("{}", &[missing("event_id", "{}"), missing("ticket_id", "{}")]).await;
    for body in [r#"{"event_id":"e"}"#, r#"{"event_id":"e","z":[1,{"y":2,"x":3}],"a":0.5}"#] {
        refuses(body, &[missing("ticket_id", body)]).await;
    }
    refuses(r#"{"event_id":"","ticket_id":"T1"}"#, &[empty("event_id")]).await;
    refuses(r#"{"event_id":"evt1","ticket_id":""}"#, &[empty("ticket_id")]).await;
    refuses(r#"{"ticket_id":"","event_id":""}"#, &[empty("event_id"), empty("ticket_id")]).await;
    let body = r#"{"ticket_id":5,"event_id":null}"#;
    refuses(body, &[no_text("event_id", "null"), no_text("ticket_id", "5")]).await;
    let body = r#"{"ticket_id":true}"#;
    refuses(body, &[missing("event_id", body), no_text("ticket_id", "true")]).await;
    let body = r#"{"ticket_id":{"b":1,"a":[]},"event_id":""}"#;
    refuses(body, &[empty("event_id"), no_text("ticket_id", r#"{"b":1,"a":[]}"#)]).await;
    refuses(r#"{"event_id":"e","ticket_id":"T","ticket_id":false}"#, &[no_text("ticket_id", "false")]).await;
}

#[tokio::test]
async fn nul_is_refused_in_an_id_and_one_character_is_enough() {
    let nul = |field: &str, input: &str| {
        let message = "Value error, NUL characters are not allowed";
        json!({ "type": "value_error", "loc": ["body", field], "msg": message, "input": input }).to_string()
    };
    let body = |event: &str, ticket: &str| json!({ "ticket_id": ticket, "event_id": event }).to_string();
    refuses(&body("a\0b", "T1"), &[nul("event_id", "a\0b")]).await;
    refuses(&body("evt1", "\0"), &[nul("ticket_id", "\0")]).await;
    refuses(&body("evt1\0", "T1\0"), &[nul("event_id", "evt1\0"), nul("ticket_id", "T1\0")]).await;
    for id in ["x", " ", "é", "札", "🎫", "\n"] {
        assert_eq!(send("application/json", body(id, id)).await.status, 200, "{id:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_object_is_refused_as_a_whole() {
    refuses("", &[no_body()]).await;
    refuses("\u{feff} null", &[no_body()]).await;
    for value in ["5", "false", r#""evt1""#, "[]", r#"["evt1","T1"]"#] {
        refuses(value, &[no_object(value)]).await;
    }

    const BODY: &str = r#"{"event_id":"evt1","ticket_id":"T1"}"#;
    for content_type in ["application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.x+json"] {
        assert_eq!(send(content_type, BODY).await.status, 200, "{content_type}");
    }
    assert_eq!(send("application/json", format!("\u{feff}{BODY}")).await.status, 200, "a byte order mark");
    let without_type = post(&app(Store::Memory).await, CHECK_IN).bearer(&token()).body(BODY);
    assert_eq!(without_type.send().await.status, 200);
    let expected = detail(&[no_object(&json!(BODY).to_string())]);
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "text/json"] {
        assert_eq!(send(content_type, BODY).await.text(), (422, &*expected), "{content_type}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_is_told_where() {
    for (body, offset, error) in [
        ("{bad", 1, "Expecting property name enclosed in double quotes"),
        ("event_id=evt1", 0, "Expecting value"),
        ("{\"event_id\":\"札幌🎫\" 1}", 18, "Expecting ',' delimiter"),
        ("{} {}", 3, "Extra data"),
    ] {
        refuses(body, &[no_json(offset, error)]).await;
    }
    for value in ["NaN", "Infinity", "-Infinity", "1e400", r#""\ud800""#] {
        let body = format!(r#"{{"event_id":"evt1","ticket_id":"T1","extra":{value}}}"#);
        let answer = send("application/json", body).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["detail"][0]["type"]),
            (422, &"json_invalid".into())
        );
    }
    let answer = send("application/json", &b"{\"event_id\":\"\xff\"}"[..]).await;
    assert_eq!(answer.text(), (400, r#"{"detail":"There was an error parsing the body"}"#));
}
