//! The end of the server: what is in flight is answered, and nobody holds it up.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use tokio::time::timeout;

use super::{
    connection::{Connection, Phase, READ_TIME},
    table::ConnectionTable,
};

/// How often connections are looked at.
const POLL: Duration = Duration::from_millis(20);

/// How long the tasks that are aborted at the end of the grace have to log their requests.
const ABORT_TIME: Duration = Duration::from_millis(100);

/// Waits until all connections are closed, and closes those that hold it up: at once who waits for a request, at half
/// of `grace` who waits for the rest of a body, and everybody at its end.
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
            // A request that has arrived by now is read first.
            Phase::Head => connection.since().elapsed() >= READ_TIME,
            Phase::Body => begin.elapsed() >= grace / 2,
            Phase::Handler | Phase::Response => false,
        });
    }
}
