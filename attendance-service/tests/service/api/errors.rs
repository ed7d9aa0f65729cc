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
        header::{
            ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
            LOCATION, REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
        },
    },
};
use bytes::Bytes;
use http_body::Frame;
use shared_http::testing::{call, get, post};

use super::{CHECK_IN, app, app_with, attendance, check_in, detail};
use shared_service::testing::Store;
use shared_service::testing::forge::{self, claims, token};

#[tokio::test]
async fn an_unknown_path_is_not_found_with_any_method_and_any_token() {
    let app = app(Store::Memory).await;
    for path in [
        "/nothing",
        "/checkin",
        "/checkins/1",
        "/Checkins",
        "/attendance",
        "/attendance/",
        "/attendance/a/b",
        "/attendance//a",
        "//health",
        "//health/",
        "//",
        "//evil.example.org/",
        "/attendance//",
        "/attendance/a/tickets/",
        "/attendance/a%2F/b/",
        "/nothing/",
        "/auth/login",
        "/%ff",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let answer = call(&app, method.clone(), path).send().await;
            assert_eq!(answer.text(), (404, r#"{"detail":"Not Found"}"#), "{method} {path}");
            assert_eq!(answer.headers["content-type"], "application/json", "{method} {path}");
            let answer = call(&app, method, path).bearer("x").send().await;
            assert_eq!(answer.status, 404, "{path}");
        }
    }
}

#[tokio::test]
async fn a_known_path_with_slashes_at_its_end_is_where_the_path_itself_is() {
    let plain = app(Store::Memory).await;
    let cross_origin = app_with(Store::Memory, &[("cors-allowed-origins", "*")]).await;
    for path in [
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
        "/docs",
        "/docs/swagger-ui.css",
        "/redoc",
        "/openapi.json",
    ] {
        for (slashes, query) in [("/", ""), ("//", ""), ("///", "?a=b&c=%2F/"), ("/", "?"), ("/", "?//")] {
            let asked = format!("{path}{slashes}{query}");
            for method in ["GET", "HEAD", "POST", "OPTIONS", "DELETE", "TRACE", "BREW"] {
                let method: Method = method.parse().expect("a method");
                for call in
                    [call(&plain, method.clone(), &asked), call(&plain, method.clone(), &asked).bearer("x")]
                {
                    let answer = call.body("{bad").send().await;
                    assert_eq!(answer.text(), (307, ""), "{method} {asked}");
                    assert_eq!(answer.header(LOCATION), format!("{path}{query}"), "{method} {asked}");
                    assert_eq!(answer.header(X_CONTENT_TYPE_OPTIONS), "nosniff", "{method} {asked}");
                }
                // No preflight allows a web page to send OPTIONS itself.
                let allowed = if method == Method::OPTIONS { "" } else { "*" };
                let answer = call(&cross_origin, method.clone(), &asked).send().await;
                assert_eq!(answer.text(), (307, ""), "{method} {asked}");
                assert_eq!(answer.header(LOCATION), format!("{path}{query}"), "{method} {asked}");
                assert_eq!(answer.header(ACCESS_CONTROL_ALLOW_ORIGIN), allowed, "{method} {asked}");
            }
        }
    }
}

#[tokio::test]
async fn a_known_path_with_the_wrong_method_names_the_right_ones() {
    let app = app(Store::Memory).await;
    for (path, allowed) in [
        ("/health", &["GET", "HEAD"][..]),
        ("/attendance/evt1", &["GET", "HEAD"]),
        ("/attendance/konser%2F2026", &["GET", "HEAD"]),
        (CHECK_IN, &["POST"]),
        ("/", &["GET", "HEAD"]),
        ("/docs", &["GET", "HEAD"]),
        ("/redoc", &["GET", "HEAD"]),
        ("/openapi.json", &["GET", "HEAD"]),
    ] {
        let all = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"];
        for method in all.into_iter().filter(|method| !allowed.contains(method)) {
            let answer = call(&app, method.parse().expect("a method"), path).send().await;
            assert_eq!(answer.status, 405, "{method} {path}");
            let allow = answer.headers["allow"].to_str().expect("ASCII");
            let mut allow: Vec<_> = allow.split(',').map(str::trim).collect();
            allow.sort_unstable();
            assert_eq!(allow, allowed, "{method} {path}");
            if method != "HEAD" {
                assert_eq!(answer.text().1, r#"{"detail":"Method Not Allowed"}"#, "{method} {path}");
                assert_eq!(answer.headers["content-type"], "application/json", "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn head_is_answered_like_get_without_the_body() {
    let app = app(Store::Memory).await;
    for path in ["/", "/health", "/docs", "/redoc", "/openapi.json", "/docs/swagger-ui.css"] {
        let got = get(&app, path).send().await;
        let head = call(&app, Method::HEAD, path).send().await;
        assert_eq!((got.status.as_u16(), head.status.as_u16()), (200, 200), "{path}");
        assert_eq!(head.headers.get(CONTENT_TYPE), got.headers.get(CONTENT_TYPE), "{path}");
        assert_eq!(head.header(CONTENT_LENGTH), got.body.len().to_string(), "{path}");
        assert!(head.body.is_empty(), "{path}");
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
            let call = match token {
                Some(token) => call.bearer(token),
                None => call,
            };
            assert_eq!(call.send().await.text(), (401, expected));
        }
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_body_over_64_kib_is_refused_and_one_of_64_kib_is_read() {
    let app = app(Store::Memory).await;
    let send = async |body: Body| {
        let call = post(&app, CHECK_IN).bearer(&token(&claims()));
        call.header(CONTENT_TYPE, "application/json").body(body).send().await
    };
    let padded = |length: usize| {
        let body = r#"{"event_id":"evt1","ticket_id":"T1","z":""}"#;
        body.replace("\"\"", &format!("\"{}\"", "z".repeat(length - body.len())))
    };
    for length in [64 * 1024 + 1, 1024 * 1024] {
        let answer = send(padded(length).into()).await;
        assert_eq!(answer.status, 413, "{length}");
        assert!(detail(&answer).is_string(), "{length}");
    }
    assert_eq!(send(padded(64 * 1024).into()).await.status, 200);

    // A length that is not announced is found out, and what is too much is not waited for.
    let asked = Arc::new(AtomicUsize::new(0));
    let endless = Pieces { left: usize::MAX, asked: asked.clone(), ends: false };
    let answer = send(Body::new(endless)).await;
    assert_eq!(answer.status, 413);
    assert!(detail(&answer).is_string());
    assert!(asked.load(Ordering::Relaxed) <= 66, "{asked:?}");
    let pieces = Pieces { left: 64, asked, ends: true };
    assert_eq!(send(Body::new(pieces)).await.status, 422, "64 KiB of spaces are read, and no JSON");
}

#[tokio::test]
async fn a_body_that_never_ends_is_not_waited_for() {
    let app = app_with(Store::Memory, &[("request-timeout-seconds", "1")]).await;
    let silent = Pieces { left: 0, asked: Arc::default(), ends: false };
    let answer = post(&app, CHECK_IN).bearer(&token(&claims())).body(Body::new(silent)).send().await;
    match answer.status.as_u16() {
        408 => {}
        503 => drop(answer.header(RETRY_AFTER).parse::<u32>().expect("Retry-After in seconds")),
        status => panic!("{status}"),
    }
    assert!(detail(&answer).is_string());
}

#[tokio::test]
async fn no_depth_of_nesting_breaks_the_service() {
    let app = app(Store::Memory).await;
    for depth in [1_000, 10_000] {
        let lists = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let objects = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        let field = format!(r#"{{"event_id":"evt1","ticket_id":{lists}}}"#);
        for body in [lists, objects, field, "[".repeat(depth)] {
            let call = post(&app, CHECK_IN).bearer(&token(&claims()));
            let answer = call.header(CONTENT_TYPE, "application/json").body(body).send().await;
            assert!(matches!(answer.status.as_u16(), 400 | 413 | 422), "{depth}: {answer:?}");
            detail(&answer);
        }
        // The header of a token and its claims are JSON as well.
        let nested = "[".repeat(depth / 2);
        let forged = forge::signed(&nested, &nested, forge::SECRET, forge::Hash::Sha256);
        let answer = get(&app, "/attendance/evt1").bearer(&forged).send().await;
        assert_eq!(answer.text(), (401, r#"{"detail":"Invalid token"}"#), "{depth}");
    }
    assert_eq!(get(&app, "/health").send().await.status, 200);
}

#[tokio::test]
async fn no_answer_may_be_sniffed_or_named_as_a_referrer() {
    let app = app(Store::Memory).await;
    for path in ["/", "/docs", "/openapi.json", "/health", "/attendance/evt1", "/checkins", "/none"] {
        let answer = get(&app, path).send().await;
        assert_eq!(answer.header(X_CONTENT_TYPE_OPTIONS), "nosniff", "{path}");
        assert_eq!(answer.header(REFERRER_POLICY), "no-referrer", "{path}");
    }
}

#[tokio::test]
async fn whoever_keeps_the_list_asks_each_time_and_nobody_keeps_a_record() {
    let app = app(Store::Memory).await;
    check_in(&app, "evt1", "T1").await;
    let list = attendance(&app, "evt1").await;
    assert_eq!(list.header(CACHE_CONTROL), "private, no-cache");
    let token = token(&claims());
    let call = get(&app, "/attendance/evt1").bearer(&token).header(IF_NONE_MATCH, list.header(ETAG));
    let unchanged = call.send().await;
    assert_eq!((unchanged.status.as_u16(), unchanged.header(CACHE_CONTROL)), (304, "private, no-cache"));
    let record = get(&app, "/attendance/evt1/tickets/T1").bearer(&token).send().await;
    assert_eq!((record.status.as_u16(), record.header(CACHE_CONTROL)), (200, "no-store"));
}
