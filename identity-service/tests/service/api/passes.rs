//! Gate passes.

use axum::Router;
use serde_json::{Value, json};
use shared_http::testing::{Answer, post};
use shared_service::testing::forge::{now, opened};

use super::{PASSES, app, me, token_as};

async fn make(app: &Router, body: &Value) -> Answer {
    post(app, PASSES).bearer(&token_as("kepala", "admin")).json(body).send().await
}

/// As `date -u -d @SECONDS` shows it.
fn shown(seconds: u64) -> String {
    let time = chrono::DateTime::from_timestamp(seconds as i64, 0).unwrap();
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[tokio::test]
async fn a_pass_is_a_token_for_one_event() {
    let app = app().await;
    for (hours, lasts) in [(json!({}), 12), (json!({"hours": 1}), 1), (json!({"hours": "72"}), 72)] {
        let mut body = json!({ "name": "gerbang timur", "event_id": "konser/2026 é" });
        body.as_object_mut().unwrap().extend(hours.as_object().unwrap().clone());
        let before = now();
        let answer = make(&app, &body).await;
        let token = answer.json()["access_token"].as_str().unwrap().to_owned();
        let (header, claims) = opened(&token);
        assert_eq!(header, json!({ "alg": "HS256", "typ": "JWT" }));
        let iat = claims["iat"].as_u64().unwrap();
        assert!((before..=now()).contains(&iat));
        let exp = iat + lasts * 3600;
        let expected = json!({ "sub": "gerbang timur", "role": "gate", "event": "konser/2026 é", "iat": iat, "exp": exp });
        assert_eq!(claims, expected);
        let expected =
            format!(r#"{{"access_token":"{token}","token_type":"bearer","expires_at":"{}"}}"#, shown(exp));
        assert_eq!(answer.text(), (200, &*expected));
        assert_eq!(me(&app, &token).await.text(), (403, r#"{"detail":"Token ini hanya untuk gerbang"}"#));
    }
    assert_eq!(shown(1_795_511_650), "2026-11-24T09:14:10Z");
}

#[tokio::test]
async fn a_pass_has_a_name_an_event_and_72_hours_at_most() {
    let app = app().await;
    let too_long = "a".repeat(51);
    for (body, entries) in [
        (json!({}), &[("name", "missing"), ("event_id", "missing")][..]),
        (
            json!({ "name": "", "event_id": "", "hours": 0 }),
            &[
                ("name", "string_too_short"),
                ("event_id", "string_too_short"),
                ("hours", "greater_than_equal"),
            ],
        ),
        (
            json!({ "name": "a\0", "event_id": "\0", "hours": 73 }),
            &[("name", "value_error"), ("event_id", "value_error"), ("hours", "less_than_equal")],
        ),
        (
            json!({ "name": too_long, "event_id": "e", "hours": null }),
            &[("name", "string_too_long"), ("hours", "int_type")],
        ),
    ] {
        let answer = make(&app, &body).await;
        assert_eq!(answer.status, 422, "{body}");
        let detail = answer.json()["detail"].clone();
        let found: Vec<_> = detail
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| (entry["loc"][1].as_str().unwrap(), entry["type"].as_str().unwrap()))
            .collect();
        assert_eq!(found, entries, "{body}");
    }
}
