//! Whatever is asked in whatever order, the answers are those of a model that fits on a page.

use axum::{Router, http::header::CONTENT_TYPE};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};
use shared_service::{
    on_every_store,
    testing::{Store, property::for_all},
};

use super::{ABSENT, DUPLICATE, REPLAYED, REUSED, app, attempt, attendance, list, look_up, record};

on_every_store![any_sequence_of_requests_agrees_with_the_model];

#[derive(Clone, Debug)]
enum Request {
    CheckIn { event: &'static str, ticket: &'static str, by: &'static str, key: Option<&'static str> },
    Attendance(&'static str),
    Ticket(&'static str, &'static str),
}

/// Everybody who came, oldest first: the record, the key under which it was made, and the answer.
#[derive(Default)]
struct Model(Vec<(Value, Option<&'static str>, String)>);

impl Model {
    fn ticket(&self, event: &str, ticket: &str) -> Option<&Value> {
        let records = self.0.iter().map(|(record, ..)| record);
        records.into_iter().find(|record| record["event_id"] == event && record["ticket_id"] == ticket)
    }

    /// The record that `by` made under `key`, and the answer.
    fn attempt(&self, by: &str, key: Option<&str>) -> Option<(&Value, &str)> {
        let made = self
            .0
            .iter()
            .find(|(record, of, _)| key.is_some() && *of == key && record["checked_in_by"] == by);
        made.map(|(record, _, answer)| (record, &**answer))
    }

    fn list(&self, event: &str) -> String {
        let records = self.0.iter().map(|(record, ..)| record);
        list(event, &records.filter(|record| record["event_id"] == event).cloned().collect::<Vec<_>>())
    }
}

/// Few of each, so that they meet; and whatever two of them have in common, they are not the same: neither where an
/// event ends and a ticket begins, nor where a user ends and a key begins.
fn requests() -> impl Strategy<Value = Vec<Request>> {
    let event = || select(vec!["evt", "evt1", "a/b"]);
    let ticket = || select(vec!["1T", "T", "🎫", ""]);
    let person = select(vec!["a", "ab", ""]);
    let key = select(vec![None, None, Some("bc"), Some("c"), Some("C")]);
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
    match *request {
        Request::CheckIn { event, ticket, by, key } => {
            let answer = attempt(app, by, event, ticket, key).await;
            assert_eq!(answer.header(CONTENT_TYPE), "application/json", "{request:?}");
            let made = model.attempt(by, key);
            let is_same = |record: &Value| record["event_id"] == event && record["ticket_id"] == ticket;
            let (expected, replayed) = match made {
                _ if ticket.is_empty() => ((422, answer.text().1), ""),
                Some((record, answer)) if is_same(record) => ((200, answer), "true"),
                Some(_) => ((422, REUSED), ""),
                None if model.ticket(event, ticket).is_some() => ((400, DUPLICATE), ""),
                None => ((200, answer.text().1), ""),
            };
            assert_eq!((answer.text(), answer.header(REPLAYED)), (expected, replayed), "{request:?}");
            if answer.status == 200 && replayed.is_empty() {
                let record = record(&answer);
                let at = &record["checked_in_at"];
                let expected =
                    json!({"event_id": event, "ticket_id": ticket, "checked_in_by": by, "checked_in_at": at});
                assert_eq!(record, expected, "{request:?}");
                model.0.push((record, key, answer.text().1.to_owned()));
            }
        }
        Request::Attendance(event) => {
            let answer = attendance(app, event).await;
            assert_eq!(answer.text(), (200, model.list(event).as_str()), "{request:?}");
        }
        Request::Ticket(event, ticket) => {
            let expected = match model.ticket(event, ticket) {
                Some(record) => (200, record.to_string()),
                // A path that ends in `/` names no route.
                None if ticket.is_empty() => (404, r#"{"detail":"Not Found"}"#.to_owned()),
                None => (404, ABSENT.to_owned()),
            };
            let answer = look_up(app, event, ticket).await;
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
