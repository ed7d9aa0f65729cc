use axum::{
    Router,
    http::{
        Method,
        header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
    },
};
use serde_json::{Value, json};
use shared_http::testing::{Answer, call, get, post};
use shared_service::{
    on_every_store,
    testing::{
        Store, forge,
        schema::{missing, no_text, too_short},
    },
};

use super::{
    DUPLICATE, KEY, REPLAYED, REUSED, admin, app, attendance, check_in, create_event, import, list, pass,
    read, read_as_admin, record, token,
};

on_every_store![
    an_event_is_created_read_changed_and_deleted,
    what_is_given_changes_and_null_clears,
    events_come_oldest_first_and_a_pass_finds_its_own_alone,
    a_deleted_event_takes_its_list_along_and_leaves_its_check_ins,
    a_ticket_is_checked_in_to_an_event_as_to_any,
    a_summary_is_the_event_and_who_came,
    who_came_to_an_event_is_told_as_of_any,
];

const ABSENT: &str = r#"{"detail":"Event not found"}"#;

async fn send(app: &Router, method: Method, path: &str, body: &Value) -> Answer {
    call(app, method, path).bearer(&admin()).json(body).send().await
}

async fn change(app: &Router, event: &str, body: &Value) -> Answer {
    send(app, Method::PUT, &format!("/events/{event}"), body).await
}

async fn an_event_is_created_read_changed_and_deleted(store: Store) {
    let app = app(store).await;
    let answer = post(&app, "/events").bearer(&admin()).json(&json!({
        "title": "Konser \u{1f3ab}", "description": "Malam\nmusik", "location": "Aula",
        "start_time": "2026-12-01T19:00:00+07:00", "end_time": 1_796_173_200, "id": "mine", "created_by": "nobody"
    }));
    let answer = answer.send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let event = answer.json();
    let id = event["id"].as_str().expect("an id").to_owned();
    let created_at = event["created_at"].as_str().expect("a moment").to_owned();
    // To the byte, for the order of the fields.
    let expected = format!(
        r#"{{"id":"{id}","title":"Konser 🎫","description":"Malam\nmusik","location":"Aula","start_time":"2026-12-01T19:00:00+07:00","end_time":"2026-12-02T01:00:00Z","created_by":"admin1","created_at":"{created_at}"}}"#
    );
    assert_eq!(answer.text(), (200, &*expected));
    let hyphens: Vec<_> = id.split('-').map(str::len).collect();
    assert_eq!((hyphens, id.as_bytes()[14]), (vec![8, 4, 4, 4, 12], b'4'), "{id}");
    assert!("89ab".contains(char::from(id.as_bytes()[19])), "{id}");
    assert_eq!((created_at.len(), created_at.as_bytes()[26]), (27, b'Z'), "{created_at}");

    let path = format!("/events/{id}");
    for token in [token(), admin(), pass(&id)] {
        assert_eq!(get(&app, &path).bearer(&token).send().await.text(), (200, &*expected));
    }
    let changed = change(&app, &id, &json!({ "title": "Gladi" })).await;
    assert_eq!(changed.text(), (200, &*expected.replace("Konser 🎫", "Gladi")));
    assert_eq!(read(&app, &path).send().await.text(), changed.text());

    let deleted = call(&app, Method::DELETE, &path).bearer(&admin()).send().await;
    assert_eq!(deleted.text(), (200, &*format!(r#"{{"status":"deleted","event_id":"{id}"}}"#)));
    assert_eq!(read(&app, &path).send().await.text(), (404, ABSENT));
    assert_eq!(change(&app, &id, &json!({})).await.text(), (404, ABSENT));
    assert_eq!(call(&app, Method::DELETE, &path).bearer(&admin()).send().await.text(), (404, ABSENT));
}

async fn what_is_given_changes_and_null_clears(store: Store) {
    let app = app(store).await;
    let body = json!({
        "title": "A", "description": "d", "location": "l", "start_time": "2026-12-01", "end_time": "2026-12-02T00:00:00.5"
    });
    let event = send(&app, Method::POST, "/events", &body).await.json();
    let id = event["id"].as_str().expect("an id");
    assert_eq!(
        (&event["start_time"], &event["end_time"]),
        (&json!("2026-12-01T00:00:00"), &json!("2026-12-02T00:00:00.500000"))
    );
    assert_eq!(change(&app, id, &json!({})).await.json(), event, "nothing is given");
    let mut expected = event.clone();
    for (field, value) in [
        ("title", json!("B")),
        ("description", Value::Null),
        ("description", json!("")),
        ("location", json!("elsewhere")),
        ("location", Value::Null),
        ("start_time", Value::Null),
        ("start_time", json!("2027-01-01T08:00:00Z")),
        ("end_time", Value::Null),
    ] {
        expected[field] = value.clone();
        assert_eq!(change(&app, id, &json!({ field: value })).await.json(), expected, "{field}");
    }
    for (body, entry) in [
        (json!({ "title": null }), no_text("title", "null")),
        (json!({ "title": "" }), too_short("title", r#""""#, 1)),
    ] {
        let answer = change(&app, id, &body).await;
        assert_eq!(answer.text(), (422, &*format!(r#"{{"detail":[{entry}]}}"#)));
    }
    assert_eq!(change(&app, id, &json!({})).await.json(), expected, "what is refused changes nothing");
    // The body is checked before what it is about.
    assert_eq!(change(&app, "none", &json!({ "title": null })).await.status, 422);
    assert_eq!(change(&app, "none", &json!({ "title": "x" })).await.text(), (404, ABSENT));
}

async fn events_come_oldest_first_and_a_pass_finds_its_own_alone(store: Store) {
    let app = app(store).await;
    assert_eq!(read(&app, "/events").send().await.text(), (200, "[]"));
    let mut ids = Vec::new();
    for title in ["first", "second", "third"] {
        ids.push(create_event(&app, title).await);
    }
    let found = async |token: &str| -> Vec<String> {
        let events = get(&app, "/events").bearer(token).send().await.json();
        let events = events.as_array().expect("a list").iter();
        events.map(|event| event["id"].as_str().expect("an id").to_owned()).collect()
    };
    assert_eq!(found(&token()).await, ids);
    assert_eq!(found(&admin()).await, ids);
    assert_eq!(found(&pass(&ids[1])).await, [ids[1].clone()]);
    assert_eq!(found(&pass("another")).await, Vec::<String>::new());
}

async fn a_deleted_event_takes_its_list_along_and_leaves_its_check_ins(store: Store) {
    let app = app(store).await;
    let event = create_event(&app, "Konser").await;
    assert_eq!(import(&app, &event, "A\nB\n").await.status, 200);
    let checked_in = record(&check_in(&app, &event, "A").await);
    call(&app, Method::DELETE, &format!("/events/{event}")).bearer(&admin()).send().await;
    assert_eq!(attendance(&app, &event).await.text(), (200, &*list(&event, &[checked_in])));
    for path in ["tickets", "attendance", "summary"] {
        let answer = read_as_admin(&app, &format!("/events/{event}/{path}")).send().await;
        assert_eq!(answer.text(), (404, ABSENT), "{path}");
    }
    assert_eq!(check_in(&app, &event, "not on the list").await.status, 200, "there is no list any more");
}

async fn a_ticket_is_checked_in_to_an_event_as_to_any(store: Store) {
    let app = app(store).await;
    let event = create_event(&app, "Konser").await;
    let scan = async |token: &str, event: &str, body: Value, key: Option<&str>| -> Answer {
        let call = post(&app, &format!("/events/{event}/checkins")).bearer(token).json(&body);
        key.into_iter().fold(call, |call, key| call.header(KEY, key)).send().await
    };
    let ticket = |id: &str| json!({ "ticket_id": id });
    let first = scan(&token(), &event, ticket("A"), Some("k")).await;
    let accepted = record(&first);
    assert_eq!((&accepted["event_id"], &accepted["ticket_id"]), (&json!(event), &json!("A")));
    let again = scan(&token(), &event, ticket("A"), Some("k")).await;
    assert_eq!((again.text(), again.header(REPLAYED)), (first.text(), "true"));
    assert_eq!(scan(&token(), &event, ticket("A"), None).await.text(), (400, DUPLICATE));
    assert_eq!(scan(&token(), &event, ticket("B"), Some("k")).await.text(), (422, REUSED));
    assert_eq!(check_in(&app, &event, "A").await.text(), (400, DUPLICATE), "it is the same event");
    assert_eq!(record(&scan(&pass(&event), &event, ticket("B"), None).await)["checked_in_by"], "gerbang");

    let expected = format!(r#"{{"detail":[{}]}}"#, missing("ticket_id", "{}"));
    assert_eq!(scan(&token(), &event, json!({}), None).await.text(), (422, &*expected));
    // Token, role, body, then what is there.
    assert_eq!(scan(&token(), "none", json!({}), None).await.text(), (422, &*expected));
    assert_eq!(scan(&token(), "none", ticket("A"), Some("a b")).await.status, 422);
    assert_eq!(scan(&token(), "none", ticket("A"), None).await.text(), (404, ABSENT));
    assert_eq!(scan(&pass("none"), &event, json!({}), None).await.status, 403);

    assert_eq!(import(&app, &event, "A\nB\nC\n").await.status, 200);
    let path = format!("/events/{event}/tickets/C");
    assert_eq!(call(&app, Method::DELETE, &path).bearer(&admin()).send().await.status, 200);
    for (id, expected) in [
        ("A", DUPLICATE),
        ("C", r#"{"detail":"Ticket dibatalkan"}"#),
        ("D", r#"{"detail":"Ticket tidak terdaftar"}"#),
    ] {
        assert_eq!(scan(&token(), &event, ticket(id), None).await.text(), (400, expected));
        assert_eq!(check_in(&app, &event, id).await.text(), (400, expected));
    }
}

async fn a_summary_is_the_event_and_who_came(store: Store) {
    let app = app(store).await;
    let id = create_event(&app, "Konser").await;
    let path = format!("/events/{id}/summary");
    let mut records = Vec::new();
    let mut tags = Vec::new();
    for count in 0..3 {
        let event = read(&app, &format!("/events/{id}")).send().await;
        let expected = format!(r#"{{"event":{},"attendance":{}}}"#, event.text().1, list(&id, &records));
        let answer = read_as_admin(&app, &path).send().await;
        assert_eq!(answer.text(), (200, &*expected));
        assert_eq!(answer.header(CONTENT_TYPE), "application/json");
        let tag = answer.header(ETAG).to_owned();
        assert!(!tag.is_empty() && !tags.contains(&tag), "{tag}");
        let known = read_as_admin(&app, &path).header(IF_NONE_MATCH, &tag).send().await;
        assert_eq!(known.text(), (304, ""));
        tags.push(tag.clone());
        change(&app, &id, &json!({ "title": format!("Konser {count}") })).await;
        let changed = read_as_admin(&app, &path).header(IF_NONE_MATCH, &tag).send().await;
        assert_eq!(changed.status, 200, "the event has changed");
        records.push(record(&check_in(&app, &id, &format!("T{count}")).await));
    }
    assert_eq!(read_as_admin(&app, "/events/none/summary").send().await.text(), (404, ABSENT));
}

async fn who_came_to_an_event_is_told_as_of_any(store: Store) {
    let app = app(store).await;
    let id = create_event(&app, "Konser").await;
    for number in 0..3 {
        check_in(&app, &id, &format!("T{number}")).await;
    }
    let (path, same) = (format!("/events/{id}/attendance"), format!("/attendance/{id}"));
    for (name, value) in [(ACCEPT_ENCODING, "gzip"), (ACCEPT_ENCODING, ""), (ACCEPT, "text/csv")] {
        let [answer, expected] =
            [&path, &same].map(|path| read_as_admin(&app, path).header(name.clone(), value).send());
        let (answer, expected) = (answer.await, expected.await);
        assert_eq!((answer.status.as_u16(), &answer.body), (200, &expected.body), "{name} {value}");
        for header in [CONTENT_TYPE, CONTENT_ENCODING, ETAG] {
            assert_eq!(answer.header(header.clone()), expected.header(header), "{name} {value}");
        }
    }
    let tag = read_as_admin(&app, &path).send().await.header(ETAG).to_owned();
    assert_eq!(read_as_admin(&app, &path).header(IF_NONE_MATCH, &tag).send().await.text(), (304, ""));
    assert_eq!(read_as_admin(&app, "/events/none/attendance").send().await.text(), (404, ABSENT));
    check_in(&app, "none", "T").await;
    assert_eq!(read_as_admin(&app, "/events/none/attendance").send().await.text(), (404, ABSENT));
}

#[tokio::test]
async fn the_worked_example_is_answered_to_the_byte() {
    let app = app(Store::Memory).await;
    let body = r#"{"title":"x","start_time":"besok","end_time":true,"location":5}"#;
    let answer = post(&app, "/events").bearer(&admin()).header(CONTENT_TYPE, "application/json").body(body);
    let expected = r#"{"detail":[{"type":"string_type","loc":["body","location"],"msg":"Input should be a valid string","input":5},{"type":"datetime_from_date_parsing","loc":["body","start_time"],"msg":"Input should be a valid datetime or date, input is too short","input":"besok","ctx":{"error":"input is too short"}},{"type":"datetime_type","loc":["body","end_time"],"msg":"Input should be a valid datetime","input":true}]}"#;
    assert_eq!(answer.send().await.text(), (422, expected));
    for (body, entry) in [
        ("{}", missing("title", "{}")),
        (r#"{"title":null}"#, no_text("title", "null")),
        (r#"{"title":""}"#, too_short("title", r#""""#, 1)),
    ] {
        let answer = post(&app, "/events").bearer(&admin()).body(body).send().await;
        assert_eq!(answer.text(), (422, &*format!(r#"{{"detail":[{entry}]}}"#)), "{body}");
    }
    for field in ["title", "description", "location"] {
        let mut body = json!({ "title": "x" });
        body[field] = json!("a\0b");
        let answer = post(&app, "/events").bearer(&admin()).json(&body).send().await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["detail"][0]["type"]),
            (422, &json!("value_error"))
        );
    }
    let nulls =
        json!({ "title": "x", "description": null, "location": null, "start_time": null, "end_time": null });
    let event = post(&app, "/events").bearer(&admin()).json(&nulls).send().await;
    assert!(
        event.text().1.contains(r#""description":null,"location":null,"start_time":null,"end_time":null"#)
    );
}

#[tokio::test]
async fn a_role_is_looked_at_before_the_body() {
    let app = app(Store::Memory).await;
    let mut claims = forge::claims();
    for (role, status) in [("committee", 403), ("admin", 422)] {
        claims["role"] = json!(role);
        let answer = post(&app, "/events").bearer(&forge::token(&claims)).body("{bad").send().await;
        assert_eq!(answer.status, status, "{role}");
    }
}
