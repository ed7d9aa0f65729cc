//! Looks at whatever has to be right for users to be let in.

use shared_http::{doctor::Report, process::Failure};
use shared_store::doctor;

use crate::{
    config::{Args, RegistrationPolicy},
    store::sqlite::CONTENT,
};

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
        match config.registration {
            RegistrationPolicy::Open => {
                report.wrong(
                    "registration: open, and anybody can register an admin; set REGISTRATION=committee, admin or closed",
                );
            }
            policy => report.good(format_args!("registration: {policy}")),
        }
        if config.demo_users {
            report.wrong("demo users: anybody can log in as panitia1 or admin1; set DEMO_USERS=false");
        } else {
            report.good("demo users: off");
        }
    }
    report.clock();
    if let Some(url) = peer {
        report.peer(url).await;
    }
    report.finish()
}
