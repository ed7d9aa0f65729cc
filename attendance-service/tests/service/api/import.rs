use std::fmt::Write;

use axum::{
    Router,
    body::Body,
    http::{Method, header::CONTENT_TYPE},
};
use serde_json::{Value, json};
use shared_http::testing::{Answer, call};
use shared_service::{
    on_every_store,
    testing::{Store, app::detail},
};

use super::{admin, app, check_in, create_event, import, read_as_admin};

on_every_store![
    tickets_are_added_and_changed_and_none_is_taken_away,
    a_column_that_is_missing_leaves_things_as_they_are,
    json_is_read_by_the_same_rules,
    fifty_thousand_tickets_are_taken_at_once,
];

async fn put(app: &Router, event: &str, content_type: &str, body: impl Into<Body>) -> Answer {
    let call = call(app, Method::PUT, &format!("/events/{event}/tickets")).bearer(&admin());
    call.header(CONTENT_TYPE, content_type).body(body).send().await
}

async fn put_json(app: &Router, event: &str, tickets: Value) -> Answer {
    put(app, event, "application/json", json!({ "tickets": tickets }).to_string()).await
}

/// Id, name and kind of all tickets of an event.
async fn tickets(app: &Router, event: &str) -> Value {
    let list = read_as_admin(app, &format!("/events/{event}/tickets?limit=1000")).send().await.json();
    let tickets = list["tickets"].as_array().expect("a list").iter();
    tickets.map(|ticket| json!([ticket["ticket_id"], ticket["name"], ticket["kind"]])).collect()
}

fn counts(event: &str, added: u64, updated: u64, unchanged: u64, total: u64) -> String {
    format!(
        r#"{{"event_id":"{event}","added":{added},"updated":{updated},"unchanged":{unchanged},"total":{total}}}"#
    )
}

async fn tickets_are_added_and_changed_and_none_is_taken_away(store: Store) {
    let app = app(store).await;
    let event = create_event(&app, "Konser").await;
    let other = create_event(&app, "Another").await;
    assert_eq!(
        import(&app, &event, "B,Budi,\nA,Siti,VIP\n").await.text(),
        (200, &*counts(&event, 2, 0, 0, 2))
    );
    assert_eq!(
        import(&app, &event, "A,Siti,VIP\nB,Budi,\n").await.text(),
        (200, &*counts(&event, 0, 0, 2, 2))
    );
    assert_eq!(
        import(&app, &event, "A,Siti,\nB,Budi,\nC,,\n").await.text(),
        (200, &*counts(&event, 1, 1, 1, 3)),
        "an empty cell clears"
    );
    assert_eq!(import(&app, &event, "D,,\n").await.text(), (200, &*counts(&event, 1, 0, 0, 4)));
    let expected = json!([["A", "Siti", null], ["B", "Budi", null], ["C", null, null], ["D", null, null]]);
    assert_eq!(tickets(&app, &event).await, expected);
    assert_eq!(tickets(&app, &other).await, json!([]));
    let absent = r#"{"detail":"Event not found"}"#;
    assert_eq!(import(&app, "none", "A\n").await.text(), (404, absent));
    assert_eq!(import(&app, "none", "A\nA\n").await.status, 422, "the body comes first");
    // Nothing of a list with a mistake is taken.
    assert_eq!(import(&app, &event, "E,,\nA,Dewi,\nA,,\n").await.status, 422);
    assert_eq!(tickets(&app, &event).await, expected);
}

async fn a_column_that_is_missing_leaves_things_as_they_are(store: Store) {
    let app = app(store).await;
    let event = create_event(&app, "Konser").await;
    import(&app, &event, "A,Siti,VIP\nB,Budi,\n").await;
    let answer = put(&app, &event, "text/csv", "ticket_id,kind\nA,\nB,VIP\n").await;
    assert_eq!(answer.text(), (200, &*counts(&event, 0, 2, 0, 2)));
    assert_eq!(tickets(&app, &event).await, json!([["A", "Siti", null], ["B", "Budi", "VIP"]]));
    let answer = put(&app, &event, "text/csv", "ticket_id\nA\nB\n").await;
    assert_eq!(answer.text(), (200, &*counts(&event, 0, 0, 2, 2)));
    // A revoked ticket stays revoked, and one that is in stays in.
    check_in(&app, &event, "B").await;
    call(&app, Method::DELETE, &format!("/events/{event}/tickets/A")).bearer(&admin()).send().await;
    import(&app, &event, "A,Dewi,\nB,Agus,\n").await;
    let list = read_as_admin(&app, &format!("/events/{event}/tickets")).send().await.json();
    assert_eq!((&list["tickets"][0]["revoked"], &list["tickets"][0]["name"]), (&json!(true), &json!("Dewi")));
    assert_eq!(list["tickets"][1]["checked_in_by"], "panitia1");
}

async fn json_is_read_by_the_same_rules(store: Store) {
    let app = app(store).await;
    let event = create_event(&app, "Konser").await;
    let answer = put_json(
        &app,
        &event,
        json!([
            { "ticket_id": " A ", "name": " Siti ", "kind": "VIP" }, { "ticket_id": "B", "name": null, "kind": "" },
            { "ticket_id": "C", "other": [1] }
        ]),
    );
    assert_eq!(answer.await.text(), (200, &*counts(&event, 3, 0, 0, 3)));
    let answer = put_json(&app, &event, json!([{ "ticket_id": "A" }, { "ticket_id": "B", "name": "Budi" }]));
    assert_eq!(answer.await.text(), (200, &*counts(&event, 0, 1, 1, 3)));
    let answer = put_json(&app, &event, json!([{ "ticket_id": "A", "name": null, "kind": "" }])).await;
    assert_eq!(answer.text(), (200, &*counts(&event, 0, 1, 0, 3)));
    let expected = json!([["A", null, null], ["B", "Budi", null], ["C", null, null]]);
    assert_eq!(tickets(&app, &event).await, expected);
}

/// Lines of `count` tickets, as a whole evening has them.
fn lines(count: usize) -> String {
    let mut lines = String::new();
    for number in 0..count {
        let _ = writeln!(lines, "2026-KONSER-{number:06},Siti Rahayu {number},Reguler");
    }
    lines
}

async fn fifty_thousand_tickets_are_taken_at_once(store: Store) {
    let app = app(store).await;
    let event = create_event(&app, "Konser").await;
    let answer = import(&app, &event, &lines(50_000)).await;
    assert_eq!(answer.text(), (200, &*counts(&event, 50_000, 0, 0, 50_000)));
    let answer = import(&app, &event, &lines(50_001)).await;
    let entry = &detail(&answer)[0];
    assert_eq!((&entry["type"], &entry["loc"]), (&json!("too_long"), &json!(["body", 50_002, "ticket_id"])));
    let all: Vec<_> = (0..50_001).map(|number| json!({ "ticket_id": number.to_string() })).collect();
    let answer = put_json(&app, &event, json!(all)).await;
    let entry = &detail(&answer)[0];
    assert_eq!((&entry["type"], &entry["loc"]), (&json!("too_long"), &json!(["body", "tickets"])));
    let answer = put_json(&app, &event, json!(all[1..])).await;
    assert_eq!(answer.text(), (200, &*counts(&event, 50_000, 0, 0, 100_000)));
}

#[tokio::test]
async fn mistakes_in_json_are_named_by_index_a_hundred_at_most() {
    let app = app(Store::Memory).await;
    let event = create_event(&app, "Konser").await;
    let answer = put_json(
        &app,
        &event,
        json!([
            { "ticket_id": "A" }, { "name": "Siti" }, { "ticket_id": 5 }, { "ticket_id": "  " }, "B",
            { "ticket_id": "x".repeat(201) }, { "ticket_id": "C", "name": "a\nb", "kind": "k".repeat(201) },
            { "ticket_id": ".." }, { "ticket_id": "..." }
        ]),
    );
    let answer = answer.await;
    let entries = detail(&answer);
    let places: Vec<_> =
        entries.as_array().expect("a list").iter().map(|it| json!([it["type"], it["loc"]])).collect();
    let at = |kind: &str, index: u64, field: &str| json!([kind, ["body", "tickets", index, field]]);
    let expected = [
        at("missing", 1, "ticket_id"),
        at("string_type", 2, "ticket_id"),
        at("string_too_short", 3, "ticket_id"),
        json!(["model_attributes_type", ["body", "tickets", 4]]),
        at("value_error", 5, "ticket_id"),
        at("value_error", 6, "name"),
        at("string_too_long", 6, "kind"),
        // A client would delete the event instead of the ticket.
        at("value_error", 7, "ticket_id"),
    ];
    assert_eq!(places, expected);

    let answer =
        put_json(&app, &event, json!([{ "ticket_id": "A" }, { "ticket_id": "B" }, { "ticket_id": " A" }]));
    let expected = r#"{"detail":[{"type":"value_error","loc":["body","tickets",2,"ticket_id"],"msg":"Value error, this ticket_id is that of item 0 too","input":"A","ctx":{"first_index":0}}]}"#;
    assert_eq!(answer.await.text(), (422, expected));

    for ticket in [json!({}), json!({ "ticket_id": "A" })] {
        let answer = put_json(&app, &event, json!(vec![ticket; 1000])).await;
        assert_eq!((answer.status.as_u16(), detail(&answer).as_array().map(Vec::len)), (422, Some(100)));
    }
    for (tickets, kind) in [(json!([]), "too_short"), (json!({}), "list_type"), (Value::Null, "list_type")] {
        let answer = put_json(&app, &event, tickets).await;
        assert_eq!((answer.status.as_u16(), &detail(&answer)[0]["type"]), (422, &json!(kind)));
    }
}

#[tokio::test]
async fn mistakes_in_csv_are_named_by_line_a_hundred_at_most() {
    let app = app(Store::Memory).await;
    let event = create_event(&app, "Konser").await;
    let answer = import(&app, &event, "A,Siti,VIP\nB,Budi,\nA,Dewi,\n").await;
    let expected = r#"{"detail":[{"type":"value_error","loc":["body",4,"ticket_id"],"msg":"Value error, this ticket_id is on line 2 too","input":"A","ctx":{"first_line":2}}]}"#;
    assert_eq!(answer.text(), (422, expected));
    for line in ["A\n", ",x\n", "a,b,c,d\n", "\u{1}\n"] {
        let answer = import(&app, &event, &line.repeat(1000)).await;
        assert_eq!(
            (answer.status.as_u16(), detail(&answer).as_array().map(Vec::len)),
            (422, Some(100)),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_body_has_8_mib_and_is_csv_or_json() {
    let app = app(Store::Memory).await;
    let event = create_event(&app, "Konser").await;
    for content_type in ["text/csv", "TEXT/CSV; charset=UTF-8; header=present", "text/csv;charset=\"utf-8\""]
    {
        assert_eq!(put(&app, &event, content_type, "ticket_id\nA\n").await.status, 200, "{content_type}");
    }
    let answer = put(&app, &event, "text/csv; charset=windows-1252", "ticket_id\nA\n").await;
    let entry = &detail(&answer)[0];
    assert_eq!(
        (answer.status.as_u16(), &entry["loc"], &entry["input"]),
        (422, &json!(["header", "content-type"]), &json!("text/csv; charset=windows-1252"))
    );
    let answer = put(&app, &event, "text/plain", "ticket_id\nA\n").await;
    assert_eq!((answer.status.as_u16(), &detail(&answer)[0]["type"]), (422, &json!("model_attributes_type")));
    let answer = put(&app, &event, "application/json", &b"{\"tickets\":\"\xff\"}"[..]).await;
    assert_eq!(answer.text(), (400, r#"{"detail":"There was an error parsing the body"}"#));

    let limit = 8 << 20;
    for body in [",".repeat(limit), ";\n".repeat(limit / 2), "\"\t\"\t".repeat(limit / 4)] {
        assert_eq!(put(&app, &event, "text/csv", body).await.status, 422);
    }
    for body in ["[".repeat(limit), format!("{{\"tickets\":[{}0]}}", "0,".repeat(limit / 2 - 10))] {
        let answer = put(&app, &event, "application/json", body).await;
        assert_eq!(answer.text(), (400, r#"{"detail":"There was an error parsing the body"}"#));
    }
    let mut body = b"ticket_id,note\nA,\"".to_vec();
    body.resize(limit - 1, b' ');
    body.push(b'"');
    assert_eq!(put(&app, &event, "text/csv", body.clone()).await.status, 200);
    body.push(b'\n');
    let expected = r#"{"detail":"The request body is too large (at most 8 MiB)."}"#;
    assert_eq!(put(&app, &event, "text/csv", body).await.text(), (413, expected));
}
