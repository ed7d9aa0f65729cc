//! The settings of a running service, for its operator. The process sends them over a local socket to `doctor`. Of a
//! secret they contain only how strong it is.
//!
//! The socket has a name in Linux's abstract namespace, so it needs no writable directory and leaves no file behind.
//! Such names have no permissions. So each end asks the kernel for the user id of the other (`SO_PEERCRED`).

use serde::{Deserialize, Serialize};
use shared_http::shown_settings::ShownSettings;

/// What is sent over the socket, as JSON.
#[derive(Debug, Deserialize, Serialize)]
struct Document {
    version: String,
    settings: ShownSettings,
}

/// A service that runs on this machine.
#[derive(Debug)]
pub(crate) struct Running {
    /// Its process id.
    pub(crate) pid: i32,
    /// The id of the user that it runs as.
    pub(crate) uid: u32,
    /// The version of its program.
    pub(crate) version: String,
    /// Its settings.
    pub(crate) settings: ShownSettings,
}

/// Why there are no settings, or none that can be trusted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// There is no socket of that name.
    #[error("no {service} runs on port {port} of this machine{}", in_words(.other_ports))]
    NotRunning { service: &'static str, port: u16, other_ports: Vec<u16> },
    /// The process sends its settings only to its own user and to root.
    #[error("the process {pid} on port {port} runs as user {uid}; ask as that user, or as root")]
    OtherUser { port: u16, pid: i32, uid: u32 },
    /// The process that has the socket is not the only one that listens on the port, or does not listen there.
    #[error(
        "process {pid} of user {uid} answers for {service}, and is not what listens on port {port}, or not alone; do not \
         believe it, but end it, and restart the service"
    )]
    Impostor { service: &'static str, port: u16, pid: i32, uid: u32 },
    /// The socket exists, but sent no settings.
    #[error("the process on port {port} does not tell its settings: {reason}")]
    NoAnswer { port: u16, reason: String },
}

fn in_words(other_ports: &[u16]) -> String {
    let ports: Vec<_> = other_ports.iter().map(|port| format!("PORT={port}")).collect();
    if ports.is_empty() { String::new() } else { format!("; one does with {}", ports.join(", ")) }
}

#[cfg(target_os = "linux")]
pub(crate) use linux::{ask, show};

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::{ask, show};

#[cfg(target_os = "linux")]
mod listeners;

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        fs, io,
        os::{
            linux::net::SocketAddrExt,
            unix::net::{SocketAddr, UnixListener as StdListener, UnixStream as StdStream},
        },
        time::Duration,
    };

    use rustix::process::geteuid;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{UnixListener, UnixStream},
        task::spawn_blocking,
        time::{sleep, timeout},
    };

    use super::{AskError, Document, Running, ShownSettings, listeners};

    /// The longest document that is read.
    const MAX_DOCUMENT_BYTES: u64 = 64 << 10;

    /// How long connecting, writing and reading may take, each.
    const SOCKET_TIMEOUT: Duration = Duration::from_secs(2);

    /// The pause after a failed `accept`.
    const ACCEPT_RETRY_DELAY: Duration = Duration::from_secs(1);

    /// How many other ports are named at most.
    const MAX_OTHER_PORTS: usize = 8;

    const ROOT: u32 = 0;

    /// Sends `settings` to every process that connects to the socket for `service` and `port`, until this process ends.
    /// Only root and the user of this process get an answer. They are served one at a time, because there is rarely
    /// more than one. If the socket cannot be opened, that is logged, and the service runs without it.
    pub(crate) fn show(service: &'static str, port: u16, settings: ShownSettings) {
        let document = Document { version: env!("CARGO_PKG_VERSION").to_owned(), settings };
        let prepared = serde_json::to_vec(&document)
            .map_err(io::Error::from)
            .and_then(|document| Ok((listen(service, port)?, document)));
        match prepared {
            Ok((listener, document)) => drop(tokio::spawn(answer(listener, document))),
            Err(error) => {
                let name = name(service, port);
                tracing::error!(
                    %error,
                    "doctor cannot ask this process for its settings, at @{name}; ss -xlp tells who has that name"
                );
            }
        }
    }

    fn name(service: &str, port: u16) -> String {
        format!("tixgo/{service}/{port}")
    }

    fn listen(service: &str, port: u16) -> io::Result<UnixListener> {
        let address = SocketAddr::from_abstract_name(name(service, port))?;
        let listener = StdListener::bind_addr(&address)?;
        listener.set_nonblocking(true)?;
        UnixListener::from_std(listener)
    }

    async fn answer(listener: UnixListener, document: Vec<u8>) {
        loop {
            let Ok((mut client, _)) = listener.accept().await else {
                sleep(ACCEPT_RETRY_DELAY).await;
                continue;
            };
            let is_allowed = client.peer_cred().is_ok_and(|peer| [ROOT, own_uid()].contains(&peer.uid()));
            if is_allowed {
                // Fails if the client disconnects or does not read. It may connect again.
                let _ = timeout(SOCKET_TIMEOUT, client.write_all(&document)).await;
            }
        }
    }

    fn own_uid() -> u32 {
        geteuid().as_raw()
    }

    /// The settings of the `service` that serves on `port`.
    ///
    /// # Errors
    ///
    /// None runs there, it is another user's, or it does not answer.
    pub(crate) async fn ask(service: &'static str, port: u16) -> Result<Running, AskError> {
        let no_answer = |reason: String| AskError::NoAnswer { port, reason };
        let stream = match timeout(SOCKET_TIMEOUT, connect(service, port)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                return Err(AskError::NotRunning { service, port, other_ports: other_ports(service) });
            }
            Ok(Err(error)) => return Err(no_answer(error.to_string())),
            Err(_elapsed) => return Err(no_answer("it accepts no connection".to_owned())),
        };
        let peer = stream.peer_cred().map_err(|error| no_answer(error.to_string()))?;
        let (pid, uid) = (peer.pid().unwrap_or_default(), peer.uid());
        if ![ROOT, uid].contains(&own_uid()) {
            return Err(AskError::OtherUser { port, pid, uid });
        }
        // Any user of this machine can bind the name of the socket.
        if uid != own_uid() {
            match listeners::are_all_of(pid, uid, port) {
                Ok(true) => {}
                Ok(false) => return Err(AskError::Impostor { service, port, pid, uid }),
                Err(error) => {
                    return Err(no_answer(format!(
                        "whether it listens there cannot be seen ({error}); ask as user {uid}"
                    )));
                }
            }
        }
        let mut text = Vec::new();
        let mut answer = stream.take(MAX_DOCUMENT_BYTES);
        match timeout(SOCKET_TIMEOUT, answer.read_to_end(&mut text)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(no_answer(error.to_string())),
            Err(_elapsed) => return Err(no_answer("it takes too long".to_owned())),
        }
        let Document { version, settings } =
            serde_json::from_slice(&text).map_err(|error| no_answer(error.to_string()))?;
        Ok(Running { pid, uid, version, settings })
    }

    async fn connect(service: &str, port: u16) -> io::Result<UnixStream> {
        let address = SocketAddr::from_abstract_name(name(service, port))?;
        // Blocks while the backlog is full.
        let connected = spawn_blocking(move || StdStream::connect_addr(&address)).await;
        let stream = connected.map_err(io::Error::other).and_then(|connected| connected)?;
        stream.set_nonblocking(true)?;
        UnixStream::from_std(stream)
    }

    /// The ports that other processes of `service` have bound the socket's name for.
    fn other_ports(service: &str) -> Vec<u16> {
        let prefix = format!("@tixgo/{service}/");
        let sockets = fs::read_to_string("/proc/net/unix").unwrap_or_default();
        let names = sockets.lines().filter_map(|line| line.rsplit(' ').next());
        let mut ports: Vec<u16> = names.filter_map(|name| name.strip_prefix(&prefix)?.parse().ok()).collect();
        ports.sort_unstable();
        ports.dedup();
        ports.truncate(MAX_OTHER_PORTS);
        ports
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use super::{AskError, Running, ShownSettings};

    /// Does nothing: only Linux has sockets that need no file.
    pub(crate) fn show(_service: &'static str, _port: u16, _settings: ShownSettings) {}

    /// There is never an answer.
    ///
    /// # Errors
    ///
    /// Always.
    pub(crate) async fn ask(service: &'static str, port: u16) -> Result<Running, AskError> {
        Err(AskError::NotRunning { service, port, other_ports: Vec::new() })
    }
}
