//! Implements the trait of `shared-service` that starts a service.

use std::{
    error::Error,
    net::{IpAddr, SocketAddr},
};

use axum::Router;
use shared_http::{
    config::HttpConfig,
    metrics::Registry,
    process::ConfigError,
    process::Failure,
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
    metrics::BcryptMetrics,
    password::Passwords,
    store::schema,
    users::{self, Users},
};

/// With a token lifetime below this, in minutes, users have to log in again during an evening.
const EVENING_MINUTES: u64 = 360;

/// identity-service.
pub struct Identity;

impl Service for Identity {
    const INFO: &'static ServiceInfo = &IDENTITY;
    const PEER: &'static ServiceInfo = &ATTENDANCE;
    const FILE_NAME: &'static str = schema::FILE_NAME;
    const CONTENT: &'static Content = &schema::CONTENT;

    type Args = Args;
    type Config = Config;

    fn common_args(args: &Args) -> &CommonArgs {
        &args.common
    }

    fn task(args: &Args) -> Task<'_> {
        match &args.command {
            None => Task::Serve,
            Some(Command::Common(command)) => Task::Common(command),
            Some(Command::Users { users }) => Task::Own(Box::pin(change_users(args, users))),
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

    async fn open(
        config: &Config,
        registry: &mut Registry,
        telemetry: Telemetry,
    ) -> Result<Router, Box<dyn Error + Send + Sync>> {
        Ok(app(AppState::open(config, registry).await?, config, telemetry))
    }

    fn examine_tokens(report: &mut Report, settings: &ShownSettings) {
        match settings.get("TOKEN_EXPIRE_MINUTES").parse::<u64>() {
            Ok(minutes) if minutes >= EVENING_MINUTES => {
                report.good(format_args!("tokens: good for {minutes} minutes"));
            }
            Ok(minutes) => report.note(format_args!(
                "tokens: good for {minutes} minutes, which is shorter than an evening: whoever does not refresh it has \
                 to log in again in between; for a whole evening set TOKEN_EXPIRE_MINUTES=720"
            )),
            Err(_) => {}
        }
    }

    fn examine(report: &mut Report, settings: &ShownSettings) {
        match settings.get("REGISTRATION") {
            "open" => report.wrong(
                "registration: open, and anybody can register an admin; set REGISTRATION=committee, admin or closed",
            ),
            policy => report.good(format_args!("registration: {}", printable(policy))),
        }
        examine_demo_users(report, settings);
        examine_pages(report, settings);
    }
}

async fn change_users(args: &Args, users: &Users) -> Result<(), Failure> {
    // These metrics are never shown: the process ends with the command.
    let passwords = Passwords::new(args.bcrypt_cost()?, BcryptMetrics::new(&mut Registry::default()));
    users::run(users, &args.common.location(schema::FILE_NAME)?, &passwords).await
}

/// The gate and the desk are pages of attendance-service, which log people in here.
fn examine_pages(report: &mut Report, settings: &ShownSettings) {
    match settings.get("CORS_ALLOWED_ORIGINS") {
        NONE => report.note(
            "pages: /gate and /desk of attendance-service can log nobody in here; set CORS_ALLOWED_ORIGINS to the address \
             where browsers reach attendance-service, and there IDENTITY_URL to that of this service",
        ),
        origins => report.good(format_args!(
            "pages: those of {} may log people in; /gate and /desk need IDENTITY_URL at attendance-service too",
            printable(origins)
        )),
    }
}

fn examine_demo_users(report: &mut Report, settings: &ShownSettings) {
    if settings.get("DEMO_USERS") != "true" {
        return report.good("demo users: off");
    }
    let host = settings.get("HOST");
    let reach = if host.parse::<IpAddr>().is_ok_and(|host| host.is_loopback()) {
        "on this machine, or through a tunnel to it,".to_owned()
    } else {
        format!("who reaches {}", printable(host))
    };
    report.wrong(format_args!(
        "demo users: anybody {reach} can log in as panitia1 or admin1; set DEMO_USERS=false"
    ));
}
