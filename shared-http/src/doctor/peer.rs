//! The other service, as `--peer` names it.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
};

use url::Url;

use super::Report;
use crate::{health, text::printable};

/// A service that works with another.
#[derive(Debug)]
pub struct Service {
    /// As operators know it.
    pub name: &'static str,
    /// As its `/health` names it.
    pub in_health: &'static str,
    /// Where it is on a machine.
    pub address: &'static str,
    /// And among containers.
    pub in_containers: &'static str,
}

/// Registers users and issues their tokens.
pub const IDENTITY: Service = Service {
    name: "identity-service",
    in_health: "identity-service",
    address: "http://127.0.0.1:18081",
    in_containers: "http://identity:8000",
};

/// Checks tickets in.
pub const ATTENDANCE: Service = Service {
    name: "attendance-service",
    in_health: "attendance",
    address: "http://127.0.0.1:18082",
    in_containers: "http://attendance:8000",
};

impl Report {
    /// Whether `other` can be reached at `url`, and can do its work. Who asks is `own`.
    pub async fn peer(&mut self, url: &str, own: &Service, other: &Service) {
        let Some((host, port)) = parse(url) else {
            return self.wrong(format_args!(
                "peer: \"{}\" is no http:// address; write {}, in containers {}",
                printable(url),
                other.address,
                other.in_containers
            ));
        };
        let (address, name) = match find(url, host, port).await {
            Ok(found) => found,
            Err(reason) => {
                return self.wrong(format_args!("peer: {reason}; start it, or correct the address"));
            }
        };
        if name != other.in_health {
            let what = if name == own.in_health {
                format!("{} itself", own.name)
            } else {
                format!("no {}", other.name)
            };
            return self.wrong(format_args!(
                "peer: {url} is {what}; name {}, such as {}",
                other.name, other.address
            ));
        }
        match health::ready(address).await {
            Ok(()) => self.good(format_args!("peer: {url} is well")),
            Err(reason) => {
                self.wrong(format_args!("peer: {url} runs, but is not ready: {reason}; see to that"));
            }
        }
    }
}

/// The host and the port of an `http://` address.
fn parse(url: &str) -> Option<(String, u16)> {
    let parsed = Url::parse(url).ok().filter(|parsed| parsed.scheme() == "http")?;
    let host = parsed.host_str()?.trim_matches(['[', ']']).to_owned();
    Some((host, parsed.port_or_known_default()?))
}

/// Which service answers there, and on which of the addresses of `host`.
async fn find(url: &str, host: String, port: u16) -> Result<(SocketAddr, String), String> {
    let found = tokio::task::spawn_blocking(move || (host, port).to_socket_addrs()).await;
    let found = found.map_err(io::Error::other).and_then(|found| found);
    let mut said = Err(format!("{url} has no address"));
    for address in found.map_err(|error| format!("{url} has no address: {error}"))? {
        said = health::identify(address).await.map(|name| (address, name));
        if said.is_ok() {
            break;
        }
    }
    said
}
