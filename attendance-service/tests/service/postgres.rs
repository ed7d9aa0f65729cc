//! The store in PostgreSQL: the stories of `durability`, replicas, and what may happen to the server and to
//! the way there. `.ci/run` starts the server.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use shared_http::testing::{Process, Raw};
use shared_store::{
    Migration, Migrations,
    postgres::{Database, PostgresError},
    testing::{Server, execute, new_database, new_tls_database, undisturbed},
};
use sqlx::{Connection, Executor, PgConnection, query_scalar};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, UnixStream},
    sync::watch,
    task::{JoinHandle, JoinSet, yield_now},
    time::{sleep, timeout},
};
use url::Url;

use crate::{
    DUPLICATE, IN_TIME, SECOND,
    gate::{Gate, scan, token},
    kill, refused, service,
};

async fn start(url: &str) -> Process {
    Process::start(service(url)).await
}

/// What was asked of two replicas at once, and what they answered: status, and whether it was replayed.
async fn at_once(
    doors: &[Process; 2],
    scans: impl Iterator<Item = (String, Option<String>)>,
) -> Vec<(String, u16, bool)> {
    let mut gates = Vec::new();
    for (number, (ticket, key)) in scans.enumerate() {
        gates.push((Gate::open(doors[number % 2].address).await, ticket, key));
    }
    let mut answers = JoinSet::new();
    for (mut gate, ticket, key) in gates {
        answers.spawn(async move {
            let answer = gate.check_in("evt1", &ticket, key.as_deref()).await;
            (ticket, answer.status, answer.is_replayed())
        });
    }
    answers.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn of_500_scans_of_one_ticket_at_two_replicas_one_is_green() {
    let _turn = undisturbed().await;
    let url = new_database().await;
    let doors = [start(&url).await, start(&url).await];
    let answers = at_once(&doors, (0..500).map(|_| ("T1".to_owned(), None))).await;
    let statuses = answers.iter().map(|(_, status, _)| *status);
    assert_eq!(statuses.clone().filter(|status| *status == 200).count(), 1);
    assert_eq!(statuses.filter(|status| *status == 400).count(), 499);

    let answers = at_once(&doors, (0..500).map(|_| ("T2".to_owned(), Some("one".to_owned())))).await;
    assert!(answers.iter().all(|(_, status, _)| *status == 200), "one attempt, one answer");
    assert_eq!(answers.iter().filter(|(_, _, is_replayed)| !is_replayed).count(), 1);
    assert_eq!(Gate::open(doors[0].address).await.records("evt1").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn of_two_tickets_at_once_with_one_key_one_is_green_and_in() {
    let _turn = undisturbed().await;
    let url = new_database().await;
    let doors = [start(&url).await, start(&url).await];
    // Both of a pair meet the same replica, and the next pair the other.
    let pairs = (0..400).map(|number| {
        let pair = number / 4 * 2 + number % 2;
        (format!("T{pair}-{}", number / 2 % 2), Some(format!("key-{pair}")))
    });
    let answers = at_once(&doors, pairs).await;
    let green: BTreeSet<_> =
        answers.iter().filter(|(_, status, _)| *status == 200).map(|(ticket, ..)| ticket.clone()).collect();
    let refused = answers.iter().filter(|(_, status, _)| *status == 422).count();
    assert_eq!((green.len(), refused), (200, 200));
    let records = Gate::open(doors[0].address).await.records("evt1").await;
    assert_eq!(records.into_keys().collect::<BTreeSet<_>>(), green);
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn three_replicas_started_at_once_on_an_empty_database_make_one_schema() {
    let _turn = undisturbed().await;
    for _ in 0..5 {
        let url = new_database().await;
        let mut starts = JoinSet::new();
        for _ in 0..3 {
            starts.spawn(Process::start(service(&url)));
        }
        for (number, process) in starts.join_all().await.iter().enumerate() {
            let mut gate = Gate::open(process.address).await;
            gate.ready().await;
            gate.check_in("evt1", &format!("T{number}"), None).await.record();
            assert_eq!(gate.records("evt1").await.len(), number + 1);
        }
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_database_of_a_newer_version_is_refused() {
    let _turn = undisturbed().await;
    let url = new_database().await;
    kill(start(&url).await).await;
    let newer = "INSERT INTO attendance._sqlx_migrations
        (version, description, success, checksum, execution_time) VALUES (9999, 'from the future', true, '', 0);
        UPDATE attendance.min_reader SET version = 9999";
    execute(&url, newer).await;
    let (status, said) = refused(service(&url)).await;
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("the database was written by a newer version of this service"), "{said}");
}

const FIRST: Migration =
    Migration { name: "seats", sql: "CREATE TABLE attendance.seats (id TEXT NOT NULL)", min_reader: 1 };
const ADDED: Migration =
    Migration { name: "colours", sql: "ALTER TABLE attendance.seats ADD COLUMN colour TEXT", min_reader: 1 };
const NEEDED: Migration =
    Migration { name: "owners", sql: "ALTER TABLE attendance.seats ADD COLUMN owner TEXT", min_reader: 2 };

/// Whether a version with these migrations starts with the database at `url`.
async fn starts(url: &str, list: &[Migration]) -> Result<(), PostgresError> {
    Database::open(url, "attendance", Migrations::new(list)).await.map(drop)
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn versions_start_with_what_others_migrated_as_far_as_min_reader_allows() {
    let _turn = undisturbed().await;
    let url = new_database().await;
    starts(&url, &[FIRST]).await.unwrap();
    // As a release that kept no min_reader left it.
    execute(&url, "DROP TABLE attendance.min_reader").await;
    starts(&url, &[FIRST, ADDED]).await.unwrap();
    starts(&url, &[FIRST]).await.unwrap();

    let broken = Migration { sql: "ALTER TABLE attendance.nothing ADD COLUMN owner TEXT", ..NEEDED };
    assert!(matches!(starts(&url, &[FIRST, ADDED, broken]).await, Err(PostgresError::Migration(_))));
    starts(&url, &[FIRST]).await.unwrap();

    // All at once, and each does what is left to do.
    let mut replicas = JoinSet::new();
    for _ in 0..8 {
        let url = url.clone();
        replicas.spawn(async move { starts(&url, &[FIRST, ADDED, NEEDED]).await });
    }
    replicas.join_all().await.into_iter().collect::<Result<(), _>>().unwrap();
    assert!(matches!(starts(&url, &[FIRST]).await, Err(PostgresError::Newer)));
    starts(&url, &[FIRST, ADDED]).await.unwrap();
    assert!(matches!(starts(&url, &[FIRST]).await, Err(PostgresError::Newer)));
    starts(&url, &[FIRST, ADDED, NEEDED]).await.unwrap();
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn moments_never_go_back_within_an_event_though_the_clock_does() {
    let _turn = undisturbed().await;
    let url = new_database().await;
    let process = start(&url).await;
    let mut gate = Gate::open(process.address).await;
    gate.check_in("evt1", "T0", None).await.record();
    execute(&url, "UPDATE attendance.check_ins SET checked_in_at = '2100-01-01T00:00:00Z'").await;
    for (number, ticket) in [(1, "T2"), (2, "T1")] {
        let record = gate.check_in("evt1", ticket, None).await.record();
        let moment = format!(r#""checked_in_at":"2100-01-01T00:00:00.{number:06}+00:00"}}"#);
        assert!(record.ends_with(&moment), "{record}");
        assert!(gate.list("evt1").await.body.ends_with(&format!("{record}]}}")), "the newest comes last");
        assert!(!gate.check_in("evt2", ticket, None).await.record().contains("2100-"), "another event");
    }
    let log = process.log_with("of a moment that is still to come").await;
    assert_eq!(log.matches("of a moment that is still to come").count(), 1, "{log}");
    // Those of one statement differ too.
    let scans = (0..64).map(|number| (format!("at-once-{number}"), None));
    let doors = [process, start(&url).await];
    let answers = at_once(&doors, scans).await;
    assert!(answers.iter().all(|(_, status, _)| *status == 200));
    let records = gate.records("evt1").await;
    let moments: BTreeSet<_> = records.values().map(|record| record.split_once("_at").unwrap().1).collect();
    // Two statements at once may begin with the same one.
    assert!(moments.len() > 32, "{moments:?}");
}

/// Gates that scan ticket after ticket, through whatever happens meanwhile.
struct Load {
    gates: JoinSet<Vec<(String, String)>>,
    reader: JoinHandle<()>,
    stop: Arc<AtomicBool>,
    green: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
}

impl Load {
    /// At several services, of which the first stays and is read from as well.
    fn start(addresses: &[SocketAddr]) -> Self {
        let (stop, address) = (Arc::new(AtomicBool::new(false)), addresses[0]);
        let until = Arc::clone(&stop);
        let mut load = Self {
            gates: JoinSet::new(),
            reader: tokio::spawn(async move { read_on(address, &until).await }),
            stop,
            green: Arc::default(),
            refused: Arc::default(),
        };
        for number in 0..8 {
            let address = addresses[number % addresses.len()];
            let (stop, green, refused) = (load.stop.clone(), load.green.clone(), load.refused.clone());
            load.gates.spawn(async move { scan_on(address, number, &stop, &green, &refused).await });
        }
        load
    }

    /// Waits until so many more were green.
    async fn advances(&self, by: usize) {
        let goal = self.green.load(Ordering::Relaxed) + by;
        let advance = async {
            while self.green.load(Ordering::Relaxed) < goal {
                sleep(SECOND / 100).await;
            }
        };
        timeout(SECOND * 20, advance).await.expect("green again with no restart");
    }

    /// The records that were seen, by ticket.
    async fn end(self) -> BTreeMap<String, String> {
        self.stop.store(true, Ordering::Relaxed);
        self.reader.await.unwrap();
        self.gates.join_all().await.into_iter().flatten().collect()
    }
}

/// The tickets that were green, with their records. A gate whose service was killed ends.
async fn scan_on(
    address: SocketAddr,
    number: usize,
    stop: &AtomicBool,
    green: &AtomicUsize,
    refused: &AtomicUsize,
) -> Vec<(String, String)> {
    let mut seen = Vec::new();
    let mut gate = Gate::open(address).await;
    for ticket in 0.. {
        let ticket = format!("{number}-{ticket}");
        // One in three has none, and is not sent again.
        let key = (seen.len() % 3 != 0).then(|| format!("key-{ticket}"));
        let request = scan("evt1", &ticket, key.as_deref(), &gate.token);
        loop {
            if stop.load(Ordering::Relaxed) {
                return seen;
            }
            let begin = Instant::now();
            let Ok(answer) = gate.try_send(&request).await else { return seen };
            assert!(begin.elapsed() < IN_TIME, "{:?}: {answer:?}", begin.elapsed());
            if answer.status == 200 {
                green.fetch_add(1, Ordering::Relaxed);
                seen.push((ticket, answer.record()));
                break;
            }
            // A 400 would be untrue: nobody else has this ticket.
            answer.assert_unavailable();
            refused.fetch_add(1, Ordering::Relaxed);
            if key.is_none() {
                break;
            }
        }
    }
    seen
}

/// Reads lists, tickets and the state of a service; a list may break off, but never look whole then.
async fn read_on(address: SocketAddr, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let mut gate = Gate::open(address).await;
        for path in ["/attendance/evt1/tickets/0-0", "/ready", "/attendance/evt1"] {
            let token = &gate.token;
            let request = format!("GET {path} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {token}\r\n\r\n");
            let begin = Instant::now();
            let Ok(answer) = gate.try_send(&request).await else { break };
            assert!(begin.elapsed() < IN_TIME, "{path}: {:?}", begin.elapsed());
            match answer.status {
                200 => assert!(!path.ends_with("evt1") || answer.body.ends_with("]}"), "{answer:?}"),
                404 => assert!(path.contains("/tickets/"), "{answer:?}"),
                _ if path == "/ready" => assert_eq!(answer.status, 503, "{answer:?}"),
                _ => answer.assert_unavailable(),
            }
        }
        sleep(SECOND / 20).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_replica_that_is_killed_takes_nothing_with_it() {
    let _turn = undisturbed().await;
    let url = new_database().await;
    let stays = start(&url).await;
    let mut gate = Gate::open(stays.address).await;
    let mut all = 0;
    for round in 0..10 {
        execute(&url, "TRUNCATE attendance.check_ins").await;
        let killed = start(&url).await;
        let load = Load::start(&[stays.address, killed.address]);
        load.advances(50 + round * 10).await;
        kill(killed).await;
        load.advances(50).await;
        let seen = load.end().await;
        let records = gate.records("evt1").await;
        for (ticket, record) in &seen {
            assert_eq!(records.get(ticket), Some(record), "round {round}");
            assert_eq!(gate.check_in("evt1", ticket, None).await.text(), (400, DUPLICATE));
        }
        // One scan of each gate of the killed one may be in without its client knowing.
        assert!(records.len() <= seen.len() + 4, "{} {}", records.len(), seen.len());
        all += seen.len();
    }
    println!("a replica killed: 10 times, {all} check-ins answered, none lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_server_that_restarts_loses_nothing_and_nobody_is_told_anything_untrue() {
    let server = Server::alone().await;
    let url = new_database().await;
    let doors = [start(&url).await, start(&url).await];
    let load = Load::start(&doors.each_ref().map(|door| door.address));
    for mode in ["immediate", "fast", "immediate", "fast", "immediate", "fast"] {
        load.advances(200).await;
        server.ctl(&["restart", "--mode", mode]).await;
    }
    load.advances(200).await;
    // And one that stays away for longer than anybody waits.
    server.ctl(&["stop", "--mode", "immediate"]).await;
    let refused = load.refused.load(Ordering::Relaxed);
    let out = async {
        while load.refused.load(Ordering::Relaxed) < refused + 20 {
            yield_now().await;
        }
    };
    timeout(SECOND * 10, out).await.expect("503");
    server.ctl(&["start"]).await;
    load.advances(200).await;
    let refused = load.refused.load(Ordering::Relaxed);
    let seen = load.end().await;

    for door in &doors {
        let mut gate = Gate::open(door.address).await;
        gate.ready().await;
        let records = gate.records("evt1").await;
        for (ticket, record) in &seen {
            assert_eq!(records.get(ticket), Some(record));
        }
        assert!(records.len() <= seen.len() + refused);
    }
    println!("server restarted: 7 times, {} check-ins answered, {refused} refused", seen.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_server_that_is_not_there_at_the_start_is_waited_for() {
    let server = Server::alone().await;
    let url = new_database().await;
    server.ctl(&["stop", "--mode", "fast"]).await;
    let started = tokio::spawn(Process::start(service(&url)));
    sleep(SECOND).await;
    assert!(!started.is_finished(), "it serves without a store");
    server.ctl(&["start"]).await;
    let process = started.await.unwrap();
    assert_eq!(process.log().matches("waiting for the database").count(), 1, "{}", process.log());
    let mut gate = Gate::open(process.address).await;
    gate.ready().await;
    gate.check_in("evt1", "T1", None).await.record();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_server_that_hangs_is_said_in_time_and_used_again_when_it_goes_on() {
    let server = Server::alone().await;
    let url = new_database().await;
    let process = start(&url).await;
    let mut gate = Gate::open(process.address).await;
    let record = gate.check_in("evt1", "green", Some("green")).await.record();
    gate.ready().await;

    let frozen = server.freeze().await;
    let started = tokio::spawn(Process::start(service(&url)));
    for _ in 0..3 {
        let mut requests = JoinSet::new();
        for number in 0..30 {
            let mut gate = Gate::open(process.address).await;
            requests.spawn(async move {
                let begin = Instant::now();
                let ticket = format!("T{number}");
                let answer = match number % 3 {
                    0 => gate.check_in("evt1", &ticket, Some(&ticket)).await,
                    1 => gate.get("/attendance/evt1").await,
                    _ => gate.get("/attendance/evt1/tickets/green").await,
                };
                answer.assert_unavailable();
                assert!(begin.elapsed() < IN_TIME, "{number}: {:?}", begin.elapsed());
            });
        }
        requests.join_all().await;
        gate.not_ready().await;
        assert_eq!(gate.get("/health").await.status, 200);
    }
    assert!(!started.is_finished(), "it serves without a store");
    drop(frozen);

    gate.ready().await;
    assert_eq!(gate.check_in("evt1", "green", Some("green")).await.record(), record);
    for number in (0..30).step_by(3) {
        let ticket = format!("T{number}");
        assert_eq!(gate.check_in("evt1", &ticket, Some(&ticket)).await.status, 200);
    }
    assert_eq!(gate.records("evt1").await.len(), 11);
    assert_eq!(Gate::open(started.await.unwrap().address).await.records("evt1").await.len(), 11);
}

/// A way to the server that can be cut so that neither end learns of it, as when a router loses its power.
struct Wire {
    url: String,
    cuts: watch::Sender<()>,
}

impl Wire {
    async fn to(url: &str) -> Self {
        let mut url: Url = url.parse().unwrap();
        let parameter =
            |name| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let port = parameter("port").unwrap_or_else(|| "5432".to_owned());
        let socket = format!("{}/.s.PGSQL.{port}", parameter("host").expect("a directory"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_query(Some("user=postgres"));
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let cuts = watch::Sender::new(());
        let cut = cuts.clone();
        tokio::spawn(async move {
            while let Ok((mut service, _)) = listener.accept().await {
                let mut server = UnixStream::connect(&socket).await.unwrap();
                let mut cut = cut.subscribe();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = copy_bidirectional(&mut service, &mut server) => {}
                        // Both ends stay open.
                        _ = cut.changed() => std::future::pending().await,
                    }
                });
            }
        });
        Self { url: url.into(), cuts }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn connections_that_went_silent_are_given_up_for_new_ones() {
    let _turn = undisturbed().await;
    let wire = Wire::to(&new_database().await).await;
    let process = start(&wire.url).await;
    let load = Load::start(&[process.address]);
    for _ in 0..3 {
        load.advances(100).await;
        let begin = Instant::now();
        wire.cuts.send_replace(());
        load.advances(20).await;
        assert!(begin.elapsed() < SECOND * 5, "{:?}", begin.elapsed());
    }
    let seen = load.end().await;
    let mut gate = Gate::open(process.address).await;
    // In peace as well: nothing is under way when the wire is cut.
    wire.cuts.send_replace(());
    gate.ready().await;
    let begin = Instant::now();
    while gate.get("/attendance/evt1").await.status != 200 {
        assert!(begin.elapsed() < SECOND * 5, "{:?}", begin.elapsed());
    }
    let records = gate.records("evt1").await;
    for (ticket, record) in &seen {
        assert_eq!(records.get(ticket), Some(record));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn lists_whose_clients_stall_hold_up_nothing_and_stay_as_they_were() {
    let _turn = undisturbed().await;
    let url = new_database().await;
    let process = start(&url).await;
    let mut gate = Gate::open(process.address).await;
    gate.check_in("evt1", "T1", None).await.record();
    // More than the buffers of a connection hold.
    let long = "INSERT INTO attendance.check_ins
            (ticket, attempt, event, event_id, ticket_id, checked_in_by, checked_in_at)
        SELECT sha256(n::text::bytea), sha256(n::text::bytea), event, event_id, n || repeat('x', 30000), 'panitia1', now()
        FROM attendance.check_ins, generate_series(1, 1000) AS n";
    execute(&url, long).await;
    let before = process.kibibytes("VmHWM");
    let whole = gate.list("evt1").await.body;
    assert!(whole.len() > 30_000_000 && whole.starts_with(r#"{"event_id":"evt1","total_checked_in":1001,"#));
    let grown = process.kibibytes("VmHWM") - before;
    println!("a list of {} MB took {grown} KiB", whole.len() / 1_000_000);
    assert!(grown < 20 * 1024, "grown by {grown} KiB");

    // Two rows whose transaction ends only when the lists have begun, and whose place is near their beginning.
    let mut late = PgConnection::connect(&url).await.unwrap();
    late.execute("BEGIN").await.unwrap();
    let insert = "INSERT INTO attendance.check_ins
            (ticket, attempt, event, event_id, ticket_id, checked_in_by, checked_in_at)
        SELECT sha256(n::bytea), sha256(n::bytea), event, event_id, n, 'panitia1', checked_in_at
        FROM attendance.check_ins, unnest(ARRAY['late-1', 'late-2']) AS n WHERE ticket_id = '500' || repeat('x', 30000)";
    late.execute(insert).await.unwrap();

    let mut stalled = Vec::new();
    for number in 0..30 {
        let encoding = if number % 2 == 0 { "identity" } else { "gzip" };
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
        AND state <> 'idle' AND pid <> pg_backend_pid()";
    let none = async { while query_scalar::<_, i64>(open).fetch_one(&mut late).await.unwrap() > 0 {} };
    // Compressed lists are short, and so are read on to their end.
    timeout(SECOND * 60, none).await.expect("no statement and no transaction");

    late.execute("COMMIT").await.unwrap();
    let now = gate.list("evt1").await.body;
    assert!(now.contains("late-1") && now.starts_with(r#"{"event_id":"evt1","total_checked_in":1004,"#));
    // What it got in the end is as it was in the beginning.
    let rest = stalled[0].rest(SECOND * 30).await;
    assert!(rest.ends_with("\r\n0\r\n\r\n"), "not whole");
    assert!(!rest.contains("late-1") && !rest.contains(r#""T2""#));
    assert_eq!(rest.matches(r#""ticket_id":""#).count(), 1001);
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_list_comes_in_pieces_that_every_connection_may_hold() {
    let _turn = undisturbed().await;
    let url = new_database().await;
    let process = start(&url).await;
    Gate::open(process.address).await.check_in("evt1", "T1", None).await.record();
    // Quotes are twice as long in JSON.
    let more = r#"INSERT INTO attendance.check_ins
            (ticket, attempt, event, event_id, ticket_id, checked_in_by, checked_in_at)
        SELECT sha256(n::text::bytea), sha256(n::text::bytea), event, event_id, n || repeat('"', n), 'panitia1', now()
        FROM attendance.check_ins, generate_series(1, 500) AS n"#;
    execute(&url, more).await;
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

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_database_that_lets_nobody_in_any_more_is_no_error_of_ours() {
    let _turn = undisturbed().await;
    let url = new_database().await;
    let name = url.parse::<Url>().unwrap().path().trim_start_matches('/').to_owned();
    execute(&url, &format!("CREATE ROLE {name} LOGIN; GRANT CREATE ON DATABASE {name} TO {name}")).await;
    let process = start(&url.replace("user=postgres", &format!("user={name}"))).await;
    let mut gate = Gate::open(process.address).await;
    gate.check_in("evt1", "T1", None).await.record();
    let out = format!(
        "ALTER ROLE {name} NOLOGIN;
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{name}'"
    );
    execute(&url, &out).await;
    gate.check_in("evt1", "T2", Some("T2")).await.assert_unavailable();
    gate.get("/attendance/evt1").await.assert_unavailable();
    gate.not_ready().await;
    execute(&url, &format!("ALTER ROLE {name} LOGIN")).await;
    gate.ready().await;
    gate.check_in("evt1", "T2", Some("T2")).await.record();
}

/// More than a packet of TLS, and more than a page of the list.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_server_that_takes_nothing_but_tls_keeps_check_ins() {
    let _turn = undisturbed().await;
    let url = new_tls_database().await;
    let process = start(url.as_str()).await;
    let mut gate = Gate::open(process.address).await;
    let id = "x".repeat(4000);
    for number in 0..300 {
        assert_eq!(gate.check_in("evt1", &format!("{number}{id}"), None).await.status, 200);
    }
    assert_eq!(gate.check_in("evt1", &format!("7{id}"), None).await.text(), (400, DUPLICATE));
    let records = gate.records("evt1").await;
    assert_eq!(records.len(), 300);

    let plain = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE datname = current_database() AND NOT ssl";
    let mut database = PgConnection::connect(url.as_str()).await.unwrap();
    assert_eq!(query_scalar::<_, i64>(plain).fetch_one(&mut database).await.unwrap(), 0);
    kill(process).await;
    let process = start(url.as_str()).await;
    assert_eq!(Gate::open(process.address).await.records("evt1").await, records);
}
