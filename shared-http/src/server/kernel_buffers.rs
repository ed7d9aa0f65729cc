//! Limits on the kernel's buffers of a connection. By default they grow to megabytes, which count towards the memory of
//! a container.

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};

/// The kernel's buffers of one connection, in bytes: for responses, and for what the client sends.
pub(super) const SEND_BUFFER: usize = 128 * 1024;
const RECEIVE_BUFFER: usize = 64 * 1024;

/// While fewer connections than this are open, a new one gets the larger send buffer. A long list then takes a third of
/// the writes. The size is the largest that Linux allows unless `wmem_max` is raised.
const FEW_CONNECTIONS: usize = 8;
const LARGE_SEND_BUFFER: usize = 416 * 1024;

/// Limits the receive buffers of all connections of `listener`. They inherit the limit. Setting it on an open
/// connection would be too late.
pub(super) fn bound_receive_buffers(listener: &TcpListener) {
    if let Err(error) = SockRef::from(listener).set_recv_buffer_size(to_kernel(RECEIVE_BUFFER)) {
        tracing::warn!(%error, "the kernel's buffers of connections cannot be bounded");
    }
}

/// Limits the send buffer of a new connection. `open` connections are open already.
pub(super) fn bound_send_buffer(stream: &TcpStream, open: usize) {
    let bytes = if open < FEW_CONNECTIONS { LARGE_SEND_BUFFER } else { SEND_BUFFER };
    if let Err(error) = SockRef::from(stream).set_send_buffer_size(to_kernel(bytes)) {
        tracing::debug!(%error, "the kernel's buffer of a connection cannot be bounded");
    }
}

/// The size to set. Linux doubles it, to have room for its own data (socket(7), `SO_SNDBUF`).
fn to_kernel(bytes: usize) -> usize {
    bytes / 2
}
