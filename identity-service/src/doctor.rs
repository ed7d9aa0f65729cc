//! Looks at whatever has to be right for users to be let in.

use std::net::IpAddr;

use shared_http::{
    config::Unread,
    doctor::{ATTENDANCE, IDENTITY, Report},
    process::Failure,
    running::ShownSettings,
    text::printable,
};
use shared_store::doctor;

use crate::{
    config::{Args, Config, SERVICE},
    store::sqlite::CONTENT,
};

/// A token that lasts for fewer minutes ends before the evening does.
const EVENING: u64 = 360;

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
        examine_tokens(&mut report, settings);
        doctor::examine(&mut report, settings, config.as_ref().map(|config| &config.location), &CONTENT)
            .await;
        match settings.get("REGISTRATION") {
            "open" => report.wrong(
                "registration: open, and anybody can register an admin; set REGISTRATION=committee, admin or closed",
            ),
            policy => report.good(format_args!("registration: {}", printable(policy))),
        }
        examine_demo_users(&mut report, settings);
    }
    report.clock();
    if let Some(url) = peer {
        report.peer(url, &IDENTITY, &ATTENDANCE).await;
    }
    report.finish()
}

fn examine_tokens(report: &mut Report, settings: &ShownSettings) {
    match settings.get("TOKEN_EXPIRE_MINUTES").parse::<u64>() {
        Ok(minutes) if minutes >= EVENING => {
            report.good(format_args!("tokens: good for {minutes} minutes"));
        }
        Ok(minutes) => report.note(format_args!(
            "tokens: good for {minutes} minutes, which is shorter than an evening: everybody has to log in again in \
             between; for a whole evening set TOKEN_EXPIRE_MINUTES=720"
        )),
        Err(_) => {}
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
