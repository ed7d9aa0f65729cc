//! How much the kernel may hold of a connection. By default it is megabytes, and a container pays for them as for the
//! process's own memory.

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};

/// Bytes that the kernel may hold of the responses to one client, and of what that client sends.
pub(super) const SEND_BUFFER: usize = 128 * 1024;
const RECEIVE_BUFFER: usize = 64 * 1024;

/// While fewer connections than this are open, a new one gets the larger send buffer, which takes a long list in a
/// third of the writes. Linux allows no more than this unless its `wmem_max` is raised.
const FEW_CONNECTIONS: usize = 8;
const LARGE_SEND_BUFFER: usize = 416 * 1024;

/// Bounds the receive buffers of all connections of `listener`, which inherit it: once a connection is open it would
/// come too late.
pub(super) fn bound_receive_buffers(listener: &TcpListener) {
    if let Err(error) = SockRef::from(listener).set_recv_buffer_size(to_kernel(RECEIVE_BUFFER)) {
        tracing::warn!(%error, "the kernel's buffers of connections cannot be bounded");
    }
}

/// Bounds the send buffer of a connection, beside which `open` others are open.
pub(super) fn bound_send_buffer(stream: &TcpStream, open: usize) {
    let bytes = if open < FEW_CONNECTIONS { LARGE_SEND_BUFFER } else { SEND_BUFFER };
    if let Err(error) = SockRef::from(stream).set_send_buffer_size(to_kernel(bytes)) {
        tracing::debug!(%error, "the kernel's buffer of a connection cannot be bounded");
    }
}

/// Linux doubles the size that it is given, for what it needs beside the bytes (socket(7), `SO_SNDBUF`).
fn to_kernel(bytes: usize) -> usize {
    bytes / 2
}
