use std::{fmt::Write, time::Duration};

use chrono::DateTime;

/// Formats timestamps as `tracing` does. The text is kept up to the second, which is the same for thousands of lines.
#[derive(Debug, Default)]
pub(super) struct Timestamp {
    second: u64,
    text: String,
}

impl Timestamp {
    /// `since` is the time since 1970.
    pub(super) fn format(&mut self, since: Duration) -> &str {
        const WHOLE_SECONDS: usize = "2026-01-03T13:25:53".len();
        if self.text.is_empty() || self.second != since.as_secs() {
            self.second = since.as_secs();
            let time = DateTime::from_timestamp(since.as_secs() as i64, 0).unwrap_or_default();
            self.text = time.format("%Y-%m-%dT%H:%M:%S").to_string();
        }
        self.text.truncate(WHOLE_SECONDS);
        // Writing to memory does not fail.
        let _ = write!(self.text, ".{:06}Z", since.subsec_micros());
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_has_microseconds_whatever_was_formatted_before() {
        let mut timestamp = Timestamp::default();
        for (micros, expected) in [
            (1_767_446_753_415_880, "2026-01-03T13:25:53.415880Z"),
            (1_767_446_753_000_007, "2026-01-03T13:25:53.000007Z"),
            (1_767_446_754_999_999, "2026-01-03T13:25:54.999999Z"),
            (1_767_446_753_999_999, "2026-01-03T13:25:53.999999Z"),
            (0, "1970-01-01T00:00:00.000000Z"),
        ] {
            assert_eq!(timestamp.format(Duration::from_micros(micros)), expected);
        }
    }
}
