//! Who is let in to either route: the table of the contract, and every forgery that came to mind.

use std::time::Duration;

use axum::{
    Router,
    http::{
        Method, StatusCode,
        header::{AUTHORIZATION, IF_NONE_MATCH},
    },
};
use serde_json::{Value, json};
use shared_auth::{Role, Secret, TokenIssuer};
use shared_http::testing::{Answer, call, get, post};
use shared_service::testing::{
    Store,
    app::detail,
    forge::{HS256, Hash, SECRET, claims, encoded, now, signed, token},
};

use super::{CHECK_IN, app, app_with, check_in, record};

const EVENT: &str = "/attendance/evt1";

const MISSING: &str = "Missing Authorization header";
const FORMAT: &str = "Invalid Authorization header format. Use: Bearer <token>";
const EXPIRED: &str = "Token expired";
const INVALID: &str = "Invalid token";

async fn show(app: &Router, token: &str) -> Answer {
    get(app, EVENT).bearer(token).send().await
}

fn is_refused(answer: &Answer, expected: &str, name: &str) {
    assert_eq!((answer.status.as_u16(), detail(answer)), (401, json!(expected)), "{name}");
    assert_eq!(answer.headers["www-authenticate"], "Bearer", "{name}");
}

/// Good claims but for these.
fn with(changes: &[(&str, Value)]) -> Value {
    let mut claims = claims();
    for (claim, value) in changes {
        claims[claim] = value.clone();
    }
    claims
}

fn without(claim: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().expect("an object").shift_remove(claim).expect("a claim");
    claims
}

#[tokio::test]
async fn a_token_of_the_other_service_is_accepted_by_the_secret_alone() {
    let token = TokenIssuer::new(&Secret::new(SECRET), Duration::from_secs(60)).issue("admin1", Role::Admin);
    let token = token.expect("a token");
    let body = json!({ "event_id": "evt1", "ticket_id": "T1" });
    let answer = post(&app(Store::Memory).await, CHECK_IN).bearer(&token).json(&body).send().await;
    assert_eq!(record(&answer)["checked_in_by"], "admin1");
}

#[tokio::test]
async fn a_token_of_the_previous_secret_is_good_until_that_is_unset_and_no_longer_than_it_would_be() {
    let rotated =
        app_with(Store::Memory, &[("jwt-secret", "a new secret"), ("jwt-secret-previous", SECRET)]).await;
    let done = app_with(Store::Memory, &[("jwt-secret", "a new secret")]).await;
    let old = token(&claims());
    let new = signed(HS256, &claims().to_string(), "a new secret", Hash::Sha256);
    let other = signed(HS256, &claims().to_string(), "another secret", Hash::Sha256);
    // The second time it may be remembered.
    for _ in 0..2 {
        assert_eq!(show(&rotated, &old).await.status, 200);
        assert_eq!(show(&rotated, &new).await.status, 200);
        is_refused(&show(&rotated, &other).await, INVALID, "another secret");
        assert_eq!(show(&done, &new).await.status, 200);
        is_refused(&show(&done, &old).await, INVALID, "the secret that was");
    }
    let over = token(&with(&[("exp", json!(now() - 1))]));
    is_refused(&show(&rotated, &over).await, EXPIRED, "of the previous secret, and expired");
}

#[tokio::test]
async fn the_authorization_header_has_one_form() {
    let app = app(Store::Memory).await;
    let token = token(&claims());
    let send = async |value: &[u8]| get(&app, EVENT).header(AUTHORIZATION, value).send().await;
    for scheme in ["Bearer ", "bearer ", "BEARER ", "bEaReR ", "Bearer  ", "Bearer \t "] {
        for end in ["", " \t"] {
            assert_eq!(
                send(format!("{scheme}{token}{end}").as_bytes()).await.status,
                200,
                "{scheme:?}{end:?}"
            );
        }
    }
    for scheme in ["", "Basic ", "Token ", "Bearer\t", "Bearer:", "Bearer", "Bearers ", "Bea\u{17f}er "] {
        is_refused(&send(format!("{scheme}{token}").as_bytes()).await, FORMAT, scheme);
    }
    for value in [&b"Bearer"[..], b"bearer", b"Basic cGFuaXRpYTE6c2VjcmV0", b"\xff\xfe"] {
        is_refused(&send(value).await, FORMAT, &String::from_utf8_lossy(value));
    }
    for value in [format!("{token} {token}"), format!("\"{token}\""), format!("{token}é")] {
        is_refused(&send(format!("Bearer {value}").as_bytes()).await, INVALID, &value);
    }
    is_refused(&send(&[b"Bearer ", token.as_bytes(), b"\xff"].concat()).await, INVALID, "no UTF-8");
    is_refused(&send(b"").await, MISSING, "an empty header");
    is_refused(&get(&app, EVENT).send().await, MISSING, "no header");
    is_refused(&get(&app, &format!("{EVENT}?access_token={token}")).send().await, MISSING, "a query");
}

#[tokio::test]
async fn a_token_with_a_wrong_signature_is_invalid() {
    let claims = claims().to_string();
    let good = signed(HS256, &claims, SECRET, Hash::Sha256);
    let (message, signature) = good.rsplit_once('.').expect("three parts");
    let (header, payload) = message.split_once('.').expect("two parts");
    let of_alg = |alg: &str| format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#);
    let mut forged = Vec::new();
    let mut sign = |header: &str, payload: &str, secret: &str, hash| {
        let name = format!("{header:.80} {payload:.80} signed with {secret:?} and {hash:?}");
        forged.push((name, signed(header, payload, secret, hash)));
    };
    for (hash, algs) in [
        (Hash::Sha256, &["none", "HS512", "RS256", "hs256", "XY"][..]),
        (Hash::Sha384, &["HS384", "HS256"]),
        (Hash::Sha512, &["HS512", "HS256"]),
    ] {
        algs.iter().for_each(|alg| sign(&of_alg(alg), &claims, SECRET, hash));
    }
    for header in [r#"{"typ":"JWT"}"#, r#"{"alg":256,"typ":"JWT"}"#, "[]", "HS256"] {
        sign(header, &claims, SECRET, Hash::Sha256);
    }
    // What nobody has to understand, or must not be there, or is there twice.
    let critical =
        [r#""crit":["x"],"x":1"#, r#""crit":["b64"],"b64":true"#, r#""crit":[]"#, r#""crit":null"#];
    let strange =
        [r#""crit":"exp""#, r#""\u0063rit":["x"]"#, r#""crit":["x"],"crit":null"#, r#""b64":false"#];
    for fields in critical.iter().chain(&strange).chain(&[r#""alg":"none""#]) {
        sign(&format!(r#"{{{fields},"alg":"HS256","typ":"JWT"}}"#), &claims, SECRET, Hash::Sha256);
    }
    for secret in ["another secret", &SECRET.to_uppercase(), "dev-secret", ""] {
        sign(HS256, &claims, secret, Hash::Sha256);
    }
    for payload in ["", "[]", "null", "sub=panitia1"] {
        sign(HS256, payload, SECRET, Hash::Sha256);
    }
    for depth in [500, 5_000] {
        sign(&"[".repeat(depth), &"[".repeat(depth), SECRET, Hash::Sha256);
    }
    let none = encoded(of_alg("none"));
    let admin = encoded(claims.replace("committee", "admin"));
    let unsigned = [
        format!("{none}.{payload}."),
        format!("{none}.{payload}"),
        format!("{message}."),
        message.to_owned(),
    ];
    let more = [
        format!("{good}.x"),
        format!("{good}."),
        format!("{good}AAAA"),
        format!("{header}.{admin}.{signature}"),
    ];
    let cut = [&good[..good.len() - 1], &good[..good.len() - signature.len() / 2]].map(str::to_owned);
    let no_base64 =
        [format!("{}.{payload}.", encoded(of_alg("None"))), format!("{message}.!{}", &signature[1..])];
    let no_token = ["x".to_owned(), "..".to_owned(), "a.b.c".to_owned(), "x".repeat(10_000)];
    let others = [&unsigned[..], &more, &cut, &no_base64, &no_token].concat();

    let app = app(Store::Memory).await;
    assert_eq!(show(&app, &good).await.status, 200);
    for (name, token) in forged.into_iter().chain(others.into_iter().map(|token| (token.clone(), token))) {
        is_refused(&show(&app, &token).await, INVALID, &name);
    }
    // A good token that was seen before helps no forgery.
    assert_eq!(show(&app, &good).await.status, 200);
}

#[tokio::test]
async fn a_token_whose_claims_are_not_the_four_of_the_contract_is_invalid() {
    let app = app(Store::Memory).await;
    is_refused(&show(&app, &token(&json!({}))).await, INVALID, "no claim at all");
    for claim in ["sub", "role", "iat", "exp"] {
        is_refused(&show(&app, &token(&without(claim))).await, INVALID, claim);
    }
    let (soon, year) = (now() + 3600, 365 * 24 * 3600);
    let half = |moment: u64| json!(moment as f64 + 0.5);
    for (claim, values) in [
        ("sub", vec![json!(5), json!(null), json!("a\0b"), json!(["panitia1"])]),
        ("role", vec![json!(1), json!(null), json!(["admin"])]),
        ("iat", vec![json!(now().to_string()), json!(null), half(0)]),
        ("exp", vec![json!(soon.to_string()), json!("1"), json!(null), json!(true), half(soon), half(1)]),
        ("nbf", vec![json!(now() + 60), half(now() + 30), json!(now() + year)]),
        ("nbf", vec![json!("soon"), json!(soon.to_string())]),
    ] {
        for value in values {
            let name = format!("{claim} is {value}");
            is_refused(&show(&app, &token(&with(&[(claim, value)]))).await, INVALID, &name);
        }
    }
}

#[tokio::test]
async fn a_token_is_expired_from_its_exp_on_and_not_a_second_later() {
    let app = app(Store::Memory).await;
    for exp in [
        json!(now() - 1),
        json!(now()),
        json!(now() - 30),
        json!(now() - 365 * 24 * 3600),
        json!(0),
        json!(-1),
    ] {
        is_refused(&show(&app, &token(&with(&[("exp", exp.clone())]))).await, EXPIRED, &exp.to_string());
    }
    // The signature is good and the time is over: what else is wrong does not count any more.
    let mut claims = without("role");
    claims["exp"] = json!(now() - 60);
    is_refused(&show(&app, &token(&claims)).await, EXPIRED, "expired, and no role");
    let claims = with(&[("exp", json!(now() - 60)), ("sub", json!(5))]);
    is_refused(&show(&app, &token(&claims)).await, EXPIRED, "expired, and sub is a number");
    let claims = with(&[("exp", json!(now() - 60)), ("nbf", json!(now() + 60))]);
    is_refused(&show(&app, &token(&claims)).await, EXPIRED, "expired, and nbf ahead");

    // The signature is not good: whoever made it is told nothing of the time.
    let past = with(&[("exp", json!(now() - 60))]).to_string();
    let forged = signed(HS256, &past, "another secret", Hash::Sha256);
    is_refused(&show(&app, &forged).await, INVALID, "expired and forged");
    let forged = format!("{}.{}.", encoded(r#"{"alg":"none"}"#), encoded(&past));
    is_refused(&show(&app, &forged).await, INVALID, "expired and unsigned");

    // What the signature is of is not known.
    let critical = signed(r#"{"alg":"HS256","crit":["x"],"x":1}"#, &past, SECRET, Hash::Sha256);
    is_refused(&show(&app, &critical).await, INVALID, "expired, with an extension that nobody knows");
}

#[tokio::test]
async fn a_token_that_is_right_is_accepted_in_any_form() {
    let year = 365 * 24 * 3600;
    let plain = |header: &str, claims: &Value| signed(header, &claims.to_string(), SECRET, Hash::Sha256);
    let rows = [
        ("the other order of the header", plain(r#"{"typ":"JWT","alg":"HS256"}"#, &claims())),
        (
            "a header field that need not be understood",
            plain(r#"{"alg":"HS256","kid":"1","x":[]}"#, &claims()),
        ),
        ("the other order of the claims", {
            let Value::Object(claims) = claims() else { panic!("an object") };
            token(&Value::Object(claims.into_iter().rev().collect()))
        }),
        ("white space in the claims", signed(HS256, &format!(" {:#}\n", claims()), SECRET, Hash::Sha256)),
        ("good for a year", token(&with(&[("exp", json!(now() + year))]))),
        ("iat a minute ahead", token(&with(&[("iat", json!(now() + 60))]))),
        (
            "iat a year ahead",
            token(&with(&[("iat", json!(now() + year)), ("exp", json!(now() + year + 60))])),
        ),
        ("iat in 1970", token(&with(&[("iat", json!(0))]))),
        ("nbf now", token(&with(&[("nbf", json!(now()))]))),
        ("nbf past", token(&with(&[("nbf", json!(now() - 60))]))),
    ];
    let app = app(Store::Memory).await;
    for (name, token) in rows {
        // The second time it may be remembered.
        for _ in 0..2 {
            assert_eq!(show(&app, &token).await.status, 200, "{name}");
        }
    }
}

#[tokio::test]
async fn a_token_that_was_accepted_is_refused_once_it_has_expired() {
    let app = app(Store::Memory).await;
    let exp = now() + 2;
    let token = token(&with(&[("exp", json!(exp))]));
    assert_eq!(show(&app, &token).await.status, 200);

    let refused = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            let answer = show(&app, &token).await;
            if answer.status != StatusCode::OK {
                break answer;
            }
        }
    };
    let answer = tokio::time::timeout(Duration::from_secs(10), refused).await.expect("an end to the token");
    assert!(now() >= exp, "refused too early");
    is_refused(&answer, EXPIRED, "the first time");
    is_refused(&show(&app, &token).await, EXPIRED, "the second time");
}

#[tokio::test]
async fn every_protected_route_asks_for_a_token_and_does_nothing_without() {
    let app = app(Store::Memory).await;
    assert_eq!(check_in(&app, "evt1", "used").await.status, 200);
    let body = json!({ "event_id": "evt1", "ticket_id": "T1" });
    let forged = signed(HS256, &claims().to_string(), "another secret", Hash::Sha256);
    let expired = token(&with(&[("exp", json!(now() - 1))]));
    let tickets =
        ["/attendance/evt1/tickets/used", "/attendance/evt1/tickets/none", "/attendance/%ff/tickets/T1"];
    let gets = [EVENT, "/attendance/%ff", "/attendance/konser%2F2026"].into_iter().chain(tickets);
    for (method, path) in gets.map(|path| (Method::GET, path)).chain([(Method::POST, CHECK_IN)]) {
        // Who knows the list is told nothing of it either.
        let call = || call(&app, method.clone(), path).header(IF_NONE_MATCH, "*").json(&body);
        is_refused(&call().send().await, MISSING, path);
        for (token, expected) in [("x", INVALID), (&forged, INVALID), (&expired, EXPIRED)] {
            is_refused(&call().bearer(token).send().await, expected, path);
        }
    }
    let head = call(&app, Method::HEAD, EVENT).send().await;
    assert_eq!((head.text(), &head.headers["www-authenticate"]), ((401, ""), &"Bearer".parse().unwrap()));
    assert_eq!(check_in(&app, "evt1", "T1").await.status, 200);
}
