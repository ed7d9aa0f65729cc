//! Lists of tickets as spreadsheets and people write them: `tests/corpus` has the files, and the table what becomes of
//! each.

use std::{collections::BTreeSet, fs, path::Path};

use axum::http::{Method, header::CONTENT_TYPE};
use serde_json::{Value, json};
use shared_http::testing::call;
use shared_service::testing::{Store, app::detail};

use super::{admin, app, create_event, read_as_admin};

/// What becomes of a file.
enum Outcome {
    /// These tickets: id, name and kind between bars, in order of id.
    Tickets(&'static [&'static str]),
    /// Mistakes: line, column, and what the message contains.
    Mistakes(&'static [(u64, &'static str, &'static str)]),
}

use Outcome::{Mistakes, Tickets};

const THREE: Outcome = Tickets(&["A-001|Siti Rahayu|VIP", "A-002|Budi Santoso|Reguler", "A-003|Dewi|"]);
const UTF_16: Outcome =
    Mistakes(&[(1, "ticket_id", "this is UTF-16 and not UTF-8; save the list as \"CSV UTF-8\"")]);
const NO_COLUMN: Outcome = Mistakes(&[(1, "ticket_id", "has no column ticket_id")]);
const NO_TICKETS: Outcome = Mistakes(&[(1, "ticket_id", "there are no tickets in the list")]);
const NO_UTF_8: &str = "this is not UTF-8; save the list as \"CSV UTF-8\"";
const CONTROL: &str = "control characters are not allowed";

#[rustfmt::skip]
const FILES: &[(&str, Outcome)] = &[
    ("excel-utf8-comma.csv", THREE),
    ("excel-indonesia-semicolon.csv", THREE),
    ("excel-semicolon-no-bom.csv", THREE),
    ("libreoffice.csv", THREE),
    ("libreoffice-all-quoted.csv", THREE),
    ("google-sheets.csv", THREE),
    ("google-sheets-tab.tsv.csv", THREE),
    ("tabs.csv", THREE),
    ("old-mac-carriage-returns.csv", THREE),
    ("excel-unicode-text.csv", UTF_16),
    ("utf16-big-endian.csv", UTF_16),
    ("utf16-without-mark.csv", UTF_16),
    ("latin1.csv", Mistakes(&[(2, "name", NO_UTF_8), (3, "kind", NO_UTF_8)])),
    ("latin1-in-another-column.csv", Tickets(&["A-001||"])),
    ("line-break-in-name.csv", Tickets(&["A-001|Siti Rahayu|", "A-002|Budi|"])),
    ("line-break-in-another-column.csv", Mistakes(&[(4, "ticket_id", "is on line 2 too")])),
    ("carriage-returns-and-a-mistake.csv", Mistakes(&[(4, "ticket_id", "is on line 2 too")])),
    ("mixed-line-breaks.csv", Tickets(&["A-001|Siti|", "A-002|Budi|", "A-003|Dewi|", "A-004|Agus|"])),
    ("trailing-delimiters.csv", Tickets(&["A-001|Siti|", "A-002||"])),
    ("excel-left-out-delimiters.csv", Tickets(&["A-001|Siti|VIP", "A-002|Budi|", "A-003||"])),
    ("empty-lines.csv", Tickets(&["A-001|Siti|", "A-002|Budi|"])),
    ("empty-lines-and-a-mistake.csv", Mistakes(&[(8, "ticket_id", "is on line 5 too")])),
    ("empty.csv", NO_TICKETS),
    ("only-a-mark.csv", NO_TICKETS),
    ("only-line-breaks.csv", NO_TICKETS),
    ("header-only.csv", NO_TICKETS),
    ("no-header.csv", NO_COLUMN),
    ("header-in-indonesian.csv", NO_COLUMN),
    ("one-column.csv", Tickets(&["A-001||", "A-002||"])),
    ("duplicate-ids.csv", Mistakes(&[(4, "ticket_id", "is on line 2 too"), (5, "ticket_id", "is on line 2 too")])),
    ("duplicate-header.csv", Mistakes(&[(1, "name", "two columns have this name")])),
    ("mixed-case-header.csv", Tickets(&["A-001|Siti|VIP"])),
    ("spaces-around.csv", Tickets(&["A-001|Siti Rahayu|", "A-002|Budi|"])),
    ("sep-line.csv", Tickets(&["A-001|Rahayu, Siti|"])),
    ("sep-line-with-mark.csv", Mistakes(&[(4, "ticket_id", "is on line 3 too")])),
    ("nul.csv", Mistakes(&[(2, "name", CONTROL), (3, "ticket_id", CONTROL)])),
    ("long-cells.csv", Mistakes(&[
        (3, "ticket_id", "at most 200 bytes"), (3, "name", "at most 200 characters"), (3, "kind", "at most 200 characters"),
    ])),
    ("unclosed-quote.csv", Mistakes(&[(3, "ticket_id", "a quote that begins here is not closed")])),
    ("unclosed-quote-at-the-end.csv", Mistakes(&[(2, "ticket_id", "a quote that begins here is not closed")])),
    ("quotes.csv", Tickets(&["A-001|Agus \"Gus\" Salim|VIP, depan", "A-002|O'Brien|5\" meja"])),
    ("no-last-line-break.csv", Tickets(&["A-001|Siti|", "A-002|Budi|"])),
    // A `'` that our own CSV has before what looks like a formula is not part of the cell.
    ("formulas.csv", Tickets(&["'A|'x|", "+62812|@SUM(A1)|", "-1|=2+2|", "=1+1|=HYPERLINK(\"http://x\",\"y\")|"])),
    ("emoji.csv", Tickets(&["🎫-1|👩‍🎤 Dewi|"])),
    ("right-to-left.csv", Tickets(&["A-001|محمد عبد الله|", "A-002|שרה|"])),
    ("leading-zeros.csv", Tickets(&["0007|Bond|", "007|Bond|", "7|Bond|"])),
    ("scientific-notation.csv", Tickets(&["1.23457E+15|Siti|", "1234567890123456789|Budi|"])),
    ("other-columns.csv", Tickets(&["A-001|Siti|", "A-002||"])),
    ("ragged.csv", Mistakes(&[
        (2, "ticket_id", "3 cells, and 2 columns"), (4, "ticket_id", "String should have at least 1 character"),
    ])),
    ("semicolons-in-commas.csv", Tickets(&["A-001|Siti|"])),
];

#[tokio::test]
async fn lists_are_read_as_spreadsheets_write_them_and_mistakes_are_named_by_line() {
    let app = app(Store::Memory).await;
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut left: BTreeSet<_> = fs::read_dir(&directory)
        .expect("a directory")
        .map(|file| file.expect("a file").file_name().into_string().expect("UTF-8"))
        .collect();
    for (name, expected) in FILES {
        assert!(left.remove(*name), "{name}");
        let event = create_event(&app, name).await;
        let path = format!("/events/{event}/tickets");
        let body = fs::read(directory.join(name)).expect("a file");
        let answer =
            call(&app, Method::PUT, &path).bearer(&admin()).header(CONTENT_TYPE, "text/csv").body(body);
        let answer = answer.send().await;
        let list = read_as_admin(&app, &format!("{path}?limit=1000")).send().await.json();
        let tickets: Vec<_> = list["tickets"].as_array().expect("a list").iter().map(shown).collect();
        match expected {
            Tickets(expected) => {
                let counts = json!({
                    "event_id": event, "added": expected.len(), "updated": 0, "unchanged": 0, "total": expected.len()
                });
                assert_eq!(answer.json(), counts, "{name}");
                assert_eq!(tickets, *expected, "{name}");
            }
            Mistakes(expected) => {
                assert_eq!(answer.status, 422, "{name}");
                let entries = detail(&answer);
                let places: Vec<_> =
                    entries.as_array().expect("a list").iter().map(|it| it["loc"].clone()).collect();
                let wanted: Vec<_> =
                    expected.iter().map(|(line, column, _)| json!(["body", line, column])).collect();
                assert_eq!(places, wanted, "{name}: {entries}");
                for (index, (.., part)) in expected.iter().enumerate() {
                    assert!(
                        entries[index]["msg"].as_str().is_some_and(|msg| msg.contains(part)),
                        "{name}: {entries}"
                    );
                }
                assert!(tickets.is_empty(), "{name}: all or nothing");
            }
        }
    }
    assert!(left.is_empty(), "each file has its outcome in the table: {left:?}");
}

fn shown(ticket: &Value) -> String {
    let text = |key: &str| ticket[key].as_str().unwrap_or_default();
    format!("{}|{}|{}", text("ticket_id"), text("name"), text("kind"))
}
