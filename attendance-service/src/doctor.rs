//! Looks at whatever has to be right for a gate to be opened.

use shared_http::{doctor::Report, process::Failure};
use shared_store::doctor;

use crate::{config::Args, store::sqlite::CONTENT};

/// Shows what is right and what is not.
///
/// # Errors
///
/// Something is not.
pub async fn examine(args: &Args, peer: Option<&str>) -> Result<(), Failure> {
    let mut report = Report::default();
    if let Some(config) = report.configuration(args.check()) {
        report.environment(config.http.environment);
        report.proxies(&config.http.trusted_proxies, config.http.has_tunnel);
        args.token.examine(&mut report);
        doctor::examine(&mut report, &config.location, &CONTENT).await;
    }
    report.clock();
    if let Some(url) = peer {
        report.peer(url).await;
    }
    report.finish()
}
