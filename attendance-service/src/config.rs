//! The settings of the service. `--help` is their reference.

use std::net::SocketAddr;

use clap::{Parser, Subcommand};
use shared_auth::Secrets;
use shared_http::{
    config::{Environment, HttpConfig, Origin, Settings},
    process::ConfigError,
    shown_settings::{ShownSettings, or_none},
};
use shared_service::{ATTENDANCE, CommonArgs};
use shared_store::Location;

use crate::store::sqlite;

/// Where `run.sh` starts identity-service.
const DEVELOPMENT_IDENTITY: &str = "http://localhost:18081";

/// TixGo attendance-service: checks every ticket in exactly once, and tells who came.
///
/// Every setting is an environment variable, a flag, or a line of `.env` in the working directory; a
/// flag wins over the environment, and the environment over `.env`. Where the environment says
/// APP_ENV=production, `.env` is not read.
#[derive(Parser)]
#[command(version)]
pub struct Args {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Memory that the check-ins may take, in MB, 1 to 1048576; past it new ones are refused and everything else goes
    /// on. In a container at most half of its limit. Not with PostgreSQL, which holds its own [default: 256]
    #[arg(long, env, value_name = "MB")]
    max_store_mb: Option<String>,

    /// Where browsers reach identity-service, such as `https://identity.example.org`: /gate and /desk log people in there
    /// [default: none, in development `http://localhost:18081`]
    #[arg(long, env, value_name = "ORIGIN")]
    identity_url: Option<String>,

    /// What to do instead of serving
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The subcommands of the service. Without one it serves.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Those of every service.
    #[command(flatten)]
    Common(shared_service::Command),
    /// Show a text as a QR code in the terminal, such as the address of the gate
    Qr {
        /// The text
        text: String,
    },
}

/// The settings of the service, checked.
#[derive(Debug)]
pub struct Config {
    /// Server and log.
    pub http: HttpConfig,
    /// The keys that verify tokens.
    pub secrets: Secrets,
    /// Where the check-ins are kept.
    pub location: Location,
    /// How many bytes of memory the check-ins may take.
    pub max_store_bytes: u64,
    /// Where browsers reach identity-service.
    pub identity_url: Option<Origin>,
}

impl Args {
    /// Checks every setting.
    ///
    /// # Errors
    ///
    /// Every mistake, at once.
    pub fn check(&self) -> Result<Config, ConfigError> {
        let mut settings = Settings::default();
        let location = self.common.store.check(&mut settings, sqlite::FILE_NAME);
        let http = self.common.http.check(&mut settings, ATTENDANCE.default_port, &[], location.directory());
        let secrets = self.common.token.check(&mut settings, http.environment);
        let megabytes = settings.number("MAX_STORE_MB", &self.max_store_mb, 256, 1, 1 << 20);
        let identity_url = match http.environment {
            Environment::Development => Origin::parse(DEVELOPMENT_IDENTITY),
            Environment::Production => None,
        };
        let identity_url = settings.read(
            "IDENTITY_URL",
            &self.identity_url,
            identity_url,
            "the scheme, host and port of identity-service, such as https://identity.example.org",
            |text| Origin::parse(text).map(Some),
        );
        settings.finish(Config { http, secrets, location, max_store_bytes: megabytes << 20, identity_url })
    }
}

impl Config {
    /// The settings as `doctor` shows them. Of a secret it shows only how strong it is.
    pub fn shown(&self) -> ShownSettings {
        let mut shown = ShownSettings::default();
        self.http.show(&mut shown);
        self.secrets.show(&mut shown);
        self.location.show(&mut shown);
        shown.show("MAX_STORE_MB", self.max_store_bytes >> 20);
        shown.show("IDENTITY_URL", or_none(self.identity_url.as_ref()));
        shown
    }

    /// Logs a warning for each dangerous setting, and then that the service is ready at `address`.
    pub fn announce(&self, address: SocketAddr) {
        let environment = self.http.environment;
        if environment == Environment::Production && self.location == Location::Memory {
            tracing::warn!(
                "check-ins are kept in memory only: a restart forgets them; set DATABASE_URL to keep them"
            );
        }
        self.secrets.announce();
        // Last: a script that waits for this line has then read the warnings too.
        tracing::info!(%address, %environment, store = %self.location, "attendance-service is ready");
    }
}
