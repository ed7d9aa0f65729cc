//! What was answered stays true: the program with its check-ins in a store that lasts, killed, cut off, and served by
//! disks that fail.

mod disk;
mod file;
mod full;
mod log;
mod maintenance;
mod privacy;
mod readonly;
mod restarts;
mod restore;
mod strace;
mod waiting;

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use shared_http::testing::Process;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, query_scalar};
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    BINARY, DUPLICATE, FULL, IN_TIME, SECOND, UNAVAILABLE, gate, gate::Gate, kill, metrics, refused, service,
    start,
};

/// A directory for the SQLite file of a service.
struct Directory(TempDir);

impl Directory {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// With a database of a few hundred pages, and nothing in its log.
    async fn filled() -> Self {
        let directory = Self::new();
        let (process, _) = directory.start().await;
        process.finish().await;
        let fill = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 5000) INSERT INTO check_ins
            (seq, event_id, ticket_id, checked_in_by, checked_in_at, idempotency_key)
            SELECT n, 'evt1', 'TICKET-' || n, 'panitia1', 1767446753415880 + n, 'key-' || n FROM n";
        directory.execute(fill).await;
        directory
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn database(&self) -> PathBuf {
        self.path("attendance.db")
    }

    fn log(&self) -> PathBuf {
        self.path("attendance.db-wal")
    }

    fn names(&self) -> Vec<String> {
        names(self.0.path())
    }

    fn url(&self) -> String {
        format!("sqlite://{}/", self.0.path().display())
    }

    /// The program, which works in the directory.
    fn service(&self) -> Command {
        let mut command = service(&self.url());
        command.current_dir(&self.0);
        command
    }

    async fn start(&self) -> (Process, Gate) {
        start(self.service()).await
    }

    /// What a service says that does not start.
    async fn refusal(&self) -> String {
        refusal(self.service()).await
    }

    /// Backs up, restores or checks.
    async fn maintain(&self, arguments: &[&str]) -> Result<String, String> {
        run(self.service(), arguments).await
    }

    async fn doctor(&self) -> String {
        doctor(self.service()).await
    }

    async fn open(&self) -> SqliteConnection {
        SqliteConnection::connect(&format!("sqlite://{}", self.database().display())).await.unwrap()
    }

    async fn execute(&self, sql: &str) {
        let mut database = self.open().await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut database).await.unwrap();
        database.close().await.unwrap();
    }

    /// The first page of a table or an index.
    async fn root_of(&self, name: &str) -> u64 {
        let mut database = self.open().await;
        let root = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
        let page: i64 = query_scalar(root).bind(name).fetch_one(&mut database).await.unwrap();
        database.close().await.unwrap();
        page as u64
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Overwrites a page with what is no page.
fn spoil(path: &Path, page: u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(&[0xAB; 4096], (page - 1) * 4096).unwrap();
}

/// Overwrites the page in the middle.
fn spoil_middle(path: &Path) {
    spoil(path, fs::metadata(path).unwrap().len() / 4096 / 2);
}

/// What a service says that does not start, and may be started again once that is mended.
async fn refusal(command: Command) -> String {
    let (status, said) = refused(command).await;
    assert_eq!(status, Some(1), "{said}");
    said
}

/// What a command said: on stdout if it succeeded, else on stderr.
async fn run(mut service: Command, arguments: &[&str]) -> Result<String, String> {
    let output = service.args(arguments).output().await.unwrap();
    match output.status.code() {
        Some(0) => Ok(String::from_utf8(output.stdout).unwrap()),
        Some(1) => Err(String::from_utf8(output.stderr).unwrap()),
        other => panic!("{other:?}: {output:?}"),
    }
}

/// What `doctor` says, whether all is well or not.
async fn doctor(mut service: Command) -> String {
    String::from_utf8(service.arg("doctor").output().await.unwrap().stdout).unwrap()
}
