//! Events and lists of tickets in the program: what it logs of them, and a list that arrives slowly.

use serde_json::{Value, json};
use shared_http::testing::{Raw, fetch};
use shared_service::testing::forge;

use super::{SECOND, service, start};

#[tokio::test]
async fn the_log_says_who_changed_events_and_tickets() {
    let mut command = service("memory:");
    command.env("JWT_SECRET", forge::SECRET);
    let (process, _gate) = start(command).await;
    let mut claims = forge::claims();
    // What could look like another line is escaped.
    (claims["sub"], claims["role"]) = (json!("siti\nINFO x: y"), json!("admin"));
    let token = forge::token(&claims);
    let send = async |head: &str, body: Value| -> Value {
        let (status, body) = fetch(process.address, head, &token, &body.to_string()).await;
        assert_eq!(status, 200, "{head}: {body}");
        serde_json::from_str(&body).expect("JSON")
    };
    let event =
        send("POST /events", json!({ "title": "Konser" })).await["id"].as_str().expect("an id").to_owned();
    let path = format!("/events/{event}");
    send(&format!("PUT {path}"), json!({ "location": "Aula" })).await;
    send(&format!("PUT {path}/tickets"), json!({ "tickets": [{ "ticket_id": "A" }, { "ticket_id": "B" }] }))
        .await;
    send(&format!("POST {path}/tickets/generate"), json!({ "count": 3 })).await;
    send(&format!("DELETE {path}/tickets/A"), Value::Null).await;
    send(&format!("DELETE {path}"), Value::Null).await;
    let log = process.log_with("an event was deleted").await;
    let who = format!(r"user=siti\nINFO x: y event={event}");
    for line in [
        format!("an event was created {who}"),
        format!("an event was changed {who}"),
        format!("tickets were imported {who} added=2 updated=0 total=2"),
        format!("tickets were generated {who} count=3"),
        format!("a ticket was revoked {who} ticket=A"),
        format!("an event was deleted {who}"),
    ] {
        assert!(log.contains(&line), "{line}:\n{log}");
    }
}

/// A client on a slow network brings in a list of 350 KiB, for which it needs twice as long as the deadline.
#[tokio::test]
async fn a_long_list_may_arrive_slowly() {
    let mut command = service("memory:");
    command.env("JWT_SECRET", forge::SECRET).env("REQUEST_TIMEOUT_SECONDS", "2");
    let (process, _gate) = start(command).await;
    let mut claims = forge::claims();
    claims["role"] = json!("admin");
    let token = forge::token(&claims);
    let (_, event) = fetch(process.address, "POST /events", &token, r#"{"title":"Konser"}"#).await;
    let event: Value = serde_json::from_str(&event).expect("JSON");
    let event = event["id"].as_str().expect("an id");

    let lines: String =
        (0..10_000).map(|number| format!("2026-KONSER-{number:06},Siti Rahayu {number}\n")).collect();
    let body = format!("ticket_id,name\n{lines}");
    let head = format!(
        "PUT /events/{event}/tickets HTTP/1.1\r\nHost: t\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: text/csv\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut client = Raw::open(process.address, head).await;
    for part in body.as_bytes().chunks(body.len() / 10 + 1) {
        client.send(part).await;
        tokio::time::sleep(SECOND * 2 / 5).await;
    }
    let answer = client.rest(SECOND * 20).await;
    assert!(answer.contains(r#""added":10000,"updated":0,"unchanged":0,"total":10000}"#), "{answer}");
}
