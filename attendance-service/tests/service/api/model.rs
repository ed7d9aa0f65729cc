//! Whatever is asked in whatever order, the answers are those of a model that fits on a page.

use axum::Router;
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};
use shared_http::testing::{get, post};

use super::{CHECK_IN, DUPLICATE, app, for_all, idempotency, list, path, record, ticket, ticket_path};
use shared_service::{
    on_every_store,
    testing::{Store, forge},
};

on_every_store![any_sequence_of_requests_agrees_with_the_model];

#[derive(Clone, Debug)]
enum Request {
    CheckIn { event: &'static str, ticket: &'static str, by: &'static str, key: Option<&'static str> },
    Attendance(&'static str),
    Ticket(&'static str, &'static str),
}

/// Everybody who came, oldest first, and the key under which they did.
#[derive(Default)]
struct Model(Vec<(Value, Option<&'static str>)>);

impl Model {
    fn ticket(&self, event: &str, ticket: &str) -> Option<&Value> {
        let records = self.0.iter().map(|(record, _)| record);
        records.into_iter().find(|record| record["event_id"] == event && record["ticket_id"] == ticket)
    }

    /// The record that `by` made under `key`.
    fn attempt(&self, by: &str, key: Option<&str>) -> Option<&Value> {
        let made = |(record, of): &&(Value, _)| key.is_some() && *of == key && record["checked_in_by"] == by;
        self.0.iter().find(made).map(|(record, _)| record)
    }

    fn list(&self, event: &str) -> String {
        let records = self.0.iter().map(|(record, _)| record);
        list(event, &records.filter(|record| record["event_id"] == event).cloned().collect::<Vec<_>>())
    }
}

fn requests() -> impl Strategy<Value = Vec<Request>> {
    let event = || select(vec!["evt1", "evt2", "a/b", "a%2Fb", "a b", "a+b", "札"]);
    let ticket = || select(vec!["T1", "T2", "T", "\"", "🎫", "T/1", ""]);
    let person = select(vec!["panitia1", "admin1"]);
    let key = select(vec![None, None, Some("k"), Some("K"), Some("k2")]);
    let check_in = (event(), ticket(), person, key);
    prop::collection::vec(
        prop_oneof![
            4 => check_in.prop_map(|(event, ticket, by, key)| Request::CheckIn { event, ticket, by, key }),
            1 => event().prop_map(Request::Attendance),
            1 => (event(), ticket()).prop_map(|(event, ticket)| Request::Ticket(event, ticket)),
        ],
        1..48,
    )
}

async fn agrees(app: &Router, model: &mut Model, request: &Request) {
    let mut claims = forge::claims();
    match *request {
        Request::CheckIn { event, ticket, by, key } => {
            claims["sub"] = json!(by);
            let body = json!({ "event_id": event, "ticket_id": ticket });
            let mut call = post(app, CHECK_IN).bearer(&forge::token(&claims)).json(&body);
            if let Some(key) = key {
                call = call.header(idempotency::KEY, key);
            }
            let answer = call.send().await;
            let attempt = model.attempt(by, key);
            let replayed =
                attempt.is_some_and(|made| made["event_id"] == event && made["ticket_id"] == ticket);
            assert_eq!(
                answer.header(idempotency::REPLAYED),
                if replayed { "true" } else { "" },
                "{request:?}"
            );
            if ticket.is_empty() {
                assert_eq!(answer.status, 422, "{request:?}");
            } else if replayed {
                assert_eq!(Some(&record(&answer)), attempt, "{request:?}");
            } else if attempt.is_some() {
                assert_eq!(answer.text(), (422, idempotency::REUSED), "{request:?}");
            } else if model.ticket(event, ticket).is_some() {
                assert_eq!(answer.text(), (400, DUPLICATE), "{request:?}");
            } else {
                let record = record(&answer);
                let at = &record["checked_in_at"];
                let expected =
                    json!({"event_id": event, "ticket_id": ticket, "checked_in_by": by, "checked_in_at": at});
                assert_eq!(record, expected, "{request:?}");
                model.0.push((record, key));
            }
        }
        Request::Attendance(event) => {
            let answer = get(app, &path(event)).bearer(&forge::token(&claims)).send().await;
            assert_eq!(answer.text(), (200, model.list(event).as_str()), "{request:?}");
        }
        Request::Ticket(event, ticket) => {
            let answer = get(app, &ticket_path(event, ticket)).bearer(&forge::token(&claims)).send().await;
            let expected = match model.ticket(event, ticket) {
                Some(record) => (200, record.to_string()),
                // A path that ends in `/` names no route.
                None if ticket.is_empty() => (404, r#"{"detail":"Not Found"}"#.to_owned()),
                None => (404, ticket::ABSENT.to_owned()),
            };
            assert_eq!(answer.text(), (expected.0, expected.1.as_str()), "{request:?}");
        }
    }
}

async fn any_sequence_of_requests_agrees_with_the_model(store: Store) {
    for_all(48, &requests(), async |requests| {
        let app = app(store).await;
        let mut model = Model::default();
        for request in &requests {
            agrees(&app, &mut model, request).await;
        }
    });
}
