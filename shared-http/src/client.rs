//! Who is calling.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
};

use axum::{
    extract::OptionalFromRequestParts,
    http::{HeaderMap, HeaderName, request::Parts},
};
use ipnet::IpNet;

const CONNECTING_IP: HeaderName = HeaderName::from_static("cf-connecting-ip");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the client, where there is one: a request that came over no socket has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddr(pub IpAddr);

impl<S: Sync> OptionalFromRequestParts<S> for ClientAddr {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(Caller::of(parts).and_then(|caller| caller.address).map(Self))
    }
}

/// What is known of whoever sent a request, beside the request.
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

    /// Remembers, for the log, which user it is.
    pub fn identify(&self, user: &str) {
        if self.is_logged {
            // Who was known before is the same.
            let _ = self.user.set(user.into());
        }
    }
}

/// The proxies whose word is taken for the address of a client.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Addresses and networks, such as `172.16.0.0/12`, separated by commas.
    pub fn parse(text: &str) -> Option<Self> {
        let network = |text: &str| match text.parse::<IpAddr>() {
            Ok(address) => Some(address.into()),
            Err(_) => text.parse::<IpNet>().ok(),
        };
        text.split(',').map(|text| network(text.trim())).collect::<Option<_>>().map(Self)
    }

    /// Whose request it is that `peer` sent: the peer's own, unless it is trusted and names another.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return peer;
        }
        connecting_ip(headers).unwrap_or_else(|| self.forwarded_for(peer, headers))
    }

    /// Whether a request says for whom it is, and nobody may say so.
    pub(crate) fn ignores(&self, headers: &HeaderMap) -> bool {
        self.0.is_empty() && (headers.contains_key(CONNECTING_IP) || headers.contains_key(FORWARDED_FOR))
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Every proxy appends whom it talked to: from the right, the first one that is no proxy of ours.
    fn forwarded_for(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        for value in headers.get_all(FORWARDED_FOR).iter().rev() {
            for hop in value.to_str().unwrap_or_default().rsplit(',') {
                // Whatever stands left of what nobody understands may be anybody's invention.
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

/// What Cloudflare says. It says it once.
fn connecting_ip(headers: &HeaderMap) -> Option<IpAddr> {
    let mut values = headers.get_all(CONNECTING_IP).iter();
    let address = parse_address(values.next()?.to_str().ok()?)?;
    values.next().is_none().then_some(address)
}

/// With a port or without.
fn parse_address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address = text.parse().or_else(|_| text.parse().map(|with_port: SocketAddr| with_port.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &str, peer: &str, headers: &[(&'static str, &str)]) -> String {
        let headers =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        let headers: HeaderMap = headers.fold(HeaderMap::new(), |mut all, (name, value)| {
            all.append(name, value);
            all
        });
        let trusted =
            if trusted.is_empty() { Some(TrustedProxies::default()) } else { TrustedProxies::parse(trusted) };
        trusted.expect("networks").client(peer.parse().unwrap(), &headers).to_string()
    }

    const CLOUDFLARE: &str = "cf-connecting-ip";
    const FORWARDED: &str = "x-forwarded-for";

    #[test]
    fn a_peer_that_is_not_trusted_speaks_for_itself_only() {
        for trusted in ["", "10.0.0.0/8", "192.0.2.8"] {
            let headers = [(CLOUDFLARE, "198.51.100.1"), (FORWARDED, "198.51.100.2")];
            assert_eq!(client(trusted, "192.0.2.7", &headers), "192.0.2.7");
        }
    }

    #[test]
    fn a_trusted_proxy_is_believed() {
        let cases: [(&[(&str, &str)], &str); 10] = [
            (&[(CLOUDFLARE, "198.51.100.1")], "198.51.100.1"),
            (&[(CLOUDFLARE, "2001:db8::1"), (FORWARDED, "198.51.100.2")], "2001:db8::1"),
            (&[(FORWARDED, "203.0.113.9, 198.51.100.2, 10.0.0.2")], "198.51.100.2"),
            (&[(FORWARDED, "203.0.113.9"), (FORWARDED, "198.51.100.2")], "198.51.100.2"),
            (&[(FORWARDED, "198.51.100.2:4711,10.0.0.2")], "198.51.100.2"),
            (&[(FORWARDED, "[2001:db8::1]:4711")], "2001:db8::1"),
            (&[(FORWARDED, "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            (&[(FORWARDED, "198.51.100.2, nonsense, 10.0.0.2")], "10.0.0.2"),
            (&[(CLOUDFLARE, "nonsense"), (FORWARDED, "198.51.100.2")], "198.51.100.2"),
            (&[(CLOUDFLARE, "198.51.100.1"), (CLOUDFLARE, "198.51.100.3")], "10.0.0.1"),
        ];
        for (headers, expected) in cases {
            assert_eq!(client("192.0.2.7, 10.0.0.0/8", "10.0.0.1", headers), expected, "{headers:?}");
        }
        assert_eq!(
            client("10.0.0.1", "::ffff:10.0.0.1", &[(FORWARDED, "::ffff:198.51.100.2")]),
            "198.51.100.2"
        );
        assert_eq!(client("10.0.0.1", "10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "proxy", "10.0.0.0/33", "10.0.0.1,,10.0.0.2", "10.0.0.1;10.0.0.2"] {
            assert_eq!(TrustedProxies::parse(text), None, "{text:?}");
        }
    }
}
