use serde_json::json;
use shared_http::testing::post;
use shared_service::{
    on_every_store,
    testing::{Store, app::detail},
};

use super::{CHECK_IN, KEY, REPLAYED, app, attempt, attendance, token};

on_every_store![keys_are_told_apart_character_by_character];

async fn keys_are_told_apart_character_by_character(store: Store) {
    let app = app(store).await;
    let (longest, other) = ("k".repeat(128), "k".repeat(127) + "K");
    let keys =
        ["k", "K", "!", "~", "\"", "'", "a,b", "a;b", "0", "00", "null", "k'--", "%20", &longest, &other];
    for replayed in ["", "true"] {
        for (number, key) in keys.iter().enumerate() {
            let answer = attempt(&app, "panitia1", "evt1", &number.to_string(), Some(key)).await;
            assert_eq!((answer.status.as_u16(), answer.header(REPLAYED)), (200, replayed), "{key}");
        }
    }
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_by_name_and_nothing_is_recorded() {
    let app = app(Store::Memory).await;
    let (long, longest, longer) = ("k".repeat(129), "k".repeat(8190), "k".repeat(9000));
    let beginning = format!("\"{}…", "k".repeat(255));
    let rows: [(&[&[u8]], &str); 11] = [
        (&[b""], ""),
        (&[b" "], " "),
        (&[b"a b"], "a b"),
        (&[b"a\tb"], "a\tb"),
        (&["\u{e9}".as_bytes()], "\u{e9}"),
        (&["🎫".as_bytes()], "🎫"),
        (&[b"\xff"], "\u{fffd}"),
        (&[long.as_bytes()], &long),
        (&[longest.as_bytes()], &longest),
        (&[longer.as_bytes()], &beginning),
        (&[b"a", b"a"], "a"),
    ];
    for (values, input) in rows {
        let body = json!({ "event_id": "evt1", "ticket_id": "T1" });
        let call = post(&app, CHECK_IN).bearer(&token()).json(&body);
        let answer = values.iter().fold(call, |call, value| call.header(KEY, value)).send().await;
        assert_eq!(answer.status, 422, "{input}");
        let detail = detail(&answer);
        assert_eq!(detail.as_array().map(Vec::len), Some(1), "{detail}");
        let entry = &detail[0];
        assert_eq!((&entry["loc"], &entry["input"]), (&json!(["header", "idempotency-key"]), &json!(input)));
        assert!(entry["type"].is_string() && entry["msg"].is_string(), "{entry}");
    }
    assert_eq!(attendance(&app, "evt1").await.json()["total_checked_in"], 0);
}
