//! What `doctor` finds: a line for everything that was looked at, and what to do about what is wrong.

use std::{
    fmt::{Display, Write as _},
    io::{self, Write as _},
    net::ToSocketAddrs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, SecondsFormat};
use url::Url;

use crate::{
    client::TrustedProxies,
    config::{ConfigError, Environment},
    health,
    process::Failure,
};

/// When this program was built, in seconds since 1970.
const BUILT_AT: &str = env!("BUILT_AT");

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    lines: String,
    wrong: usize,
}

impl Report {
    /// Something is as it should be.
    pub fn good(&mut self, what: impl Display) {
        self.line("ok   ", what);
    }

    /// Something is not. `what` ends with what to do.
    pub fn wrong(&mut self, what: impl Display) {
        self.wrong += 1;
        self.line("WRONG", what);
    }

    fn line(&mut self, verdict: &str, what: impl Display) {
        // Writing to memory does not fail.
        let _ = writeln!(self.lines, "{verdict} {what}");
    }

    /// Shows the report on stdout.
    ///
    /// # Errors
    ///
    /// Something is wrong.
    pub fn finish(self) -> Result<(), Failure> {
        io::stdout().write_all(self.lines.as_bytes())?;
        if self.wrong == 0 { Ok(()) } else { Err(Failure::Unwell(self.wrong)) }
    }

    /// Whether the service would start with these settings.
    pub fn configuration<T>(&mut self, checked: Result<T, ConfigError>) -> Option<T> {
        match checked {
            Ok(config) => {
                self.good("configuration: every setting can be used");
                Some(config)
            }
            Err(error) => {
                error.mistakes().for_each(|mistake| self.wrong(format_args!("configuration: {mistake}")));
                None
            }
        }
    }

    /// Whether strangers may be let near.
    pub fn environment(&mut self, environment: Environment) {
        match environment {
            Environment::Production => self.good("environment: production"),
            Environment::Development => {
                self.wrong("environment: development, with friendly defaults; set APP_ENV=production");
            }
        }
    }

    /// Whether clients can be told apart, behind the tunnel of `docker-compose.prod.yml` too.
    pub fn proxies(&mut self, proxies: &TrustedProxies, has_tunnel: bool) {
        match (proxies.is_empty(), proxies.names_a_header()) {
            (true, _) | (_, false) if has_tunnel => self.wrong(
                "proxies: behind the tunnel clients cannot be told apart, and one of them can lock others out; set \
                 TRUSTED_PROXIES=172.16.0.0/12 and CLIENT_ADDRESS_HEADER=CF-Connecting-IP",
            ),
            (true, true) => self.wrong(
                "proxies: CLIENT_ADDRESS_HEADER is believed from TRUSTED_PROXIES only, which is not set; set both or \
                 neither",
            ),
            (true, false) => self.good("proxies: none; a client is whoever connects"),
            (false, _) => self.good(format_args!("proxies: {proxies}")),
        }
    }

    /// Whether the clock can be right. Tokens are good or not by the clock.
    pub fn clock(&mut self) {
        self.clock_at(SystemTime::now());
    }

    fn clock_at(&mut self, now: SystemTime) {
        let built = UNIX_EPOCH + Duration::from_secs(BUILT_AT.parse().unwrap_or_default());
        let shown = DateTime::<chrono::Utc>::from(now).to_rfc3339_opts(SecondsFormat::Secs, true);
        if now < built {
            self.wrong(format_args!(
                "clock: it says {shown}, which was before this program was built; set it, for instance with \
                 timedatectl set-ntp true"
            ));
        } else {
            self.good(format_args!("clock: {shown}"));
        }
    }

    /// Whether another service can be reached at `url`.
    pub async fn peer(&mut self, url: &str) {
        match ask(url).await {
            Ok(()) => self.good(format_args!("peer: {url} is well")),
            Err(reason) => self.wrong(format_args!("peer: {reason}; start it, or correct the address")),
        }
    }
}

async fn ask(url: &str) -> Result<(), String> {
    let parsed = Url::parse(url).map_err(|error| format!("{url} is no address: {error}"))?;
    let (Some(host), "http") = (parsed.host_str(), parsed.scheme()) else {
        return Err(format!(
            "{url} cannot be asked from here; give an address such as http://attendance:8000"
        ));
    };
    let port = parsed.port_or_known_default().unwrap_or(80);
    let host = host.trim_matches(['[', ']']).to_owned();
    let found = tokio::task::spawn_blocking(move || (host, port).to_socket_addrs()).await;
    let found = found.map_err(io::Error::other).and_then(|found| found);
    let mut said = Err(format!("{url} has no address"));
    for address in found.map_err(|error| format!("{url} has no address: {error}"))? {
        said = health::check(address).await;
        if said.is_ok() {
            break;
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ClientAddressHeader;

    #[test]
    fn behind_the_tunnel_the_proxies_and_their_header_have_to_be_named() {
        let header = || ClientAddressHeader::parse("CF-Connecting-IP").expect("a header");
        let networks = || TrustedProxies::parse("172.16.0.0/12").expect("a network");
        for (proxies, wrong_without, wrong_behind) in [
            (TrustedProxies::default(), 0, 1),
            (networks(), 0, 1),
            (TrustedProxies::default().saying_it_in(header()), 1, 1),
            (networks().saying_it_in(header()), 0, 0),
        ] {
            for (has_tunnel, wrong) in [(false, wrong_without), (true, wrong_behind)] {
                let mut report = Report::default();
                report.proxies(&proxies, has_tunnel);
                assert_eq!(report.wrong, wrong, "{has_tunnel} {proxies:?}: {}", report.lines);
                assert!(!has_tunnel || wrong == 0 || report.lines.contains("TRUSTED_PROXIES=172.16.0.0/12"));
            }
        }
    }

    #[test]
    fn a_clock_of_before_the_build_is_wrong() {
        let mut report = Report::default();
        report.clock_at(SystemTime::now());
        assert_eq!(report.wrong, 0, "{}", report.lines);
        report.clock_at(UNIX_EPOCH + Duration::from_secs(86_400));
        assert_eq!(report.wrong, 1);
        assert!(report.lines.contains("WRONG clock: it says 1970-01-02T00:00:00Z"), "{}", report.lines);
    }
}
