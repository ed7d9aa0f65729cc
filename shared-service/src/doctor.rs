//! `doctor`: checks everything that has to be right before an event begins.

mod peer;
mod tls;

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, SecondsFormat, Utc};
use shared_http::{
    config::Unread,
    process::ConfigError,
    process::Failure,
    report::Report,
    shown_settings::{NONE, ShownSettings},
    text::printable,
    tls::Pinned,
};

use crate::{
    health_client,
    running::{self, AskError, Running},
    service::Service,
};

/// When this program was built, in seconds since 1970.
const BUILT_AT: &str = env!("BUILT_AT");

/// Checks the running service, and writes a report to stdout. If no service runs, the settings of this environment are
/// checked.
///
/// # Errors
///
/// A check failed.
pub(crate) async fn examine<S: Service>(
    args: &S::Args,
    unread: &Unread,
    peer: Option<&str>,
) -> Result<(), Failure> {
    let report = &mut Report::default();
    let common = S::common_args(args);
    let config = examine_configuration(report, S::check(args), unread);
    let own = config.as_ref().map(S::shown);
    let address = common.address(S::INFO.default_port).ok();
    let running = examine_running(report, S::INFO.name, address, own.as_ref()).await;
    let settings = running.as_ref().or(own.as_ref());
    let trusted = settings.and_then(|settings| tls::examine(report, settings, running.is_some()));
    if let Some(settings) = &running {
        examine_readiness(report, settings, address, trusted.as_ref()).await;
    }
    if let Some(settings) = settings {
        examine_environment(report, settings);
        examine_proxies(report, settings);
        common.token.examine(report, running.as_ref());
        S::examine_tokens(report, settings);
        let location = config.as_ref().map(S::location);
        shared_store::doctor::examine(report, settings, location, S::CONTENT).await;
        S::examine(report, settings);
    }
    examine_clock(report, SystemTime::now());
    if let Some(url) = peer {
        peer::examine(report, url, trusted.as_ref(), S::INFO, S::PEER).await;
    }
    report.finish()
}

/// Reports whether the service would start with these settings, and which variables it does not read. Returns the
/// settings if it would start.
fn examine_configuration<T>(
    report: &mut Report,
    checked: Result<T, ConfigError>,
    unread: &Unread,
) -> Option<T> {
    unread.names().for_each(|name| report.wrong(format_args!("configuration: {name}")));
    unread.dotenv().into_iter().for_each(|left| report.note(format_args!("configuration: {left}")));
    match checked {
        Ok(config) => {
            if unread.names().next().is_none() {
                report.good("configuration: every setting can be used");
            }
            Some(config)
        }
        Err(error) => {
            error.mistakes().for_each(|mistake| report.wrong(format_args!("configuration: {mistake}")));
            None
        }
    }
}

/// Reports whether `service` runs at `address`, and which of its settings differ from `own`, the settings
/// of this environment. Returns its settings if it runs.
async fn examine_running(
    report: &mut Report,
    service: &'static str,
    address: Option<SocketAddr>,
    own: Option<&ShownSettings>,
) -> Option<ShownSettings> {
    let port = address?.port();
    let running = match running::ask(service, port).await {
        Ok(running) => running,
        Err(error @ AskError::NotRunning { .. }) => {
            report.note(format_args!(
                "running: {error}; what follows is about the settings of this environment"
            ));
            return None;
        }
        Err(error) => {
            report.wrong(format_args!("running: {error}"));
            report.note("what follows is about this environment");
            return None;
        }
    };
    let Running { pid, uid, version, settings } = running;
    report.good(format_args!(
        "running: {service} {} on port {port}, process {pid} of user {uid}; what follows is about \
         its settings",
        printable(&version)
    ));
    for (variable, theirs, ours) in own.into_iter().flat_map(|own| settings.differences(own)) {
        report.note(format_args!(
            "setting: {variable} is {theirs:?} in the running service, and {ours:?} in this environment; restart \
             the service, or run doctor with the service's settings"
        ));
    }
    Some(settings)
}

/// Reports whether the running service, whose settings are given, can do its work.
async fn examine_readiness(
    report: &mut Report,
    settings: &ShownSettings,
    address: Option<SocketAddr>,
    trusted: Option<&Pinned>,
) {
    let Some(port) = address.map(|address| address.port()) else { return };
    let host = settings.get("HOST").parse().unwrap_or(Ipv4Addr::LOCALHOST.into());
    match health_client::ready(SocketAddr::new(host, port), trusted).await {
        Ok(()) => report.good("ready: the running service can do its work"),
        Err(reason) => report.wrong(format_args!("ready: {reason}; see to that")),
    }
}

/// Reports whether the environment is production, whose defaults are strict.
fn examine_environment(report: &mut Report, settings: &ShownSettings) {
    match settings.get("APP_ENV") {
        "production" => report.good("environment: production"),
        environment => report.wrong(format_args!(
            "environment: {}, with friendly defaults; set APP_ENV=production",
            printable(environment)
        )),
    }
}

/// Reports whether clients can be told apart, also behind the tunnel of `docker-compose.prod.yml`.
fn examine_proxies(report: &mut Report, settings: &ShownSettings) {
    let (networks, header) = (settings.get("TRUSTED_PROXIES"), settings.get("CLIENT_ADDRESS_HEADER"));
    let has_tunnel = settings.get("COMPOSE_PROFILES") == "tunnel";
    match (networks == NONE, header != NONE) {
        (true, _) | (_, false) if has_tunnel => report.wrong(
            "proxies: behind the tunnel clients cannot be told apart, and one of them can lock others out; set \
             TRUSTED_PROXIES=172.16.0.0/12 and CLIENT_ADDRESS_HEADER=CF-Connecting-IP",
        ),
        (true, true) => report.wrong(
            "proxies: CLIENT_ADDRESS_HEADER is believed from TRUSTED_PROXIES only, which is not set; set both or \
             neither",
        ),
        (true, false) => report.good("proxies: none; a client is whoever connects"),
        (false, is_named) => {
            let header = if is_named { header } else { "x-forwarded-for" };
            report.good(format_args!(
                "proxies: {} is believed from {}",
                printable(header),
                printable(networks)
            ));
        }
    }
}

/// Reports whether the clock, which shows `now`, can be right. It decides when a token expires.
fn examine_clock(report: &mut Report, now: SystemTime) {
    let built = UNIX_EPOCH + Duration::from_secs(BUILT_AT.parse().unwrap_or_default());
    let shown = DateTime::<Utc>::from(now).to_rfc3339_opts(SecondsFormat::Secs, true);
    if now < built {
        report.wrong(format_args!(
            "clock: it says {shown}, which was before this program was built; set it, for instance with \
             timedatectl set-ntp true"
        ));
    } else {
        report.good(format_args!("clock: {shown}"));
    }
}

#[cfg(test)]
mod tests {
    use shared_http::client::{ClientAddressHeader, TrustedProxies};

    use super::*;

    #[test]
    fn behind_the_tunnel_trusted_proxies_and_their_header_must_be_set() {
        let header = || ClientAddressHeader::parse("CF-Connecting-IP").expect("a header");
        let networks = || TrustedProxies::parse("172.16.0.0/12").expect("a network");
        for (proxies, wrong_without, wrong_behind) in [
            (TrustedProxies::default(), 0, 1),
            (networks(), 0, 1),
            (TrustedProxies::default().with_header(header()), 1, 1),
            (networks().with_header(header()), 0, 0),
        ] {
            for (has_tunnel, wrong) in [(false, wrong_without), (true, wrong_behind)] {
                let mut report = Report::default();
                let mut settings = ShownSettings::default();
                proxies.show(&mut settings);
                settings.show("COMPOSE_PROFILES", if has_tunnel { "tunnel" } else { NONE });
                examine_proxies(&mut report, &settings);
                assert_eq!(report.wrong_count(), wrong, "{has_tunnel} {proxies:?}: {}", report.lines());
                assert!(
                    !has_tunnel || wrong == 0 || report.lines().contains("TRUSTED_PROXIES=172.16.0.0/12")
                );
            }
        }
    }

    #[test]
    fn a_clock_that_shows_a_time_before_the_build_is_wrong() {
        let mut report = Report::default();
        examine_clock(&mut report, SystemTime::now());
        assert_eq!(report.wrong_count(), 0, "{}", report.lines());
        examine_clock(&mut report, UNIX_EPOCH + Duration::from_secs(86_400));
        assert_eq!(report.wrong_count(), 1);
        assert!(report.lines().contains("WRONG clock: it says 1970-01-02T00:00:00Z"), "{}", report.lines());
    }
}
