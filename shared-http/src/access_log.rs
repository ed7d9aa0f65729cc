//! The access log: one line for each request, in the same output and format as the events of `tracing`.
//!
//! The lines are written into the buffer of the log directly. Formatting an event of `tracing` takes longer than a
//! check-in; see docs/decisions/access-log.md.

use std::{io::Write, net::IpAddr};

use serde::Serialize;
use tracing::Level;
use tracing_subscriber::filter::Targets;

use crate::{
    log::{LogFormat, LogHandle},
    request_id::RequestId,
};

/// The target of its lines. `RUST_LOG=info,access=off` switches them off.
pub(crate) const TARGET: &str = "access";

/// The fields of a line. No other header, no body and no raw path is ever logged.
#[derive(Serialize)]
pub(crate) struct Line<'a> {
    pub(crate) id: &'a RequestId,
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

/// Writes the lines. [`crate::log::rate`] limits how many one client may cause.
#[derive(Debug)]
pub(crate) struct AccessLog {
    /// Whether requests for `/health` and `/ready` are logged.
    with_health: bool,
    log: LogHandle,
}

impl AccessLog {
    /// `None` if `filter` switches it off.
    pub(crate) fn new(log: LogHandle, filter: &Targets) -> Option<Self> {
        let with_health = filter.would_enable(TARGET, &Level::DEBUG);
        filter.would_enable(TARGET, &Level::INFO).then_some(Self { with_health, log })
    }

    /// Whether requests for `route` are logged.
    pub(crate) fn wants(&self, route: &str) -> bool {
        self.with_health || !is_health_check(route)
    }

    pub(crate) fn add(&self, line: &Line<'_>) {
        let level = if is_health_check(line.route) { "DEBUG" } else { "INFO" };
        let format = self.log.format();
        self.log.add_access(
            |rates, second| rates.allow(line.client, line.user.is_some(), second),
            |lines, timestamp| match format {
                LogFormat::Json => {
                    let line = JsonLine { timestamp, level, message: "request", line, target: TARGET };
                    // A line of texts and numbers can always be written as JSON.
                    let _ = serde_json::to_writer(lines, &line);
                }
                LogFormat::Text => write_text(lines, timestamp, level, line),
            },
        );
    }
}

/// Monitoring sends such requests all the time, so they are logged at level DEBUG.
fn is_health_check(route: &str) -> bool {
    matches!(route, "/health" | "/ready")
}

fn write_text(text: &mut Vec<u8>, timestamp: &str, level: &str, line: &Line<'_>) {
    let Line { id, method, route, status, microseconds, bytes, client, user, traceparent, cf_ray } = line;
    // Writing to memory does not fail. Values that a client chose are quoted.
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
