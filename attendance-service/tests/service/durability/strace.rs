//! What a process asks of the system, and what the system answers.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Stdio, sync::Arc};

use parking_lot::Mutex;
use shared_http::testing::Process;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::{Directory, SECOND};

/// `strace` on a running service, until it is told to let go. None where there is no `strace`, or where it
/// may not look: that is said loudly.
pub(crate) struct Strace {
    child: Child,
    trace: PathBuf,
    said: Arc<Mutex<String>>,
}

impl Strace {
    pub(crate) async fn attach(process: &Process, directory: &Directory, options: &[&str]) -> Option<Self> {
        let trace = directory.path("trace");
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "-s", "5000", "-o"]).arg(&trace).args(options);
        command.args(["-p", &process.id().to_string()]).stderr(Stdio::piped()).kill_on_drop(true);
        let spawned =
            command.spawn().inspect_err(|error| eprintln!("SKIPPED: strace cannot be started: {error}"));
        let mut child = spawned.ok()?;
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = timeout(SECOND * 20, lines.next_line()).await.expect("a word of strace").unwrap();
        if !line.as_ref().is_some_and(|line| line.contains("attached")) {
            eprintln!("SKIPPED: strace may not look at the service: {line:?}");
            return None;
        }
        let said = Arc::new(Mutex::new(String::new()));
        let rest = Arc::clone(&said);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                *rest.lock() += &line;
            }
        });
        Some(Self { child, trace, said })
    }

    /// Lets the service go on alone; what it did.
    pub(crate) async fn detach(mut self) -> String {
        let kill = format!("kill -INT {}", self.child.id().unwrap());
        Command::new("sh").args(["-c", &kill]).status().await.unwrap();
        timeout(SECOND * 20, self.child.wait()).await.expect("an end of strace").unwrap();
        fs::read_to_string(&self.trace).unwrap_or_else(|error| panic!("{error}: {}", self.said.lock()))
    }
}

/// A system call: the lines of the trace at which it began and ended, and how it reads.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) begin: usize,
    pub(crate) end: usize,
    pub(crate) text: String,
}

pub(crate) fn calls(trace: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut open = BTreeMap::new();
    for (number, line) in trace.lines().enumerate() {
        let (thread, text) = line.split_once(' ').expect("a thread and a call");
        let text = text.trim_start();
        if let Some(begun) = text.strip_suffix(" <unfinished ...>") {
            open.insert(thread, calls.len());
            calls.push(Call { begin: number, end: usize::MAX, text: begun.to_owned() });
        } else if text.starts_with("<... ") {
            if let Some(call) = open.remove(thread).map(|index: usize| &mut calls[index]) {
                call.end = number;
                call.text += text.split_once("resumed>").expect("resumed").1;
            }
        } else {
            calls.push(Call { begin: number, end: number, text: text.to_owned() });
        }
    }
    calls
}
