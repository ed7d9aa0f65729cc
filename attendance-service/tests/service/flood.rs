use shared_http::testing::Process;
use shared_service::testing::flood::{holds_out, requests};

use crate::{
    MEASURING,
    gate::{Gate, token},
    service,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_hundred_clients_that_do_not_read_or_finish_cost_less_than_96_megabytes() {
    let _turn = MEASURING.lock().await;
    rlimit::increase_nofile_limit(4096).unwrap();
    let process = Process::start(service("memory:")).await;
    let authorization = format!("Authorization: Bearer {}\r\n", token());
    for request in requests("/checkins", &authorization) {
        holds_out(&process, request).await;
    }

    // A list of 5 MB, which ends in the middle of a chunk.
    let mut gate = Gate::open(process.address).await;
    let long = "x".repeat(50_000);
    for number in 0..101 {
        gate.check_in("e", &format!("{number}-{long}"), None).await.record();
    }
    holds_out(&process, format!("GET /attendance/e HTTP/1.1\r\nHost: t\r\n{authorization}\r\n")).await;
}
