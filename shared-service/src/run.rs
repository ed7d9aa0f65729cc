//! The process of a service, from its command line to its exit status.

use std::{pin::pin, process::ExitCode};

use clap::{CommandFactory, Parser};
use shared_http::{
    config::{Unread, load_dotenv},
    metrics::Registry,
    metrics_listener,
    process::Failure,
    server::{self, Listener},
    telemetry::{self, Telemetry},
    tls::{CertificateSource, Pinned},
};
use shared_store::maintenance;

use crate::{
    args::{Command, Task},
    doctor, health_client, process, running,
    service::Service,
};

/// The `main` of a service: does what the command line asks for, and says on stderr why that failed.
///
/// The exit status is 0 for success, 78 for a wrong configuration, 2 for a wrong command line, and 1 for any other
/// failure.
pub fn run<S: Service>() -> ExitCode {
    process::exit_code(S::INFO.name, start::<S>())
}

fn start<S: Service>() -> Result<(), Failure> {
    let unread = Unread::find(&S::Args::command(), load_dotenv()?);
    let args = S::Args::parse();
    match S::task(&args) {
        Task::Serve => {
            let config = S::check(&args).map_err(|error| error.with_hints(unread.sentences()))?;
            process::block_on(serve::<S>(&config, &unread))
        }
        Task::Common(command) => process::block_on(carry_out::<S>(command, &args, &unread)),
        Task::Own(task) => process::block_on(task),
    }
}

async fn carry_out<S: Service>(command: &Command, args: &S::Args, unread: &Unread) -> Result<(), Failure> {
    let common = S::common_args(args);
    match command {
        Command::Healthcheck => {
            let address = common.address(S::INFO.default_port)?;
            let source = common.certificate(S::FILE_NAME)?;
            let trusted = source.map(|source| Pinned::load(&source.certificate_file())).transpose();
            let trusted = trusted.map_err(|error| Failure::Unhealthy(error.to_string()))?;
            health_client::check(address, trusted.as_ref()).await.map_err(Failure::Unhealthy)
        }
        Command::Doctor { peer } => doctor::examine::<S>(args, unread, peer.as_deref()).await,
        Command::Maintenance(task) => {
            maintenance::run(task, common.location(S::FILE_NAME)?, S::CONTENT).await
        }
    }
}

async fn serve<S: Service>(config: &S::Config, unread: &Unread) -> Result<(), Failure> {
    let http = S::http(config);
    // Dropped last, so that all lines are written before the process ends.
    let log = telemetry::start_log(&http.telemetry)?;
    let mut registry = Registry::default();
    let telemetry = Telemetry::new(&log, &http.telemetry, &mut registry, S::INFO.name);
    let connections = telemetry.connections();
    unread.announce();
    server::survive_file_size_limit()?;
    let mut shutdown = pin!(server::shutdown_signal()?);
    let app = tokio::select! {
        app = S::open(config, &mut registry, telemetry) => app.map_err(Failure::Store)?,
        // Opening may wait for a backup to end, or for PostgreSQL.
        () = &mut shutdown => return Ok(()),
    };
    let tls = http.tls.as_ref().map(CertificateSource::open).transpose()?;
    let listener = process::listen(http.address).await?;
    if let Some(address) = http.telemetry.metrics_addr {
        metrics_listener::serve(address, registry).await?;
    }
    let address = listener.local_addr()?;
    if let Some(source) = &http.tls {
        tracing::info!(certificate = %source.certificate_file().display(), "speaking TLS, and no plain HTTP");
    }
    running::show(S::INFO.name, address.port(), S::shown(config));
    S::announce(config, address);

    server::serve(Listener::new(listener, tls), app, http.limits.clone(), connections, shutdown).await;
    tracing::info!("stopped");
    Ok(())
}
