//! What `doctor` finds: a line for everything that was looked at, and what to do about what is wrong.

mod peer;

use std::{
    fmt::{Display, Write as _},
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, SecondsFormat};

pub use self::peer::{ATTENDANCE, IDENTITY, Service};
use crate::{
    config::Unread,
    health,
    process::{ConfigError, Failure},
    running::{self, AskError, NONE, Running, ShownSettings},
    text::{printable, printable_line},
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

    /// Something that an operator should know, and that may be as it should be.
    pub fn note(&mut self, what: impl Display) {
        self.line("note ", what);
    }

    fn line(&mut self, verdict: &str, what: impl Display) {
        // Writing to memory does not fail.
        let _ = writeln!(self.lines, "{verdict} {}", printable_line(&what.to_string()));
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

    /// Whether the service would start with these settings, and reads all that were meant for it.
    pub fn configuration<T>(&mut self, checked: Result<T, ConfigError>, unread: &Unread) -> Option<T> {
        unread.names().for_each(|name| self.wrong(format_args!("configuration: {name}")));
        unread.dotenv().into_iter().for_each(|left| self.note(format_args!("configuration: {left}")));
        match checked {
            Ok(config) => {
                if unread.names().next().is_none() {
                    self.good("configuration: every setting can be used");
                }
                Some(config)
            }
            Err(error) => {
                error.mistakes().for_each(|mistake| self.wrong(format_args!("configuration: {mistake}")));
                None
            }
        }
    }

    /// The settings of the `service` that serves at `address`, if one does, and where this environment, with the
    /// settings `own`, has others.
    pub async fn running(
        &mut self,
        service: &'static str,
        address: Option<SocketAddr>,
        own: Option<&ShownSettings>,
    ) -> Option<ShownSettings> {
        let port = address?.port();
        let running = match running::ask(service, port).await {
            Ok(running) => running,
            Err(absent @ AskError::Absent { .. }) => {
                self.note(format_args!(
                    "running: {absent}; what follows is about the settings of this environment"
                ));
                return None;
            }
            Err(error) => {
                self.wrong(format_args!("running: {error}"));
                self.note("what follows is about this environment");
                return None;
            }
        };
        let Running { process, user, version, settings } = running;
        self.good(format_args!(
            "running: {service} {} on port {port}, process {process} of user {user}; what follows is about \
             its settings",
            printable(&version)
        ));
        for (variable, theirs, ours) in own.into_iter().flat_map(|own| settings.differences(own)) {
            self.note(format_args!(
                "setting: {variable} is {theirs:?} in the running service, and {ours:?} in this environment; restart \
                 the service, or run doctor with the service's settings"
            ));
        }
        let host = settings.get("HOST").parse().unwrap_or(Ipv4Addr::LOCALHOST.into());
        match health::ready(SocketAddr::new(host, port)).await {
            Ok(()) => self.good("ready: the running service can do its work"),
            Err(reason) => self.wrong(format_args!("ready: {reason}; see to that")),
        }
        Some(settings)
    }

    /// Whether strangers may be let near.
    pub fn environment(&mut self, settings: &ShownSettings) {
        match settings.get("APP_ENV") {
            "production" => self.good("environment: production"),
            environment => {
                self.wrong(format_args!(
                    "environment: {}, with friendly defaults; set APP_ENV=production",
                    printable(environment)
                ));
            }
        }
    }

    /// Whether clients can be told apart, behind the tunnel of `docker-compose.prod.yml` too.
    pub fn proxies(&mut self, settings: &ShownSettings) {
        let (networks, header) = (settings.get("TRUSTED_PROXIES"), settings.get("CLIENT_ADDRESS_HEADER"));
        let has_tunnel = settings.get("COMPOSE_PROFILES") == "tunnel";
        match (networks == NONE, header != NONE) {
            (true, _) | (_, false) if has_tunnel => self.wrong(
                "proxies: behind the tunnel clients cannot be told apart, and one of them can lock others out; set \
                 TRUSTED_PROXIES=172.16.0.0/12 and CLIENT_ADDRESS_HEADER=CF-Connecting-IP",
            ),
            (true, true) => self.wrong(
                "proxies: CLIENT_ADDRESS_HEADER is believed from TRUSTED_PROXIES only, which is not set; set both or \
                 neither",
            ),
            (true, false) => self.good("proxies: none; a client is whoever connects"),
            (false, is_named) => {
                let header = if is_named { header } else { "x-forwarded-for" };
                self.good(format_args!(
                    "proxies: {} is believed from {}",
                    printable(header),
                    printable(networks)
                ));
            }
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{ClientAddressHeader, TrustedProxies};

    #[test]
    fn behind_the_tunnel_the_proxies_and_their_header_have_to_be_named() {
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
                report.proxies(&settings);
                assert_eq!(report.wrong, wrong, "{has_tunnel} {proxies:?}: {}", report.lines);
                assert!(!has_tunnel || wrong == 0 || report.lines.contains("TRUSTED_PROXIES=172.16.0.0/12"));
            }
        }
    }

    #[test]
    fn no_text_moves_the_cursor_or_makes_a_line_of_its_own() {
        let mut report = Report::default();
        report.note("setting: X is \u{1b}]0;owned\u{7}\nok    environment: production");
        assert_eq!(
            report.lines,
            "note  setting: X is \\u{1b}]0;owned\\u{7}\\nok    environment: production\n"
        );
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
