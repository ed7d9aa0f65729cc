//! The buffer in front of stderr, and the thread that writes it.

use std::{
    fmt,
    io::{self, Write},
    mem,
    sync::Arc,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::{Condvar, Mutex};
use tracing_subscriber::fmt::MakeWriter;

use super::{
    format::LogFormat,
    notice::Notice,
    rate::{self, Rates},
    timestamp::Timestamp,
};

/// How long a line of the access log is kept in the buffer, so that later ones are written together with it. An event
/// of `tracing` is written at once.
const BATCH_DELAY: Duration = Duration::from_millis(20);

/// How many bytes the buffer may hold before a line of the access log is dropped, and before an event is. The batch
/// that is being written to stderr may have the same size.
const ACCESS_LIMIT: usize = 1 << 20;
const EVENT_LIMIT: usize = ACCESS_LIMIT + (64 << 10);

/// How long the end of the process waits until the buffer is written. Stderr may have no reader.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The log of the process. When it is dropped, the buffer is written, as long as stderr has a reader.
pub struct Log {
    handle: LogHandle,
}

/// Adds lines to the log.
#[derive(Clone)]
pub(crate) struct LogHandle {
    format: LogFormat,
    shared: Arc<Shared>,
}

struct Shared {
    buffer: Mutex<Buffer>,
    changed: Condvar,
}

/// Lines that are not written yet, and counts of the lines that were left out.
#[derive(Default)]
struct Buffer {
    lines: Vec<u8>,
    timestamp: Timestamp,
    rates: Rates,
    /// How many lines were dropped because the buffer was full.
    dropped: u64,
    has_event: bool,
    is_closed: bool,
    is_written: bool,
}

impl Log {
    /// Starts the thread that writes to `sink`.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub(crate) fn start(format: LogFormat, sink: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared { buffer: Mutex::default(), changed: Condvar::new() });
        let handle = LogHandle { format, shared };
        let writer = handle.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || writer.write_to(sink))?;
        Ok(Self { handle })
    }

    pub(crate) fn handle(&self) -> LogHandle {
        self.handle.clone()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let Shared { buffer, changed } = &*self.handle.shared;
        let mut buffer = buffer.lock();
        buffer.is_closed = true;
        changed.notify_all();
        changed.wait_while_for(&mut buffer, |buffer| !buffer.is_written, CLOSE_TIMEOUT);
    }
}

impl LogHandle {
    /// The form of the lines.
    pub(crate) fn format(&self) -> LogFormat {
        self.format
    }

    /// Adds a line of the access log, if `allow` returns true and there is room. `allow` gets the seconds since 1970,
    /// and `write` the timestamp of the line.
    pub(crate) fn add_access(
        &self,
        allow: impl FnOnce(&mut Rates, u64) -> bool,
        write: impl FnOnce(&mut Vec<u8>, &str),
    ) {
        let now = since_1970();
        let mut buffer = self.shared.buffer.lock();
        let had_notice = buffer.rates.has_notice();
        if !allow(&mut buffer.rates, now.as_secs()) {
            if !had_notice {
                // Wakes the writer, which has to write a notice at the end of the period.
                self.shared.changed.notify_all();
            }
            return;
        }
        if buffer.lines.len() > ACCESS_LIMIT {
            buffer.dropped += 1;
            return;
        }
        if buffer.lines.is_empty() {
            self.shared.changed.notify_all();
        }
        let Buffer { lines, timestamp, .. } = &mut *buffer;
        write(lines, timestamp.format(now));
        lines.push(b'\n');
    }

    fn add_event(&self, event: &[u8]) {
        let mut buffer = self.shared.buffer.lock();
        if buffer.lines.len() > EVENT_LIMIT {
            buffer.dropped += 1;
            return;
        }
        buffer.lines.extend_from_slice(event);
        buffer.has_event = true;
        self.shared.changed.notify_all();
    }

    fn write_to(&self, mut sink: impl Write) {
        let mut lines = Vec::new();
        loop {
            let is_last = self.take_batch(&mut lines);
            // If stderr fails, the failure cannot be reported.
            let _ = sink.write_all(&lines);
            lines.clear();
            if is_last {
                self.shared.buffer.lock().is_written = true;
                self.shared.changed.notify_all();
                return;
            }
        }
    }

    /// Waits for lines, and moves them all to `batch`, which is empty. Returns whether this is the last batch.
    fn take_batch(&self, batch: &mut Vec<u8>) -> bool {
        let Shared { buffer, changed } = &*self.shared;
        let mut buffer = buffer.lock();
        while buffer.lines.is_empty()
            && buffer.dropped == 0
            && !buffer.is_closed
            && !buffer.rates.is_notice_due(since_1970().as_secs())
        {
            if buffer.rates.has_notice() {
                changed.wait_for(&mut buffer, rate::PERIOD / 10);
            } else {
                changed.wait(&mut buffer);
            }
        }
        if !buffer.is_closed && !buffer.has_event {
            changed.wait_while_for(&mut buffer, |buffer| !buffer.is_closed && !buffer.has_event, BATCH_DELAY);
        }
        buffer.has_event = false;
        mem::swap(&mut buffer.lines, batch);

        let is_last = buffer.is_closed;
        for notice in buffer.take_notices() {
            notice.write(batch, self.format, buffer.timestamp.format(since_1970()));
        }
        is_last
    }
}

impl Buffer {
    /// The notices about lines that were left out. A notice about a client with too many lines is due when its period
    /// is over or the log is closed, one about dropped lines at once.
    fn take_notices(&mut self) -> Vec<Notice> {
        let second = if self.is_closed { u64::MAX } else { since_1970().as_secs() };
        let mut notices = self.rates.take_notices(second);
        let dropped = mem::take(&mut self.dropped);
        if dropped > 0 {
            let message = "lines were lost: nobody took what was written to stderr";
            notices.push(Notice { message, lines: dropped, client: None });
        }
        notices
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Adds the events of `tracing`, each as a whole.
pub(crate) struct EventWriter<'a>(&'a LogHandle);

impl Write for EventWriter<'_> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.0.add_event(event);
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogHandle {
    type Writer = EventWriter<'a>;

    fn make_writer(&'a self) -> EventWriter<'a> {
        EventWriter(self)
    }
}

impl fmt::Debug for LogHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogHandle").field("format", &self.format).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Instant};

    use super::*;

    /// A sink that passes on what is written. It blocks until the test lets it begin.
    struct Reader {
        begin: mpsc::Receiver<()>,
        taken: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Fails once the test has dropped the sender: then no write blocks.
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

    fn add_access(handle: &LogHandle, text: &str) {
        handle.add_access(|_, _| true, |lines, _| lines.extend_from_slice(text.as_bytes()));
    }

    #[test]
    fn while_nobody_reads_stderr_lines_are_dropped_and_counted_and_logging_does_not_block() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let (log, let_read, written) = log_to_a_reader(format);
            let handle = log.handle();
            let line = "x".repeat(1023);
            for _ in 0..5000 {
                add_access(&handle, &line);
            }
            // Events have more room than the access log, but not without limit.
            for _ in 0..5000 {
                handle.make_writer().write_all(b"an event\n").expect("no error");
            }
            for _ in 0..50_000 {
                handle.make_writer().write_all(b"an event after it\n").expect("no error");
            }
            assert!(handle.shared.buffer.lock().lines.len() < EVENT_LIMIT + 1024);
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
        let handle = log.handle();
        let mut expected = String::new();
        for number in 0..1000 {
            add_access(&handle, &format!("request {number}"));
            handle.make_writer().write_all(format!("event {number}\n").as_bytes()).expect("no error");
            expected += &format!("request {number}\nevent {number}\n");
        }
        drop(log);
        assert_eq!(String::from_utf8(written.iter().flatten().collect()).expect("UTF-8"), expected);
    }

    #[test]
    fn the_end_waits_only_so_long_for_a_reader_that_has_stopped() {
        let (log, let_read, _written) = log_to_a_reader(LogFormat::Text);
        add_access(&log.handle(), "a line");
        let begin = Instant::now();
        drop(log);
        assert!(
            begin.elapsed() >= CLOSE_TIMEOUT && begin.elapsed() < CLOSE_TIMEOUT * 20,
            "{:?}",
            begin.elapsed()
        );
        drop(let_read);
    }
}
