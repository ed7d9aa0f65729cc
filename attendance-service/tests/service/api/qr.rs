use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::json;
use shared_http::testing::post;
use shared_service::testing::Store;

use super::{app, escaped, read, token};

#[tokio::test]
async fn a_text_of_1_to_200_bytes_is_drawn() {
    let app = app(Store::Memory).await;
    for text in ["x", "7K2M-9QXT-4RBN", "https://gate.example.id/#pass=a.b.c", "é🎫 札幌", &"y".repeat(200)]
    {
        let answer = read(&app, &format!("/qr?text={}", escaped(text))).send().await;
        let (status, svg) = answer.text();
        assert_eq!((status, answer.header(CONTENT_TYPE)), (200, "image/svg+xml"), "{text}");
        assert!(answer.header(CACHE_CONTROL).contains("private"), "{answer:?}");
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>") && !svg.contains("script"), "{svg}");
        for attribute in [" width=\"", " height=\"", " viewBox=\"0 0 "] {
            assert!(svg.contains(attribute), "{attribute}: {svg}");
        }
    }
}

#[tokio::test]
async fn the_link_of_a_gate_pass_is_drawn_from_a_body() {
    let app = app(Store::Memory).await;
    for (length, status) in [(0, 422), (1, 200), (300, 200), (1000, 200), (1001, 422)] {
        let body = json!({"text": "y".repeat(length)});
        let answer = post(&app, "/qr").bearer(&token()).json(&body).send().await;
        assert_eq!(answer.status, status, "{length}: {answer:?}");
        if status == 200 {
            assert_eq!(answer.header(CONTENT_TYPE), "image/svg+xml");
            assert_eq!(answer.header(CACHE_CONTROL), "no-store", "it may be a token");
            assert!(answer.text().1.starts_with("<svg "), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_text_that_does_not_fit_is_refused() {
    let app = app(Store::Memory).await;
    for (query, kind) in [
        ("".to_owned(), "missing"),
        ("?text=".to_owned(), "string_too_short"),
        (format!("?text={}", "y".repeat(201)), "value_error"),
        (format!("?text={}", escaped(&"é".repeat(101))), "value_error"),
    ] {
        let answer = read(&app, &format!("/qr{query}")).send().await;
        let body = answer.json();
        assert_eq!(answer.status, 422, "{query}");
        let entry = &body["detail"][0];
        assert_eq!(
            (&entry["type"], &entry["loc"]),
            (&kind.into(), &serde_json::json!(["query", "text"])),
            "{query}"
        );
    }
}
