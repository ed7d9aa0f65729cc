//! The way to stderr: lines wait in a bounded buffer, and one thread writes them, many at once. So nobody who has
//! something to log waits for whoever reads stderr, neither a request nor an event of `tracing`.

pub(crate) mod rate;

use std::{
    fmt,
    io::{self, Write},
    mem,
    sync::Arc,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::DateTime;
use parking_lot::{Condvar, Mutex};
use tracing_subscriber::fmt::MakeWriter;

use self::rate::Rates;
use crate::telemetry::LogFormat;

/// How long the first line of many waits for the others. An event does not wait.
const GATHER: Duration = Duration::from_millis(20);

/// Bytes from which on no line of the access log is taken, and no event. As much again may be on its way to stderr.
const ROOM_FOR_ACCESS: usize = 1 << 20;
const ROOM_FOR_EVENTS: usize = ROOM_FOR_ACCESS + (64 << 10);

/// How long the end of the process waits for somebody to read what is left.
const CLOSING: Duration = Duration::from_secs(1);

/// The log of the process. What it holds is written when it is dropped, if somebody reads it.
pub struct Log {
    buffer: LogBuffer,
}

/// Where lines wait for the thread that writes them.
#[derive(Clone)]
pub(crate) struct LogBuffer {
    format: LogFormat,
    shared: Arc<Shared>,
}

struct Shared {
    waiting: Mutex<Waiting>,
    change: Condvar,
}

/// Lines that nobody has written yet, and what is known of those that were left out.
pub(crate) struct Waiting {
    lines: Vec<u8>,
    stamp: Stamp,
    pub(crate) rates: Rates,
    /// For want of room.
    lost: u64,
    has_event: bool,
    is_closed: bool,
    is_written: bool,
}

/// What is to be said of lines that are not in the log.
pub(crate) struct Notice {
    pub(crate) message: &'static str,
    pub(crate) lines: u64,
    pub(crate) client: Option<String>,
}

impl Log {
    /// Starts the thread that writes to `sink`.
    ///
    /// # Errors
    ///
    /// There is no thread to be had.
    pub(crate) fn start(format: LogFormat, sink: impl Write + Send + 'static) -> io::Result<Self> {
        let waiting = Waiting {
            lines: Vec::new(),
            stamp: Stamp::default(),
            rates: Rates::default(),
            lost: 0,
            has_event: false,
            is_closed: false,
            is_written: false,
        };
        let shared = Arc::new(Shared { waiting: Mutex::new(waiting), change: Condvar::new() });
        let buffer = LogBuffer { format, shared };
        let writer = buffer.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || writer.write_to(sink))?;
        Ok(Self { buffer })
    }

    /// Where lines can be left.
    pub(crate) fn buffer(&self) -> LogBuffer {
        self.buffer.clone()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let Shared { waiting, change } = &*self.buffer.shared;
        let mut waiting = waiting.lock();
        waiting.is_closed = true;
        change.notify_all();
        // Where nobody reads, the process must end all the same.
        change.wait_while_for(&mut waiting, |waiting| !waiting.is_written, CLOSING);
    }
}

impl LogBuffer {
    /// The form of the lines.
    pub(crate) fn format(&self) -> LogFormat {
        self.format
    }

    /// Lets `write` add a line of the access log of this moment, if there is room and `wanted` says so.
    pub(crate) fn add_access(
        &self,
        wanted: impl FnOnce(&mut Rates, u64) -> bool,
        write: impl FnOnce(&mut Vec<u8>, &str),
    ) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut waiting = self.shared.waiting.lock();
        let is_known = waiting.rates.has_left_out();
        if !wanted(&mut waiting.rates, now.as_secs()) {
            if !is_known {
                self.shared.change.notify_all();
            }
            return;
        }
        if waiting.lines.len() > ROOM_FOR_ACCESS {
            waiting.lost += 1;
            return;
        }
        if waiting.lines.is_empty() {
            self.shared.change.notify_all();
        }
        let Waiting { lines, stamp, .. } = &mut *waiting;
        write(lines, stamp.of(now));
        lines.push(b'\n');
    }

    fn add_event(&self, event: &[u8]) {
        let mut waiting = self.shared.waiting.lock();
        if waiting.lines.len() > ROOM_FOR_EVENTS {
            waiting.lost += 1;
            return;
        }
        waiting.lines.extend_from_slice(event);
        waiting.has_event = true;
        self.shared.change.notify_all();
    }

    fn write_to(&self, mut sink: impl Write) {
        let mut lines = Vec::new();
        loop {
            let is_last = self.take(&mut lines);
            // With stderr gone there is nobody left to tell.
            let _ = sink.write_all(&lines);
            lines.clear();
            if is_last {
                self.shared.waiting.lock().is_written = true;
                self.shared.change.notify_all();
                return;
            }
        }
    }

    /// Waits for lines, and takes them all; whether they are the last.
    fn take(&self, lines: &mut Vec<u8>) -> bool {
        let Shared { waiting, change } = &*self.shared;
        let mut waiting = waiting.lock();
        while waiting.lines.is_empty()
            && waiting.lost == 0
            && !waiting.is_closed
            && !waiting.rates.is_due(seconds())
        {
            match waiting.rates.has_left_out() {
                true => drop(change.wait_for(&mut waiting, rate::PERIOD / 10)),
                false => change.wait(&mut waiting),
            }
        }
        if !waiting.is_closed && !waiting.has_event {
            change.wait_while_for(&mut waiting, |waiting| !waiting.is_closed && !waiting.has_event, GATHER);
        }
        waiting.has_event = false;
        mem::swap(&mut waiting.lines, lines);

        let is_last = waiting.is_closed;
        let mut notices = waiting.rates.take_left_out(if is_last { u64::MAX } else { seconds() });
        let lost = mem::take(&mut waiting.lost);
        if lost > 0 {
            let message = "lines were lost: nobody took what was written to stderr";
            notices.push(Notice { message, lines: lost, client: None });
        }
        let timestamp = waiting.stamp.of(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
        for notice in notices {
            notice.write(lines, self.format, timestamp);
        }
        is_last
    }
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl Notice {
    fn write(&self, lines: &mut Vec<u8>, format: LogFormat, timestamp: &str) {
        let Self { message, lines: count, client } = self;
        // Writing to memory does not fail. Nothing in it needs to be escaped.
        let _ = match (format, client) {
            (LogFormat::Text, None) => writeln!(lines, "{timestamp}  WARN log: {message} lines={count}"),
            (LogFormat::Text, Some(client)) => {
                writeln!(lines, "{timestamp}  WARN log: {message} lines={count} client={client}")
            }
            (LogFormat::Json, client) => {
                let client =
                    client.as_ref().map(|client| format!(r#","client":"{client}""#)).unwrap_or_default();
                writeln!(
                    lines,
                    r#"{{"timestamp":"{timestamp}","level":"WARN","message":"{message}","lines":{count}{client},"target":"log"}}"#
                )
            }
        };
    }
}

/// Takes the events of `tracing`, each as a whole.
pub(crate) struct Event<'a>(&'a LogBuffer);

impl Write for Event<'_> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.0.add_event(event);
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogBuffer {
    type Writer = Event<'a>;

    fn make_writer(&'a self) -> Event<'a> {
        Event(self)
    }
}

impl fmt::Debug for LogBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogBuffer").field("format", &self.format).finish_non_exhaustive()
    }
}

/// The moment of a line, as `tracing` writes it. All but the fraction is the same for thousands of lines.
#[derive(Debug, Default)]
struct Stamp {
    second: u64,
    text: String,
}

impl Stamp {
    fn of(&mut self, since: Duration) -> &str {
        const WHOLE_SECONDS: usize = "2026-01-03T13:25:53".len();
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

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Instant};

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
            assert_eq!(stamp.of(Duration::from_micros(micros)), expected);
        }
    }

    /// Takes what is written once it is allowed to, and passes it on.
    struct Reader {
        begin: mpsc::Receiver<()>,
        taken: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // An error means that it may go on for ever.
            let _ = self.begin.recv();
            let _ = self.taken.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn log_to_a_reader(format: LogFormat) -> (Log, mpsc::Sender<()>, mpsc::Receiver<Vec<u8>>) {
        let (let_begin, begin) = mpsc::channel();
        let (taken, written) = mpsc::channel();
        (Log::start(format, Reader { begin, taken }).expect("a thread"), let_begin, written)
    }

    fn add_access(buffer: &LogBuffer, text: &str) {
        buffer.add_access(|_, _| true, |lines, _| lines.extend_from_slice(text.as_bytes()));
    }

    #[test]
    fn a_reader_that_stops_costs_lines_and_nobody_any_time_and_is_told_how_many() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let (log, let_read, written) = log_to_a_reader(format);
            let buffer = log.buffer();
            let line = "x".repeat(1023);
            for _ in 0..5000 {
                add_access(&buffer, &line);
            }
            // What the access log has no room for is still there for events, but not without end.
            for _ in 0..5000 {
                buffer.make_writer().write_all(b"an event\n").expect("no error");
            }
            for _ in 0..50_000 {
                buffer.make_writer().write_all(b"an event after it\n").expect("no error");
            }
            assert!(buffer.shared.waiting.lock().lines.len() < ROOM_FOR_EVENTS + 1024);
            drop(let_read);
            drop(log);
            let said = String::from_utf8(written.iter().flatten().collect()).expect("UTF-8");
            let kept = said.matches('\n').count() - 1;
            assert!(said.matches("an event\n").count() == 5000, "events are kept longer");
            let notice = said.lines().find(|line| line.contains("lines were lost")).expect("a notice");
            let lost = match format {
                LogFormat::Text => {
                    notice.split_once(" lines=").expect("a count").1.parse().expect("a number")
                }
                LogFormat::Json => {
                    let notice: serde_json::Value = serde_json::from_str(notice).expect("JSON");
                    notice["lines"].as_u64().expect("a number")
                }
            };
            assert_eq!(kept as u64 + lost, 60_000);
        }
    }

    #[test]
    fn lines_keep_the_order_in_which_they_were_logged() {
        let (log, let_read, written) = log_to_a_reader(LogFormat::Text);
        drop(let_read);
        let buffer = log.buffer();
        let mut expected = String::new();
        for number in 0..1000 {
            add_access(&buffer, &format!("request {number}"));
            buffer.make_writer().write_all(format!("event {number}\n").as_bytes()).expect("no error");
            expected += &format!("request {number}\nevent {number}\n");
        }
        drop(log);
        assert_eq!(String::from_utf8(written.iter().flatten().collect()).expect("UTF-8"), expected);
    }

    #[test]
    fn the_end_waits_for_a_reader_that_has_stopped_but_not_for_ever() {
        let (log, let_read, _written) = log_to_a_reader(LogFormat::Text);
        add_access(&log.buffer(), "a line");
        let begin = Instant::now();
        drop(log);
        assert!(begin.elapsed() >= CLOSING && begin.elapsed() < CLOSING * 20, "{:?}", begin.elapsed());
        drop(let_read);
    }
}
