//! Log and metrics. The log goes to stderr, as text for people or as JSON for programs.

use std::{io, net::SocketAddr, sync::Arc};

use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::{
    access_log::AccessLog,
    log::{Log, LogFormat, LogHandle},
    metrics::{self, ConnectionMetrics, HttpMetrics, Registry},
    process::Failure,
};

/// The settings of log and metrics.
#[derive(Clone, Debug)]
pub struct TelemetryOptions {
    /// The form of the log.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_filter: Targets,
    /// Where metrics are shown, if anywhere.
    pub metrics_addr: Option<SocketAddr>,
}

/// A level, or `target=level` pairs separated by commas.
pub(crate) fn parse_filter(text: &str) -> Option<Targets> {
    // `Targets` would take a word that is no level for a target, and switch off all others.
    let is_clear = |part: &str| part.contains('=') || part.trim().parse::<LevelFilter>().is_ok();
    if text.split(',').all(is_clear) { text.parse().ok() } else { None }
}

/// Where the middleware and the server log and count requests and connections. The default does neither.
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
pub fn start_log(options: &TelemetryOptions) -> Result<Log, Failure> {
    let log = Log::start(options.log_format, io::stderr())?;
    init(log.handle(), options.log_filter.clone());
    Ok(log)
}

impl Telemetry {
    /// Logs requests to `log`, and adds the metrics of every service to `registry`.
    pub fn new(
        log: &Log,
        options: &TelemetryOptions,
        registry: &mut Registry,
        service: &'static str,
    ) -> Self {
        metrics::register_process(registry, service);
        Self {
            access_log: AccessLog::new(log.handle(), &options.log_filter).map(Arc::new),
            metrics: options.metrics_addr.map(|_| HttpMetrics::new(registry)),
        }
    }

    /// The metrics of connections, for the server.
    pub fn connections(&self) -> ConnectionMetrics {
        self.metrics.as_ref().map(|metrics| metrics.connections.clone()).unwrap_or_default()
    }
}

/// Starts logging for the process. A second call changes nothing.
fn init(log: LogHandle, filter: Targets) {
    let format = log.format();
    let layer = tracing_subscriber::fmt::layer().with_writer(log);
    let layer = match format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    // Fails only if there is a subscriber already.
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();

    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("unknown");
        tracing::error!(place, message, "panic");
    }));
}
