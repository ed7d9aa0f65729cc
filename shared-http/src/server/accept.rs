//! The accept loop, and which connection is closed to make room for another.

use std::{cmp::Reverse, io, mem, sync::Arc, time::Duration};

use axum::Router;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{sleep, timeout},
};

use super::{
    connection::{Phase, READ_TIME},
    http1::serve_connection,
    kernel_buffers::bound_send_buffer,
    listener::Listener,
    table::ConnectionTable,
};

/// How long to wait for a permit before another connection is closed, and after a failed accept.
const BACK_OFF: Duration = Duration::from_millis(20);

/// The fair share of one address is the capacity divided by this. A committee may be behind one address, and an
/// attacker may have a few dozen.
const FAIR_SHARE_DIVISOR: usize = 64;

/// Accepts connections and serves them. It never ends by itself.
pub(super) async fn accept(
    listener: Listener,
    app: Router,
    request_timeout: Duration,
    table: &Arc<ConnectionTable>,
) {
    let mut is_failing = false;
    loop {
        // The permit comes first: a connection that is not accepted yet waits in the kernel.
        let permit = permit(table).await;
        match listener.tcp.accept().await {
            Ok((stream, peer)) => {
                is_failing = false;
                bound_send_buffer(&stream, table.len());
                table.spawn(peer, permit, |connection| {
                    serve_connection(stream, listener.tls.clone(), app.clone(), connection, request_timeout)
                });
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                // Logged once for each outage, not at every attempt.
                if !mem::replace(&mut is_failing, true) {
                    tracing::warn!(%error, "cannot accept connections; trying on");
                }
                table.metrics.refused.inc();
                close_one_for_another(table);
                sleep(BACK_OFF).await;
            }
        }
    }
}

/// Waits for the permit for a connection. While there is none, connections are closed.
async fn permit(table: &ConnectionTable) -> OwnedSemaphorePermit {
    loop {
        if table.is_full() {
            close_one_for_another(table);
        }
        if let Ok(Ok(permit)) = timeout(BACK_OFF, table.permit()).await {
            return permit;
        }
    }
}

/// Closes one connection that waits for its client: of the address that exceeds its fair share most, the one that has
/// waited longest. If no connection waits for its client, one of the address with the most connections is closed after
/// its next response.
fn close_one_for_another(table: &ConnectionTable) {
    let share = table.capacity() / FAIR_SHARE_DIVISOR;
    let is_closed = table.with_all(|connections| {
        let first = connections
            .filter(|connection| connection.phase() != Phase::Handler && !connection.is_closing())
            .map(|connection| {
                (connection.connections_of_address().saturating_sub(share), connection.since(), connection)
            })
            .filter(|(_, since, _)| since.elapsed() >= READ_TIME)
            .min_by_key(|(excess, since, _)| (Reverse(*excess), *since));
        let Some((_, _, connection)) = first else { return false };
        connection.close();
        true
    });
    if is_closed {
        table.metrics.refused.inc();
        return;
    }
    table.with_all(|connections| {
        let busy = connections.filter(|connection| !connection.closes_after_response());
        if let Some(connection) = busy.max_by_key(|connection| connection.connections_of_address()) {
            connection.close_after_response();
        }
    });
}

/// Whether the client has disconnected before the accept. Then the next accept need not wait.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
    )
}
