//! What the service tells of itself: log lines on stderr, as text for a person or as JSON for a machine,
//! and metrics for whoever asks.

use std::{
    fmt::{self, Display},
    io,
    sync::Arc,
};

use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    access_log::AccessLog,
    config::HttpConfig,
    log::{Log, LogBuffer},
    metrics::{self, ConnectionMetrics, HttpMetrics, Registry},
    process::Failure,
};

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LogFormat {
    /// For a person.
    Text,
    /// One JSON object a line.
    Json,
}

impl Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// What the middleware and the server tell of requests and connections.
#[derive(Clone, Debug, Default)]
pub struct Telemetry {
    pub(crate) access_log: Option<Arc<AccessLog>>,
    pub(crate) metrics: Option<HttpMetrics>,
}

/// Starts logging for the process, until the log is dropped.
///
/// # Errors
///
/// The system has no thread for the log.
pub fn start_log(config: &HttpConfig) -> Result<Log, Failure> {
    let log = Log::start(config.log_format, io::stderr())?;
    init(log.buffer(), config.log_filter.clone());
    Ok(log)
}

impl Telemetry {
    /// Writes to `log`, and adds to `registry` what is known of every service.
    pub fn new(log: &Log, config: &HttpConfig, registry: &mut Registry, service: &'static str) -> Self {
        metrics::register_process(registry, service);
        Self {
            access_log: AccessLog::new(log.buffer(), &config.log_filter).map(Arc::new),
            metrics: config.metrics_addr.map(|_| HttpMetrics::new(registry)),
        }
    }

    /// What the server counts.
    pub fn connections(&self) -> ConnectionMetrics {
        self.metrics.as_ref().map(|metrics| metrics.connections.clone()).unwrap_or_default()
    }
}

/// Starts logging for the process. A second call changes nothing.
fn init(buffer: LogBuffer, filter: Targets) {
    let format = buffer.format();
    let lines = tracing_subscriber::fmt::layer().with_writer(buffer);
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
