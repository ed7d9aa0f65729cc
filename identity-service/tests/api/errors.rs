//! What is refused before a route of the contract has its say.

use axum::http::{
    Method,
    header::{
        CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    },
};
use shared_http::testing::{call, get, post};

use crate::{LOGIN, ME, REGISTER, app, detail, forge, log_in, me, token_of};

#[tokio::test]
async fn an_unknown_path_is_not_found_with_any_method() {
    let app = app().await;
    for path in [
        "/nothing",
        "/auth",
        "/auth/",
        "/auth/Login",
        "/auth/me/x",
        "/Health",
        "/auth/nothing/",
        "//",
        "//health/",
        "//evil.example.org/",
        "//health",
        "/checkins",
        "/auth%2Flogin",
        "/%ff",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let answer = call(&app, method.clone(), path).send().await;
            assert_eq!(answer.text(), (404, r#"{"detail":"Not Found"}"#), "{method} {path}");
            assert_eq!(answer.headers["content-type"], "application/json", "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_known_path_with_slashes_at_its_end_is_where_the_path_itself_is() {
    let app = app().await;
    for path in
        ["/health", "/ready", ME, REGISTER, LOGIN, "/docs", "/redoc", "/redoc/redoc.css", "/openapi.json"]
    {
        for (slashes, query) in [("/", ""), ("//", ""), ("/", "?a=b/")] {
            let asked = format!("{path}{slashes}{query}");
            for method in ["GET", "HEAD", "POST", "OPTIONS", "PUT", "TRACE"] {
                let method: Method = method.parse().expect("a method");
                let answer = call(&app, method.clone(), &asked).bearer("x").body("{bad").send().await;
                assert_eq!(answer.text(), (307, ""), "{method} {asked}");
                assert_eq!(answer.header(LOCATION), format!("{path}{query}"), "{method} {asked}");
            }
        }
    }
}

#[tokio::test]
async fn a_known_path_with_the_wrong_method_names_the_right_ones() {
    let app = app().await;
    let wrong = |allowed: &[&str]| {
        let all = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"];
        all.into_iter().filter(|method| !allowed.contains(method)).map(str::to_owned).collect::<Vec<_>>()
    };
    for (path, allowed) in [
        ("/health", &["GET", "HEAD"][..]),
        (ME, &["GET", "HEAD"]),
        (REGISTER, &["POST"]),
        (LOGIN, &["POST"]),
        ("/", &["GET", "HEAD"]),
        ("/docs", &["GET", "HEAD"]),
        ("/redoc", &["GET", "HEAD"]),
        ("/openapi.json", &["GET", "HEAD"]),
    ] {
        for method in wrong(allowed) {
            let method: Method = method.parse().expect("a method");
            let answer = call(&app, method.clone(), path).send().await;
            assert_eq!(answer.status, 405, "{method} {path}");
            let allow = answer.headers["allow"].to_str().expect("ASCII");
            let mut allow: Vec<_> = allow.split(',').map(str::trim).collect();
            allow.sort_unstable();
            assert_eq!(allow, allowed, "{method} {path}");
            if method != Method::HEAD {
                assert_eq!(answer.text().1, r#"{"detail":"Method Not Allowed"}"#, "{method} {path}");
                assert_eq!(answer.headers["content-type"], "application/json", "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn head_is_answered_like_get_without_the_body() {
    let app = app().await;
    let token = forge::token(&forge::claims());
    for path in ["/", "/health", ME, "/docs", "/redoc", "/openapi.json", "/docs/swagger-ui.css"] {
        let got = get(&app, path).bearer(&token).send().await;
        let head = call(&app, Method::HEAD, path).bearer(&token).send().await;
        assert_eq!((got.status.as_u16(), head.status.as_u16()), (200, 200), "{path}");
        assert_eq!(head.headers.get(CONTENT_TYPE), got.headers.get(CONTENT_TYPE), "{path}");
        assert_eq!(head.header(CONTENT_LENGTH), got.body.len().to_string(), "{path}");
        assert!(head.body.is_empty(), "{path}");
    }
    let head = call(&app, Method::HEAD, ME).send().await;
    assert_eq!(head.status, 401);
    assert_eq!(head.headers["www-authenticate"], "Bearer");
}

#[tokio::test]
async fn a_body_over_64_kib_is_refused_and_one_of_64_kib_is_read() {
    let app = app().await;
    let padded = |length: usize| {
        let body = r#"{"username":"x","password":"y","z":""}"#;
        body.replace("\"\"", &format!("\"{}\"", "z".repeat(length - body.len())))
    };
    for path in [REGISTER, LOGIN] {
        for length in [64 * 1024 + 1, 1024 * 1024] {
            let call = post(&app, path).header(CONTENT_TYPE, "application/json");
            let answer = call.body(padded(length)).send().await;
            assert_eq!(answer.status, 413, "{path} {length}");
            assert!(detail(&answer).is_string(), "{path} {length}");
        }
        let call = post(&app, path).header(CONTENT_TYPE, "application/json");
        let answer = call.body(padded(64 * 1024)).send().await;
        assert!(matches!(answer.status.as_u16(), 400 | 422), "{path} {answer:?}");
    }
}

#[tokio::test]
async fn no_depth_of_nesting_breaks_the_service() {
    let app = app().await;
    for path in [REGISTER, LOGIN] {
        for depth in [1_000, 10_000] {
            let lists = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            let objects = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
            let field = format!(r#"{{"username":"budi","password":{lists}}}"#);
            let open = "[".repeat(depth);
            for body in [lists, objects, field, open] {
                let call = post(&app, path).header(CONTENT_TYPE, "application/json");
                let answer = call.body(body).send().await;
                let status = answer.status.as_u16();
                assert!(matches!(status, 400 | 413 | 422), "{path} {depth}: {answer:?}");
                detail(&answer);
            }
        }
    }
    assert_eq!(get(&app, "/health").send().await.status, 200);
}

#[tokio::test]
async fn no_answer_may_be_sniffed_or_named_as_a_referrer() {
    let app = app().await;
    for path in ["/", "/docs", "/openapi.json", "/health", ME, LOGIN, "/none"] {
        let answer = get(&app, path).send().await;
        assert_eq!(answer.header(X_CONTENT_TYPE_OPTIONS), "nosniff", "{path}");
        assert_eq!(answer.header(REFERRER_POLICY), "no-referrer", "{path}");
    }
}

#[tokio::test]
async fn nobody_keeps_a_token_or_who_it_belongs_to() {
    let app = app().await;
    let login = log_in(&app, "panitia1", "secret").await;
    let me = me(&app, &token_of(&login)).await;
    assert_eq!([login.header(CACHE_CONTROL), me.header(CACHE_CONTROL)], ["no-store"; 2]);
}
