use shared_service::testing::{Store, pages};

use super::app;

const SERVICE: &str = "attendance-service";

/// What a route answers that only reads.
const READ: &[&str] = &["200", "400", "401", "403", "500", "503"];

#[tokio::test]
async fn the_pages_name_the_service_and_load_nothing_from_elsewhere() {
    let app = app(Store::Memory).await;
    pages::each_page_names_the_service_and_leads_on(&app, SERVICE).await;
    pages::all_that_a_page_loads_comes_from_the_service(&app).await;
    pages::a_file_that_no_page_has_is_not_found(&app).await;
}

/// What a route answers that changes something of an event.
const WRITE: &[&str] = &["200", "400", "401", "403", "404", "408", "413", "422", "500", "503"];
/// What a list of an event answers that has an `ETag`.
const LIST: &[&str] = &["200", "304", "400", "401", "403", "404", "500", "503"];

#[tokio::test]
async fn the_document_lists_every_route_with_every_status() {
    let app = app(Store::Memory).await;
    pages::the_document_is_openapi_3_1_and_tells_how_to_authorize(&app, SERVICE).await;
    let ticket = "/attendance/{event_id}/tickets/{ticket_id}";
    let own: &[pages::Operation] = &[
        ("/checkins", "post", true, &["200", "400", "401", "403", "408", "413", "422", "500", "503"]),
        ("/attendance/{event_id}", "get", true, &["200", "304", "400", "401", "403", "500", "503"]),
        ("/checkins/batch", "post", true, &["200", "400", "401", "408", "413", "422", "500", "503"]),
        (ticket, "delete", true, &["200", "400", "401", "403", "404", "500", "503"]),
        ("/attendance/{event_id}/tickets/{ticket_id}/history", "get", true, READ),
        (
            "/attendance/{event_id}/undo",
            "post",
            true,
            &["200", "400", "401", "403", "408", "413", "422", "500", "503"],
        ),
        ("/attendance/{event_id}/changes", "get", true, &["200", "400", "401", "403", "422", "500", "503"]),
        ("/attendance/{event_id}/live", "get", true, READ),
        (ticket, "get", true, &["200", "400", "401", "403", "404", "500", "503"]),
    ];
    let events: &[pages::Operation] = &[
        ("/events", "get", true, &["200", "401", "500", "503"]),
        ("/events", "post", true, &["200", "400", "401", "403", "408", "413", "422", "500", "503"]),
        ("/events/{event_id}", "get", true, &["200", "400", "401", "403", "404", "500", "503"]),
        ("/events/{event_id}", "put", true, WRITE),
        ("/events/{event_id}", "delete", true, &["200", "400", "401", "403", "404", "500", "503"]),
        ("/events/{event_id}/checkins", "post", true, WRITE),
        ("/events/{event_id}/attendance", "get", true, LIST),
        ("/events/{event_id}/summary", "get", true, LIST),
        (
            "/events/{event_id}/tickets",
            "get",
            true,
            &["200", "400", "401", "403", "404", "422", "500", "503"],
        ),
        ("/events/{event_id}/tickets", "put", true, WRITE),
        ("/events/{event_id}/tickets/generate", "post", true, WRITE),
        (
            "/events/{event_id}/tickets/{ticket_id}",
            "delete",
            true,
            &["200", "400", "401", "403", "404", "500", "503"],
        ),
        ("/events/{event_id}/offline", "get", true, LIST),
        ("/qr", "get", true, &["200", "401", "403", "422", "500", "503"]),
        ("/qr", "post", true, &["200", "400", "401", "403", "408", "413", "422", "500", "503"]),
    ];
    pages::the_document_lists_every_route_with_every_status(&app, &[own, events].concat()).await;
}

#[tokio::test]
async fn the_document_is_the_one_that_was_agreed_on() {
    let snapshot = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/service/api/openapi.json");
    pages::the_document_is_the_one_that_was_agreed_on(&app(Store::Memory).await, snapshot).await;
}
