//! The sweep: once a second, all connections are checked, and those are closed whose clients take too long or too much
//! memory. That is cheaper than a timer for every request.

use std::{cmp::Reverse, time::Duration};

use tokio::time::interval;

use super::{connection::Phase, kernel_buffers::SEND_BUFFER, table::ConnectionTable};

/// The longest time between two sweeps. With a short request time-out there are more.
const PERIOD: Duration = Duration::from_secs(1);

/// A connection is closed if its client reads nothing for this long. It is long, because the kernel reports progress
/// only when a third of its buffer is free.
const STALLED: Duration = Duration::from_secs(600);

/// The same if the response has no end: nobody waits minutes for news.
const STALLED_ENDLESS: Duration = Duration::from_secs(30);

/// The same while memory is short.
const STALLED_WHILE_SHORT: Duration = Duration::from_secs(2);

/// Closes connections whose clients take too long for the head of a request, or do not read their response. For the
/// time between head and response the middleware has a deadline. It never ends by itself.
pub(super) async fn sweep(table: &ConnectionTable, request_timeout: Duration) {
    let mut ticks = interval((request_timeout / 4).min(PERIOD));
    let mut was_short = false;
    loop {
        ticks.tick().await;
        table.metrics.buffered.set(table.budgets.buffered.used() as i64);
        let excess = close_stalled(table);
        if excess > 0 && !was_short {
            tracing::warn!(bytes = excess, "connections hold too much; closing some that take no answer");
        }
        was_short = excess > 0;
        table.close_if(|connection| match connection.phase() {
            Phase::Head => connection.since().elapsed() >= request_timeout,
            Phase::Response if connection.is_endless() => connection.since().elapsed() >= STALLED_ENDLESS,
            Phase::Response => connection.since().elapsed() >= STALLED,
            Phase::Body | Phase::Handler => false,
        });
    }
}

/// Closes connections whose clients do not read, until enough of both budgets is free. Connections of the address with
/// the most connections come first, and of these the one that has stalled longest. Returns how many bytes had to be
/// freed.
fn close_stalled(table: &ConnectionTable) -> usize {
    let (mut buffered, mut unsent) = (table.budgets.buffered.excess(), table.budgets.unsent.excess());
    let excess = buffered + unsent;
    if excess == 0 {
        return 0;
    }
    table.with_all(|connections| {
        let mut stalled: Vec<_> = connections
            .filter(|connection| connection.is_write_blocked())
            .map(|connection| (Reverse(connection.connections_of_address()), connection.since(), connection))
            .filter(|(_, since, _)| since.elapsed() + PERIOD >= STALLED_WHILE_SHORT)
            .collect();
        stalled.sort_by_key(|(connections_of_address, since, _)| (*connections_of_address, *since));
        for (_, since, connection) in stalled {
            if unsent > 0 || (buffered > 0 && connection.buffered() > 0) {
                buffered = buffered.saturating_sub(connection.buffered());
                unsent = unsent.saturating_sub(SEND_BUFFER);
                // One that has not stalled for long enough is closed by the next sweep. No other is closed instead.
                if since.elapsed() >= STALLED_WHILE_SHORT {
                    connection.close();
                }
            }
        }
    });
    excess
}
