//! What differs between the services.

use std::{error::Error, net::SocketAddr};

use axum::Router;
use clap::Parser;
use shared_http::{
    config::HttpConfig, metrics::Registry, process::ConfigError, report::Report,
    shown_settings::ShownSettings, telemetry::Telemetry,
};
use shared_store::{Content, Location};

use crate::args::{CommonArgs, Task};

/// The names of a service, and where it is found.
#[derive(Debug)]
pub struct ServiceInfo {
    /// For operators: in messages, metrics and logs.
    pub name: &'static str,
    /// In the answers of `/health` and `/ready`.
    pub health_name: &'static str,
    /// The port it listens on unless `PORT` says otherwise.
    pub default_port: u16,
    /// Its host name for other containers.
    pub container: &'static str,
}

/// Registers users and issues their tokens.
pub const IDENTITY: ServiceInfo = ServiceInfo {
    name: "identity-service",
    health_name: "identity-service",
    default_port: 18081,
    container: "identity",
};

/// Checks tickets in.
pub const ATTENDANCE: ServiceInfo = ServiceInfo {
    name: "attendance-service",
    health_name: "attendance",
    default_port: 18082,
    container: "attendance",
};

/// A service, as [`run`](crate::run) needs it.
pub trait Service {
    /// This service.
    const INFO: &'static ServiceInfo;

    /// The other service, which `doctor --peer` expects.
    const PEER: &'static ServiceInfo;

    /// The name of its SQLite file where `DATABASE_URL` names a directory.
    const FILE_NAME: &'static str;

    /// What its SQLite file holds.
    const CONTENT: &'static Content;

    /// Its command line, with [`CommonArgs`] in it.
    type Args: Parser;

    /// Its settings, checked.
    type Config;

    /// The part of `args` that every service has.
    fn common_args(args: &Self::Args) -> &CommonArgs;

    /// What `args` ask for.
    fn task(args: &Self::Args) -> Task<'_>;

    /// Checks every setting.
    ///
    /// # Errors
    ///
    /// Every mistake, at once.
    fn check(args: &Self::Args) -> Result<Self::Config, ConfigError>;

    /// The settings of the server and the log.
    fn http(config: &Self::Config) -> &HttpConfig;

    /// Where the data is kept.
    fn location(config: &Self::Config) -> &Location;

    /// The settings as `doctor` shows them. Of a secret it shows only how strong it is.
    fn shown(config: &Self::Config) -> ShownSettings;

    /// Logs a warning for each dangerous setting, and then that the service is ready at `address`.
    fn announce(config: &Self::Config, address: SocketAddr);

    /// Opens the store and builds the routes. Its metrics are registered in `registry`.
    ///
    /// # Errors
    ///
    /// The store cannot be opened.
    fn open(
        config: &Self::Config,
        registry: &mut Registry,
        telemetry: Telemetry,
    ) -> impl Future<Output = Result<Router, Box<dyn Error + Send + Sync>>>;

    /// The checks of `doctor` on the tokens that this service issues, if it issues any.
    fn examine_tokens(_report: &mut Report, _settings: &ShownSettings) {}

    /// The checks of `doctor` on settings that only this service has.
    fn examine(_report: &mut Report, _settings: &ShownSettings) {}
}
