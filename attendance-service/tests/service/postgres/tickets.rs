//! Events and their lists of tickets.

use std::time::Instant;

use attendance_service::{
    digest::Salt,
    event::{Event, EventChange},
    record::Timestamp,
    store::{CheckIn, CheckInStore, EventStore},
    ticket::{ImportCounts, NewTicket, TicketInfo, TicketSearch},
};
use tokio::task::JoinSet;

use super::{
    database,
    store::{
        Store, accept, admitted, event, losing_answer_to, open, scan, text, ticket, two_replicas, undone,
    },
};
use crate::SECOND;

async fn create(store: &Store) {
    let event = Event {
        id: event("evt1"),
        title: "Konser".to_owned(),
        description: None,
        location: Some("Aula".to_owned()),
        start_time: None,
        end_time: None,
        created_by: "admin1".to_owned(),
        created_at: Timestamp::now(),
    };
    store.create_event(event.clone()).await.unwrap();
    let now = store.event(&event.id).await.unwrap().unwrap();
    assert_eq!((now.created_at.micros(), &now.title), (event.created_at.micros(), &event.title));
}

fn new(id: impl ToString, name: Option<Option<&str>>) -> NewTicket {
    let name = name.map(|name| name.map(str::to_owned));
    NewTicket { ticket_id: ticket(id), name, kind: Some(Some("VIP".to_owned())) }
}

async fn put(store: &Store, tickets: Vec<NewTicket>) -> ImportCounts {
    store.put_tickets(&event("evt1"), tickets).await.unwrap().unwrap()
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn events_are_changed_field_by_field_and_their_check_ins_outlive_them() {
    let (_turn, url) = database().await;
    let store = open(&url).await;
    let id = event("evt1");
    assert_eq!(store.put_tickets(&id, vec![new("A", None)]).await.unwrap(), None);
    assert_eq!(store.update_event(&id, EventChange::default()).await.unwrap(), None);
    assert_eq!(store.offline(&id).await.unwrap(), None);
    create(&store).await;
    let change = EventChange {
        description: Some(Some("dengan orkes".to_owned())),
        location: Some(None),
        ..EventChange::default()
    };
    let mut expected = store.event(&id).await.unwrap().unwrap();
    change.clone().apply_to(&mut expected);
    assert_eq!(store.update_event(&id, change).await.unwrap().unwrap(), expected);
    assert_eq!(store.events().await.unwrap(), [expected]);

    put(&store, vec![new("A", None)]).await;
    let record = accept(&store, "A").await;
    assert!(store.delete_event(&id).await.unwrap() && !store.delete_event(&id).await.unwrap());
    assert_eq!(store.event(&id).await.unwrap(), None);
    assert_eq!(text(&store.record(&id, &ticket("A")).await.unwrap().unwrap()), record);
    accept(&store, "not on a list").await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn only_tickets_on_the_list_are_let_in_once_there_is_one() {
    let (_turn, url) = database().await;
    let store = open(&url).await;
    let id = event("evt1");
    create(&store).await;
    accept(&store, "before").await;
    assert_eq!(store.summary(&id).await.unwrap().registered, None);
    let tag = store.offline_tag(&id).await.unwrap();
    assert_eq!(store.offline(&id).await.unwrap().unwrap().tickets, None);
    let counts = put(&store, vec![new("A", Some(Some("Siti Rahayu"))), new("B", None), new("C", None)]).await;
    assert_eq!(counts, ImportCounts { added: 3, updated: 0, unchanged: 0, total: 3 });
    assert_ne!(store.offline_tag(&id).await.unwrap(), tag);
    assert_eq!(store.revoke_ticket(&id, &ticket("B")).await.unwrap(), Some(true));
    assert_eq!(store.revoke_ticket(&id, &ticket("B")).await.unwrap(), Some(true));
    assert_eq!(store.revoke_ticket(&id, &ticket("X")).await.unwrap(), Some(false));
    assert_eq!(store.revoke_ticket(&event("evt2"), &ticket("X")).await.unwrap(), None);
    assert_eq!(store.summary(&id).await.unwrap().registered, Some(2));

    // The key, then the list, then whether it was used.
    accept(&store, "A").await;
    let outcome = async |scan| store.check_in(scan).await.unwrap();
    assert_eq!(outcome(scan("before", None)).await, CheckIn::Unregistered);
    assert_eq!(outcome(admitted("X", "x")).await, CheckIn::Unregistered);
    assert_eq!(outcome(scan("B", None)).await, CheckIn::Revoked);
    assert!(matches!(outcome(scan("A", None)).await, CheckIn::Duplicate(_)));
    assert!(matches!(outcome(scan("C", Some("c"))).await, CheckIn::Accepted(_)));
    store.revoke_ticket(&id, &ticket("C")).await.unwrap();
    assert!(matches!(outcome(scan("C", Some("c"))).await, CheckIn::Replayed { stands: true, .. }));
    assert_eq!(outcome(scan("C", Some("d"))).await, CheckIn::Revoked);

    // What is not given stays as it is, and so does what was revoked.
    let counts =
        put(&store, vec![new("A", None), new("B", Some(Some("Budi"))), new("C", Some(None)), new("D", None)])
            .await;
    assert_eq!(counts, ImportCounts { added: 1, updated: 1, unchanged: 2, total: 4 });
    let batch = vec![scan("A", Some("1")), scan("B", Some("2")), scan("X", Some("3"))];
    let results = store.check_in_batch(batch).await.unwrap();
    let info = |name: &str| Some(TicketInfo { name: Some(name.to_owned()), kind: Some("VIP".to_owned()) });
    assert!(matches!(results[0].outcome, CheckIn::Duplicate(_)) && results[0].ticket == info("Siti Rahayu"));
    assert!(results[1].outcome == CheckIn::Revoked && results[1].ticket == info("Budi"));
    assert!(results[2].outcome == CheckIn::Unregistered && results[2].ticket.is_none());

    let offline = store.offline(&id).await.unwrap().unwrap();
    let salt = Salt::of(&id);
    let digests = |ids: &[&str]| {
        let mut digests: Vec<_> = ids.iter().map(|id| salt.digest(id)).collect();
        digests.sort_unstable();
        digests
    };
    assert_eq!(offline.tickets, Some(digests(&["A", "B", "C", "D"])));
    assert_eq!((offline.revoked, offline.used), (digests(&["B", "C"]), digests(&["before", "A", "C"])));
    assert_eq!(offline.version, store.version(&id).await.unwrap());
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_list_is_searched_and_paged_in_order_of_bytes() {
    let (_turn, url) = database().await;
    let store = open(&url).await;
    create(&store).await;
    let ids = ["Z9", "a1", "É2", "b3"];
    put(&store, ids.iter().map(|id| new(id, Some(Some(&format!("Nama {id} ÉLODIE"))))).collect()).await;
    accept(&store, "a1").await;
    accept(&store, "b3").await;
    undone(&store, "b3").await;
    let page = async |text: &str, after: &str, limit| {
        let search = TicketSearch { text: text.to_owned(), after: after.to_owned(), limit };
        let page = store.tickets(&event("evt1"), &search).await.unwrap().unwrap();
        let ids: Vec<_> = page.tickets.iter().map(|ticket| ticket.ticket_id.0.clone()).collect();
        (page.total, ids.join(" "), page.tickets)
    };
    let (total, ids, tickets) = page("", "", 10).await;
    assert_eq!((total, ids.as_str()), (4, "Z9 a1 b3 É2"));
    let users: Vec<_> = tickets.iter().map(|ticket| ticket.checked_in_by.as_deref()).collect();
    assert_eq!(users, [None, Some("panitia1"), None, None]);
    assert!(tickets[1].checked_in_at.is_some() && tickets[2].checked_in_at.is_none());
    let found = async |text, after, limit| {
        let (total, ids, _) = page(text, after, limit).await;
        (total, ids)
    };
    assert_eq!(found("", "a1", 1).await, (4, "b3".to_owned()));
    assert_eq!(found("é2", "", 10).await, (1, "É2".to_owned()));
    assert_eq!(found("élodie", "Z9", 2).await, (4, "a1 b3".to_owned()));
    assert_eq!(found("%", "", 10).await, (0, String::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn fifty_thousand_tickets_are_put_on_a_list_at_once() {
    let (_turn, url) = database().await;
    let replicas = two_replicas(&url).await;
    create(&replicas[0]).await;
    let tickets = |name: &str| -> Vec<NewTicket> {
        (0..50_000).map(|number| new(format!("{number:012}"), Some(Some(name)))).collect()
    };
    for name in ["Siti Rahayu", "Siti Rahayu", "Budi"] {
        let tickets = tickets(name);
        let begin = Instant::now();
        let counts = put(&replicas[0], tickets).await;
        println!("{counts:?}: {:?}", begin.elapsed());
        assert!(begin.elapsed() < SECOND * 8 && counts.total == 50_000, "{:?}", begin.elapsed());
    }
    let begin = Instant::now();
    let offline = replicas[1].offline(&event("evt1")).await.unwrap().unwrap();
    println!("offline: {:?}", begin.elapsed());
    assert_eq!(offline.tickets.unwrap().len(), 50_000);

    // Lists that two put at once do not get lost, nor does a ticket count twice.
    let mut imports = JoinSet::new();
    for import in 0..8 {
        let store = replicas[import % 2].clone();
        imports.spawn(async move {
            let tickets =
                (import * 50..import * 50 + 100).map(|number| new(format!("x{number}"), None)).collect();
            put(&store, tickets).await.added
        });
    }
    assert_eq!(imports.join_all().await.iter().sum::<u64>(), 450);
    assert_eq!(put(&replicas[0], Vec::new()).await.total, 50_450);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn an_import_whose_answer_is_lost_is_counted_as_it_was() {
    let (_turn, url) = database().await;
    create(&open(&url).await).await;
    let lossy = open(&losing_answer_to(&url, "COMMIT").await).await;
    let counts = put(&lossy, vec![new("A", None), new("B", None)]).await;
    assert_eq!(counts, ImportCounts { added: 2, updated: 0, unchanged: 0, total: 2 });
    let lossy = open(&losing_answer_to(&url, "COMMIT").await).await;
    assert!(lossy.delete_event(&event("evt1")).await.unwrap());
    assert!(!lossy.delete_event(&event("evt1")).await.unwrap());
}
