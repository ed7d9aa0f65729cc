use axum::http::{
    Method,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use chrono::{DateTime, Utc};
use serde_json::json;
use shared_http::testing::{call, post};
use shared_service::{
    on_every_store,
    testing::{Store, forge},
};

use super::{CHECK_IN, DUPLICATE, app, attempt, check_in, read, record, token};

on_every_store![
    a_scan_makes_one_record_that_is_the_same_byte_for_byte_wherever_it_is_shown,
    the_moment_is_utc_with_six_digits_and_an_offset,
];

async fn a_scan_makes_one_record_that_is_the_same_byte_for_byte_wherever_it_is_shown(store: Store) {
    let app = app(store).await;
    let answer = check_in(&app, "evt1", "TICKET123").await;
    let at = record(&answer)["checked_in_at"].as_str().expect("text").to_owned();
    let record = format!(
        r#"{{"event_id":"evt1","ticket_id":"TICKET123","checked_in_by":"panitia1","checked_in_at":"{at}"}}"#
    );
    let body = format!(r#"{{"status":"checked_in","record":{record}}}"#);
    assert_eq!((answer.text(), answer.header(CONTENT_TYPE)), ((200, &*body), "application/json"));

    for user in ["panitia1", "panitia2"] {
        let answer = attempt(&app, user, "evt1", "TICKET123", None).await;
        assert_eq!((answer.text(), answer.header(CONTENT_TYPE)), ((400, DUPLICATE), "application/json"));
    }

    let list = format!(r#"{{"event_id":"evt1","total_checked_in":1,"records":[{record}]}}"#);
    // The record of another user's scan.
    let mut other = forge::claims();
    other["sub"] = json!("panitia2");
    let other = forge::token(&other);
    for (path, body) in [("/attendance/evt1", list), ("/attendance/evt1/tickets/TICKET123", record)] {
        let answer = call(&app, Method::GET, path).bearer(&other).send().await;
        assert_eq!((answer.text(), answer.header(CONTENT_TYPE)), ((200, &*body), "application/json"));
        let head = call(&app, Method::HEAD, path).bearer(&other).send().await;
        assert_eq!((head.text(), head.header(CONTENT_LENGTH)), ((200, ""), &*body.len().to_string()));
    }
    for (segment, event) in [("evt2", "evt2"), ("Evt1", "Evt1"), ("evt1%20", "evt1 "), ("%00", r"\u0000")] {
        let answer = read(&app, &format!("/attendance/{segment}")).send().await;
        let empty = format!(r#"{{"event_id":"{event}","total_checked_in":0,"records":[]}}"#);
        assert_eq!(answer.text(), (200, &*empty));
    }
}

async fn the_moment_is_utc_with_six_digits_and_an_offset(store: Store) {
    let app = app(store).await;
    for number in 0..100 {
        let before = Utc::now();
        let record = record(&check_in(&app, "evt1", &format!("T{number}")).await);
        let after = Utc::now();

        let at = record["checked_in_at"].as_str().expect("text");
        let shape: String = at.chars().map(|char| if char.is_ascii_digit() { '0' } else { char }).collect();
        assert_eq!(shape, "0000-00-00T00:00:00.000000+00:00", "{at}");
        let moment = DateTime::parse_from_rfc3339(at).expect("a moment");
        // Microseconds are cut, not rounded.
        assert!(before.timestamp_micros() <= moment.timestamp_micros(), "{before} {at}");
        assert!(moment <= after, "{at} {after}");
    }
}

#[tokio::test]
async fn extra_fields_and_query_parameters_are_ignored() {
    let body = r#"{"status":5,"ticket_id":"T1","record":null,"event_id":"evt1","checked_in_by":"x","checked_in_at":"never"}"#;
    let app = app(Store::Memory).await;
    let call = post(&app, "/checkins?event_id=other&ticket_id=&%zz").bearer(&token());
    let record = record(&call.header(CONTENT_TYPE, "application/json").body(body).send().await);
    let ids = (&record["event_id"], &record["ticket_id"], &record["checked_in_by"]);
    assert_eq!(ids, (&"evt1".into(), &"T1".into(), &"panitia1".into()));
    assert_ne!(record["checked_in_at"], "never");
}

/// Of the roles there are, nobody at the gate tells one from the other.
#[tokio::test]
async fn every_role_checks_in_and_reads() {
    let app = app(Store::Memory).await;
    for role in ["committee", "admin"] {
        let mut claims = forge::claims();
        claims["role"] = json!(role);
        let token = forge::token(&claims);
        let body = json!({ "event_id": "evt1", "ticket_id": role });
        assert_eq!(post(&app, CHECK_IN).bearer(&token).json(&body).send().await.status, 200, "{role}");
        let list = call(&app, Method::GET, "/attendance/evt1").bearer(&token).send().await;
        assert_eq!(list.status, 200, "{role}");
    }
}
