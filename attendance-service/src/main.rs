//! The process: settings, log, state, listener, serve.

use std::{pin::pin, process::ExitCode};

use attendance_service::{
    AppState, app,
    config::{self, Args, Command, Config},
    doctor,
    store::sqlite,
};
use clap::{CommandFactory, Parser};
use shared_http::{
    config::{Command as HttpCommand, Unread, load_dotenv},
    health,
    metrics::Registry,
    metrics_listener,
    process::{self, Failure},
    running, server,
    telemetry::{self, Telemetry},
};
use shared_store::maintenance;

fn main() -> ExitCode {
    process::exit_code("attendance-service", run())
}

fn run() -> Result<(), Failure> {
    let unread = Unread::find(&Args::command(), load_dotenv()?);
    let args = Args::parse();
    match &args.command {
        Some(Command::Http(HttpCommand::Healthcheck)) => process::block_on(check_health(&args)),
        Some(Command::Http(HttpCommand::Doctor { peer })) => {
            process::block_on(doctor::examine(&args, &unread, peer.as_deref()))
        }
        Some(Command::Maintenance(maintenance)) => {
            process::block_on(maintenance::run(maintenance, args.location()?, &sqlite::CONTENT))
        }
        None => {
            let config = args.check().map_err(|error| error.with_hints(unread.sentences()))?;
            process::block_on(serve(&config, &unread))
        }
    }
}

async fn check_health(args: &Args) -> Result<(), Failure> {
    health::check(args.address()?).await.map_err(Failure::Unhealthy)
}

async fn serve(config: &Config, unread: &Unread) -> Result<(), Failure> {
    // Dropped last: what was said before the end is written before the end.
    let log = telemetry::start_log(&config.http.telemetry)?;
    let mut registry = Registry::default();
    let telemetry = Telemetry::new(&log, &config.http.telemetry, &mut registry, "attendance-service");
    unread.announce();
    let mut shutdown = pin!(server::shutdown_signal()?);
    let state = tokio::select! {
        state = AppState::open(config, &mut registry) => state.map_err(|error| Failure::Store(error.into()))?,
        // It may be waiting for a backup to end, or for PostgreSQL.
        () = &mut shutdown => return Ok(()),
    };
    let listener = process::listen(config.http.address).await?;
    if let Some(address) = config.http.telemetry.metrics_addr {
        metrics_listener::serve(address, registry).await?;
    }
    let address = listener.local_addr()?;
    running::show(config::SERVICE, address.port(), config.shown());
    config.announce(address);

    let connections = telemetry.connections();
    let app = app(state, config, telemetry);
    server::serve(listener, app, config.http.limits.clone(), connections, shutdown).await;
    tracing::info!("stopped");
    Ok(())
}
