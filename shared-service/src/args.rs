//! The part of the command line that every service has.

use std::{net::SocketAddr, pin::Pin};

use clap::{Args, Subcommand};
use shared_auth::config::TokenArgs;
use shared_http::{
    config::{HttpArgs, Settings},
    process::ConfigError,
    process::Failure,
    tls::CertificateSource,
};
use shared_store::{Location, Maintenance, StoreArgs};

/// The settings of every service, as the operator wrote them.
// No `Debug`: it would show secrets.
#[derive(Args)]
pub struct CommonArgs {
    /// Server and log.
    #[command(flatten)]
    pub http: HttpArgs,

    /// Tokens.
    #[command(flatten)]
    pub token: TokenArgs,

    /// Where the data is kept.
    #[command(flatten)]
    pub store: StoreArgs,
}

impl CommonArgs {
    /// The address that the service listens on when it runs.
    ///
    /// # Errors
    ///
    /// `APP_ENV`, `HOST` or `PORT` is wrong.
    pub fn address(&self, default_port: u16) -> Result<SocketAddr, ConfigError> {
        let mut settings = Settings::default();
        let environment = self.http.environment(&mut settings);
        let address = self.http.address(&mut settings, environment, default_port);
        settings.finish(address)
    }

    /// The certificate that the service shows when it runs. `file_name` as for [`location`](Self::location).
    ///
    /// # Errors
    ///
    /// A setting of TLS is wrong, or one of those that [`location`](Self::location) reads.
    pub fn certificate(&self, file_name: &str) -> Result<Option<CertificateSource>, ConfigError> {
        let mut settings = Settings::default();
        let location = self.store.check(&mut settings, file_name);
        let source = self.http.tls(&mut settings, location.directory());
        settings.finish(source)
    }

    /// Where the data is kept. `file_name` is added to a `DATABASE_URL` that names a directory.
    ///
    /// # Errors
    ///
    /// `DATABASE_URL` or `EXPECT_DATA` is wrong.
    pub fn location(&self, file_name: &str) -> Result<Location, ConfigError> {
        let mut settings = Settings::default();
        let location = self.store.check(&mut settings, file_name);
        settings.finish(location)
    }
}

/// The subcommands of every service.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Ask the running service's /health over loopback; exit status 0 if it is well, else 1
    Healthcheck,
    /// Look at settings, clock, storage and what else has to be right; exit status 1 if anything is wrong
    Doctor {
        /// Address of the other service, such as http://attendance:8000
        #[arg(long, value_name = "URL")]
        peer: Option<String>,
    },
    /// On the SQLite file.
    #[command(flatten)]
    Maintenance(Maintenance),
}

/// What the command line asks for.
pub enum Task<'a> {
    /// Serve: there is no subcommand.
    Serve,
    /// A subcommand of every service.
    Common(&'a Command),
    /// A subcommand that only this service has.
    Own(Pin<Box<dyn Future<Output = Result<(), Failure>> + 'a>>),
}
