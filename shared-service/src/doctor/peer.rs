//! Checks the other service, at the address that `--peer` names.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
};

use shared_http::{report::Report, text::printable};
use url::Url;

use crate::{health_client, service::ServiceInfo};

/// Reports whether `other` answers at `url` and is ready. `own` is the service that asks.
pub(super) async fn examine(report: &mut Report, url: &str, own: &ServiceInfo, other: &ServiceInfo) {
    let Some((host, port)) = parse(url) else {
        return report.wrong(format_args!(
            "peer: \"{}\" is no http:// address; write http://127.0.0.1:{}, in containers http://{}:8000",
            printable(url),
            other.default_port,
            other.container
        ));
    };
    let (address, name) = match find(url, host, port).await {
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
            "peer: {url} is {what}; name {}, such as http://127.0.0.1:{}",
            other.name, other.default_port
        ));
    }
    match health_client::ready(address).await {
        Ok(()) => report.good(format_args!("peer: {url} is well")),
        Err(reason) => {
            report.wrong(format_args!("peer: {url} runs, but is not ready: {reason}; see to that"));
        }
    }
}

/// The host and the port of an `http://` address.
fn parse(url: &str) -> Option<(String, u16)> {
    let parsed = Url::parse(url).ok().filter(|parsed| parsed.scheme() == "http")?;
    let host = parsed.host_str()?.trim_matches(['[', ']']).to_owned();
    Some((host, parsed.port_or_known_default()?))
}

/// The first address of `host` where a service answers `/health`, and the name in the answer.
async fn find(url: &str, host: String, port: u16) -> Result<(SocketAddr, String), String> {
    let found = tokio::task::spawn_blocking(move || (host, port).to_socket_addrs()).await;
    let found = found.map_err(io::Error::other).and_then(|found| found);
    let mut answer = Err(format!("{url} has no address"));
    for address in found.map_err(|error| format!("{url} has no address: {error}"))? {
        answer = health_client::identify(address).await.map(|name| (address, name));
        if answer.is_ok() {
            break;
        }
    }
    answer
}
