//! Checks the certificate that the service shows.

use std::path::Path;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use shared_http::{
    report::Report,
    shown_settings::{NONE, ShownSettings},
    tls::{Certificate, Pinned, SELF_SIGNED},
};

/// Whoever renews a certificate by hand should do it with more time than this left.
const SOON: TimeDelta = TimeDelta::days(7);

/// Reports until when the certificate that `settings` name is good. Returns it, for asking the service. `None` also where
/// the service speaks plain HTTP.
pub(super) fn examine(report: &mut Report, settings: &ShownSettings, is_running: bool) -> Option<Pinned> {
    let file = settings.get("TLS_CERT_FILE");
    if file == NONE || file.is_empty() {
        return None;
    }
    let (is_self_signed, path) = (settings.get("TLS") == SELF_SIGNED, Path::new(file));
    if is_self_signed && !is_running && !path.exists() {
        report.good(format_args!("tls: the self-signed certificate {file} will be made at the first start"));
        return None;
    }
    let loaded = Certificate::load(path).and_then(|certificate| Ok((certificate, Pinned::load(path)?)));
    let (certificate, pinned) = loaded
        .map_err(|error| report.wrong(format_args!("tls: {error}; see to the file, and restart the service")))
        .ok()?;
    let way_out = if is_self_signed {
        "restart the service, which makes another"
    } else {
        "renew it, and restart the service"
    };
    examine_end(report, file, certificate.good_until(), way_out);
    Some(pinned)
}

fn examine_end(report: &mut Report, file: &str, end: Option<DateTime<Utc>>, way_out: &str) {
    let Some(end) = end else {
        return report.note(format_args!("tls: until when {file} is good cannot be told"));
    };
    let (shown, now) = (end.to_rfc3339_opts(SecondsFormat::Secs, true), Utc::now());
    if end <= now {
        report.wrong(format_args!("tls: the certificate {file} was good until {shown}; {way_out}"));
    } else if end <= now + SOON {
        report.wrong(format_args!("tls: the certificate {file} is good only until {shown}; {way_out}"));
    } else {
        report.good(format_args!("tls: the certificate {file} is good until {shown}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_has_expired_or_soon_will_is_wrong() {
        for (days, line) in [
            (-1, "WRONG tls: the certificate /c.pem was good until "),
            (6, "WRONG tls: the certificate /c.pem is good only until "),
            (8, "ok    tls: the certificate /c.pem is good until "),
        ] {
            let mut report = Report::default();
            examine_end(&mut report, "/c.pem", Some(Utc::now() + TimeDelta::days(days)), "renew it");
            assert!(report.lines().starts_with(line), "{}", report.lines());
        }
    }
}
