//! The settings of the service. `--help` is their reference.

use std::net::SocketAddr;

use clap::{Parser, Subcommand};
use shared_auth::{Secrets, config::TokenArgs};
use shared_http::{
    config::{Command as HttpCommand, Environment, HttpArgs, HttpConfig, Settings},
    process::ConfigError,
    running::ShownSettings,
};
use shared_store::{Location, Maintenance, StoreArgs};

use crate::store::sqlite;

/// The name of the service.
pub const SERVICE: &str = "attendance-service";

const DEFAULT_PORT: u16 = 18082;

/// TixGo attendance-service: checks every ticket in exactly once, and tells who came.
///
/// Every setting is an environment variable, a flag, or a line of `.env` in the working directory; a
/// flag wins over the environment, and the environment over `.env`. Where the environment says
/// APP_ENV=production, `.env` is not read.
#[derive(Parser)]
#[command(version)]
pub struct Args {
    #[command(flatten)]
    http: HttpArgs,

    #[command(flatten)]
    pub(crate) token: TokenArgs,

    #[command(flatten)]
    store: StoreArgs,

    /// Memory that the check-ins may take, in MB, 1 to 1048576; past it new ones are refused and everything else goes
    /// on. In a container at most half of its limit. Not with PostgreSQL, which holds its own [default: 256]
    #[arg(long, env, value_name = "MB")]
    max_store_mb: Option<String>,

    /// What to do instead of serving
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the service does when it is not told to serve.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// What every service can do.
    #[command(flatten)]
    Http(HttpCommand),
    /// What can be done to its file.
    #[command(flatten)]
    Maintenance(Maintenance),
}

/// The settings of the service, checked.
#[derive(Debug)]
pub struct Config {
    /// Those of every service.
    pub http: HttpConfig,
    /// Verify the tokens.
    pub secrets: Secrets,
    /// Keeps the check-ins.
    pub location: Location,
    /// The memory that they may take.
    pub max_store_bytes: u64,
}

impl Args {
    /// Where the service listens, or would.
    ///
    /// # Errors
    ///
    /// The settings that tell are wrong.
    pub fn address(&self) -> Result<SocketAddr, ConfigError> {
        let mut settings = Settings::default();
        let environment = self.http.environment(&mut settings);
        let address = self.http.address(&mut settings, environment, DEFAULT_PORT);
        settings.finish(address)
    }

    /// Where the check-ins are kept.
    ///
    /// # Errors
    ///
    /// The setting that tells is wrong.
    pub fn location(&self) -> Result<Location, ConfigError> {
        let mut settings = Settings::default();
        let location = self.store.check(&mut settings, sqlite::FILE_NAME);
        settings.finish(location)
    }

    /// Checks every setting.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once.
    pub fn check(&self) -> Result<Config, ConfigError> {
        let mut settings = Settings::default();
        let http = self.http.check(&mut settings, DEFAULT_PORT);
        let secrets = self.token.check(&mut settings, http.environment);
        let location = self.store.check(&mut settings, sqlite::FILE_NAME);
        let megabytes = settings.number("MAX_STORE_MB", &self.max_store_mb, 256, 1, 1 << 20);
        settings.finish(Config { http, secrets, location, max_store_bytes: megabytes << 20 })
    }
}

impl Config {
    /// What an operator is shown of them: no secret, only a word on how good each is.
    pub fn shown(&self) -> ShownSettings {
        let mut shown = ShownSettings::default();
        self.http.show(&mut shown);
        self.secrets.show(&mut shown);
        self.location.show(&mut shown);
        shown.show("MAX_STORE_MB", self.max_store_bytes >> 20);
        shown
    }

    /// Says in the log what runs where.
    pub fn announce(&self, address: SocketAddr) {
        let environment = self.http.environment;
        if environment == Environment::Production && self.location == Location::Memory {
            tracing::warn!(
                "check-ins are kept in memory only: a restart forgets them; set DATABASE_URL to keep them"
            );
        }
        self.secrets.announce();
        // Last, so that a script that waits for this line has seen the warnings.
        tracing::info!(%address, %environment, store = %self.location, "attendance-service is ready");
    }
}
