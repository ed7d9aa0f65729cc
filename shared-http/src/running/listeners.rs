//! Which process listens on a port of this machine.

use std::{collections::HashSet, fs, io};

/// `st` of a socket that listens, in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// A socket that listens.
#[derive(Debug, PartialEq)]
struct Listener {
    /// The id of the user that made it.
    user: u32,
    inode: u64,
}

/// Whether something listens on `port`, and all of it is `process` of `user`: on another address of the same port
/// anybody may listen. Root may know this of any process.
///
/// The user is compared too, for a process that has ended leaves its id to others, perhaps to the one that listens.
///
/// # Errors
///
/// It cannot be seen.
pub(super) fn are_all_of(process: i32, user: u32, port: u16) -> io::Result<bool> {
    let mut found = Vec::new();
    // Of our own network namespace: a process may have gone to another.
    for table in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
        match fs::read_to_string(table) {
            Ok(table) => found.extend(table.lines().filter_map(|line| listener(line, port))),
            // Without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let open = match sockets_of(process) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        open => open?,
    };
    Ok(!found.is_empty() && found.iter().all(|one| one.user == user && open.contains(&one.inode)))
}

/// `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …`
fn listener(line: &str, port: u16) -> Option<Listener> {
    let fields: Vec<_> = line.split_whitespace().take(10).collect();
    let [_, local, _, LISTEN, _, _, _, user, _, inode] = fields[..] else { return None };
    let (_, its_port) = local.rsplit_once(':')?;
    (u16::from_str_radix(its_port, 16).ok()? == port)
        .then_some(Listener { user: user.parse().ok()?, inode: inode.parse().ok()? })
}

/// The inodes of the sockets that `process` has open.
fn sockets_of(process: i32) -> io::Result<HashSet<u64>> {
    let mut inodes = HashSet::new();
    for file in fs::read_dir(format!("/proc/{process}/fd"))? {
        // It may have been closed by now.
        let Ok(target) = fs::read_link(file?.path()) else { continue };
        let inode = target.to_str().and_then(|name| name.strip_prefix("socket:[")?.strip_suffix(']'));
        inodes.extend(inode.and_then(|inode| inode.parse::<u64>().ok()));
    }
    Ok(inodes)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use rustix::process::{geteuid, getpid};

    use super::*;

    #[test]
    fn whoever_has_every_socket_of_the_port_listens_there() {
        let (own, user) = (getpid().as_raw_nonzero().get(), geteuid().as_raw());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(are_all_of(own, user, port).unwrap());
        assert!(!are_all_of(own, user + 1, port).unwrap());
        // No process has this id.
        assert!(!are_all_of(0, user, port).unwrap());
        drop(listener);
        assert!(!are_all_of(own, user, port).unwrap());
    }

    #[test]
    fn a_line_of_the_kernel_is_read() {
        let line = "   1: 0100007F:46A1 00000000:0000 0A 00000000:00000000 00:00000000 00000000 65534        0 4711 1 0 100 0 0 10 0";
        assert_eq!(listener(line, 18081), Some(Listener { user: 65534, inode: 4711 }));
        assert_eq!(listener(line, 18082), None);
        assert_eq!(listener(&line.replace(" 0A ", " 01 "), 18081), None);
        assert_eq!(listener("  sl  local_address rem_address   st tx_queue", 18081), None);
    }
}
