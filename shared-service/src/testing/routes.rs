//! What all routes of a service have in common. Each function is a check that both services make.

use axum::{
    Router,
    http::{
        Method,
        header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
    },
};
use shared_http::testing::{Answer, call, get, post};

use super::app::detail;

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"];

/// Sends a body that is no JSON, and a token that is none, with each of `methods`.
async fn ask(app: &Router, methods: &[&str], path: &str, mut check: impl FnMut(&str, &Answer)) {
    for method in methods {
        let of_method = || call(app, method.parse::<Method>().expect("a method"), path);
        for call in [of_method(), of_method().bearer("x").body("{bad")] {
            check(method, &call.send().await);
        }
    }
}

/// None of `paths` is known, and that is said before anything else is looked at.
pub async fn unknown_paths_are_not_found_with_any_method(app: &Router, paths: &[&str]) {
    for path in paths {
        ask(app, &["GET", "POST", "DELETE"], path, |method, answer| {
            assert_eq!(answer.text(), (404, r#"{"detail":"Not Found"}"#), "{method} {path}");
            assert_eq!(answer.header(CONTENT_TYPE), "application/json", "{method} {path}");
        })
        .await;
    }
}

/// Each of `paths` is where the same path with slashes at its end leads to.
pub async fn slashes_at_the_end_lead_to_the_path_itself(app: &Router, paths: &[&str]) {
    for path in paths {
        for (slashes, query) in [("/", ""), ("//", ""), ("///", "?a=b&c=%2F/"), ("/", "?"), ("/", "?//")] {
            ask(app, &METHODS, &format!("{path}{slashes}{query}"), |method, answer| {
                assert_eq!(answer.text(), (307, ""), "{method} {path}{slashes}{query}");
                assert_eq!(answer.header(LOCATION), format!("{path}{query}"), "{method} {slashes}");
                assert_eq!(answer.header(X_CONTENT_TYPE_OPTIONS), "nosniff", "{method} {path}{slashes}");
            })
            .await;
        }
    }
}

/// The pages and `/health` can be read, and `own` paths take the methods beside them; others are refused.
pub async fn a_wrong_method_is_told_the_right_ones(app: &Router, own: &[(&str, &[&str])]) {
    let pages = ["/", "/health", "/docs", "/redoc", "/openapi.json"];
    let pages = pages.map(|path| (path, &["GET", "HEAD"][..]));
    for (path, allowed) in pages.iter().chain(own) {
        let wrong: Vec<_> = METHODS.into_iter().filter(|method| !allowed.contains(method)).collect();
        ask(app, &wrong, path, |method, answer| {
            let mut allow: Vec<_> = answer.header(ALLOW).split(',').map(str::trim).collect();
            allow.sort_unstable();
            assert_eq!((answer.status.as_u16(), &allow[..]), (405, *allowed), "{method} {path}");
            if method != "HEAD" {
                assert_eq!(answer.text().1, r#"{"detail":"Method Not Allowed"}"#, "{method} {path}");
                assert_eq!(answer.header(CONTENT_TYPE), "application/json", "{method} {path}");
            }
        })
        .await;
    }
}

/// The pages, and `own` paths for whoever has `token`, say in their head how long the body would be.
pub async fn head_is_answered_like_get_without_the_body(app: &Router, own: &[&str], token: &str) {
    let pages = ["/", "/health", "/docs", "/redoc", "/openapi.json", "/docs/swagger-ui.css"];
    for path in pages.iter().chain(own) {
        let got = get(app, path).bearer(token).send().await;
        let head = call(app, Method::HEAD, path).bearer(token).send().await;
        assert_eq!((got.status.as_u16(), head.status.as_u16()), (200, 200), "{path}");
        assert_eq!(head.headers.get(CONTENT_TYPE), got.headers.get(CONTENT_TYPE), "{path}");
        assert_eq!(head.header(CONTENT_LENGTH), got.body.len().to_string(), "{path}");
        assert!(head.body.is_empty(), "{path}");
    }
}

/// Neither a page nor `own` paths, whatever they answer.
pub async fn no_answer_may_be_sniffed_or_named_as_a_referrer(app: &Router, own: &[&str]) {
    for path in ["/", "/docs", "/openapi.json", "/health", "/none"].iter().chain(own) {
        let answer = get(app, path).send().await;
        assert_eq!(answer.header(X_CONTENT_TYPE_OPTIONS), "nosniff", "{path}");
        assert_eq!(answer.header(REFERRER_POLICY), "no-referrer", "{path}");
    }
}

/// Sends JSON to `path`, for whoever has `token`.
async fn send(app: &Router, path: &str, token: &str, body: String) -> Answer {
    post(app, path).bearer(token).header(CONTENT_TYPE, "application/json").body(body).send().await
}

/// A body that is too long is refused with 413; one that is not is read, and has wrong fields.
pub async fn a_body_has_64_kib_and_no_more(app: &Router, path: &str, token: &str) {
    let padded = |length: usize| format!(r#"{{"z":"{}"}}"#, "z".repeat(length - 8));
    for length in [64 * 1024 + 1, 1024 * 1024] {
        let answer = send(app, path, token, padded(length)).await;
        assert_eq!(answer.status, 413, "{path} {length}");
        assert!(detail(&answer).is_string(), "{path} {length}");
    }
    assert_eq!(send(app, path, token, padded(64 * 1024)).await.status, 422, "{path}");
}

/// However deep lists, objects and the value of `field` are.
pub async fn no_depth_of_nesting_breaks_the_service(app: &Router, path: &str, token: &str, field: &str) {
    for depth in [1_000, 10_000] {
        let lists = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let objects = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        let in_field = format!(r#"{{"{field}":{lists}}}"#);
        for body in [lists, objects, in_field, "[".repeat(depth)] {
            let answer = send(app, path, token, body).await;
            assert!(matches!(answer.status.as_u16(), 400 | 413 | 422), "{path} {depth}: {answer:?}");
            detail(&answer);
        }
    }
    assert_eq!(get(app, "/health").send().await.status, 200);
}
