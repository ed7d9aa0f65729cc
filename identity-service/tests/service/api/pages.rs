use shared_service::testing::pages;

use super::app;

const NAME: &str = "identity-service";

#[tokio::test]
async fn each_page_names_the_service_and_leads_on() {
    pages::each_page_names_the_service_and_leads_on(&app().await, NAME).await;
}

#[tokio::test]
async fn all_that_a_page_loads_comes_from_the_service() {
    pages::all_that_a_page_loads_comes_from_the_service(&app().await).await;
}

#[tokio::test]
async fn a_file_that_no_page_has_is_not_found() {
    pages::a_file_that_no_page_has_is_not_found(&app().await).await;
}

#[tokio::test]
async fn the_document_is_openapi_3_1_and_tells_how_to_authorize() {
    pages::the_document_is_openapi_3_1_and_tells_how_to_authorize(&app().await, NAME).await;
}

#[tokio::test]
async fn the_document_lists_every_route_with_every_status() {
    let own: [pages::Operation; 3] = [
        (
            "/auth/register",
            "post",
            false,
            &["200", "400", "401", "403", "408", "413", "422", "429", "500", "503"],
        ),
        ("/auth/login", "post", false, &["200", "400", "408", "413", "422", "429", "500", "503"]),
        ("/auth/me", "get", true, &["200", "401", "500", "503"]),
    ];
    pages::the_document_lists_every_route_with_every_status(&app().await, &own).await;
}

#[tokio::test]
async fn the_document_is_the_one_that_was_agreed_on() {
    const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/service/api/openapi.json");
    pages::the_document_is_the_one_that_was_agreed_on(&app().await, SNAPSHOT).await;
}
