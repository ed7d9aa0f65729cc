//! Implements the trait of `shared-service` that starts a service.

use std::{
    error::Error,
    io::{self, Write},
    net::SocketAddr,
};

use axum::Router;
use shared_http::{
    config::HttpConfig,
    metrics::Registry,
    process::{ConfigError, Failure},
    report::Report,
    shown_settings::{NONE, ShownSettings},
    telemetry::Telemetry,
    text::printable,
};
use shared_service::{ATTENDANCE, CommonArgs, IDENTITY, Service, ServiceInfo, Task};
use shared_store::{Content, Location};

use crate::{
    AppState, app,
    config::{Args, Command, Config},
    qr_code,
    store::sqlite,
};

/// attendance-service.
pub struct Attendance;

impl Service for Attendance {
    const INFO: &'static ServiceInfo = &ATTENDANCE;
    const PEER: &'static ServiceInfo = &IDENTITY;
    const FILE_NAME: &'static str = sqlite::FILE_NAME;
    const CONTENT: &'static Content = &sqlite::CONTENT;

    type Args = Args;
    type Config = Config;

    fn common_args(args: &Args) -> &CommonArgs {
        &args.common
    }

    fn task(args: &Args) -> Task<'_> {
        match &args.command {
            None => Task::Serve,
            Some(Command::Common(command)) => Task::Common(command),
            Some(Command::Qr { text }) => Task::Own(Box::pin(async move { show(text) })),
        }
    }

    fn check(args: &Args) -> Result<Config, ConfigError> {
        args.check()
    }

    fn http(config: &Config) -> &HttpConfig {
        &config.http
    }

    fn location(config: &Config) -> &Location {
        &config.location
    }

    fn shown(config: &Config) -> ShownSettings {
        config.shown()
    }

    fn announce(config: &Config, address: SocketAddr) {
        config.announce(address);
    }

    fn examine(report: &mut Report, settings: &ShownSettings) {
        match settings.get("IDENTITY_URL") {
            NONE => report.note(
                "pages: /gate and /desk log nobody in by name, only gate passes work; set IDENTITY_URL to the address \
                 where browsers reach identity-service, and there CORS_ALLOWED_ORIGINS to that of this service",
            ),
            url => report.good(format_args!(
                "pages: /gate and /desk log people in at {}; there CORS_ALLOWED_ORIGINS has to name the address of this \
                 service",
                printable(url)
            )),
        }
    }

    async fn open(
        config: &Config,
        registry: &mut Registry,
        telemetry: Telemetry,
    ) -> Result<Router, Box<dyn Error + Send + Sync>> {
        Ok(app(AppState::open(config, registry).await?, config, telemetry)?)
    }
}

/// Writes `text` to stdout as a QR code.
fn show(text: &str) -> Result<(), Failure> {
    let code = qr_code::terminal(text).ok_or_else(|| {
        Failure::Maintenance("the text is too long for a QR code; take a shorter one".into())
    })?;
    Ok(io::stdout().write_all(code.as_bytes())?)
}
