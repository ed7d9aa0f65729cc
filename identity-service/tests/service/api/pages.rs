use axum::http::{
    Method,
    header::{
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    },
};
use serde_json::json;
use shared_http::testing::{call, post};
use shared_service::testing::{Store, pages};

use super::{app, app_with};

const NAME: &str = "identity-service";

#[tokio::test]
async fn each_page_names_the_service_and_leads_on() {
    pages::each_page_names_the_service_and_leads_on(&app().await, NAME).await;
}

#[tokio::test]
async fn the_landing_page_leads_to_the_gate_and_the_desk_where_they_are_known() {
    assert!(!pages::page(&app().await, "/").await.contains("/gate"));
    let url = "https://attendance.example.org";
    let page = pages::page(&app_with(Store::Memory, &[("attendance-url", url)]).await, "/").await;
    for path in ["/gate", "/desk"] {
        assert!(page.contains(&format!(r#"href="{url}{path}""#)), "{page}");
    }
}

#[tokio::test]
async fn in_development_the_pages_of_attendance_service_may_log_people_in() {
    let app = app().await;
    for origin in ["http://localhost:18082", "http://127.0.0.1:18082", "http://localhost:18083"] {
        let preflight = call(&app, Method::OPTIONS, "/auth/login")
            .header(ORIGIN, origin)
            .header(ACCESS_CONTROL_REQUEST_METHOD, "POST")
            .header(ACCESS_CONTROL_REQUEST_HEADERS, "content-type");
        let allowed = if origin.ends_with("18082") { origin } else { "" };
        assert_eq!(preflight.send().await.header(ACCESS_CONTROL_ALLOW_ORIGIN), allowed);
        let login = post(&app, "/auth/login").header(ORIGIN, origin);
        let answer = login.json(&json!({"username": "panitia1", "password": "secret"})).send().await;
        assert_eq!((answer.status.as_u16(), answer.header(ACCESS_CONTROL_ALLOW_ORIGIN)), (200, allowed));
    }
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
    let own: [pages::Operation; 10] = [
        (
            "/auth/register",
            "post",
            false,
            &["200", "400", "401", "403", "408", "413", "422", "429", "500", "503"],
        ),
        ("/auth/login", "post", false, &["200", "400", "408", "413", "422", "429", "500", "503"]),
        ("/auth/me", "get", true, &["200", "401", "403", "500", "503"]),
        (
            "/auth/password",
            "post",
            true,
            &["200", "400", "401", "403", "408", "413", "422", "429", "500", "503"],
        ),
        ("/auth/logout", "post", false, &["200", "400", "408", "413", "422", "500", "503"]),
        ("/auth/passes", "post", true, &["200", "400", "401", "403", "408", "413", "422", "500", "503"]),
        ("/users", "get", true, &["200", "401", "403", "500", "503"]),
        (
            "/users/{username}",
            "patch",
            true,
            &["200", "400", "401", "403", "404", "408", "409", "413", "422", "500", "503"],
        ),
        ("/users/{username}", "delete", true, &["200", "400", "401", "403", "404", "409", "500", "503"]),
        ("/auth/refresh", "post", false, &["200", "400", "401", "408", "413", "422", "429", "500", "503"]),
    ];
    pages::the_document_lists_every_route_with_every_status(&app().await, &own).await;
}

#[tokio::test]
async fn the_document_is_the_one_that_was_agreed_on() {
    const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/service/api/openapi.json");
    pages::the_document_is_the_one_that_was_agreed_on(&app().await, SNAPSHOT).await;
}
