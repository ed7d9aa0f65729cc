//! The shutdown of the server: requests in flight are answered, and connections that delay the end are closed.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use tokio::time::timeout;

use super::{
    connection::{Connection, Phase, READ_TIME},
    table::ConnectionTable,
};

/// How often connections are checked.
const POLL: Duration = Duration::from_millis(20);

/// How long the tasks that are aborted at the end of the grace have to log their requests.
const ABORT_TIME: Duration = Duration::from_millis(100);

/// Waits until all connections are closed. Connections that wait for a request are closed at once, those that wait for
/// the rest of a body at half of `grace`, and all others at its end.
pub(super) async fn drain(table: &ConnectionTable, grace: Duration) {
    table.with_all(|connections| connections.for_each(Connection::close_after_response));
    let mut all_closed = pin!(table.all_closed());
    let begin = Instant::now();
    while timeout(POLL, &mut all_closed).await.is_err() {
        if begin.elapsed() >= grace {
            table.close_if(|_| true);
            let _ = timeout(ABORT_TIME, all_closed).await;
            return;
        }
        table.close_if(|connection| match connection.phase() {
            // A request may have arrived that is not read yet.
            Phase::Head => connection.since().elapsed() >= READ_TIME,
            Phase::Body => begin.elapsed() >= grace / 2,
            Phase::Handler | Phase::Response => false,
        });
    }
}
