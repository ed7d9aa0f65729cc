//! What is refused before a route of the contract has its say.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    body::Body,
    http::{
        Method,
        header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, LOCATION, ORIGIN, RETRY_AFTER},
    },
};
use bytes::Bytes;
use http_body::Frame;
use shared_http::testing::{Answer, call, post};
use shared_service::testing::{Store, app::detail, routes};

use super::{CHECK_IN, admin, app, app_with, check_in, create_event, token};

const BATCH: &str = "/checkins/batch";

#[tokio::test]
async fn an_unknown_path_is_not_found_with_any_method_and_any_token() {
    let app = app(Store::Memory).await;
    let plain = ["/nothing", "/nothing/", "/checkin", "/checkins/1", "/Checkins", "/auth/login", "/%ff"];
    let doubled = ["//health", "//health/", "//", "//evil.example.org/"];
    let attendance = ["/attendance", "/attendance/", "/attendance//", "/attendance//a", "/attendance/a/b"];
    let tickets = [
        "/attendance/a/changes/b",
        "/attendance/a/live/b",
        "/attendance/a/tickets/b/history/c",
        "/attendance/a/undone",
        "/attendance/a/tickets",
        "/attendance/a/tickets/",
        "/attendance/a/tickets/b/c",
        "/attendance/a%2F/b/",
    ];
    let events = [
        "/event",
        "/events/a/b",
        "/events/a/attendance/b",
        "/events/a/tickets/b/c",
        "/events/a/tickets/b/history",
        "/qr/a",
    ];
    for paths in [&plain[..], &doubled, &attendance, &tickets, &events] {
        routes::unknown_paths_are_not_found_with_any_method(&app, paths).await;
    }
}

#[tokio::test]
async fn a_known_path_with_slashes_at_its_end_is_where_the_path_itself_is() {
    let paths = [
        "/health",
        "/ready",
        CHECK_IN,
        "/attendance/evt1",
        "/attendance/konser%2F2026",
        "/attendance/konser%2F",
        "/attendance/%2F%2Fevil.example.org",
        "/attendance/%ff",
        "/attendance/evt1/tickets/T1",
        "/attendance/evt1/tickets/T1%2F",
        "/attendance/evt1/tickets/T1/history",
        "/attendance/evt1/undo",
        "/attendance/evt1/changes",
        "/attendance/evt1/live",
        "/checkins/batch",
        "/events",
        "/events/evt1",
        "/events/konser%2F2026",
        "/events/evt1/checkins",
        "/events/evt1/attendance",
        "/events/evt1/summary",
        "/events/evt1/tickets",
        "/events/evt1/tickets/generate",
        "/events/evt1/tickets/T1%2F",
        "/events/evt1/offline",
        "/qr",
        "/gate",
        "/desk",
        "/docs",
        "/docs/swagger-ui.css",
        "/redoc",
        "/openapi.json",
    ];
    routes::slashes_at_the_end_lead_to_the_path_itself(&app(Store::Memory).await, &paths).await;
    let cross_origin = app_with(Store::Memory, &[("cors-allowed-origins", "*")]).await;
    for path in paths {
        // No preflight allows a web page to send OPTIONS itself.
        for (method, allowed) in [(Method::GET, "*"), (Method::DELETE, "*"), (Method::OPTIONS, "")] {
            let request = call(&cross_origin, method.clone(), &format!("{path}/"));
            let answer = request.header(ORIGIN, "https://gate.example.org").send().await;
            assert_eq!((answer.text(), answer.header(LOCATION)), ((307, ""), path), "{method}");
            assert_eq!(answer.header(ACCESS_CONTROL_ALLOW_ORIGIN), allowed, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn all_routes_have_this_in_common() {
    let app = app(Store::Memory).await;
    check_in(&app, "evt1", "T1").await;
    let ticket = "/attendance/evt1/tickets/T1";
    let read = [
        "/attendance/evt1",
        "/attendance/konser%2F2026",
        "/attendance/evt1/tickets/T1/history",
        "/attendance/evt1/changes",
        ticket,
    ];
    let events: [(&str, &[&str]); 10] = [
        ("/events", &["GET", "HEAD", "POST"]),
        ("/events/evt1", &["DELETE", "GET", "HEAD", "PUT"]),
        ("/events/evt1/checkins", &["POST"]),
        ("/events/evt1/attendance", &["GET", "HEAD"]),
        ("/events/evt1/summary", &["GET", "HEAD"]),
        ("/events/evt1/tickets", &["GET", "HEAD", "PUT"]),
        ("/events/evt1/tickets/generate", &["POST"]),
        ("/events/evt1/tickets/T1", &["DELETE"]),
        ("/events/evt1/offline", &["GET", "HEAD"]),
        ("/qr", &["GET", "HEAD", "POST"]),
    ];
    routes::a_wrong_method_is_told_the_right_ones(&app, &events).await;
    let event = create_event(&app, "Konser").await;
    let of_event = ["", "/attendance", "/summary", "/tickets", "/offline"];
    let paths: Vec<_> = of_event.iter().map(|path| format!("/events/{event}{path}")).collect();
    let paths: Vec<_> = paths.iter().map(String::as_str).chain(["/events", "/qr?text=a"]).collect();
    routes::head_is_answered_like_get_without_the_body(&app, &paths, &admin()).await;
    for path in ["/events", "/events/evt1/tickets/generate", "/events/evt1/checkins"] {
        routes::a_body_has_64_kib_and_no_more(&app, path, &admin()).await;
    }
    routes::no_depth_of_nesting_breaks_the_service(&app, "/events", &admin(), "location").await;
    let methods: [(&str, &[&str]); 9] = [
        ("/attendance/evt1", &["GET", "HEAD"]),
        ("/attendance/konser%2F2026", &["GET", "HEAD"]),
        (ticket, &["DELETE", "GET", "HEAD"]),
        ("/attendance/evt1/tickets/T1/history", &["GET", "HEAD"]),
        ("/attendance/evt1/undo", &["POST"]),
        ("/attendance/evt1/changes", &["GET", "HEAD"]),
        ("/attendance/evt1/live", &["GET", "HEAD"]),
        (CHECK_IN, &["POST"]),
        (BATCH, &["POST"]),
    ];
    routes::a_wrong_method_is_told_the_right_ones(&app, &methods).await;
    routes::head_is_answered_like_get_without_the_body(&app, &read, &token()).await;
    routes::no_answer_may_be_sniffed_or_named_as_a_referrer(&app, &["/attendance/evt1", CHECK_IN]).await;
    routes::a_body_has_64_kib_and_no_more(&app, CHECK_IN, &token()).await;
    for (path, field) in [(CHECK_IN, "ticket_id"), (BATCH, "scans")] {
        routes::no_depth_of_nesting_breaks_the_service(&app, path, &token(), field).await;
    }
}

/// A body that comes in pieces, its length unknown, and tells how often it was asked for one.
struct Pieces {
    left: usize,
    asked: Arc<AtomicUsize>,
    /// What follows the last piece: the end, or nothing for ever.
    ends: bool,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b' '; 1024])))))
            }
            None if self.ends => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

#[tokio::test]
async fn a_bad_token_is_answered_before_the_body_is_read() {
    let app = app(Store::Memory).await;
    let asked = Arc::new(AtomicUsize::new(0));
    for (token, expected) in
        [(None, r#"{"detail":"Missing Authorization header"}"#), (Some("x"), r#"{"detail":"Invalid token"}"#)]
    {
        let bodies = [
            Body::from("{bad"),
            Body::from("{}"),
            Body::from(&b"\xff"[..]),
            Body::from(vec![b'x'; 1024 * 1024]),
            Body::new(Pieces { left: 1024, asked: asked.clone(), ends: false }),
        ];
        for body in bodies {
            let call = post(&app, CHECK_IN).header(CONTENT_TYPE, "application/json").body(body);
            let call = token.into_iter().fold(call, |call, token| call.bearer(token));
            assert_eq!(call.send().await.text(), (401, expected));
        }
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn of_a_body_of_unknown_length_no_more_is_read_than_it_may_have_and_its_end_is_not_waited_for() {
    let send = async |app, left, asked, ends| -> Answer {
        let body = Body::new(Pieces { left, asked, ends });
        post(app, CHECK_IN).bearer(&token()).header(CONTENT_TYPE, "application/json").body(body).send().await
    };
    let patient = app(Store::Memory).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let answer = send(&patient, usize::MAX, asked.clone(), false).await;
    assert!(answer.status == 413 && detail(&answer).is_string(), "{answer:?}");
    assert!(asked.load(Ordering::Relaxed) <= 66, "{asked:?}");
    assert_eq!(send(&patient, 64, asked, true).await.status, 422, "64 KiB of spaces are read, and no JSON");

    let hasty = app_with(Store::Memory, &[("request-timeout-seconds", "1")]).await;
    let answer = send(&hasty, 0, Arc::default(), false).await;
    match answer.status.as_u16() {
        408 => {}
        503 => drop(answer.header(RETRY_AFTER).parse::<u32>().expect("Retry-After in seconds")),
        status => panic!("{status}"),
    }
    assert!(detail(&answer).is_string());
}
