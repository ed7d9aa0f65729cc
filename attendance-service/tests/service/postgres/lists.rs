//! Lists are read from the database piece by piece, as clients take them.

use std::time::Instant;

use shared_http::testing::Raw;
use shared_store::testing::execute;
use sqlx::{Connection, Executor, PgConnection, query_scalar};
use tokio::time::timeout;

use super::{all_are_numbered, database};
use crate::{
    SECOND,
    gate::{Gate, token},
    service, start,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn lists_whose_clients_stall_hold_up_nothing_and_stay_as_they_were() {
    let (_turn, url) = database().await;
    let (process, mut gate) = start(service(&url)).await;
    gate.check_in("evt1", "T1", None).await.record();
    // More than the buffers of a connection hold.
    let long = "INSERT INTO attendance.check_ins
            (ticket, attempt, event, event_id, ticket_id, checked_in_by, checked_in_at)
        SELECT sha256(n::text::bytea), sha256(n::text::bytea), event, event_id, n || repeat('x', 30000), 'panitia1', now()
        FROM attendance.check_ins, generate_series(1, 1000) AS n";
    execute(&url, long).await;
    all_are_numbered(&url).await;
    let before = process.kibibytes("VmHWM");
    let whole = gate.list("evt1").await.body;
    assert!(whole.len() > 30_000_000 && whole.starts_with(r#"{"event_id":"evt1","total_checked_in":1001,"#));
    let grown = process.kibibytes("VmHWM") - before;
    println!("a list of {} MB took {grown} KiB", whole.len() / 1_000_000);
    assert!(grown < 20 * 1024, "grown by {grown} KiB");

    // Two rows of the release before, whose transaction ends only when the lists have begun, and whose place is near their
    // beginning.
    let mut late = PgConnection::connect(&url).await.unwrap();
    late.execute("BEGIN").await.unwrap();
    let insert = "INSERT INTO attendance.check_ins
            (ticket, attempt, event, event_id, ticket_id, checked_in_by, checked_in_at)
        SELECT sha256(n::bytea), sha256(n::bytea), event, event_id, n, 'panitia1', checked_in_at
        FROM attendance.check_ins, unnest(ARRAY['late-1', 'late-2']) AS n WHERE ticket_id = '500' || repeat('x', 30000)";
    late.execute(insert).await.unwrap();

    let mut stalled = Vec::new();
    for number in 0..30 {
        // A compressed list is short, and so is read on to its end, which takes a debug build seconds.
        let encoding = if number % 10 == 9 { "gzip" } else { "identity" };
        let request = format!(
            "GET /attendance/evt1 HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {}\r\nAccept-Encoding: {encoding}\r\n\
             Connection: close\r\n\r\n",
            token()
        );
        let mut client = Raw::open(process.address, &request).await;
        client.until("\r\n\r\n", SECOND * 5).await;
        stalled.push(client);
    }
    // Whoever else comes does not notice. On a new connection, for on a busy machine that took a while.
    let mut gate = Gate::open(process.address).await;
    gate.check_in("evt2", "T1", None).await.record();
    let begin = Instant::now();
    assert_eq!(gate.list("evt2").await.body.matches(r#""T1""#).count(), 1);
    gate.check_in("evt1", "T2", None).await.record();
    assert_eq!(gate.get("/attendance/evt1/tickets/T2").await.status, 200);
    gate.ready().await;
    // Some milliseconds, on a machine with nothing else to do.
    assert!(begin.elapsed() < SECOND * 10, "{:?}", begin.elapsed());
    // And nobody holds anything in the database, which could not clean up meanwhile.
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND state <> 'idle' AND pid NOT IN (pg_backend_pid(), $1)";
    let late_pid: i32 = query_scalar("SELECT pg_backend_pid()").fetch_one(&mut late).await.unwrap();
    // On a connection of its own: within a transaction the view stays as it was first read.
    let mut other = PgConnection::connect(&url).await.unwrap();
    let none = async {
        while query_scalar::<_, i64>(open).bind(late_pid).fetch_one(&mut other).await.unwrap() > 0 {}
    };
    timeout(SECOND * 120, none).await.expect("no statement and no transaction");

    late.execute("COMMIT").await.unwrap();
    all_are_numbered(&url).await;
    let now = gate.list("evt1").await.body;
    assert!(now.contains("late-1") && now.starts_with(r#"{"event_id":"evt1","total_checked_in":1004,"#));
    // What it got in the end is as it was in the beginning.
    let rest = stalled[0].rest(SECOND * 120).await;
    assert!(rest.ends_with("\r\n0\r\n\r\n"), "not whole");
    assert!(!rest.contains("late-1") && !rest.contains(r#""T2""#));
    assert_eq!(rest.matches(r#""ticket_id":""#).count(), 1001);
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_list_comes_in_pieces_that_every_connection_may_hold() {
    let (_turn, url) = database().await;
    let (process, mut gate) = start(service(&url)).await;
    gate.check_in("evt1", "T1", None).await.record();
    // Quotes are twice as long in JSON.
    let more = r#"INSERT INTO attendance.check_ins
            (ticket, attempt, event, event_id, ticket_id, checked_in_by, checked_in_at)
        SELECT sha256(n::text::bytea), sha256(n::text::bytea), event, event_id, n || repeat('"', n), 'panitia1', now()
        FROM attendance.check_ins, generate_series(1, 500) AS n"#;
    execute(&url, more).await;
    all_are_numbered(&url).await;
    let request = format!(
        "GET /attendance/evt1 HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        token()
    );
    let answer = Raw::open(process.address, request).await.rest(SECOND * 30).await;
    let (_, chunks) = answer.split_once("\r\n\r\n").unwrap();
    let sizes: Vec<_> = chunks
        .split("\r\n")
        .step_by(2)
        .filter(|line| !line.is_empty())
        .map(|size| usize::from_str_radix(size, 16).unwrap())
        .collect();
    assert!(sizes.len() > 10 && sizes.iter().all(|size| *size <= 16 * 1024), "{sizes:?}");
    assert_eq!(chunks.matches(r#""ticket_id":""#).count(), 501);
}
