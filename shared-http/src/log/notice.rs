use std::io::Write;

use super::format::LogFormat;

/// A log line about lines that were left out.
pub(crate) struct Notice {
    pub(crate) message: &'static str,
    /// How many lines were left out.
    pub(crate) lines: u64,
    pub(crate) client: Option<String>,
}

impl Notice {
    pub(super) fn write(&self, lines: &mut Vec<u8>, format: LogFormat, timestamp: &str) {
        let Self { message, lines: count, client } = self;
        // Writing to memory does not fail. No value needs to be escaped.
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
