//! For the tests of the services: the PostgreSQL server that `.ci/run` starts, and how SQLite carries out a statement.

use std::{
    env, fs,
    path::PathBuf,
    process,
    sync::atomic::{AtomicUsize, Ordering},
};

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, SqliteConnection};
use tokio::{
    process::Command,
    sync::{RwLock, RwLockReadGuard, RwLockWriteGuard},
};
use url::Url;

/// Write-locked by tests that stop the server, read-locked by tests that need it running.
static SERVER_LOCK: RwLock<()> = RwLock::const_new(());

/// Checks that SQLite sorts and groups `statements` by an index. A temporary b-tree may need a temporary file.
///
/// # Panics
///
/// The plan of a statement has a temporary b-tree.
pub async fn assert_no_temporary_btree(database: &mut SqliteConnection, statements: &[&str]) {
    for statement in statements {
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let plan = sqlx::query(explain).fetch_all(&mut *database).await.expect(statement);
        for step in plan {
            let step: String = step.get("detail");
            assert!(!step.contains("TEMP B-TREE"), "{statement}: {step}");
        }
    }
}

/// Creates a new database on the server at `TEST_POSTGRES_URL`, and returns its URL.
pub async fn new_database() -> String {
    new_database_at(setting("TEST_POSTGRES_URL", "a server where databases may be made")).await.into()
}

/// Creates a new database at `TEST_POSTGRES_TLS_URL`, where the same server takes only TLS, and returns its URL.
///
/// The URL has `sslmode=verify-full` and the certificate of the authority. In the directory of that certificate is
/// `other-ca.pem`, the certificate of another authority.
pub async fn new_tls_database() -> Url {
    let what = "the address at which the server at TEST_POSTGRES_URL takes nothing but TLS";
    new_database_at(setting("TEST_POSTGRES_TLS_URL", what)).await
}

async fn new_database_at(server: String) -> Url {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("test_{}_{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    execute(&server, &format!("CREATE DATABASE {name}")).await;
    let mut url: Url = server.parse().expect("an address");
    url.set_path(&name);
    url
}

/// Executes `sql` in the database at `url`, on a connection of its own.
pub async fn execute(url: &str, sql: &str) {
    let mut connection = PgConnection::connect(url).await.expect("a connection");
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.expect(sql);
    connection.close().await.expect("a goodbye");
}

/// While a test holds this, no other test stops the server.
pub async fn undisturbed() -> RwLockReadGuard<'static, ()> {
    SERVER_LOCK.read().await
}

/// The server for one test alone, which stops and starts it with the program at `TEST_POSTGRES_CTL`: a `pg_ctl` that
/// knows the data directory.
pub struct Server {
    _lock: RwLockWriteGuard<'static, ()>,
    ctl: PathBuf,
}

impl Server {
    /// Waits until no other test uses the server.
    pub async fn alone() -> Self {
        let ctl = setting("TEST_POSTGRES_CTL", "a pg_ctl for the server at TEST_POSTGRES_URL");
        Self { _lock: SERVER_LOCK.write().await, ctl: ctl.into() }
    }

    /// Runs `pg_ctl` and returns its output.
    pub async fn ctl(&self, arguments: &[&str]) -> String {
        let output = Command::new(&self.ctl).args(arguments).output().await.expect("pg_ctl");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}{complaint}");
        said
    }

    /// Stops every process of the server with SIGSTOP until the result is dropped.
    pub async fn freeze(&self) -> Frozen {
        let said = self.ctl(&["status"]).await;
        let number = said.split_once("PID: ").and_then(|(_, rest)| rest.split(')').next());
        let postmaster = number.expect("a process id").to_owned();
        // The postmaster first, so that it forks no more processes.
        signal("STOP", std::slice::from_ref(&postmaster));
        let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"));
        let mut processes = vec![postmaster];
        processes.extend(children.expect("procfs").split_whitespace().map(str::to_owned));
        signal("STOP", &processes);
        Frozen(processes)
    }
}

/// A server that neither answers nor closes connections.
pub struct Frozen(Vec<String>);

impl Drop for Frozen {
    fn drop(&mut self) {
        signal("CONT", &self.0);
    }
}

fn signal(name: &str, processes: &[String]) {
    let status = process::Command::new("kill").arg(format!("-{name}")).args(processes).status();
    assert!(status.expect("kill").success(), "kill -{name} {processes:?}");
}

#[expect(clippy::disallowed_methods, reason = "tells the tests where the server is, and is no setting")]
fn setting(name: &str, what: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name}: {what}; .ci/run sets it"))
}
