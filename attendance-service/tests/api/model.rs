//! Whatever is asked in whatever order, the answers are those of a model that fits on a page.

use axum::Router;
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};
use shared_http::testing::{get, post};

use crate::{CHECK_IN, DUPLICATE, app, forge, list, path, record};

#[derive(Clone, Debug)]
enum Request {
    CheckIn(&'static str, &'static str, &'static str),
    Attendance(&'static str),
}

/// Everybody who came, oldest first.
#[derive(Default)]
struct Model(Vec<Value>);

impl Model {
    fn came(&self, event: &str, ticket: &str) -> bool {
        self.0.iter().any(|record| record["event_id"] == event && record["ticket_id"] == ticket)
    }

    fn list(&self, event: &str) -> String {
        let records: Vec<_> = self.0.iter().filter(|record| record["event_id"] == event).cloned().collect();
        list(event, &records)
    }
}

fn requests() -> impl Strategy<Value = Vec<Request>> {
    let event = || select(vec!["evt1", "evt2", "a/b", "a%2Fb", "a b", "a+b", "札"]);
    let ticket = select(vec!["T1", "T2", "T", "\"", "🎫", ""]);
    let person = select(vec!["panitia1", "admin1"]);
    prop::collection::vec(
        prop_oneof![
            2 => (event(), ticket, person).prop_map(|(event, ticket, by)| Request::CheckIn(event, ticket, by)),
            1 => event().prop_map(Request::Attendance),
        ],
        1..48,
    )
}

async fn agrees(app: &Router, model: &mut Model, request: &Request) {
    let mut claims = forge::claims();
    match *request {
        Request::CheckIn(event, ticket, by) => {
            claims["sub"] = json!(by);
            let body = json!({ "event_id": event, "ticket_id": ticket });
            let answer = post(app, CHECK_IN).bearer(&forge::token(&claims)).json(&body).send().await;
            if ticket.is_empty() {
                assert_eq!(answer.status, 422, "{request:?}");
            } else if model.came(event, ticket) {
                assert_eq!(answer.text(), (400, DUPLICATE), "{request:?}");
            } else {
                let record = record(&answer);
                let at = &record["checked_in_at"];
                let expected =
                    json!({"event_id": event, "ticket_id": ticket, "checked_in_by": by, "checked_in_at": at});
                assert_eq!(record, expected, "{request:?}");
                model.0.push(record);
            }
        }
        Request::Attendance(event) => {
            let answer = get(app, &path(event)).bearer(&forge::token(&claims)).send().await;
            assert_eq!(answer.text(), (200, model.list(event).as_str()), "{request:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_requests_agrees_with_the_model(requests in requests()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let app = app();
            let mut model = Model::default();
            for request in &requests {
                agrees(&app, &mut model, request).await;
            }
        });
    }
}
