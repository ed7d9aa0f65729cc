//! The access log: one line a request, among those of `tracing` and in their form.
//!
//! Requests write their line into the buffer themselves: an event of `tracing`, formatted by itself, takes longer than
//! a check-in; see ARCHITECTURE.md.

use std::{io::Write, net::IpAddr};

use serde::Serialize;
use tracing::Level;
use tracing_subscriber::filter::Targets;

use crate::{log::LogBuffer, telemetry::LogFormat};

/// By this name `RUST_LOG` switches it: `info,access=off`.
pub(crate) const TARGET: &str = "access";

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

/// Takes lines. A client that fills too many is cut short, see [`crate::log::rate`].
#[derive(Debug)]
pub(crate) struct AccessLog {
    with_health: bool,
    buffer: LogBuffer,
}

impl AccessLog {
    /// None where `filter` wants no such lines.
    pub(crate) fn new(buffer: LogBuffer, filter: &Targets) -> Option<Self> {
        let with_health = filter.would_enable(TARGET, &Level::DEBUG);
        filter.would_enable(TARGET, &Level::INFO).then_some(Self { with_health, buffer })
    }

    /// Whether a request for `route` is worth a line.
    pub(crate) fn wants(&self, route: &str) -> bool {
        self.with_health || !is_about_health(route)
    }

    pub(crate) fn add(&self, line: &Line<'_>) {
        let level = if is_about_health(line.route) { "DEBUG" } else { "INFO" };
        let format = self.buffer.format();
        self.buffer.add_access(
            |rates, second| rates.allow(line.client, line.user.is_some(), second),
            |lines, timestamp| match format {
                LogFormat::Json => {
                    let line = JsonLine { timestamp, level, message: "request", line, target: TARGET };
                    // Everything in it can be written as JSON.
                    let _ = serde_json::to_writer(lines, &line);
                }
                LogFormat::Text => write_text(lines, timestamp, level, line),
            },
        );
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
