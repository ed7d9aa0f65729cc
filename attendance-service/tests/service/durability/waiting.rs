//! A service that starts while somebody reads the file, as a backup does.

use std::{path::Path, process::Stdio};

use sqlx::SqliteConnection;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    time::timeout,
};

use super::{SECOND, file::open, gate::Gate, kill, service, start};

/// A service on its way, and what it logs.
struct Starting {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
}

impl Starting {
    fn begin(directory: &Path) -> Self {
        let mut command = service(directory);
        let mut child = command.env("PORT", "0").stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, log }
    }

    /// Waits until it has logged `words`.
    async fn says(&mut self, words: &str) {
        let said = async {
            while let Some(line) = self.log.next_line().await.unwrap() {
                if line.contains(words) {
                    return;
                }
            }
            panic!("it ended, and did not say {words}");
        };
        timeout(SECOND * 20, said).await.unwrap_or_else(|_| panic!("it does not say {words}"));
    }
}

/// A database with a check-in in its log, the connection of somebody who reads it, and the record.
async fn read_by_somebody(directory: &Path) -> (SqliteConnection, String) {
    let process = start(directory).await;
    let green = Gate::open(process.address).await.check_in("evt1", "T1", None).await.record();
    kill(process).await;
    let mut reader = open(directory).await;
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM check_ins").execute(&mut reader).await.unwrap();
    (reader, green)
}

#[tokio::test]
async fn a_start_waits_for_whoever_reads_the_file_and_says_so_once() {
    let directory = TempDir::new().unwrap();
    let (mut reader, green) = read_by_somebody(directory.path()).await;
    let mut service = Starting::begin(directory.path());
    service.says("another process reads the file, such as a backup").await;
    // It goes on waiting, however often it looks, and is not ready.
    assert!(timeout(SECOND * 3, service.log.next_line()).await.is_err(), "it did not wait");
    sqlx::raw_sql("COMMIT").execute(&mut reader).await.unwrap();
    service.says("is ready").await;
    service.child.kill().await.unwrap();

    let process = start(directory.path()).await;
    assert_eq!(Gate::open(process.address).await.records("evt1").await["T1"], green);
}

#[tokio::test]
async fn a_start_that_waits_can_be_stopped() {
    let directory = TempDir::new().unwrap();
    let (_reader, _) = read_by_somebody(directory.path()).await;
    let mut service = Starting::begin(directory.path());
    service.says("another process reads the file").await;
    let id = service.child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    let ended = timeout(SECOND * 10, service.child.wait()).await.expect("an end").unwrap();
    assert_eq!(ended.code(), Some(0));
}
