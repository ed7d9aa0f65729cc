//! An event and a ticket may have any name but none, and each is another.

use proptest::prelude::*;
use serde_json::Value;
use shared_service::{
    on_every_store,
    testing::{Store, app::detail, property::for_all},
};

use super::{ABSENT, DUPLICATE, app, attempt, attendance, check_in, list, look_up, read, record};

on_every_store![
    whatever_can_be_checked_in_can_be_read_back,
    ids_are_the_same_only_if_every_byte_is,
    of_many_the_list_is_whole_and_in_order_and_each_ticket_is_found,
];

async fn whatever_can_be_checked_in_can_be_read_back(store: Store) {
    let id = || prop_oneof!["[^\0]{1,20}", "[/?#%+. 2Ff\"\\\\]{1,12}"];
    let user = prop_oneof!["[^\0]{0,10}", "[\"\\\\ab]{0,3}"];
    for_all(64, &(id(), id(), user), async |(event, ticket, user)| {
        let app = app(store).await;
        let record = record(&attempt(&app, &user, &event, &ticket, None).await);
        let ids = ["event_id", "ticket_id", "checked_in_by"].map(|field| &record[field]);
        assert_eq!(ids, [&*event, &*ticket, &*user]);
        assert_eq!(look_up(&app, &event, &ticket).await.text(), (200, &*record.to_string()));
        assert_eq!(attendance(&app, &event).await.text(), (200, &*list(&event, &[record])));
    });
}

async fn ids_are_the_same_only_if_every_byte_is(store: Store) {
    let app = app(store).await;
    // A URI has room for 64 KiB, and every byte of these takes three.
    let (long, longer, other) = ("x".repeat(9_999), "x".repeat(10_000), "x".repeat(9_999) + "y");
    let wide = ["é".repeat(10_000), "🎫".repeat(5_000), "/".repeat(10_000), "%2F".repeat(3_333)];
    let mut ids = vec![
        "a", "a ", " a", " a ", "a  ", "A", "aa", "\"", "\\", "','", "a\";--", "/", "//", "+", "..", ".",
    ];
    ids.extend([
        "a/b",
        "a%2Fb",
        "a%252Fb",
        "tickets/a",
        "\u{1}",
        "\u{7f}",
        "\n",
        "\u{2028}",
        "\u{10ffff}",
        "🎫",
        "札",
    ]);
    ids.extend(["\u{e9}", "e\u{301}", "\u{212b}", "\u{c5}", "A\u{30a}", "ﬁ", "fi", "\u{feff}a", "a\u{200d}"]);
    ids.extend([&*long, &*longer, &*other]);
    ids.extend(wide.iter().map(String::as_str));
    // As tickets, as events, and where one ends and the other begins.
    let mut pairs: Vec<_> = ids.iter().flat_map(|id| [("e", *id), (*id, "T/1")]).collect();
    pairs.extend([("evt", "1T1"), ("evt1", "T1"), ("evt1T", "1"), ("T1", "evt1"), (&*longer, &*longer)]);
    pairs.push(("evt1", "T1\",\"ticket_id\":\"T2"));
    let mut records: Vec<Value> = Vec::new();
    for (event, ticket) in &pairs {
        assert_eq!(look_up(&app, event, ticket).await.text(), (404, ABSENT), "{event:.20?} {ticket:.20?}");
        records.push(record(&check_in(&app, event, ticket).await));
    }
    for ((event, ticket), record) in pairs.iter().zip(&records) {
        assert_eq!(
            (&record["event_id"], &record["ticket_id"]),
            (&Value::from(*event), &Value::from(*ticket))
        );
        assert_eq!(look_up(&app, event, ticket).await.text(), (200, &*record.to_string()), "{ticket:.20?}");
        assert_eq!(
            check_in(&app, event, ticket).await.text(),
            (400, DUPLICATE),
            "{event:.20?} {ticket:.20?}"
        );
        let of_event: Vec<_> = records.iter().filter(|other| other["event_id"] == *event).cloned().collect();
        assert_eq!(attendance(&app, event).await.text(), (200, &*list(event, &of_event)));
    }
}

async fn of_many_the_list_is_whole_and_in_order_and_each_ticket_is_found(store: Store) {
    let app = app(store).await;
    let mut records = Vec::new();
    for number in 0..400 {
        let ticket = format!("{number} {}", "🎫".repeat(number % 250));
        records.push(record(&check_in(&app, "evt1", &ticket).await));
        if number % 40 == 39 {
            assert_eq!(attendance(&app, "evt1").await.text(), (200, &*list("evt1", &records)));
        }
    }
    let moments: Vec<_> = records.iter().map(|record| record["checked_in_at"].as_str()).collect();
    assert!(moments.is_sorted());
    for record in records {
        let ticket = record["ticket_id"].as_str().expect("text");
        assert_eq!(look_up(&app, "evt1", ticket).await.text(), (200, &*record.to_string()));
        assert_eq!(check_in(&app, "evt1", ticket).await.status, 400, "{ticket}");
    }
}

#[tokio::test]
async fn a_path_is_decoded_once_and_a_query_is_ignored() {
    let long = "x".repeat(10_000);
    // The id as a client may write it, and the id that it names.
    for (segment, id) in [
        ("konser%2F2026", "konser/2026"),
        ("konser%2f2026", "konser/2026"),
        ("konser%252F2026", "konser%2F2026"),
        ("konser%25252f2026", "konser%252f2026"),
        ("%2F%2F", "//"),
        ("a+b", "a+b"),
        ("a%2Bb", "a+b"),
        ("a%20b", "a b"),
        ("..", ".."),
        ("%2E%2E", ".."),
        ("..%2F..%2Fsecret", "../../secret"),
        ("a:b@c;d,e=f&g$h!i*j'k(l)~m", "a:b@c;d,e=f&g$h!i*j'k(l)~m"),
        ("%E6%9C%AD%E5%B9%8C", "札幌"),
        ("%EF%BB%BFx", "\u{feff}x"),
        ("tickets", "tickets"),
        (&*long, &*long),
    ] {
        let app = app(Store::Memory).await;
        let record = record(&check_in(&app, id, id).await);
        let path = format!("/attendance/{segment}");
        let list = list(id, std::slice::from_ref(&record));
        for (path, expected) in [(format!("{path}/tickets/{segment}"), record.to_string()), (path, list)] {
            for query in ["", "?event_id=x&limit=1&%zz"] {
                let answer = read(&app, &format!("{path}{query}")).send().await;
                assert_eq!(answer.text(), (200, &*expected), "{path}{query}");
            }
        }
    }
}

#[tokio::test]
async fn a_path_that_is_no_text_is_refused() {
    let app = app(Store::Memory).await;
    for segment in ["%ff", "%E6%9C", "%ED%A0%80", "a%C0%AF", "%ff/tickets/T1", "evt1/tickets/%E6%9C"] {
        let answer = read(&app, &format!("/attendance/{segment}")).send().await;
        assert_eq!(answer.status, 400, "{segment}");
        assert!(detail(&answer).is_string(), "{segment}");
    }
}
