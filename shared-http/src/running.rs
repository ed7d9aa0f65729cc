//! The settings that a service runs with, for whoever operates it: the process shows them on a socket of this
//! machine, and `doctor` asks there. They hold no secret, and of each only
//! a word on how good it is.
//!
//! The socket has a name in Linux's abstract namespace, so it needs no directory to write to and leaves nothing
//! behind. Names there have no permissions: each end asks the kernel who the other is.

use std::{collections::BTreeMap, fmt::Display};

use serde::{Deserialize, Serialize};

/// Settings as they are in effect, by environment variable.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct ShownSettings(BTreeMap<String, String>);

impl ShownSettings {
    /// Adds a setting. Never a secret, nor anything derived from one but a word on how good it is.
    pub fn show(&mut self, variable: &str, value: impl Display) {
        self.0.insert(variable.to_owned(), value.to_string());
    }

    /// The setting, empty where the service has none of that name.
    pub fn get(&self, variable: &str) -> &str {
        self.0.get(variable).map_or("", String::as_str)
    }

    /// Every variable that both have, with two values: ours and theirs.
    pub fn differences<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
        self.0.iter().filter_map(|(variable, ours)| {
            let theirs = other.0.get(variable).filter(|theirs| *theirs != ours)?;
            Some((variable.as_str(), ours.as_str(), theirs.as_str()))
        })
    }
}

/// A setting that may be absent, for [`ShownSettings::show`].
pub fn or_none(value: Option<impl Display>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| value.to_string())
}

/// How an absent one is shown.
pub(crate) const NONE: &str = "none";

/// What a service tells of itself.
#[derive(Debug, Deserialize, Serialize)]
struct Document {
    version: String,
    settings: ShownSettings,
}

/// A service that runs on this machine.
#[derive(Debug)]
pub struct Running {
    /// Its process id.
    pub process: i32,
    /// The id of the user that it runs as.
    pub user: u32,
    /// The version of its program.
    pub version: String,
    /// Its settings.
    pub settings: ShownSettings,
}

/// Why a service cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nothing of that name listens for questions.
    #[error("no {service} runs on port {port} of this machine{}", elsewhere(.others))]
    Absent {
        /// The service.
        service: &'static str,
        /// The port that it would serve on.
        port: u16,
        /// Where others of its kind serve.
        others: Vec<u16>,
    },
    /// It answers its own user only, and its answer would not be believed.
    #[error("the process {process} on port {port} runs as user {user}; ask as that user, or as root")]
    Foreign {
        /// The port that it serves on.
        port: u16,
        /// Its process id.
        process: i32,
        /// The id of the user that it runs as.
        user: u32,
    },
    /// Somebody else took the name.
    #[error(
        "process {process} of user {user} answers for {service}, and is not what listens on port {port}, or not alone; do not \
         believe it, but end it, and restart the service"
    )]
    Impostor {
        /// The service.
        service: &'static str,
        /// The port that it does not serve on.
        port: u16,
        /// Its process id.
        process: i32,
        /// The id of the user that it runs as.
        user: u32,
    },
    /// Something is wrong with its answer.
    #[error("the process on port {port} does not tell its settings: {reason}")]
    Silent {
        /// The port that it serves on.
        port: u16,
        /// What is wrong.
        reason: String,
    },
}

fn elsewhere(ports: &[u16]) -> String {
    let ports: Vec<_> = ports.iter().map(|port| format!("PORT={port}")).collect();
    if ports.is_empty() { String::new() } else { format!("; one does with {}", ports.join(", ")) }
}

#[cfg(target_os = "linux")]
pub use linux::{ask, show};

#[cfg(not(target_os = "linux"))]
pub use elsewhere::{ask, show};

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
        net::{UnixListener, UnixStream, unix::UCred},
        task::spawn_blocking,
        time::{sleep, timeout},
    };

    use super::{AskError, Document, Running, ShownSettings, listeners};

    /// No document is longer.
    const LONGEST: u64 = 64 << 10;

    /// How long one who asks may take, and one who answers.
    const PATIENCE: Duration = Duration::from_secs(2);

    /// How long after a failed `accept` the next is tried.
    const PAUSE: Duration = Duration::from_secs(1);

    /// So many are named at most.
    const OTHERS: usize = 8;

    const ROOT: u32 = 0;

    /// Shows `settings` to whoever asks for those of `service` on `port`, and may, for as long as the process
    /// lives. One at a time, each for a short while: more than one rarely asks. Where that cannot be, the
    /// service does without.
    pub fn show(service: &'static str, port: u16, settings: ShownSettings) {
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
                sleep(PAUSE).await;
                continue;
            };
            let may_know = client.peer_cred().is_ok_and(|peer| [ROOT, own_user()].contains(&peer.uid()));
            if may_know {
                // Whoever hangs up or does not read has nothing more to be told.
                let _ = timeout(PATIENCE, client.write_all(&document)).await;
            }
        }
    }

    fn own_user() -> u32 {
        geteuid().as_raw()
    }

    /// The settings of the `service` that serves on `port`.
    ///
    /// # Errors
    ///
    /// None runs there, it is somebody else's, or it does not answer.
    pub async fn ask(service: &'static str, port: u16) -> Result<Running, AskError> {
        let silent = |reason: String| AskError::Silent { port, reason };
        let stream = match timeout(PATIENCE, connect(service, port)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                return Err(AskError::Absent { service, port, others: others(service) });
            }
            Ok(Err(error)) => return Err(silent(error.to_string())),
            Err(_elapsed) => return Err(silent("it accepts no connection".to_owned())),
        };
        let peer = stream.peer_cred().map_err(|error| silent(error.to_string()))?;
        let (process, user) = (process_of(peer), peer.uid());
        if ![ROOT, user].contains(&own_user()) {
            return Err(AskError::Foreign { port, process, user });
        }
        // Any user of this machine may take the name.
        if user != own_user() {
            match listeners::are_all_of(process, user, port) {
                Ok(true) => {}
                Ok(false) => return Err(AskError::Impostor { service, port, process, user }),
                Err(error) => {
                    return Err(silent(format!(
                        "whether it listens there cannot be seen ({error}); ask as user {user}"
                    )));
                }
            }
        }
        let mut text = Vec::new();
        let mut answer = stream.take(LONGEST);
        match timeout(PATIENCE, answer.read_to_end(&mut text)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(silent(error.to_string())),
            Err(_elapsed) => return Err(silent("it takes too long".to_owned())),
        }
        let Document { version, settings } =
            serde_json::from_slice(&text).map_err(|error| silent(error.to_string()))?;
        Ok(Running { process, user, version, settings })
    }

    async fn connect(service: &str, port: u16) -> io::Result<UnixStream> {
        let address = SocketAddr::from_abstract_name(name(service, port))?;
        // Which waits where the backlog is full.
        let connected = spawn_blocking(move || StdStream::connect_addr(&address)).await;
        let stream = connected.map_err(io::Error::other).and_then(|connected| connected)?;
        stream.set_nonblocking(true)?;
        UnixStream::from_std(stream)
    }

    fn process_of(peer: UCred) -> i32 {
        peer.pid().unwrap_or_default()
    }

    /// On which ports others of its kind serve.
    fn others(service: &str) -> Vec<u16> {
        let beginning = format!("@tixgo/{service}/");
        let sockets = fs::read_to_string("/proc/net/unix").unwrap_or_default();
        let names = sockets.lines().filter_map(|line| line.rsplit(' ').next());
        let mut ports: Vec<u16> =
            names.filter_map(|name| name.strip_prefix(&beginning)?.parse().ok()).collect();
        ports.sort_unstable();
        ports.dedup();
        ports.truncate(OTHERS);
        ports
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use super::{AskError, Running, ShownSettings};

    /// Nobody is shown anything: only Linux has sockets that need no file.
    pub fn show(_service: &'static str, _port: u16, _settings: ShownSettings) {}

    /// Nobody answers.
    ///
    /// # Errors
    ///
    /// Always.
    pub async fn ask(service: &'static str, port: u16) -> Result<Running, AskError> {
        Err(AskError::Absent { service, port, others: Vec::new() })
    }
}
