//! Looks at whatever has to be right for a gate to be opened.

use shared_http::{
    config::Unread,
    doctor::{ATTENDANCE, IDENTITY, Report},
    process::Failure,
};
use shared_store::doctor;

use crate::{
    config::{Args, Config, SERVICE},
    store::sqlite::CONTENT,
};

/// Shows what is right and what is not: of the service that runs, and where none does of the settings it would run
/// with.
///
/// # Errors
///
/// Something is not.
pub async fn examine(args: &Args, unread: &Unread, peer: Option<&str>) -> Result<(), Failure> {
    let mut report = Report::default();
    let config = report.configuration(args.check(), unread);
    let own = config.as_ref().map(Config::shown);
    let running = report.running(SERVICE, args.address().ok(), own.as_ref()).await;
    if let Some(settings) = running.as_ref().or(own.as_ref()) {
        report.environment(settings);
        report.proxies(settings);
        args.token.examine(&mut report, running.as_ref());
        doctor::examine(&mut report, settings, config.as_ref().map(|config| &config.location), &CONTENT)
            .await;
    }
    report.clock();
    if let Some(url) = peer {
        report.peer(url, &ATTENDANCE, &IDENTITY).await;
    }
    report.finish()
}
