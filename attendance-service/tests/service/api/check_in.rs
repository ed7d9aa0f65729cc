use axum::http::header::CONTENT_TYPE;
use chrono::{DateTime, Utc};
use serde_json::json;
use shared_http::testing::post;

use super::{CHECK_IN, DUPLICATE, app, attendance, check_in, list, record};
use shared_service::testing::forge::{claims, token};
use shared_service::{on_every_store, testing::Store};

on_every_store![
    a_scan_answers_the_record_byte_for_byte,
    a_second_scan_of_the_same_ticket_is_refused,
    tickets_and_events_are_told_apart_character_by_character,
    whoever_the_token_names_has_checked_in,
    the_moment_is_utc_with_six_digits_and_an_offset,
    extra_fields_and_query_parameters_are_ignored,
    of_500_scans_of_one_ticket_at_once_one_gets_in,
    scans_of_different_tickets_at_once_all_get_in_and_none_is_lost,
];

async fn a_scan_answers_the_record_byte_for_byte(store: Store) {
    let answer = check_in(&app(store).await, "evt1", "TICKET123").await;
    let record = record(&answer);
    let at = record["checked_in_at"].as_str().expect("text");
    let body = format!(
        r#"{{"status":"checked_in","record":{{"event_id":"evt1","ticket_id":"TICKET123","checked_in_by":"panitia1","checked_in_at":"{at}"}}}}"#
    );
    assert_eq!(answer.text(), (200, body.as_str()));
    assert_eq!(answer.headers["content-type"], "application/json");
}

async fn a_second_scan_of_the_same_ticket_is_refused(store: Store) {
    let app = app(store).await;
    let first = record(&check_in(&app, "evt1", "TICKET123").await);
    for _ in 0..3 {
        let answer = check_in(&app, "evt1", "TICKET123").await;
        assert_eq!(answer.text(), (400, DUPLICATE));
        assert_eq!(answer.headers["content-type"], "application/json");
    }

    // Nor by somebody else.
    let mut other = claims();
    other["sub"] = json!("panitia2");
    let body = json!({ "event_id": "evt1", "ticket_id": "TICKET123" });
    let answer = post(&app, CHECK_IN).bearer(&token(&other)).json(&body).send().await;
    assert_eq!(answer.text(), (400, DUPLICATE));
    assert_eq!(attendance(&app, "evt1").await.text(), (200, list("evt1", &[first]).as_str()));
}

async fn tickets_and_events_are_told_apart_character_by_character(store: Store) {
    let app = app(store).await;
    let scans = [
        ("evt1", "T1"),
        ("evt2", "T1"),
        ("evt1", "T2"),
        ("evt1", "t1"),
        ("Evt1", "T1"),
        ("evt1 ", "T1"),
        ("evt1", " T1"),
        ("evt", "1T1"),
        ("evt1T", "1"),
        ("T1", "evt1"),
        ("evt1", "T1\",\"ticket_id\":\"T2"),
        ("evt1", "T"),
        ("evt1", "T11"),
        ("s\u{ed}", "T"),
        ("si\u{301}", "T"),
        ("evt1", "🎫"),
    ];
    for (event, ticket) in scans {
        assert_eq!(check_in(&app, event, ticket).await.status, 200, "{event:?} {ticket:?}");
    }
    for (event, ticket) in scans {
        assert_eq!(check_in(&app, event, ticket).await.text(), (400, DUPLICATE), "{event:?} {ticket:?}");
    }
}

async fn whoever_the_token_names_has_checked_in(store: Store) {
    let app = app(store).await;
    for (number, (sub, role)) in [
        ("panitia1", "committee"),
        ("admin1", "admin"),
        (r#"a"b\c"#, "admin"),
        ("名前", "committee"),
        ("", "admin"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut claims = claims();
        claims["sub"] = json!(sub);
        claims["role"] = json!(role);
        let body = json!({ "event_id": "evt1", "ticket_id": format!("T{number}"), "checked_in_by": "x" });
        let answer = post(&app, CHECK_IN).bearer(&token(&claims)).json(&body).send().await;
        assert_eq!(record(&answer)["checked_in_by"], sub);
    }
}

async fn the_moment_is_utc_with_six_digits_and_an_offset(store: Store) {
    let app = app(store).await;
    for number in 0..100 {
        let before = Utc::now();
        let record = record(&check_in(&app, "evt1", &format!("T{number}")).await);
        let after = Utc::now();

        let at = record["checked_in_at"].as_str().expect("text");
        let shape: String =
            at.chars().map(|character| if character.is_ascii_digit() { '0' } else { character }).collect();
        assert_eq!(shape, "0000-00-00T00:00:00.000000+00:00", "{at}");
        let moment = DateTime::parse_from_rfc3339(at).expect("a moment");
        // Microseconds are cut, not rounded.
        assert!(before.timestamp_micros() <= moment.timestamp_micros(), "{before} {at}");
        assert!(moment <= after, "{at} {after}");
    }
}

async fn extra_fields_and_query_parameters_are_ignored(store: Store) {
    let app = app(store).await;
    let body = r#"{"status":5,"ticket_id":"T1","record":null,"event_id":"evt1","checked_in_at":"never"}"#;
    let answer = post(&app, "/checkins?event_id=other&ticket_id=&%zz").bearer(&token(&claims()));
    let answer = answer.header(CONTENT_TYPE, "application/json").body(body).send().await;
    let record = record(&answer);
    assert_eq!((&record["event_id"], &record["ticket_id"]), (&"evt1".into(), &"T1".into()));
    assert_ne!(record["checked_in_at"], "never");
}

async fn of_500_scans_of_one_ticket_at_once_one_gets_in(store: Store) {
    let app = app(store).await;
    let scans: Vec<_> = (0..500)
        .map(|_| {
            let app = app.clone();
            tokio::spawn(async move { check_in(&app, "evt1", "TICKET123").await })
        })
        .collect();
    let mut records = Vec::new();
    for scan in scans {
        let answer = scan.await.expect("an answer");
        match answer.status.as_u16() {
            400 => assert_eq!(answer.text(), (400, DUPLICATE)),
            _ => records.push(record(&answer)),
        }
    }
    assert_eq!(records.len(), 1);
    assert_eq!(attendance(&app, "evt1").await.text(), (200, list("evt1", &records).as_str()));
}

async fn scans_of_different_tickets_at_once_all_get_in_and_none_is_lost(store: Store) {
    let app = app(store).await;
    let scans: Vec<_> = (0..500)
        .map(|number| {
            let app = app.clone();
            tokio::spawn(async move {
                let event = if number % 2 == 0 { "even" } else { "odd" };
                (event, record(&check_in(&app, event, &format!("T{number}")).await))
            })
        })
        .collect();
    let mut came = Vec::new();
    for scan in scans {
        came.push(scan.await.expect("an answer"));
    }
    for event in ["even", "odd"] {
        let body = attendance(&app, event).await.json();
        assert_eq!(body["total_checked_in"], 250);
        let records = body["records"].as_array().expect("a list");
        assert_eq!(records.len(), 250);
        let of_event = came.iter().filter(|(of, _)| *of == event);
        assert!(of_event.map(|(_, record)| record).all(|record| records.contains(record)));
        let moments: Vec<_> = records.iter().map(|record| record["checked_in_at"].as_str()).collect();
        assert!(moments.is_sorted(), "oldest first");
    }
}
