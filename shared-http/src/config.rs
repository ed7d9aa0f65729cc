//! The settings that every service has: read once, from flags, the environment and a `.env` in the working directory,
//! in this order of precedence. Every mistake is named at once. What a setting means is defined where it is used.

mod dotenv;
mod origin;
mod settings;
mod unread;

use std::{
    fmt::{self, Display},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use clap::Args;
use tracing_subscriber::filter::Targets;

use self::settings::parse;
pub use self::{
    dotenv::{Dotenv, load_dotenv},
    origin::Origin,
    settings::{Settings, set},
    unread::Unread,
};
use crate::{
    client::{ClientAddressHeader, TrustedProxies},
    log::LogFormat,
    middleware::{Cors, Options},
    server::Limits,
    shown_settings::{ShownSettings, or_none},
    telemetry::{Telemetry, TelemetryOptions, parse_filter},
    tls::{CertificateSource, TlsArgs},
};

/// The settings of every service, as the operator wrote them.
#[derive(Args, Debug)]
pub struct HttpArgs {
    /// `development` (friendly defaults) or `production` (strict ones) [default: development]
    #[arg(long, env, value_name = "NAME", global = true)]
    app_env: Option<String>,

    /// IP address to listen on [default: 127.0.0.1, in production 0.0.0.0]
    #[arg(long, env, value_name = "ADDRESS", global = true)]
    host: Option<String>,

    /// Port to listen on, 0 for any free one [default: 18081 for identity, 18082 for attendance]
    #[arg(long, env, value_name = "PORT", global = true)]
    port: Option<String>,

    #[command(flatten)]
    tls: TlsArgs,

    /// Origins whose pages may call the service, separated by commas, or `*` [default: none; for identity in
    /// development `http://localhost:18082,http://127.0.0.1:18082`]
    #[arg(long, env, value_name = "ORIGINS")]
    cors_allowed_origins: Option<String>,

    /// Proxies that may say for whom a request is, addresses and networks separated by commas, such as
    /// `172.16.0.0/12` for a tunnel in a container beside this one [default: none]
    #[arg(long, env, value_name = "NETWORKS")]
    trusted_proxies: Option<String>,

    /// Header in which those proxies name the client, such as CF-Connecting-IP; no other is believed
    /// [default: X-Forwarded-For]
    #[arg(long, env, value_name = "HEADER")]
    client_address_header: Option<String>,

    /// What Compose starts beside the services; for `doctor`, which has to know of the tunnel
    #[arg(long, env, value_name = "NAMES", hide = true)]
    compose_profiles: Option<String>,

    /// Form of the log lines on stderr: `text` or `json` [default: text, in production json]
    #[arg(long, env, value_name = "FORMAT")]
    log_format: Option<String>,

    /// What is logged: a level, or `target=level` pairs separated by commas [default: info]
    #[arg(long, env, value_name = "FILTER")]
    rust_log: Option<String>,

    /// Address and port of the metrics, such as 127.0.0.1:9100; never public [default: none]
    #[arg(long, env, value_name = "ADDRESS")]
    metrics_addr: Option<String>,

    /// Connections held open at once, 1 to 100000 [default: 1024]
    #[arg(long, env, value_name = "COUNT")]
    max_connections: Option<String>,

    /// Seconds a request may take, and an idle connection may stay, 1 to 3600 [default: 10]
    #[arg(long, env, value_name = "SECONDS")]
    request_timeout_seconds: Option<String>,

    /// Seconds from SIGTERM or SIGINT to the exit, for requests in flight, 0 to 3600 [default: 8]
    #[arg(long, env, value_name = "SECONDS")]
    shutdown_grace_seconds: Option<String>,
}

/// Whether strangers can reach the service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Environment {
    /// On a developer's machine: demo users, a known secret, loopback.
    Development,
    /// Anywhere else.
    Production,
}

impl Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Development => "development",
            Self::Production => "production",
        })
    }
}

/// The settings of every service, checked.
#[derive(Debug)]
pub struct HttpConfig {
    /// Decides the defaults.
    pub environment: Environment,
    /// Where to listen.
    pub address: SocketAddr,
    /// The certificate to show. `None` means plain HTTP.
    pub tls: Option<CertificateSource>,
    /// Who may call from a web page.
    pub cors: Cors,
    /// Which proxies may name the client of a request.
    pub trusted_proxies: TrustedProxies,
    /// Whether the tunnel of `docker-compose.prod.yml` leads to the service.
    pub has_tunnel: bool,
    /// Log and metrics.
    pub telemetry: TelemetryOptions,
    /// Connections and time-outs.
    pub limits: Limits,
}

impl HttpArgs {
    /// Which defaults apply. Needed before any other setting can be read.
    pub fn environment(&self, settings: &mut Settings) -> Environment {
        settings.read(
            "APP_ENV",
            &self.app_env,
            Environment::Development,
            "development or production",
            |text| match text {
                "development" => Some(Environment::Development),
                "production" => Some(Environment::Production),
                _ => None,
            },
        )
    }

    /// The address to listen on, which `healthcheck` asks too.
    pub fn address(&self, settings: &mut Settings, environment: Environment, port: u16) -> SocketAddr {
        let host = match environment {
            Environment::Development => Ipv4Addr::LOCALHOST,
            Environment::Production => Ipv4Addr::UNSPECIFIED,
        };
        let host = settings.read(
            "HOST",
            &self.host,
            IpAddr::V4(host),
            "an IP address such as 127.0.0.1 or 0.0.0.0",
            parse,
        );
        let port = settings.read("PORT", &self.port, port, "a port number, 0 to 65535", parse);
        SocketAddr::new(host, port)
    }

    /// Which certificate to show. A self-signed one is kept in `directory`, that of the data. `None` means plain HTTP.
    pub fn tls(&self, settings: &mut Settings, directory: Option<&Path>) -> Option<CertificateSource> {
        self.tls.check(settings, directory)
    }

    /// Checks all settings. `default_port` is that of the service, in development `pages` may call it by default, and
    /// `directory` has its data if it is kept in files.
    pub fn check(
        &self,
        settings: &mut Settings,
        default_port: u16,
        pages: &[&str],
        directory: Option<&Path>,
    ) -> HttpConfig {
        let environment = self.environment(settings);
        let default_cors = match environment {
            Environment::Development => Cors::parse(&pages.join(",")).unwrap_or(Cors::Off),
            Environment::Production => Cors::Off,
        };
        let trusted_proxies = self.trusted_proxies(settings);
        HttpConfig {
            environment,
            address: self.address(settings, environment, default_port),
            tls: self.tls(settings, directory),
            cors: settings.read(
                "CORS_ALLOWED_ORIGINS",
                &self.cors_allowed_origins,
                default_cors,
                "* or origins separated by commas, such as https://gate.example.org",
                Cors::parse,
            ),
            trusted_proxies: trusted_proxies.clone(),
            has_tunnel: set(&self.compose_profiles)
                .is_some_and(|profiles| profiles.split(',').any(|profile| profile.trim() == "tunnel")),
            telemetry: self.telemetry(settings, environment),
            limits: self.limits(settings, trusted_proxies),
        }
    }

    fn trusted_proxies(&self, settings: &mut Settings) -> TrustedProxies {
        let proxies = settings.read(
            "TRUSTED_PROXIES",
            &self.trusted_proxies,
            TrustedProxies::default(),
            "addresses and networks separated by commas, such as 127.0.0.1,172.16.0.0/12",
            TrustedProxies::parse,
        );
        proxies.with_header(settings.read(
            "CLIENT_ADDRESS_HEADER",
            &self.client_address_header,
            None,
            "the name of a header that holds one address, such as CF-Connecting-IP, or X-Forwarded-For",
            ClientAddressHeader::parse,
        ))
    }

    fn telemetry(&self, settings: &mut Settings, environment: Environment) -> TelemetryOptions {
        let log_format = match environment {
            Environment::Development => LogFormat::Text,
            Environment::Production => LogFormat::Json,
        };
        TelemetryOptions {
            log_format: settings.read(
                "LOG_FORMAT",
                &self.log_format,
                log_format,
                "text or json",
                LogFormat::parse,
            ),
            log_filter: settings.read(
                "RUST_LOG",
                &self.rust_log,
                Targets::new().with_default(tracing::Level::INFO),
                "error, warn, info, debug, trace, off, or target=level pairs separated by commas",
                parse_filter,
            ),
            metrics_addr: settings.read(
                "METRICS_ADDR",
                &self.metrics_addr,
                None,
                "an IP address and a port, such as 127.0.0.1:9100",
                |text| parse(text).map(Some),
            ),
        }
    }

    fn limits(&self, settings: &mut Settings, proxies: TrustedProxies) -> Limits {
        let max_connections =
            settings.number("MAX_CONNECTIONS", &self.max_connections, 1024, 1, 100_000) as usize;
        let request_timeout =
            settings.number("REQUEST_TIMEOUT_SECONDS", &self.request_timeout_seconds, 10, 1, 3600);
        let shutdown_grace =
            settings.number("SHUTDOWN_GRACE_SECONDS", &self.shutdown_grace_seconds, 8, 0, 3600);
        Limits {
            max_connections,
            request_timeout: Duration::from_secs(request_timeout),
            shutdown_grace: Duration::from_secs(shutdown_grace),
            proxies,
            ..Limits::default()
        }
    }
}

impl HttpConfig {
    /// Adds the settings to what an operator is shown, except the port, which an operator needs to ask for them.
    pub fn show(&self, shown: &mut ShownSettings) {
        shown.show("APP_ENV", self.environment);
        shown.show("HOST", self.address.ip());
        CertificateSource::show(self.tls.as_ref(), shown);
        shown.show("CORS_ALLOWED_ORIGINS", &self.cors);
        self.trusted_proxies.show(shown);
        shown.show("COMPOSE_PROFILES", or_none(self.has_tunnel.then_some("tunnel")));
        shown.show("LOG_FORMAT", self.telemetry.log_format);
        shown.show("RUST_LOG", &self.telemetry.log_filter);
        shown.show("METRICS_ADDR", or_none(self.telemetry.metrics_addr));
        shown.show("MAX_CONNECTIONS", self.limits.max_connections);
        shown.show("REQUEST_TIMEOUT_SECONDS", self.limits.request_timeout.as_secs());
        shown.show("SHUTDOWN_GRACE_SECONDS", self.limits.shutdown_grace.as_secs());
    }

    /// The options of the middleware around all routes.
    pub fn stack(&self, telemetry: Telemetry) -> Options {
        Options {
            cors: self.cors.clone(),
            deadline: self.limits.request_timeout,
            trusted_proxies: self.trusted_proxies.clone(),
            telemetry,
        }
    }
}
