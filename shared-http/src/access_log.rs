//! The access log: one line a request on stderr, among those of `tracing` and in their form.
//!
//! Requests leave their lines in a buffer, and a thread of its own writes them, many at once: an event
//! of `tracing`, formatted and written by itself, takes longer than a check-in; see ARCHITECTURE.md.

use std::{
    fmt,
    io::{self, Write},
    mem,
    net::IpAddr,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::DateTime;
use parking_lot::{Condvar, Mutex};
use serde::Serialize;
use tracing::Level;
use tracing_subscriber::filter::Targets;

use crate::telemetry::LogFormat;

/// By this name `RUST_LOG` switches it: `info,access=off`.
pub(crate) const TARGET: &str = "access";

/// How long the first line of many waits for the others.
const GATHER: Duration = Duration::from_millis(20);

/// Bytes that wait, if nobody takes what is written to stderr. What comes then is counted, and lost.
const MOST: usize = 1 << 20;

/// What a line tells. Never a header but these, never a body, never the raw path.
#[derive(Serialize)]
pub(crate) struct Line<'a> {
    pub(crate) id: &'a str,
    pub(crate) method: &'a str,
    pub(crate) route: &'a str,
    pub(crate) status: u16,
    pub(crate) microseconds: u64,
    pub(crate) bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) traceparent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cf_ray: Option<&'a str>,
}

#[derive(Serialize)]
struct JsonLine<'a> {
    timestamp: &'a str,
    level: &'static str,
    message: &'static str,
    #[serde(flatten)]
    line: &'a Line<'a>,
    target: &'static str,
}

/// Takes lines, and writes them. What it holds is written before it is gone.
#[derive(Debug)]
pub(crate) struct AccessLog {
    format: LogFormat,
    with_health: bool,
    desk: Arc<Desk>,
    writer: Option<JoinHandle<()>>,
}

/// Where lines wait for the writer.
#[derive(Debug, Default)]
struct Desk {
    waiting: Mutex<Waiting>,
    change: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    stamp: Stamp,
    lost: u64,
    closed: bool,
}

impl AccessLog {
    /// None where `filter` wants no such lines.
    ///
    /// # Errors
    ///
    /// There is no thread to be had.
    pub(crate) fn start(format: LogFormat, filter: &Targets) -> io::Result<Option<Self>> {
        if !filter.would_enable(TARGET, &Level::INFO) {
            return Ok(None);
        }
        let desk = Arc::new(Desk::default());
        let writer = thread::Builder::new().name("access log".to_owned()).spawn({
            let desk = Arc::clone(&desk);
            move || desk.write()
        })?;
        let with_health = filter.would_enable(TARGET, &Level::DEBUG);
        Ok(Some(Self { format, with_health, desk, writer: Some(writer) }))
    }

    /// Whether a request for `route` is worth a line.
    pub(crate) fn wants(&self, route: &str) -> bool {
        self.with_health || !is_about_health(route)
    }

    pub(crate) fn add(&self, line: &Line<'_>) {
        let level = if is_about_health(line.route) { "DEBUG" } else { "INFO" };
        let mut waiting = self.desk.waiting.lock();
        let Waiting { lines, stamp, lost, .. } = &mut *waiting;
        if lines.len() > MOST {
            *lost += 1;
            return;
        }
        if lines.is_empty() {
            self.desk.change.notify_one();
        }
        let timestamp = stamp.of(SystemTime::now());
        match self.format {
            LogFormat::Json => {
                let line = JsonLine { timestamp, level, message: "request", line, target: TARGET };
                // Everything in it can be written as JSON.
                let _ = serde_json::to_writer(&mut *lines, &line);
            }
            LogFormat::Text => write_text(lines, timestamp, level, line),
        }
        lines.push(b'\n');
    }
}

/// Such requests come all the time, and are worth a line to whoever debugs only.
fn is_about_health(route: &str) -> bool {
    matches!(route, "/health" | "/ready")
}

fn write_text(text: &mut Vec<u8>, timestamp: &str, level: &str, line: &Line<'_>) {
    let Line { id, method, route, status, microseconds, bytes, client, user, traceparent, cf_ray } = line;
    // Writing to memory does not fail. Quoted is what others may have put anything into.
    let _ = write!(
        text,
        "{timestamp} {level:>5} {TARGET}: request id={id} method={method} route={route} status={status} \
         microseconds={microseconds} bytes={bytes}"
    );
    if let Some(client) = client {
        let _ = write!(text, " client={client}");
    }
    for (name, value) in [("user", user), ("traceparent", traceparent), ("cf_ray", cf_ray)] {
        if let Some(value) = value {
            let _ = write!(text, " {name}={value:?}");
        }
    }
}

/// The moment of a line, as `tracing` writes it. All but the fraction is the same for thousands of lines.
#[derive(Debug, Default)]
struct Stamp {
    second: u64,
    text: String,
}

impl Stamp {
    fn of(&mut self, now: SystemTime) -> &str {
        const WHOLE_SECONDS: usize = "2026-01-03T13:25:53".len();
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.text.is_empty() || self.second != since.as_secs() {
            self.second = since.as_secs();
            let moment = DateTime::from_timestamp(since.as_secs() as i64, 0).unwrap_or_default();
            self.text = moment.format("%Y-%m-%dT%H:%M:%S").to_string();
        }
        self.text.truncate(WHOLE_SECONDS);
        // Writing to memory does not fail.
        let _ = fmt::Write::write_fmt(&mut self.text, format_args!(".{:06}Z", since.subsec_micros()));
        &self.text
    }
}

impl Desk {
    fn write(&self) {
        let mut lines = Vec::new();
        loop {
            let mut waiting = self.waiting.lock();
            while waiting.lines.is_empty() && !waiting.closed {
                self.change.wait(&mut waiting);
            }
            if !waiting.closed {
                self.change.wait_for(&mut waiting, GATHER);
            }
            mem::swap(&mut waiting.lines, &mut lines);
            let (lost, closed) = (mem::take(&mut waiting.lost), waiting.closed);
            drop(waiting);
            // With stderr gone there is nobody left to tell.
            let _ = io::stderr().write_all(&lines);
            lines.clear();
            if lost > 0 {
                tracing::warn!(
                    lost,
                    "lines of the access log were lost: nobody took what was written to stderr"
                );
            }
            if closed {
                return;
            }
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.desk.waiting.lock().closed = true;
        self.desk.change.notify_one();
        if let Some(writer) = self.writer.take() {
            // If it has panicked there is nothing left to write.
            let _ = writer.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_to_the_microsecond_whatever_came_before() {
        let mut stamp = Stamp::default();
        for (micros, expected) in [
            (1_767_446_753_415_880, "2026-01-03T13:25:53.415880Z"),
            (1_767_446_753_000_007, "2026-01-03T13:25:53.000007Z"),
            (1_767_446_754_999_999, "2026-01-03T13:25:54.999999Z"),
            (1_767_446_753_999_999, "2026-01-03T13:25:53.999999Z"),
            (0, "1970-01-01T00:00:00.000000Z"),
        ] {
            assert_eq!(stamp.of(UNIX_EPOCH + Duration::from_micros(micros)), expected);
        }
    }
}
