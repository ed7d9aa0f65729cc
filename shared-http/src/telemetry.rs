//! Log lines go to stderr, as text for a person or as JSON for a machine.

use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LogFormat {
    /// For a person.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging for the process. A second call changes nothing.
pub fn init(format: LogFormat, filter: Targets) {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // Fails only if there is a subscriber already.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();

    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("unknown");
        tracing::error!(place, message, "panic");
    }));
}
