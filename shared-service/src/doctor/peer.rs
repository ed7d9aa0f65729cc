//! Checks the other service, at the address that `--peer` names.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
};

use shared_http::{report::Report, text::printable, tls::Pinned};
use url::Url;

use crate::{health_client, service::ServiceInfo};

/// Reports whether `other` answers at `url` and is ready. `own` is the service that asks.
/// With `https://` it has to show the certificate that is `trusted`, which is that of `own`.
pub(super) async fn examine(
    report: &mut Report,
    url: &str,
    trusted: Option<&Pinned>,
    own: &ServiceInfo,
    other: &ServiceInfo,
) {
    // Without TLS of its own, `own` has no certificate to expect.
    let parsed = parse(url).filter(|(is_https, ..)| !is_https || trusted.is_some());
    let Some((is_https, host, port)) = parsed else {
        return report.wrong(format_args!(
            "peer: \"{}\" is no http:// address; write http://127.0.0.1:{}, in containers http://{}:8000",
            printable(url),
            other.default_port,
            other.container
        ));
    };
    let trusted = trusted.filter(|_| is_https);
    let (address, name) = match find(url, host, port, trusted).await {
        Ok(found) => found,
        Err(reason) => {
            return report.wrong(format_args!("peer: {reason}; start it, or correct the address"));
        }
    };
    if name != other.health_name {
        let what = if name == own.health_name {
            format!("{} itself", own.name)
        } else {
            format!("no {}", other.name)
        };
        return report.wrong(format_args!(
            "peer: {url} is {what}; name {}, such as {}://127.0.0.1:{}",
            other.name,
            if is_https { "https" } else { "http" },
            other.default_port
        ));
    }
    match health_client::ready(address, trusted).await {
        Ok(()) => report.good(format_args!("peer: {url} is well")),
        Err(reason) => {
            report.wrong(format_args!("peer: {url} runs, but is not ready: {reason}; see to that"));
        }
    }
}

/// Whether an address begins with `https://` and not with `http://`, its host and its port.
fn parse(url: &str) -> Option<(bool, String, u16)> {
    let parsed = Url::parse(url).ok().filter(|parsed| ["http", "https"].contains(&parsed.scheme()))?;
    let host = parsed.host_str()?.trim_matches(['[', ']']).to_owned();
    Some((parsed.scheme() == "https", host, parsed.port_or_known_default()?))
}

/// The first address of `host` where a service answers `/health`, and the name in the answer.
async fn find(
    url: &str,
    host: String,
    port: u16,
    trusted: Option<&Pinned>,
) -> Result<(SocketAddr, String), String> {
    let found = tokio::task::spawn_blocking(move || (host, port).to_socket_addrs()).await;
    let found = found.map_err(io::Error::other).and_then(|found| found);
    let mut answer = Err(format!("{url} has no address"));
    for address in found.map_err(|error| format!("{url} has no address: {error}"))? {
        answer = health_client::identify(address, trusted).await.map(|name| (address, name));
        if answer.is_ok() {
            break;
        }
    }
    answer
}
