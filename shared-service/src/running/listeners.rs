//! Which process listens on a port of this machine.

use std::{collections::HashSet, fs, io};

/// The column `st` of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// A listening socket.
#[derive(Debug, PartialEq)]
struct Listener {
    /// The id of the user that opened it.
    uid: u32,
    inode: u64,
}

/// Whether a socket listens on `port`, and the process `pid` of the user `uid` has all such sockets. All of them,
/// because any user can listen on the same port of another address. Only root can see the sockets of other users.
///
/// The user is compared too, because the id of a process that has ended may be reused by the process that listens.
///
/// # Errors
///
/// The sockets cannot be read from `/proc`.
pub(super) fn are_all_of(pid: i32, uid: u32, port: u16) -> io::Result<bool> {
    let mut found = Vec::new();
    // The sockets of our own network namespace, even if the process `pid` is in another one.
    for table in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
        match fs::read_to_string(table) {
            Ok(table) => found.extend(table.lines().filter_map(|line| listener(line, port))),
            // The kernel has no IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let open = match sockets_of(pid) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        open => open?,
    };
    Ok(!found.is_empty() && found.iter().all(|one| one.uid == uid && open.contains(&one.inode)))
}

/// `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …`
fn listener(line: &str, port: u16) -> Option<Listener> {
    let fields: Vec<_> = line.split_whitespace().take(10).collect();
    let [_, local, _, LISTEN, _, _, _, uid, _, inode] = fields[..] else { return None };
    let (_, local_port) = local.rsplit_once(':')?;
    (u16::from_str_radix(local_port, 16).ok()? == port)
        .then_some(Listener { uid: uid.parse().ok()?, inode: inode.parse().ok()? })
}

/// The inodes of the sockets that the process `pid` has open.
fn sockets_of(pid: i32) -> io::Result<HashSet<u64>> {
    let mut inodes = HashSet::new();
    for file in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // The file may be closed by now.
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
    fn only_the_process_that_has_all_sockets_of_a_port_is_accepted() {
        let (own, uid) = (getpid().as_raw_nonzero().get(), geteuid().as_raw());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(are_all_of(own, uid, port).unwrap());
        assert!(!are_all_of(own, uid + 1, port).unwrap());
        // No process has this id.
        assert!(!are_all_of(0, uid, port).unwrap());
        drop(listener);
        assert!(!are_all_of(own, uid, port).unwrap());
    }

    #[test]
    fn a_line_of_proc_net_tcp_is_parsed() {
        let line = "   1: 0100007F:46A1 00000000:0000 0A 00000000:00000000 00:00000000 00000000 65534        0 4711 1 0 100 0 0 10 0";
        assert_eq!(listener(line, 18081), Some(Listener { uid: 65534, inode: 4711 }));
        assert_eq!(listener(line, 18082), None);
        assert_eq!(listener(&line.replace(" 0A ", " 01 "), 18081), None);
        assert_eq!(listener("  sl  local_address rem_address   st tx_queue", 18081), None);
    }
}
