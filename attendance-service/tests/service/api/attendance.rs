use std::io::Read;

use axum::Router;
use axum::http::{
    HeaderName, Method,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY},
};
use flate2::read::GzDecoder;
use proptest::prelude::*;
use serde_json::Value;
use shared_http::testing::{Answer, call, get};
use tokio::task::JoinSet;

use super::{app, attendance, check_in, detail, for_all, list, path, record};
use shared_service::testing::forge::{claims, token};
use shared_service::{on_every_store, testing::Store};

on_every_store![
    every_event_that_can_be_checked_in_to_can_be_read_back,
    the_list_has_every_record_of_the_event_oldest_first,
    a_list_of_many_thousand_bytes_is_whole_and_in_order,
    an_event_that_nobody_checked_in_to_has_no_records,
    an_event_in_a_path_is_decoded_once,
    ids_of_ten_thousand_characters_are_kept_whole,
    a_path_that_is_no_text_is_refused,
    a_query_is_ignored,
    a_list_that_has_not_changed_is_not_sent_again,
    a_known_tag_is_no_ticket_in,
    the_list_is_compressed_for_those_who_accept_it,
    a_compressed_list_that_grows_while_it_is_read_is_whole_and_as_it_was_when_it_began,
    the_more_wanted_encoding_is_sent,
    head_tells_of_the_list_without_sending_it,
    a_client_that_refuses_encodings_gets_the_list_as_it_is,
    what_has_not_changed_varies_by_encoding_too,
];

async fn with(app: &Router, event: &str, name: HeaderName, value: &str) -> Answer {
    get(app, &path(event)).bearer(&token(&claims())).header(name, value).send().await
}

async fn fill(app: &Router, event: &str, count: usize) -> Vec<Value> {
    let mut records = Vec::new();
    for number in 0..count {
        records.push(record(&check_in(app, event, &format!("T{number}")).await));
    }
    records
}

async fn the_list_has_every_record_of_the_event_oldest_first(store: Store) {
    let app = app(store).await;
    let (mut here, mut there) = (Vec::new(), Vec::new());
    // In no order of the alphabet.
    for ticket in ["T9", "T10", "b", "a", "🎫", "\"", "Z"] {
        here.push(record(&check_in(&app, "here", ticket).await));
        there.push(record(&check_in(&app, "there", ticket).await));
        assert_eq!(check_in(&app, "here", ticket).await.status, 400);
    }
    for (event, records) in [("here", here), ("there", there)] {
        let answer = attendance(&app, event).await;
        assert_eq!(answer.text(), (200, list(event, &records).as_str()));
        assert_eq!(answer.headers["content-type"], "application/json");
    }
}

async fn a_list_of_many_thousand_bytes_is_whole_and_in_order(store: Store) {
    let app = app(store).await;
    let mut records = Vec::new();
    for number in 0..400 {
        let ticket = format!("{number} {}", "🎫".repeat(number % 250));
        records.push(record(&check_in(&app, "evt1", &ticket).await));
        if number % 40 == 0 {
            assert_eq!(attendance(&app, "evt1").await.text(), (200, list("evt1", &records).as_str()));
        }
        assert_eq!(check_in(&app, "evt1", &ticket).await.status, 400, "{ticket}");
    }
    let moments: Vec<_> = records.iter().map(|record| record["checked_in_at"].as_str()).collect();
    assert!(moments.is_sorted());
    assert_eq!(attendance(&app, "evt1").await.text(), (200, list("evt1", &records).as_str()));
}

async fn an_event_that_nobody_checked_in_to_has_no_records(store: Store) {
    let app = app(store).await;
    assert_eq!(check_in(&app, "evt1", "T1").await.status, 200);
    for event in ["evt2", "Evt1", "evt1 ", "evt", "\0", "nobody \"here\""] {
        let answer = attendance(&app, event).await;
        assert_eq!(answer.text(), (200, list(event, &[]).as_str()));
    }
    let answer = get(&app, "/attendance/evt2").bearer(&token(&claims())).send().await;
    assert_eq!(answer.text(), (200, r#"{"event_id":"evt2","total_checked_in":0,"records":[]}"#));
}

async fn an_event_in_a_path_is_decoded_once(store: Store) {
    let long = "x".repeat(10_000);
    // The path as a client may write it, and the event that it names.
    let rows = [
        ("konser%2F2026", "konser/2026"),
        ("konser%2f2026", "konser/2026"),
        ("konser%252F2026", "konser%2F2026"),
        ("konser%25252F2026", "konser%252F2026"),
        ("%2F", "/"),
        ("%2F%2F", "//"),
        ("a%3Fb", "a?b"),
        ("a%23b", "a#b"),
        ("a%25b", "a%b"),
        ("100%25", "100%"),
        ("a+b", "a+b"),
        ("a%2Bb", "a+b"),
        ("a%20b", "a b"),
        ("%20", " "),
        ("..", ".."),
        ("%2E%2E", ".."),
        ("%2e", "."),
        (".", "."),
        ("..%2F..%2Fsecret", "../../secret"),
        ("a%5Cb", "a\\b"),
        ("a%0Ab", "a\nb"),
        ("%22", "\""),
        ("%7Bevent_id%7D", "{event_id}"),
        ("a:b@c;d,e=f&g$h!i*j'k(l)~m", "a:b@c;d,e=f&g$h!i*j'k(l)~m"),
        ("%E6%9C%AD%E5%B9%8C", "札幌"),
        ("%F0%9F%8E%AB", "🎫"),
        ("%C3%A9", "\u{e9}"),
        ("e%CC%81", "e\u{301}"),
        ("%EF%BB%BFx", "\u{feff}x"),
        (long.as_str(), long.as_str()),
    ];
    for (segment, event) in rows {
        let app = app(store).await;
        let record = record(&check_in(&app, event, "T1").await);
        assert_eq!(record["event_id"], event);
        let path = format!("/attendance/{segment}");
        let answer = get(&app, &path).bearer(&token(&claims())).send().await;
        assert_eq!(answer.text(), (200, list(event, &[record]).as_str()), "{segment}");
    }
}

async fn ids_of_ten_thousand_characters_are_kept_whole(store: Store) {
    let app = app(store).await;
    // A URI has room for 64 KiB, and every byte of these takes three.
    for event in ["é".repeat(10_000), "🎫".repeat(5_000), "/".repeat(10_000), "%2F".repeat(3_333)] {
        let records = [record(&check_in(&app, &event, &"t".repeat(10_000)).await)];
        assert_eq!(attendance(&app, &event).await.text(), (200, list(&event, &records).as_str()));
        let shorter: String = event.chars().skip(1).collect();
        assert_eq!(attendance(&app, &shorter).await.json()["total_checked_in"], 0);
    }
}

async fn a_path_that_is_no_text_is_refused(store: Store) {
    let app = app(store).await;
    for segment in ["%ff", "%E6%9C", "%ED%A0%80", "a%C0%AF"] {
        let path = format!("/attendance/{segment}");
        let answer = get(&app, &path).bearer(&token(&claims())).send().await;
        assert_eq!(answer.status, 400, "{segment}");
        assert!(detail(&answer).is_string(), "{segment}");
    }
}

async fn a_query_is_ignored(store: Store) {
    let app = app(store).await;
    let records = fill(&app, "evt1", 2).await;
    let answer = get(&app, "/attendance/evt1?event_id=x&limit=1&%zz").bearer(&token(&claims())).send().await;
    assert_eq!(answer.text(), (200, list("evt1", &records).as_str()));
}

async fn a_list_that_has_not_changed_is_not_sent_again(store: Store) {
    let app = app(store).await;
    let mut tags = Vec::new();
    for number in 0..3 {
        let fresh = attendance(&app, "evt1").await;
        let tag = fresh.header(ETAG).to_owned();
        assert_ne!(tag, "");
        assert!(!tags.contains(&tag), "{tag} again, and the list has changed");
        assert_eq!(attendance(&app, "evt1").await.header(ETAG), tag, "nothing has changed");

        let strong = tag.trim_start_matches("W/");
        let (several, other) = (format!("\"x\", {tag}, \"y\""), format!("W/{strong}"));
        for known in [&tag, strong, &several, &other, "*"] {
            let answer = with(&app, "evt1", IF_NONE_MATCH, known).await;
            assert_eq!(answer.text(), (304, ""), "{known}");
            assert_eq!(answer.header(ETAG), tag, "{known}");
        }
        for stale in tags.iter().map(String::as_str).chain(["\"x\"", "W/\"x\"", "nonsense", ""]) {
            let answer = with(&app, "evt1", IF_NONE_MATCH, stale).await;
            assert_eq!(answer.text(), fresh.text(), "{stale}");
        }

        tags.push(tag);
        assert_eq!(check_in(&app, "evt1", &format!("T{number}")).await.status, 200);
        assert_eq!(check_in(&app, "evt2", &format!("T{number}")).await.status, 200);
    }
    // A service that has forgotten everything must not find its new list unchanged.
    let restarted = super::app(store).await;
    fill(&restarted, "evt1", 2).await;
    assert_eq!(with(&restarted, "evt1", IF_NONE_MATCH, &tags[2]).await.status, 200);
}

async fn a_known_tag_is_no_ticket_in(store: Store) {
    let app = app(store).await;
    let tag = attendance(&app, "evt1").await.header(ETAG).to_owned();
    for known in [tag.as_str(), "*"] {
        let answer = get(&app, "/attendance/evt1").header(IF_NONE_MATCH, known).send().await;
        assert_eq!(answer.text(), (401, r#"{"detail":"Missing Authorization header"}"#));
    }
}

async fn the_list_is_compressed_for_those_who_accept_it(store: Store) {
    let app = app(store).await;
    let records = fill(&app, "evt1", 50).await;
    let expected = list("evt1", &records);
    for accept in ["gzip", "gzip, deflate, br", "deflate, gzip;q=0.5"] {
        let answer = with(&app, "evt1", ACCEPT_ENCODING, accept).await;
        assert_eq!(answer.status, 200, "{accept}");
        assert_eq!(answer.header(CONTENT_ENCODING), "gzip", "{accept}");
        assert_eq!(answer.header(CONTENT_TYPE), "application/json", "{accept}");
        assert!(answer.header(VARY).eq_ignore_ascii_case("accept-encoding"), "{accept}");
        assert!(answer.body.len() < expected.len() / 2, "{accept}");
        let mut text = String::new();
        GzDecoder::new(&answer.body[..]).read_to_string(&mut text).expect("gzip");
        assert_eq!(text, expected, "{accept}");

        let tag = answer.header(ETAG).to_owned();
        let again = get(&app, "/attendance/evt1").bearer(&token(&claims())).header(ACCEPT_ENCODING, accept);
        let again = again.header(IF_NONE_MATCH, &tag).send().await;
        assert_eq!(again.text(), (304, ""), "{accept}");
    }
    for accept in ["", "identity", "br", "gzip;q=0"] {
        let answer = with(&app, "evt1", ACCEPT_ENCODING, accept).await;
        assert_eq!(answer.text(), (200, expected.as_str()), "{accept}");
        assert!(!answer.headers.contains_key(CONTENT_ENCODING), "{accept}");
    }
}

async fn a_compressed_list_that_grows_while_it_is_read_is_whole_and_as_it_was_when_it_began(store: Store) {
    let app = app(store).await;
    let mut records = Vec::new();
    let mut readers = JoinSet::new();
    // More than a chunk of the log, in ids that take some work to compress.
    for number in 0..360 {
        let ticket: String =
            (0..1000).map(|position| char::from(b'0' + (number * position / 7 % 75) as u8)).collect();
        records.push(record(&check_in(&app, "evt1", &format!("{number} {ticket}")).await));
        if number % 20 == 0 {
            let app = app.clone();
            readers.spawn(async move { with(&app, "evt1", ACCEPT_ENCODING, "gzip").await });
        }
    }
    readers.spawn(async move { with(&app, "evt1", ACCEPT_ENCODING, "gzip").await });
    let mut longest = 0;
    for answer in readers.join_all().await {
        assert_eq!((answer.status.as_u16(), answer.header(CONTENT_ENCODING)), (200, "gzip"));
        let mut text = String::new();
        GzDecoder::new(&answer.body[..]).read_to_string(&mut text).expect("gzip");
        let list: Value = serde_json::from_str(&text).expect("a whole list");
        let total = list["total_checked_in"].as_u64().expect("a number") as usize;
        assert_eq!(list["records"].as_array().expect("a list"), &records[..total]);
        longest = longest.max(total);
    }
    assert_eq!(longest, records.len());
}

async fn the_more_wanted_encoding_is_sent(store: Store) {
    let app = app(store).await;
    fill(&app, "evt1", 3).await;
    for (accept, encoding) in [
        ("identity, gzip", "gzip"),
        ("identity;q=0.5, gzip;q=0.9", "gzip"),
        ("gzip;q=0.5, identity", ""),
        ("GZIP", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("gzip; q=0.0", ""),
        ("gzip;q=nonsense", ""),
    ] {
        let answer = with(&app, "evt1", ACCEPT_ENCODING, accept).await;
        assert_eq!(answer.header(CONTENT_ENCODING), encoding, "{accept}");
        assert_eq!(answer.header(VARY), "accept-encoding", "{accept}");
    }
}

async fn head_tells_of_the_list_without_sending_it(store: Store) {
    let app = app(store).await;
    let token = token(&claims());
    for count in [0, 3] {
        fill(&app, &format!("evt{count}"), count).await;
        let path = format!("/attendance/evt{count}");
        let got = get(&app, &path).bearer(&token).send().await;
        let head = call(&app, Method::HEAD, &path).bearer(&token).send().await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header(CONTENT_LENGTH), got.body.len().to_string(), "{path}");
        assert_eq!(head.header(CONTENT_TYPE), "application/json", "{path}");
        assert_eq!(head.header(ETAG), got.header(ETAG), "{path}");

        let call = call(&app, Method::HEAD, &path).bearer(&token).header(IF_NONE_MATCH, got.header(ETAG));
        assert_eq!(call.send().await.status, 304, "{path}");
    }
    let head = call(&app, Method::HEAD, "/attendance/evt1").send().await;
    assert_eq!((head.status.as_u16(), head.body.len()), (401, 0));
}

async fn every_event_that_can_be_checked_in_to_can_be_read_back(store: Store) {
    let ids = (prop_oneof!["[^\0]{1,20}", "[/?#%+. 2Ff]{1,12}"], "[^\0]{1,20}");
    for_all(64, &ids, async |(event, ticket)| {
        let app = app(store).await;
        let record = record(&check_in(&app, &event, &ticket).await);
        assert_eq!(
            (&record["event_id"], &record["ticket_id"]),
            (&event.as_str().into(), &ticket.as_str().into())
        );
        assert_eq!(attendance(&app, &event).await.text(), (200, list(&event, &[record]).as_str()));
    });
}

async fn a_client_that_refuses_encodings_gets_the_list_as_it_is(store: Store) {
    let app = app(store).await;
    let records = fill(&app, "evt1", 20).await;
    for refused in ["identity;q=0", "*;q=0", "gzip;q=0", "gzip;q=0, identity; q=0.000", "br, *; q=0"] {
        let answer = with(&app, "evt1", ACCEPT_ENCODING, refused).await;
        assert_eq!(answer.text(), (200, list("evt1", &records).as_str()), "{refused}");
        assert_eq!(answer.header(CONTENT_ENCODING), "", "{refused}");
    }
    let answer = with(&app, "evt1", ACCEPT_ENCODING, "br;q=1.0, gzip;q=0.8").await;
    assert_eq!(answer.header(CONTENT_ENCODING), "gzip");
}

async fn what_has_not_changed_varies_by_encoding_too(store: Store) {
    let app = app(store).await;
    let answer = with(&app, "evt1", IF_NONE_MATCH, "*").await;
    assert_eq!((answer.status.as_u16(), answer.header(VARY)), (304, "accept-encoding"));
}
