use std::collections::BTreeSet;

use axum::Router;
use serde_json::{Value, json};
use shared_http::testing::{Answer, post};
use shared_service::{
    on_every_store,
    testing::{
        Store,
        schema::{detail, missing},
    },
};

use super::{admin, app, check_in, create_event, read_as_admin};

on_every_store![new_tickets_are_on_the_list_and_nobody_can_guess_them];

async fn generate(app: &Router, event: &str, body: &Value) -> Answer {
    post(app, &format!("/events/{event}/tickets/generate")).bearer(&admin()).json(body).send().await
}

async fn new_tickets_are_on_the_list_and_nobody_can_guess_them(store: Store) {
    let app = app(store).await;
    let event = create_event(&app, "Konser").await;
    let mut ids = BTreeSet::new();
    for (count, kind) in [(1, json!(" VIP ")), (5000, Value::Null), (2, json!(""))] {
        let answer = generate(&app, &event, &json!({ "count": count, "kind": kind })).await;
        assert_eq!(answer.status, 200);
        let body = answer.json();
        let tickets = body["tickets"].as_array().expect("a list");
        assert_eq!(tickets.len(), count);
        for ticket in tickets {
            let id = ticket["ticket_id"].as_str().expect("an id");
            let groups: Vec<_> = id.split('-').collect();
            assert_eq!(groups.iter().map(|group| group.len()).collect::<Vec<_>>(), [4, 4, 4], "{id}");
            let is_crockford = |byte: u8| b"0123456789ABCDEFGHJKMNPQRSTVWXYZ".contains(&byte);
            assert!(groups.concat().bytes().all(is_crockford), "{id}");
            assert!(ids.insert(id.to_owned()), "{id}");
            let kind = if count == 1 { json!("VIP") } else { Value::Null };
            let expected = json!({
                "ticket_id": id, "name": null, "kind": kind, "revoked": false, "checked_in_at": null,
                "checked_in_by": null
            });
            assert_eq!(*ticket, expected);
        }
    }
    let list = read_as_admin(&app, &format!("/events/{event}/tickets?limit=1000")).send().await.json();
    assert_eq!(list["total"], 5003);
    let listed: Vec<_> =
        list["tickets"].as_array().expect("a list").iter().map(|it| it["ticket_id"].clone()).collect();
    assert_eq!(listed, ids.iter().take(1000).map(|id| json!(id)).collect::<Vec<_>>());
    let some = ids.first().expect("a ticket");
    assert_eq!(check_in(&app, &event, some).await.status, 200);
    let answer = generate(&app, "none", &json!({ "count": 1 })).await;
    assert_eq!(answer.text(), (404, r#"{"detail":"Event not found"}"#));
}

#[tokio::test]
async fn between_1_and_10000_are_made_at_once() {
    let app = app(Store::Memory).await;
    let event = create_event(&app, "Konser").await;
    let expected = detail(&[missing("count", "{}")]);
    assert_eq!(generate(&app, &event, &json!({})).await.text(), (422, &*expected));
    for (count, kind) in [
        (json!(0), "greater_than_equal"),
        (json!(10_001), "less_than_equal"),
        (json!("viele"), "int_parsing"),
        (json!(1.5), "int_from_float"),
        (Value::Null, "int_type"),
    ] {
        let answer = generate(&app, &event, &json!({ "count": count })).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["detail"][0]["type"]), (422, &json!(kind)));
    }
    for kind in [json!("a\nb"), json!("k".repeat(201)), json!(5)] {
        assert_eq!(generate(&app, &event, &json!({ "count": 1, "kind": kind })).await.status, 422);
    }
    let answer = generate(&app, &event, &json!({ "count": 10_000 })).await;
    assert_eq!(answer.json()["tickets"].as_array().map(Vec::len), Some(10_000));
}
