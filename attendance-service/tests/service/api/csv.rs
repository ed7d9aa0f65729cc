//! The list as CSV, read back by a reader of its own.

use std::io::Read;

use axum::http::{
    Method,
    header::{ACCEPT, ACCEPT_ENCODING, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE, ETAG, VARY},
};
use flate2::read::GzDecoder;
use serde_json::json;
use shared_http::testing::call;
use shared_service::{on_every_store, testing::Store};

use super::{LISTED, app, app_with_list, attempt, attendance, batch, path, read, token, undo};

on_every_store![the_list_as_csv_is_read_back_as_it_was, a_long_list_as_csv_is_whole];

const HEADER: &str = "event_id,ticket_id,name,kind,checked_in_by,checked_in_at";

/// The rows of a document, as RFC 4180 describes it.
fn rows(csv: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut chars = csv.chars().peekable();
    let mut is_quoted = false;
    while let Some(char) = chars.next() {
        match char {
            '"' if is_quoted && chars.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !is_quoted => {
                assert_eq!(chars.next(), Some('\n'));
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            char => cell.push(char),
        }
    }
    assert!(row.is_empty() && cell.is_empty() && !is_quoted, "it ends with a line break");
    rows
}

async fn the_list_as_csv_is_read_back_as_it_was(store: Store) {
    let tickets = [
        ("T1", Some("Rahayu, \"Siti\""), Some("VIP")),
        ("T2", Some("=HYPERLINK(\"x\")"), None),
        ("T3", None, Some("baris\r\nbaru")),
        ("@T4", Some("札幌🎫"), None),
    ];
    let (app, _state) = app_with_list(store, &tickets).await;
    for (ticket, ..) in tickets {
        assert_eq!(attempt(&app, "+panitia", LISTED, ticket, None).await.status, 200);
    }
    undo(&app, &super::admin(), LISTED, "T3").await;
    assert_eq!(attempt(&app, "panitia2", LISTED, "T3", None).await.status, 200);
    let list = attendance(&app, LISTED).await.json();
    let at = |number: usize| list["records"][number]["checked_in_at"].as_str().expect("text");

    let answer = read(&app, &format!("{}?format=csv", path(LISTED))).send().await;
    let (status, text) = answer.text();
    assert_eq!(status, 200);
    let csv = text.strip_prefix('\u{feff}').expect("a byte order mark");
    let header: Vec<_> = HEADER.split(',').collect();
    let expected = [
        header,
        vec![LISTED, "T1", "Rahayu, \"Siti\"", "VIP", "'+panitia", at(0)],
        vec![LISTED, "T2", "'=HYPERLINK(\"x\")", "", "'+panitia", at(1)],
        vec![LISTED, "'@T4", "札幌🎫", "", "'+panitia", at(2)],
        vec![LISTED, "T3", "", "baris\r\nbaru", "panitia2", at(3)],
    ];
    assert_eq!(rows(csv), expected);
    let disposition = format!("attachment; filename=\"check-ins-{LISTED}.csv\"");
    let headers = [CONTENT_TYPE, CONTENT_DISPOSITION, VARY].map(|name| answer.header(name).to_owned());
    assert_eq!(headers, ["text/csv; charset=utf-8", &*disposition, "accept, accept-encoding"]);
}

async fn a_long_list_as_csv_is_whole(store: Store) {
    let app = app(store).await;
    let mut tickets = Vec::new();
    for round in 0..4 {
        let ids: Vec<_> = (0..500).map(|number| format!("{round}-{number} \"}},{{\\ é")).collect();
        let scan = |(number, id): (usize, &String)| {
            let key = format!("{round}-{number}");
            json!({"event_id": "evt/1", "ticket_id": id, "idempotency_key": key})
        };
        let scans: Vec<_> = ids.iter().enumerate().map(scan).collect();
        assert_eq!(batch(&app, &token(), &scans).await.status, 200);
        tickets.extend(ids);
    }
    let path = path("evt/1");
    let plain = read(&app, &path).header(ACCEPT, "text/csv").send().await;
    let text = plain.text().1;
    let rows = rows(text.strip_prefix('\u{feff}').expect("a byte order mark"));
    let found: Vec<_> = rows.iter().skip(1).map(|row| &*row[1]).collect();
    assert_eq!(found, tickets);
    assert!(rows.iter().all(|row| row.len() == 6), "six cells");
    assert_eq!(plain.header(CONTENT_DISPOSITION), "attachment; filename=\"check-ins-evt_1.csv\"");

    let zipped = read(&app, &path).header(ACCEPT, "text/csv").header(ACCEPT_ENCODING, "gzip").send().await;
    assert_eq!(zipped.header(CONTENT_ENCODING), "gzip");
    let mut unzipped = String::new();
    GzDecoder::new(&zipped.body[..]).read_to_string(&mut unzipped).expect("gzip");
    assert_eq!(unzipped, text);
}

#[tokio::test]
async fn json_stays_the_form_for_those_who_do_not_ask() {
    let app = app(Store::Memory).await;
    for (query, accept, expected) in [
        ("", "*/*", "application/json"),
        ("", "text/html,*/*;q=0.8", "application/json"),
        ("?format=json", "text/csv", "application/json"),
        ("?format=", "*/*", "application/json"),
        ("", "text/csv", "text/csv; charset=utf-8"),
        ("?format=csv", "application/json", "text/csv; charset=utf-8"),
    ] {
        let answer = read(&app, &format!("/attendance/evt1{query}")).header(ACCEPT, accept).send().await;
        assert_eq!(
            (answer.status.as_u16(), answer.header(CONTENT_TYPE)),
            (200, expected),
            "{query} {accept}"
        );
        assert_eq!(answer.header(ETAG).is_empty(), expected != "application/json");
    }
    let empty = read(&app, "/attendance/evt1?format=csv").send().await;
    assert_eq!(empty.text(), (200, &*format!("\u{feff}{HEADER}\r\n")));
    let head = call(&app, Method::HEAD, "/attendance/evt1?format=csv").bearer(&token()).send().await;
    assert_eq!((head.text(), head.header(CONTENT_TYPE)), ((200, ""), "text/csv; charset=utf-8"));
}
