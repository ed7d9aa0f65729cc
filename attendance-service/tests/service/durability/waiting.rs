//! A service that starts while somebody reads the file, as a backup does.

use std::process::Stdio;

use sqlx::SqliteConnection;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    time::timeout,
};

use super::{Directory, SECOND, kill};

/// A service on its way, and what it logs.
struct Starting {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
}

impl Starting {
    /// Starts while somebody reads the file: the service, that somebody's connection, and the record in its log.
    async fn begin(directory: &Directory) -> (Self, SqliteConnection, String) {
        let (process, mut gate) = directory.start().await;
        let green = gate.check_in("evt1", "T1", None).await.record();
        kill(process).await;
        let mut reader = directory.open().await;
        sqlx::raw_sql("BEGIN; SELECT count(*) FROM check_ins").execute(&mut reader).await.unwrap();

        let mut command = directory.service();
        let mut child = command.env("PORT", "0").stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut starting = Self { log: BufReader::new(child.stderr.take().unwrap()).lines(), child };
        starting.says("another process reads the file, such as a backup").await;
        (starting, reader, green)
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

#[tokio::test]
async fn a_start_waits_for_whoever_reads_the_file_and_says_so_once() {
    let directory = Directory::new();
    let (mut service, mut reader, green) = Starting::begin(&directory).await;
    // It goes on waiting, however often it looks, and is not ready.
    assert!(timeout(SECOND * 3, service.log.next_line()).await.is_err(), "it did not wait");
    sqlx::raw_sql("COMMIT").execute(&mut reader).await.unwrap();
    service.says("is ready").await;
    service.child.kill().await.unwrap();
    let (_process, mut gate) = directory.start().await;
    assert_eq!(gate.records("evt1").await["T1"], green);
}

#[tokio::test]
async fn a_start_that_waits_can_be_stopped() {
    let directory = Directory::new();
    let (mut service, _reader, _) = Starting::begin(&directory).await;
    let id = service.child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    let ended = timeout(SECOND * 10, service.child.wait()).await.expect("an end").unwrap();
    assert_eq!(ended.code(), Some(0));
}
