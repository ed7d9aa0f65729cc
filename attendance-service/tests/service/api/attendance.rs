use std::io::Read;

use axum::{
    Router,
    http::{
        HeaderName, Method,
        header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY},
    },
};
use flate2::read::GzDecoder;
use serde_json::Value;
use shared_http::testing::{Answer, call};
use shared_service::{on_every_store, testing::Store};
use tokio::task::JoinSet;

use super::{app, attendance, check_in, list, read, record, token};

on_every_store![
    a_list_that_has_not_changed_is_not_sent_again,
    the_list_is_compressed_for_those_who_want_it,
    a_compressed_list_that_grows_while_it_is_read_is_whole_and_as_it_was_when_it_began,
    head_tells_of_the_list_without_sending_it,
];

async fn with(app: &Router, name: HeaderName, value: &str) -> Answer {
    read(app, "/attendance/evt1").header(name, value).send().await
}

async fn fill(app: &Router, event: &str, count: usize) -> Vec<Value> {
    let mut records = Vec::new();
    for number in 0..count {
        records.push(record(&check_in(app, event, &format!("T{number}")).await));
    }
    records
}

fn unzipped(answer: &Answer) -> String {
    let mut text = String::new();
    GzDecoder::new(&answer.body[..]).read_to_string(&mut text).expect("gzip");
    text
}

async fn a_list_that_has_not_changed_is_not_sent_again(store: Store) {
    let first = app(store).await;
    let mut tags = Vec::new();
    for number in 0..3 {
        let fresh = attendance(&first, "evt1").await;
        let tag = fresh.header(ETAG).to_owned();
        assert!(!tag.is_empty() && !tags.contains(&tag), "{tag:?}, and the list has changed");
        assert_eq!(attendance(&first, "evt1").await.header(ETAG), tag, "nothing has changed");

        let strong = tag.trim_start_matches("W/");
        for known in [&tag, strong, &format!("\"x\", {tag}, \"y\""), &format!("W/{strong}"), "*"] {
            let answer = with(&first, IF_NONE_MATCH, known).await;
            assert_eq!((answer.text(), answer.header(ETAG)), ((304, ""), &*tag), "{known}");
            let headers = [answer.header(VARY), answer.header(CACHE_CONTROL)];
            assert_eq!(headers, ["accept, accept-encoding", "private, no-cache"], "{known}");
        }
        for stale in tags.iter().map(String::as_str).chain(["\"x\"", "W/\"x\"", "nonsense", ""]) {
            assert_eq!(with(&first, IF_NONE_MATCH, stale).await.text(), fresh.text(), "{stale}");
        }

        tags.push(tag);
        assert_eq!(check_in(&first, "evt1", &format!("T{number}")).await.status, 200);
        assert_eq!(check_in(&first, "evt2", &format!("T{number}")).await.status, 200);
    }
    // A service that has forgotten everything must not find its new list unchanged.
    let restarted = app(store).await;
    fill(&restarted, "evt1", 2).await;
    assert_eq!(with(&restarted, IF_NONE_MATCH, &tags[2]).await.status, 200);
}

async fn the_list_is_compressed_for_those_who_want_it(store: Store) {
    let app = app(store).await;
    let expected = list("evt1", &fill(&app, "evt1", 50).await);
    let wanted =
        ["gzip", "GZIP", "gzip, deflate, br", "deflate, gzip;q=0.5", "br;q=1.0, gzip;q=0.8", "br;q=0, gzip"];
    for accept in wanted.iter().chain(&["identity, gzip", "identity;q=0.5, gzip;q=0.9"]) {
        let answer = with(&app, ACCEPT_ENCODING, accept).await;
        assert_eq!((answer.status.as_u16(), answer.header(CONTENT_ENCODING)), (200, "gzip"), "{accept}");
        let headers = [answer.header(CONTENT_TYPE), answer.header(VARY)];
        assert_eq!(headers, ["application/json", "accept, accept-encoding"], "{accept}");
        assert!(answer.body.len() < expected.len() / 2, "{accept}");
        assert_eq!(unzipped(&answer), expected, "{accept}");
        let again = read(&app, "/attendance/evt1").header(ACCEPT_ENCODING, accept);
        let again = again.header(IF_NONE_MATCH, answer.header(ETAG)).send().await;
        assert_eq!(again.text(), (304, ""), "{accept}");
    }
    let unwanted =
        ["", "identity", "br", "gzip;q=0", "gzip; q=0.0", "gzip;q=nonsense", "gzip;q=0.5, identity"];
    // A client that refuses every encoding gets the list uncompressed (RFC 9110, section 12.5.3).
    let all_refused = ["identity;q=0", "*;q=0", "gzip;q=0, identity; q=0.000", "br, *; q=0"];
    for accept in unwanted.iter().chain(&all_refused) {
        let answer = with(&app, ACCEPT_ENCODING, accept).await;
        assert_eq!(answer.text(), (200, &*expected), "{accept}");
        let headers = [answer.header(CONTENT_ENCODING), answer.header(VARY)];
        assert_eq!(headers, ["", "accept, accept-encoding"], "{accept}");
    }
}

async fn a_compressed_list_that_grows_while_it_is_read_is_whole_and_as_it_was_when_it_began(store: Store) {
    let app = app(store).await;
    let mut records = Vec::new();
    let mut readers = JoinSet::new();
    // More than a chunk of the log, in ids that take some work to compress.
    for number in 0..=360 {
        if number % 20 == 0 {
            let app = app.clone();
            readers.spawn(async move { with(&app, ACCEPT_ENCODING, "gzip").await });
        }
        let ticket: String =
            (0..1000).map(|position| char::from(b'0' + (number * position / 7 % 75) as u8)).collect();
        records.push(record(&check_in(&app, "evt1", &format!("{number} {ticket}")).await));
    }
    readers.spawn(async move { with(&app, ACCEPT_ENCODING, "gzip").await });
    let mut longest = 0;
    for answer in readers.join_all().await {
        assert_eq!((answer.status.as_u16(), answer.header(CONTENT_ENCODING)), (200, "gzip"));
        let list: Value = serde_json::from_str(&unzipped(&answer)).expect("a whole list");
        let total = list["total_checked_in"].as_u64().expect("a number") as usize;
        assert_eq!(list["records"].as_array().expect("a list"), &records[..total]);
        longest = longest.max(total);
    }
    assert_eq!(longest, records.len());
}

async fn head_tells_of_the_list_without_sending_it(store: Store) {
    let app = app(store).await;
    for count in [0, 3] {
        fill(&app, &format!("evt{count}"), count).await;
        let path = format!("/attendance/evt{count}");
        let got = read(&app, &path).send().await;
        let head = call(&app, Method::HEAD, &path).bearer(&token()).send().await;
        assert_eq!(head.text(), (200, ""), "{path}");
        assert_eq!(head.header(ETAG), got.header(ETAG), "{path}");
        assert_eq!(head.headers.get("content-length"), Some(&got.body.len().into()), "{path}");
        let known = call(&app, Method::HEAD, &path).bearer(&token()).header(IF_NONE_MATCH, got.header(ETAG));
        assert_eq!(known.send().await.status, 304, "{path}");
    }
}

#[tokio::test]
async fn whoever_keeps_the_list_asks_each_time_and_nobody_keeps_a_record() {
    let app = app(Store::Memory).await;
    check_in(&app, "evt1", "T1").await;
    for (path, kept) in
        [("/attendance/evt1", "private, no-cache"), ("/attendance/evt1/tickets/T1", "no-store")]
    {
        let answer = read(&app, path).send().await;
        assert_eq!((answer.status.as_u16(), answer.header(CACHE_CONTROL)), (200, kept));
    }
}
