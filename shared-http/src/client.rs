//! The client of a request: its address, its user, and which proxies may name the address.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, OnceLock},
};

use axum::{
    extract::OptionalFromRequestParts,
    http::{HeaderMap, HeaderName, request::Parts},
};
use ipnet::IpNet;

use crate::shown_settings::{ShownSettings, or_none};

const CONNECTING_IP: HeaderName = HeaderName::from_static("cf-connecting-ip");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the client. A request that came over no socket has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddr(pub IpAddr);

impl<S: Sync> OptionalFromRequestParts<S> for ClientAddr {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(Caller::of(parts).and_then(|caller| caller.address).map(Self))
    }
}

/// What is known about the client of a request.
#[derive(Debug)]
pub struct Caller {
    pub(crate) address: Option<IpAddr>,
    pub(crate) user: OnceLock<Arc<str>>,
    is_logged: bool,
}

impl Caller {
    pub(crate) fn new(address: Option<IpAddr>, is_logged: bool) -> Self {
        Self { address, user: OnceLock::new(), is_logged }
    }

    /// The caller of a request that has passed the middleware.
    pub fn of(parts: &Parts) -> Option<&Arc<Self>> {
        parts.extensions.get()
    }

    /// Remembers the user for the access log.
    pub fn identify(&self, user: &Arc<str>) {
        if self.is_logged {
            // If it is set already, it is the same: a request has one user.
            let _ = self.user.set(user.clone());
        }
    }
}

/// What counts as one client. An IPv6 customer can use all addresses of a /64 network, so that network is one client.
pub fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// The proxies that are trusted to name the address of a client, and the header in which they name it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    header: Option<ClientAddressHeader>,
}

/// A header that holds the address of the client and nothing else, such as `CF-Connecting-IP`.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientAddressHeader(HeaderName);

impl ClientAddressHeader {
    /// `None` if `text` names no such header. `Forwarded` (RFC 7239) is not supported. `Some(None)` for
    /// `X-Forwarded-For`, which is a list that every proxy appends to.
    pub fn parse(text: &str) -> Option<Option<Self>> {
        let name = HeaderName::from_bytes(text.as_bytes()).ok().filter(|name| name != FORWARDED)?;
        Some((name != FORWARDED_FOR).then_some(Self(name)))
    }

    /// The address in the header, if the request has it once and it holds one address.
    fn address(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let mut values = headers.get_all(&self.0).iter();
        let address = parse_address(values.next()?.as_bytes())?;
        values.next().is_none().then_some(address)
    }
}

impl TrustedProxies {
    /// Parses addresses and networks, such as `172.16.0.0/12`, separated by commas. These proxies name the client in
    /// `X-Forwarded-For`.
    pub fn parse(text: &str) -> Option<Self> {
        let network = |text: &str| match text.parse::<IpAddr>() {
            Ok(address) => Some(address.into()),
            Err(_) => text.parse::<IpNet>().ok(),
        };
        let networks = text.split(',').map(|text| network(text.trim())).collect::<Option<_>>()?;
        Some(Self { networks, header: None })
    }

    /// The same proxies, which name the client in `header`. `None` stands for `X-Forwarded-For`.
    #[must_use]
    pub fn with_header(self, header: Option<ClientAddressHeader>) -> Self {
        Self { header, ..self }
    }

    /// Adds both settings to what an operator is shown.
    pub fn show(&self, shown: &mut ShownSettings) {
        let networks: Vec<_> = self.networks.iter().map(ToString::to_string).collect();
        shown.show("TRUSTED_PROXIES", or_none((!networks.is_empty()).then(|| networks.join(","))));
        shown.show("CLIENT_ADDRESS_HEADER", or_none(self.header.as_ref().map(|header| &header.0)));
    }

    /// The client of a request that `peer` sent: the peer itself, unless it is trusted and names another. If the header
    /// is missing, occurs twice or holds no address, it is the peer. `X-Forwarded-For` is not read instead, because the
    /// client may have written it.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return peer;
        }
        match &self.header {
            Some(header) => header.address(headers).unwrap_or(peer),
            None => self.forwarded_for(peer, headers),
        }
    }

    /// Whether the headers say that a proxy sent the request, and no proxy is trusted.
    pub(crate) fn ignores_proxy(&self, headers: &HeaderMap) -> bool {
        self.networks.is_empty()
            && (headers.contains_key(CONNECTING_IP) || headers.contains_key(FORWARDED_FOR))
    }

    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Every proxy appends the address of its own peer. So the client is the first from the right that is no trusted
    /// proxy.
    fn forwarded_for(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        for value in headers.get_all(FORWARDED_FOR).iter().rev() {
            // Split as bytes, because what the client wrote on the left need not be UTF-8.
            for hop in value.as_bytes().rsplit(|byte| *byte == b',') {
                // Everything to the left of an entry that is no address may be invented by the client.
                let Some(hop) = parse_address(hop) else { return client };
                client = hop;
                if !self.trusts(client) {
                    return client;
                }
            }
        }
        client
    }
}

/// An IP address, with a port or without.
fn parse_address(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text.trim_ascii()).ok()?;
    let address = text.parse().or_else(|_| text.parse().map(|with_port: SocketAddr| with_port.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    type Headers<'a> = &'a [(&'static str, &'a str)];

    fn headers(given: Headers<'_>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        headers
    }

    fn proxies(trusted: &str, header: &str) -> TrustedProxies {
        let trusted =
            if trusted.is_empty() { Some(TrustedProxies::default()) } else { TrustedProxies::parse(trusted) };
        let header = if header.is_empty() { Some(None) } else { ClientAddressHeader::parse(header) };
        trusted.expect("networks").with_header(header.expect("a header"))
    }

    const CLOUDFLARE: &str = "cf-connecting-ip";
    const FORWARDED: &str = "x-forwarded-for";

    #[test]
    fn a_peer_that_is_not_trusted_is_the_client_itself() {
        let headers = headers(&[(CLOUDFLARE, "198.51.100.1"), (FORWARDED, "198.51.100.2")]);
        for trusted in ["", "10.0.0.0/8", "192.0.2.8"] {
            for header in ["", "CF-Connecting-IP"] {
                let client = proxies(trusted, header).client("192.0.2.7".parse().unwrap(), &headers);
                assert_eq!(client.to_string(), "192.0.2.7", "{trusted} {header}");
            }
        }
    }

    #[test]
    fn a_trusted_proxy_names_the_client_in_the_configured_header_only() {
        let both = [(CLOUDFLARE, "198.51.100.1"), (FORWARDED, "198.51.100.2")];
        let cases: [(&str, Headers<'_>, &str); 20] = [
            ("", &both, "198.51.100.2"),
            ("", &[(CLOUDFLARE, "198.51.100.1")], "10.0.0.1"),
            ("", &[(FORWARDED, "203.0.113.9, 198.51.100.2, 10.0.0.2")], "198.51.100.2"),
            ("", &[(FORWARDED, "203.0.113.9"), (FORWARDED, "198.51.100.2")], "198.51.100.2"),
            ("", &[(FORWARDED, "198.51.100.2:4711,10.0.0.2")], "198.51.100.2"),
            ("", &[(FORWARDED, "[2001:db8::1]:4711")], "2001:db8::1"),
            ("", &[(FORWARDED, "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            ("", &[(FORWARDED, "198.51.100.2, nonsense, 10.0.0.2")], "10.0.0.2"),
            ("", &[], "10.0.0.1"),
            ("X-Forwarded-For", &both, "198.51.100.2"),
            ("X-Forwarded-For", &[(FORWARDED, "203.0.113.9, 198.51.100.2, 10.0.0.2")], "198.51.100.2"),
            ("CF-Connecting-IP", &both, "198.51.100.1"),
            ("cf-connecting-ip", &[(CLOUDFLARE, "2001:db8::1")], "2001:db8::1"),
            ("X-Real-IP", &[(CLOUDFLARE, "198.51.100.1"), ("x-real-ip", "198.51.100.3")], "198.51.100.3"),
            // No other header is read instead: the client may have written it.
            ("CF-Connecting-IP", &[(FORWARDED, "198.51.100.2")], "10.0.0.1"),
            ("CF-Connecting-IP", &[(CLOUDFLARE, "nonsense"), (FORWARDED, "198.51.100.2")], "10.0.0.1"),
            ("CF-Connecting-IP", &[(CLOUDFLARE, ""), (FORWARDED, "198.51.100.2")], "10.0.0.1"),
            ("CF-Connecting-IP", &[(CLOUDFLARE, "198.51.100.1"), (CLOUDFLARE, "198.51.100.3")], "10.0.0.1"),
            ("CF-Connecting-IP", &[(CLOUDFLARE, "198.51.100.1, 198.51.100.3")], "10.0.0.1"),
            ("X-Real-IP", &both, "10.0.0.1"),
        ];
        for (header, given, expected) in cases {
            let proxies = proxies("192.0.2.7, 10.0.0.0/8", header);
            let client = proxies.client("10.0.0.1".parse().unwrap(), &headers(given));
            assert_eq!(client.to_string(), expected, "{header} {given:?}");
        }
        let mapped = headers(&[(FORWARDED, "::ffff:198.51.100.2")]);
        let client = proxies("10.0.0.1", "").client("::ffff:10.0.0.1".parse().unwrap(), &mapped);
        assert_eq!(client.to_string(), "198.51.100.2");
    }

    #[test]
    fn an_entry_of_a_proxy_is_read_though_bytes_before_it_are_not_utf_8() {
        for (given, expected) in [
            (&[&b"\xff, 198.51.100.2"[..]][..], "198.51.100.2"),
            (&[b"\xff,198.51.100.2 , 10.0.0.2"], "198.51.100.2"),
            (&[b"203.0.113.9, \xc3\xa9, 10.0.0.2"], "10.0.0.2"),
            (&[b"203.0.113.9, 198.51.100.2\xff"], "10.0.0.1"),
            (&[b"203.0.113.9\xff", b"198.51.100.2"], "198.51.100.2"),
            // A no-break space, which `str::trim` would remove.
            (&[b"\xc2\xa0203.0.113.9, 10.0.0.2"], "10.0.0.2"),
        ] {
            let mut headers = HeaderMap::new();
            for value in given {
                headers.append(HeaderName::from_static(FORWARDED), HeaderValue::from_bytes(value).unwrap());
            }
            let client = proxies("10.0.0.0/8", "").client("10.0.0.1".parse().unwrap(), &headers);
            assert_eq!(client.to_string(), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_client() {
        let network = |address: &str| network(address.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("2001:db8:1:3::1"), "2001:db8:1:3::");
        assert_eq!(network("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(network("192.0.2.2"), "192.0.2.2");
    }

    #[test]
    fn a_text_that_is_no_network_is_refused() {
        for text in ["", "proxy", "10.0.0.0/33", "10.0.0.1,,10.0.0.2", "10.0.0.1;10.0.0.2"] {
            assert_eq!(TrustedProxies::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_name_of_no_header_with_one_address_is_refused() {
        for text in ["", "CF Connecting IP", "CF-Connecting-IP:", "x,y", "Forwarded"] {
            assert_eq!(ClientAddressHeader::parse(text), None, "{text:?}");
        }
    }
}
