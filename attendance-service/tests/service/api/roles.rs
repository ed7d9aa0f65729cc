//! Who may call which route: the column *who* of the contract.

use attendance_service::routes::ROUTES;
use shared_service::testing::{
    Store,
    roles::{
        Row,
        Who::{Admin, Any, AnyOrAnyGate, AnyOrGate},
        each_route_lets_in_whom_the_contract_names,
    },
};

use super::app;

const TABLE: &[Row] = &[
    ("post", "/checkins", "/checkins", Any),
    ("post", "/checkins/batch", "/checkins/batch", AnyOrAnyGate),
    (
        "delete",
        "/attendance/evt-of-the-pass/tickets/T1",
        "/attendance/{event_id}/tickets/{ticket_id}",
        AnyOrGate,
    ),
    (
        "get",
        "/attendance/evt-of-the-pass/tickets/T1/history",
        "/attendance/{event_id}/tickets/{ticket_id}/history",
        Any,
    ),
    ("post", "/attendance/evt-of-the-pass/undo", "/attendance/{event_id}/undo", Admin),
    ("get", "/attendance/evt-of-the-pass/changes", "/attendance/{event_id}/changes", AnyOrGate),
    ("get", "/attendance/evt-of-the-pass/live", "/attendance/{event_id}/live", AnyOrGate),
    ("get", "/attendance/evt-of-the-pass/tickets/T1", "/attendance/{event_id}/tickets/{ticket_id}", Any),
    ("get", "/attendance/evt-of-the-pass", "/attendance/{event_id}", Any),
    ("get", "/events", "/events", AnyOrAnyGate),
    ("post", "/events", "/events", Admin),
    ("get", "/events/evt-of-the-pass", "/events/{event_id}", AnyOrGate),
    ("put", "/events/evt-of-the-pass", "/events/{event_id}", Admin),
    ("delete", "/events/evt-of-the-pass", "/events/{event_id}", Admin),
    ("post", "/events/evt-of-the-pass/checkins", "/events/{event_id}/checkins", AnyOrGate),
    ("get", "/events/evt-of-the-pass/attendance", "/events/{event_id}/attendance", Admin),
    ("get", "/events/evt-of-the-pass/summary", "/events/{event_id}/summary", Admin),
    // Without `q` it is for admins.
    ("get", "/events/evt-of-the-pass/tickets?q=a", "/events/{event_id}/tickets", Any),
    ("put", "/events/evt-of-the-pass/tickets", "/events/{event_id}/tickets", Admin),
    ("post", "/events/evt-of-the-pass/tickets/generate", "/events/{event_id}/tickets/generate", Admin),
    ("delete", "/events/evt-of-the-pass/tickets/T1", "/events/{event_id}/tickets/{ticket_id}", Admin),
    ("get", "/events/evt-of-the-pass/offline", "/events/{event_id}/offline", AnyOrGate),
    ("get", "/qr?text=a", "/qr", Any),
    ("post", "/qr", "/qr", Any),
];

#[tokio::test]
async fn each_route_lets_in_whom_the_contract_names_and_nobody_else() {
    each_route_lets_in_whom_the_contract_names(&app(Store::Memory).await, ROUTES, TABLE).await;
}
