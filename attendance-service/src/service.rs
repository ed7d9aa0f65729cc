//! Implements the trait of `shared-service` that starts a service.

use std::{error::Error, net::SocketAddr};

use axum::Router;
use shared_http::{
    config::HttpConfig, metrics::Registry, process::ConfigError, shown_settings::ShownSettings,
    telemetry::Telemetry,
};
use shared_service::{ATTENDANCE, CommonArgs, IDENTITY, Service, ServiceInfo, Task};
use shared_store::{Content, Location};

use crate::{
    AppState, app,
    config::{Args, Config},
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
        args.command.as_ref().map_or(Task::Serve, Task::Common)
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

    async fn open(
        config: &Config,
        registry: &mut Registry,
        telemetry: Telemetry,
    ) -> Result<Router, Box<dyn Error + Send + Sync>> {
        Ok(app(AppState::open(config, registry).await?, config, telemetry))
    }
}
