//! An origin: where a service or a web page is (RFC 6454).

use std::{
    fmt::{self, Display},
    net::Ipv6Addr,
};

/// A scheme, a host and perhaps a port, such as `https://gate.example.org`: what a browser sends in `Origin`, and what a
/// Content-Security-Policy allows.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin(String);

impl Origin {
    /// Reads an origin. A `/` at its end, as in an address copied from a browser, is left out. `None` if there is more, or
    /// something else.
    pub fn parse(text: &str) -> Option<Self> {
        let origin = text.trim().trim_end_matches('/');
        let (scheme, authority) = origin.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        let is_origin = matches!(&*scheme, "http" | "https") && is_host(host) && is_port;
        is_origin.then(|| Self(format!("{scheme}://{authority}")))
    }

    /// The origin as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !host.is_empty() && host.chars().all(is_allowed)
}

impl Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_perhaps_a_port() {
        for (text, origin) in [
            ("https://gate.example.org", Some("https://gate.example.org")),
            (" http://localhost:18081/ ", Some("http://localhost:18081")),
            ("http://[::1]:18081", Some("http://[::1]:18081")),
            ("http://[::1]", Some("http://[::1]")),
            ("HTTPS://gate.example.org", Some("https://gate.example.org")),
            ("https://[", None),
            ("https://a:b:c", None),
            ("https://gate.example.org:99999", None),
            ("https://gate.example.org:", None),
            ("gate.example.org", None),
            ("https://", None),
            ("ftp://gate.example.org", None),
            ("https://gate.example.org/masuk", None),
            ("https://*.example.org", None),
            ("https://gate.example.org; script-src *", None),
            ("https://budi@gate.example.org", None),
            ("https://gate.example.org\">", None),
        ] {
            assert_eq!(Origin::parse(text).as_ref().map(Origin::as_str), origin, "{text}");
        }
    }
}
