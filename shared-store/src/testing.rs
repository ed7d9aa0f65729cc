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

/// Tests that are unkind to the server have it for themselves.
static TURNS: RwLock<()> = RwLock::const_new(());

/// SQLite sorts and groups by an index, and never in a temporary b-tree, which may need a file.
///
/// # Panics
///
/// One of `statements` is carried out in another way.
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

/// A database of its own on the server at `TEST_POSTGRES_URL`.
pub async fn new_database() -> String {
    new_database_at(setting("TEST_POSTGRES_URL", "a server where databases may be made")).await.into()
}

/// A database of its own at `TEST_POSTGRES_TLS_URL`, where the same server takes nothing but TLS. The address has
/// `sslmode=verify-full` and the certificate of the authority, and beside that lies `other-ca.pem` of another one.
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

/// Executes `sql` in the database at `url`, past every service.
pub async fn execute(url: &str, sql: &str) {
    let mut connection = PgConnection::connect(url).await.expect("a connection");
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.expect(sql);
    connection.close().await.expect("a goodbye");
}

/// A server that goes on as it is, while a test holds this.
pub async fn undisturbed() -> RwLockReadGuard<'static, ()> {
    TURNS.read().await
}

/// The server, with nobody else's tests on it, to be stopped and started by the program at `TEST_POSTGRES_CTL`, a
/// `pg_ctl` that knows the directory.
pub struct Server {
    _turn: RwLockWriteGuard<'static, ()>,
    ctl: PathBuf,
}

impl Server {
    /// Waits for the turn.
    pub async fn alone() -> Self {
        let ctl = setting("TEST_POSTGRES_CTL", "a pg_ctl for the server at TEST_POSTGRES_URL");
        Self { _turn: TURNS.write().await, ctl: ctl.into() }
    }

    /// Runs `pg_ctl`; what it says.
    pub async fn ctl(&self, arguments: &[&str]) -> String {
        let output = Command::new(&self.ctl).args(arguments).output().await.expect("pg_ctl");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}{complaint}");
        said
    }

    /// Stops every process of the server where it is, until the answer is dropped.
    pub async fn freeze(&self) -> Frozen {
        let said = self.ctl(&["status"]).await;
        let number = said.split_once("PID: ").and_then(|(_, rest)| rest.split(')').next());
        let postmaster = number.expect("a process id").to_owned();
        // First, that it makes no more of them.
        signal("STOP", std::slice::from_ref(&postmaster));
        let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"));
        let mut processes = vec![postmaster];
        processes.extend(children.expect("procfs").split_whitespace().map(str::to_owned));
        signal("STOP", &processes);
        Frozen(processes)
    }
}

/// A server that neither answers nor hangs up.
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

#[expect(clippy::disallowed_methods, reason = "says where the tests find a server, and is no setting")]
fn setting(name: &str, what: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name}: {what}; .ci/run sets it"))
}
