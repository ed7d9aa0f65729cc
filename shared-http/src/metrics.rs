//! The metrics (OpenMetrics 1.0) that every service has.

use std::{
    fmt, fs,
    hash::{Hash, Hasher},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{extract::MatchedPath, http::Method};
pub use prometheus_client::registry::Registry;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric, LabelValueEncoder},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
};

/// The metrics of requests and connections.
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    pub(crate) requests: Family<RequestLabels, Histogram, fn() -> Histogram>,
    pub(crate) in_flight: Gauge,
    pub(crate) connections: ConnectionMetrics,
}

/// The metrics of connections.
#[derive(Clone, Debug, Default)]
pub struct ConnectionMetrics {
    pub(crate) open: Gauge,
    pub(crate) refused: Counter,
    pub(crate) buffered: Gauge,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(crate) struct RequestLabels {
    pub(crate) method: &'static str,
    pub(crate) route: Route,
    pub(crate) status: u16,
}

/// The path of a route, or `none` where no route matched.
#[derive(Clone, Debug)]
pub(crate) struct Route(pub(crate) Option<MatchedPath>);

impl Route {
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_ref().map_or("none", MatchedPath::as_str)
    }
}

impl Eq for Route {}

impl PartialEq for Route {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Hash for Route {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl EncodeLabelValue for Route {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        EncodeLabelValue::encode(&self.as_str(), encoder)
    }
}

/// The label of a method. Unknown methods share one, because a client can invent any number of methods.
pub(crate) fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

impl HttpMetrics {
    /// Adds them to `registry`.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            // Buckets from 0.1 ms, for a check-in, to 3.3 s, for a password.
            requests: Family::new_with_constructor(|| Histogram::new(exponential_buckets(1e-4, 2.0, 16))),
            in_flight: Gauge::default(),
            connections: ConnectionMetrics::default(),
        };
        let ConnectionMetrics { open, refused, buffered } = &metrics.connections;
        registry.register(
            "http_request_duration_seconds",
            "Time from the head of a request to the head of its answer",
            metrics.requests.clone(),
        );
        registry.register("http_requests_in_flight", "Requests being answered", metrics.in_flight.clone());
        registry.register("http_connections_open", "Connections", open.clone());
        registry.register(
            "http_connections_refused",
            "Connections that were closed, or not accepted, because there were too many",
            refused.clone(),
        );
        registry.register(
            "http_buffered_bytes",
            "Memory of requests and of unsent responses, beyond what every connection may hold",
            buffered.clone(),
        );
        metrics
    }

    /// Counts a response, `took` after the head of its request.
    pub(crate) fn observe(&self, method: &Method, route: &Route, status: u16, took: Duration) {
        let labels = RequestLabels { method: method_label(method), route: route.clone(), status };
        self.requests.get_or_create(&labels).observe(took.as_secs_f64());
    }
}

/// Adds the metrics of the process to `registry`.
pub fn register_process(registry: &mut Registry, service: &'static str) {
    let build = Info::new(vec![("service", service), ("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("tixgo_build", "What is running", build);
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    registry.register_collector(Box::new(ProcessCollector { started }));
}

/// Adds a gauge to `registry`. Whenever the metrics are collected, `figure` returns its value. While that is `None`,
/// the gauge is left out.
pub fn register_gauge(
    registry: &mut Registry,
    name: &'static str,
    help: &'static str,
    figure: impl Fn() -> Option<u64> + Send + Sync + 'static,
) {
    registry.register_collector(Box::new(Figure { name, help, figure: Box::new(figure) }));
}

struct Figure {
    name: &'static str,
    help: &'static str,
    figure: Box<dyn Fn() -> Option<u64> + Send + Sync>,
}

impl fmt::Debug for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Collector for Figure {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        match (self.figure)() {
            Some(figure) => gauge(&mut encoder, self.name, self.help, figure as f64),
            None => Ok(()),
        }
    }
}

/// The process metrics of the Prometheus client libraries, read from `/proc`. Without `/proc` there are fewer.
#[derive(Debug)]
struct ProcessCollector {
    started: Duration,
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let started = self.started.as_secs_f64();
        gauge(encoder, "process_start_time_seconds", "When the process started, since 1970", started)?;
        if let Some(bytes) = resident_bytes() {
            gauge(encoder, "process_resident_memory_bytes", "Memory", bytes as f64)?;
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            gauge(encoder, "process_open_fds", "File descriptors in use", open.count() as f64)?;
        }
        if let Ok((most, _)) = rlimit::getrlimit(rlimit::Resource::NOFILE) {
            gauge(encoder, "process_max_fds", "File descriptors allowed", most as f64)?;
        }
        if let Some(seconds) = cpu_seconds() {
            let counter = ConstCounter::new(seconds);
            let cpu =
                encoder.encode_descriptor("process_cpu_seconds", "CPU time", None, MetricType::Counter)?;
            counter.encode(cpu)?;
        }
        Ok(())
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, figure: f64) -> fmt::Result {
    ConstGauge::new(figure).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// CPU time in user and in kernel mode. `/proc` has it in ticks, which on Linux are a hundredth of a second.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / 100.0)
}
