//! Many clients that do not read, or do not finish.

use shared_http::testing::Process;
use shared_service::testing::flood::{holds_out, requests};

use crate::{WHOLE_MACHINE, service};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_hundred_clients_that_do_not_read_or_finish_cost_less_than_96_megabytes() {
    let _alone = WHOLE_MACHINE.lock().await;
    rlimit::increase_nofile_limit(4096).unwrap();
    // More than the default, for a debug build may keep a client waiting that long.
    let process = Process::start(service(&[("REQUEST_TIMEOUT_SECONDS", "60")])).await;
    // The last is of 1.5 MB that are part of the binary.
    let page = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: t\r\n\r\n".to_owned();
    for request in requests("/auth/register", "").into_iter().chain([page]) {
        holds_out(&process, request).await;
    }
}
