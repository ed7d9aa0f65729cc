use axum::http::{Method, header::CONTENT_LENGTH};
use proptest::prelude::*;
use serde_json::{Value, json};
use shared_http::testing::{Answer, call, get, post};

use super::{CHECK_IN, app, check_in, detail, for_all, record, ticket_path};
use shared_service::testing::forge::{claims, token};
use shared_service::{on_every_store, testing::Store};

on_every_store![
    every_ticket_that_can_be_checked_in_can_be_looked_up,
    whoever_refuses_a_ticket_can_say_when_and_by_whom_it_was_used,
    a_ticket_that_nobody_checked_in_to_that_event_is_not_found,
    nobody_learns_of_a_ticket_without_a_token,
    ids_are_the_same_only_if_every_byte_is,
    ids_in_a_path_are_decoded_once,
    a_path_that_is_no_text_or_no_ticket_is_refused,
    the_record_is_the_one_of_the_list_however_many_there_are,
];

/// Of a ticket that nobody checked in.
pub(crate) const ABSENT: &str = r#"{"detail":"Ticket belum check-in"}"#;

async fn look_up(app: &axum::Router, event: &str, ticket: &str) -> Answer {
    get(app, &ticket_path(event, ticket)).bearer(&token(&claims())).send().await
}

async fn whoever_refuses_a_ticket_can_say_when_and_by_whom_it_was_used(store: Store) {
    let app = app(store).await;
    let first = record(&check_in(&app, "evt1", "TICKET123").await);
    assert_eq!(check_in(&app, "evt1", "TICKET123").await.status, 400);

    let mut other = claims();
    other["sub"] = json!("panitia2");
    let path = "/attendance/evt1/tickets/TICKET123";
    let answer = get(&app, path).bearer(&token(&other)).send().await;
    let at = first["checked_in_at"].as_str().expect("text");
    let body = format!(
        r#"{{"event_id":"evt1","ticket_id":"TICKET123","checked_in_by":"panitia1","checked_in_at":"{at}"}}"#
    );
    assert_eq!(answer.text(), (200, body.as_str()));
    assert_eq!(answer.headers["content-type"], "application/json");

    let head = call(&app, Method::HEAD, path).bearer(&token(&other)).send().await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(head.header(CONTENT_LENGTH), body.len().to_string());
}

async fn a_ticket_that_nobody_checked_in_to_that_event_is_not_found(store: Store) {
    let app = app(store).await;
    assert_eq!(look_up(&app, "evt1", "T1").await.text(), (404, ABSENT));
    assert_eq!(check_in(&app, "evt1", "T1").await.status, 200);
    for (event, ticket) in
        [("evt1", "T2"), ("evt2", "T1"), ("evt1", "T"), ("evt1", "T11"), ("evt1", "t1"), ("evt", "1T1")]
    {
        let answer = look_up(&app, event, ticket).await;
        assert_eq!(answer.text(), (404, ABSENT), "{event} {ticket}");
        detail(&answer);
    }
    // Nor does looking make a ticket a used one.
    assert_eq!(check_in(&app, "evt2", "T1").await.status, 200);
}

async fn nobody_learns_of_a_ticket_without_a_token(store: Store) {
    let app = app(store).await;
    assert_eq!(check_in(&app, "evt1", "T1").await.status, 200);
    for ticket in ["T1", "T2"] {
        let path = ticket_path("evt1", ticket);
        let answer = get(&app, &path).send().await;
        assert_eq!(answer.text(), (401, r#"{"detail":"Missing Authorization header"}"#));
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        assert_eq!(get(&app, &path).bearer("x").send().await.text(), (401, r#"{"detail":"Invalid token"}"#));
    }
}

async fn ids_are_the_same_only_if_every_byte_is(store: Store) {
    let app = app(store).await;
    let long = "x".repeat(10_000);
    let longer = "x".repeat(9_999) + "y";
    let ids = [
        "a",
        "a ",
        " a",
        " a ",
        "a  ",
        "A",
        "\u{e9}",
        "e\u{301}",
        "\u{212b}",
        "\u{c5}",
        "A\u{30a}",
        "ﬁ",
        "fi",
        "/",
        "//",
        "a/b",
        "a%2Fb",
        "a%252Fb",
        "tickets/a",
        "..",
        ".",
        "+",
        "\u{feff}a",
        "a\u{200d}",
        "🎫",
        "\u{10ffff}",
        "\"",
        "\\",
        "\u{1}",
        "\u{7f}",
        "\n",
        "\u{2028}",
        "','",
        "a\";--",
        &long,
        &longer,
    ];
    let mut made: Vec<Value> = Vec::new();
    for (number, id) in ids.iter().enumerate() {
        for (other, _) in ids.iter().enumerate().filter(|(other, _)| *other >= number) {
            assert_eq!(look_up(&app, "e", ids[other]).await.text(), (404, ABSENT), "{number} {other}");
        }
        made.push(record(&check_in(&app, "e", id).await));
    }
    for (id, record) in ids.iter().zip(&made) {
        assert_eq!(record["ticket_id"], *id);
        assert_eq!(look_up(&app, "e", id).await.text(), (200, record.to_string().as_str()), "{id:?}");
    }
    for id in ids {
        let record = record(&check_in(&app, id, "T/1").await);
        assert_eq!(look_up(&app, id, "T/1").await.text(), (200, record.to_string().as_str()), "{id:?}");
    }
    let record = record(&check_in(&app, &long, &long).await);
    assert_eq!(look_up(&app, &long, &long).await.text(), (200, record.to_string().as_str()));
}

async fn ids_in_a_path_are_decoded_once(store: Store) {
    let app = app(store).await;
    for (path, event, ticket) in [
        ("/attendance/konser%2F2026/tickets/A%2F1", "konser/2026", "A/1"),
        ("/attendance/konser%252F2026/tickets/A%252f1", "konser%2F2026", "A%2f1"),
        ("/attendance/a+b/tickets/%20", "a+b", " "),
        ("/attendance/tickets/tickets/tickets", "tickets", "tickets"),
        ("/attendance/%2E%2E/tickets/..", "..", ".."),
        ("/attendance/x/tickets/a:b@c;d,e=f&g$h!i*j'k(l)~m?limit=1&%zz", "x", "a:b@c;d,e=f&g$h!i*j'k(l)~m"),
    ] {
        let record = record(&check_in(&app, event, ticket).await);
        let answer = get(&app, path).bearer(&token(&claims())).send().await;
        assert_eq!(answer.text(), (200, record.to_string().as_str()), "{path}");
    }
}

async fn a_path_that_is_no_text_or_no_ticket_is_refused(store: Store) {
    let app = app(store).await;
    for path in ["/attendance/%ff/tickets/T1", "/attendance/evt1/tickets/%E6%9C"] {
        let answer = get(&app, path).bearer(&token(&claims())).send().await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(detail(&answer).is_string(), "{path}");
    }
    for path in ["/attendance/evt1/tickets", "/attendance/evt1/tickets/", "/attendance/evt1/tickets/a/b"] {
        let answer = get(&app, path).bearer(&token(&claims())).send().await;
        assert_eq!(answer.text(), (404, r#"{"detail":"Not Found"}"#), "{path}");
    }
    for method in [Method::POST, Method::DELETE] {
        let answer = call(&app, method, "/attendance/evt1/tickets/T1").bearer(&token(&claims())).send().await;
        assert_eq!(answer.text(), (405, r#"{"detail":"Method Not Allowed"}"#));
    }
}

async fn the_record_is_the_one_of_the_list_however_many_there_are(store: Store) {
    let app = app(store).await;
    let mut records = Vec::new();
    for number in 0..400 {
        let ticket = format!("{number} {}", "🎫".repeat(number % 250));
        records.push(record(&check_in(&app, "evt1", &ticket).await));
    }
    for record in records {
        let ticket = record["ticket_id"].as_str().expect("text");
        assert_eq!(look_up(&app, "evt1", ticket).await.text(), (200, record.to_string().as_str()));
    }
}

async fn every_ticket_that_can_be_checked_in_can_be_looked_up(store: Store) {
    let ids = ("[^\0]{1,20}", prop_oneof!["[^\0]{1,20}", "[/?#%+. 2Ff]{1,12}"], "[^\0]{0,10}");
    for_all(48, &ids, async |(event, ticket, sub)| {
        let app = app(store).await;
        let mut claims = claims();
        claims["sub"] = json!(sub);
        let body = json!({ "event_id": event, "ticket_id": ticket });
        let record = record(&post(&app, CHECK_IN).bearer(&token(&claims)).json(&body).send().await);
        assert_eq!(record["checked_in_by"], sub);
        assert_eq!(look_up(&app, &event, &ticket).await.text(), (200, record.to_string().as_str()));
    });
}
