//! The process: settings, log, state, listener, serve.

use std::process::ExitCode;

use clap::Parser;
use identity_service::{
    AppState, app,
    config::{Args, Command, Config},
    store::sqlite,
};
use shared_http::{
    config::{Command as HttpCommand, load_dotenv},
    health,
    process::{self, Failure},
    server, telemetry,
};
use shared_store::maintenance;

fn main() -> ExitCode {
    process::exit_code("identity-service", run())
}

fn run() -> Result<(), Failure> {
    load_dotenv()?;
    let args = Args::parse();
    match &args.command {
        Some(Command::Http(HttpCommand::Healthcheck)) => process::block_on(check_health(&args)),
        Some(Command::Maintenance(maintenance)) => {
            process::block_on(maintenance::run(maintenance, args.location()?, &sqlite::CONTENT))
        }
        None => process::block_on(serve(&args.check()?)),
    }
}

async fn check_health(args: &Args) -> Result<(), Failure> {
    health::check(args.address()?).await.map_err(Failure::Unhealthy)
}

async fn serve(config: &Config) -> Result<(), Failure> {
    telemetry::init(config.http.log_format, config.http.log_filter.clone());
    let shutdown = server::shutdown_signal()?;
    let state = AppState::open(config).await.map_err(|error| Failure::Store(error.into()))?;
    let listener = process::listen(config.http.address).await?;
    config.announce(listener.local_addr()?);

    let app = app(state, config)?;
    server::serve(listener, app, config.http.limits, shutdown).await;
    tracing::info!("stopped");
    Ok(())
}
