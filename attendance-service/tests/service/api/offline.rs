use axum::{
    Router,
    http::{
        Method,
        header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
    },
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared_http::testing::{Answer, call, get};
use shared_service::{on_every_store, testing::Store};
use tokio::task::JoinSet;

use super::{admin, app, check_in, create_event, import, pass, read, token};

on_every_store![a_phone_learns_what_it_needs_and_no_id, all_who_ask_at_once_get_what_is_there];

async fn offline(app: &Router, event: &str) -> Answer {
    read(app, &format!("/events/{event}/offline")).send().await
}

/// What stands for `tickets`, worked out by hand.
fn digests(salt: &Value, tickets: &[&str]) -> Value {
    let salt = BASE64_URL_SAFE_NO_PAD.decode(salt.as_str().expect("a salt")).expect("base64url");
    assert_eq!(salt.len(), 16);
    let mut digests: Vec<_> =
        tickets.iter().map(|id| Sha256::digest([&salt, id.as_bytes()].concat())[..8].to_vec()).collect();
    digests.sort();
    json!(BASE64_URL_SAFE_NO_PAD.encode(digests.concat()))
}

async fn a_phone_learns_what_it_needs_and_no_id(store: Store) {
    let app = app(store).await;
    let event = create_event(&app, "Konser").await;
    let first = offline(&app, &event).await;
    let body = first.json();
    let keys: Vec<_> = body.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(keys, ["event_id", "version", "salt", "tickets", "revoked", "used"]);
    assert_eq!(
        (&body["event_id"], &body["version"], &body["tickets"]),
        (&json!(event), &json!(0), &Value::Null)
    );
    assert_eq!((&body["revoked"], &body["used"]), (&json!(""), &json!("")));
    assert_eq!(
        [first.header(CONTENT_TYPE), first.header(CACHE_CONTROL)],
        ["application/json", "private, no-cache"]
    );
    let salt = body["salt"].clone();

    let mut tags = vec![first.header(ETAG).to_owned()];
    let mut changed = async |what: &str| -> Value {
        for known in &tags {
            let stale =
                read(&app, &format!("/events/{event}/offline")).header(IF_NONE_MATCH, known).send().await;
            assert_eq!(stale.status, 200, "{what}");
        }
        let answer = offline(&app, &event).await;
        let tag = answer.header(ETAG).to_owned();
        let again = read(&app, &format!("/events/{event}/offline")).header(IF_NONE_MATCH, &tag).send().await;
        assert_eq!((again.text(), again.header(ETAG)), ((304, ""), &*tag), "{what}");
        tags.push(tag);
        assert_eq!(answer.json()["salt"], salt, "{what}");
        answer.json()
    };
    check_in(&app, &event, "walk-in").await;
    let body = changed("a check-in").await;
    assert_eq!((&body["tickets"], &body["used"]), (&Value::Null, &digests(&salt, &["walk-in"])));
    assert!(body["version"].as_u64().is_some_and(|version| version > 0), "{body}");

    import(&app, &event, "A,Siti,\nB,Budi,\né🎫,Dewi,\n").await;
    let body = changed("an import").await;
    assert_eq!(body["tickets"], digests(&salt, &["A", "B", "é🎫"]));

    check_in(&app, &event, "A").await;
    assert_eq!(changed("a check-in").await["used"], digests(&salt, &["walk-in", "A"]));
    call(&app, Method::DELETE, &format!("/events/{event}/tickets/B")).bearer(&admin()).send().await;
    let body = changed("a revocation").await;
    assert_eq!(body["revoked"], digests(&salt, &["B"]));
    assert_eq!(body["tickets"], digests(&salt, &["A", "B", "é🎫"]));

    let other = create_event(&app, "Another").await;
    assert_ne!(offline(&app, &other).await.json()["salt"], salt);
    for token in [token(), pass(&event)] {
        assert_eq!(get(&app, &format!("/events/{event}/offline")).bearer(&token).send().await.status, 200);
    }
    assert_eq!(offline(&app, "none").await.text(), (404, r#"{"detail":"Event not found"}"#));
}

async fn all_who_ask_at_once_get_what_is_there(store: Store) {
    let app = app(store).await;
    let event = create_event(&app, "Konser").await;
    let lines: String = (0..2000).map(|number| format!("T{number}\n")).collect();
    import(&app, &event, &lines).await;
    for round in 0..5 {
        check_in(&app, &event, &format!("T{round}")).await;
        let mut phones = JoinSet::new();
        for _ in 0..20 {
            let (app, event) = (app.clone(), event.clone());
            phones.spawn(async move { offline(&app, &event).await.json() });
        }
        for body in phones.join_all().await {
            let used: Vec<_> = (0..=round).map(|number| format!("T{number}")).collect();
            let used: Vec<_> = used.iter().map(String::as_str).collect();
            assert_eq!(body["used"], digests(&body["salt"], &used), "round {round}");
        }
    }
}
