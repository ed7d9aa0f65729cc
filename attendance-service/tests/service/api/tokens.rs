//! Who is let in to either route: the table of the contract, and every forgery that came to mind.

use std::time::Duration;

use axum::{
    Router,
    http::{Method, StatusCode, header::AUTHORIZATION},
};
use serde_json::{Value, json};
use shared_auth::{Role, Secret, TokenIssuer};
use shared_http::testing::{Answer, call, get, post};

use super::{CHECK_IN, app, app_with, check_in, detail};
use shared_service::testing::Store;
use shared_service::testing::forge::{self, HS256, Hash, SECRET, claims, encoded, now, signed, token};

const EVENT: &str = "/attendance/evt1";

const MISSING: &str = "Missing Authorization header";
const FORMAT: &str = "Invalid Authorization header format. Use: Bearer <token>";
const EXPIRED: &str = "Token expired";
const INVALID: &str = "Invalid token";

async fn show(app: &Router, token: &str) -> Answer {
    get(app, EVENT).bearer(token).send().await
}

fn is_refused(answer: &Answer, expected: &str, name: &str) {
    assert_eq!(answer.status, 401, "{name}");
    assert_eq!(detail(answer), expected, "{name}");
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
    assert_eq!(super::record(&answer)["checked_in_by"], "admin1");
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
    // `TOKEN` stands for a good token.
    let rows: [(&[u8], Result<(), &str>); 23] = [
        (b"Bearer TOKEN", Ok(())),
        (b"bearer TOKEN", Ok(())),
        (b"BEARER TOKEN", Ok(())),
        (b"bEaReR TOKEN", Ok(())),
        (b"Bearer  TOKEN", Ok(())),
        (b"Bearer \t TOKEN \t", Ok(())),
        (b"", Err(MISSING)),
        (b"Bearer", Err(FORMAT)),
        (b"bearer", Err(FORMAT)),
        (b"TOKEN", Err(FORMAT)),
        (b"Basic TOKEN", Err(FORMAT)),
        (b"Basic cGFuaXRpYTE6c2VjcmV0", Err(FORMAT)),
        (b"Token TOKEN", Err(FORMAT)),
        (b"Bearer\tTOKEN", Err(FORMAT)),
        (b"Bearer:TOKEN", Err(FORMAT)),
        (b"BearerTOKEN", Err(FORMAT)),
        (b"Bearers TOKEN", Err(FORMAT)),
        ("Bea\u{17f}er TOKEN".as_bytes(), Err(FORMAT)),
        (b"\xff\xfe", Err(FORMAT)),
        (b"Bearer TOKEN TOKEN", Err(INVALID)),
        (b"Bearer \"TOKEN\"", Err(INVALID)),
        ("Bearer TOKENé".as_bytes(), Err(INVALID)),
        (b"Bearer TOKEN\xff", Err(INVALID)),
    ];
    for (template, expected) in rows {
        let answer = get(&app, EVENT).header(AUTHORIZATION, fill(template, &token)).send().await;
        let template = String::from_utf8_lossy(template);
        match expected {
            Ok(()) => assert_eq!(answer.status, 200, "{template}"),
            Err(expected) => is_refused(&answer, expected, &template),
        }
    }

    is_refused(&get(&app, EVENT).send().await, MISSING, "no header");
    is_refused(&get(&app, &format!("{EVENT}?access_token={token}")).send().await, MISSING, "a query");
}

fn fill(template: &[u8], token: &str) -> Vec<u8> {
    let (mut filled, mut rest) = (Vec::new(), template);
    while let Some(at) = rest.windows(5).position(|window| window == b"TOKEN") {
        filled.extend_from_slice(&rest[..at]);
        filled.extend_from_slice(token.as_bytes());
        rest = &rest[at + 5..];
    }
    filled.extend_from_slice(rest);
    filled
}

#[tokio::test]
async fn a_token_with_a_wrong_signature_is_invalid() {
    let claims = claims().to_string();
    let header = |alg: &str| format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#);
    let beginning = |fields: &str| {
        signed(&format!(r#"{{{fields}"alg":"HS256","typ":"JWT"}}"#), &claims, SECRET, Hash::Sha256)
    };
    let good = signed(HS256, &claims, SECRET, Hash::Sha256);
    let (message, signature) = good.rsplit_once('.').expect("three parts");
    let (_, payload) = message.split_once('.').expect("two parts");
    let mut admin = self::claims();
    admin["role"] = json!("admin");
    let rows = [
        ("alg none, unsigned", format!("{}.{payload}.", encoded(header("none")))),
        ("alg none, two parts", format!("{}.{payload}", encoded(header("none")))),
        ("alg None", format!("{}.{payload}.", encoded(header("None")))),
        ("alg none, signed", signed(&header("none"), &claims, SECRET, Hash::Sha256)),
        ("HS384", signed(&header("HS384"), &claims, SECRET, Hash::Sha384)),
        ("HS512", signed(&header("HS512"), &claims, SECRET, Hash::Sha512)),
        ("HS384 that says HS256", signed(HS256, &claims, SECRET, Hash::Sha384)),
        ("HS512 that says HS256", signed(HS256, &claims, SECRET, Hash::Sha512)),
        ("HS256 that says HS512", signed(&header("HS512"), &claims, SECRET, Hash::Sha256)),
        ("HS256 that says RS256", signed(&header("RS256"), &claims, SECRET, Hash::Sha256)),
        ("HS256 that says hs256", signed(&header("hs256"), &claims, SECRET, Hash::Sha256)),
        ("HS256 that says something else", signed(&header("XY"), &claims, SECRET, Hash::Sha256)),
        ("no alg", signed(r#"{"typ":"JWT"}"#, &claims, SECRET, Hash::Sha256)),
        ("alg is a number", signed(r#"{"alg":256,"typ":"JWT"}"#, &claims, SECRET, Hash::Sha256)),
        ("header is a list", signed("[]", &claims, SECRET, Hash::Sha256)),
        ("header is no JSON", signed("HS256", &claims, SECRET, Hash::Sha256)),
        ("crit names an extension", beginning(r#""crit":["x"],"x":1,"#)),
        ("crit names b64", beginning(r#""crit":["b64"],"b64":true,"#)),
        ("crit is empty", beginning(r#""crit":[],"#)),
        ("crit is null", beginning(r#""crit":null,"#)),
        ("crit is text", beginning(r#""crit":"exp","#)),
        ("crit is escaped", beginning(r#""\u0063rit":["x"],"#)),
        ("crit twice", beginning(r#""crit":["x"],"crit":null,"#)),
        ("b64 without crit", beginning(r#""b64":false,"#)),
        ("alg twice, the last good", beginning(r#""alg":"none","#)),
        ("another secret", signed(HS256, &claims, "another secret", Hash::Sha256)),
        ("the secret in upper case", signed(HS256, &claims, &SECRET.to_uppercase(), Hash::Sha256)),
        ("the development secret", signed(HS256, &claims, "dev-secret", Hash::Sha256)),
        ("no secret", signed(HS256, &claims, "", Hash::Sha256)),
        ("no signature", format!("{message}.")),
        ("no third part", message.to_owned()),
        ("a fourth part", format!("{good}.x")),
        ("an empty fourth part", format!("{good}.")),
        ("signature cut by a character", good[..good.len() - 1].to_owned()),
        ("signature cut in half", good[..good.len() - signature.len() / 2].to_owned()),
        ("signature with more behind it", format!("{good}AAAA")),
        ("signature that is no base64", format!("{message}.!{}", &signature[1..])),
        ("signature of other claims", {
            let (header, _) = message.split_once('.').expect("two parts");
            format!("{header}.{}.{signature}", encoded(admin.to_string()))
        }),
        ("no payload", signed(HS256, "", SECRET, Hash::Sha256)),
        ("payload is a list", signed(HS256, "[]", SECRET, Hash::Sha256)),
        ("payload is null", signed(HS256, "null", SECRET, Hash::Sha256)),
        ("payload is no JSON", signed(HS256, "sub=panitia1", SECRET, Hash::Sha256)),
        ("no word", "x".to_owned()),
        ("dots", "..".to_owned()),
        ("three words", "a.b.c".to_owned()),
        ("very long", "x".repeat(10_000)),
    ];
    let app = app(Store::Memory).await;
    assert_eq!(show(&app, &good).await.status, 200);
    for (name, token) in rows {
        is_refused(&show(&app, &token).await, INVALID, name);
    }
    // A good token that was seen before helps no forgery.
    assert_eq!(show(&app, &good).await.status, 200);
}

#[tokio::test]
async fn a_token_whose_claims_are_not_the_four_of_the_contract_is_invalid() {
    let soon = now() + 3600;
    let rows = [
        ("no sub", without("sub")),
        ("no role", without("role")),
        ("no iat", without("iat")),
        ("no exp", without("exp")),
        ("no claim at all", json!({})),
        ("sub is a number", with(&[("sub", json!(5))])),
        ("sub is null", with(&[("sub", json!(null))])),
        ("sub contains NUL", with(&[("sub", json!("a\0b"))])),
        ("sub is a list", with(&[("sub", json!(["panitia1"]))])),
        ("role is a number", with(&[("role", json!(1))])),
        ("role is null", with(&[("role", json!(null))])),
        ("role is a list", with(&[("role", json!(["admin"]))])),
        ("iat is text", with(&[("iat", json!(now().to_string()))])),
        ("iat is null", with(&[("iat", json!(null))])),
        ("iat is no whole number", with(&[("iat", json!(0.5))])),
        ("exp is text", with(&[("exp", json!(soon.to_string()))])),
        ("exp is text of the past", with(&[("exp", json!("1"))])),
        ("exp is null", with(&[("exp", json!(null))])),
        ("exp is a bool", with(&[("exp", json!(true))])),
        ("exp is no whole number", with(&[("exp", json!(soon as f64 + 0.5))])),
        ("exp is no whole number, and past", with(&[("exp", json!(1.5))])),
        ("nbf is ahead by a minute", with(&[("nbf", json!(now() + 60))])),
        ("nbf is ahead by half a minute and a half second", with(&[("nbf", json!(now() as f64 + 30.5))])),
        ("nbf is text", with(&[("nbf", json!("soon"))])),
        ("nbf is text of the future", with(&[("nbf", json!(soon.to_string()))])),
        ("nbf is ahead by a year", with(&[("nbf", json!(now() + 365 * 24 * 3600))])),
    ];
    let app = app(Store::Memory).await;
    for (name, claims) in rows {
        is_refused(&show(&app, &token(&claims)).await, INVALID, name);
    }
}

#[tokio::test]
async fn a_token_is_expired_from_its_exp_on_and_not_a_second_later() {
    let app = app(Store::Memory).await;
    let rows = [
        ("expired by a second", json!(now() - 1)),
        ("expired this very second", json!(now())),
        ("expired by half a minute", json!(now() - 30)),
        ("expired by a year", json!(now() - 365 * 24 * 3600)),
        ("expired in 1970", json!(0)),
        ("expired before 1970", json!(-1)),
    ];
    for (name, exp) in rows {
        is_refused(&show(&app, &token(&with(&[("exp", exp)]))).await, EXPIRED, name);
    }
    // The signature is good and the time is over: what else is wrong does not count any more.
    let mut claims = without("role");
    claims["exp"] = json!(now() - 60);
    is_refused(&show(&app, &token(&claims)).await, EXPIRED, "expired, and no role");
    let claims = with(&[("exp", json!(now() - 60)), ("sub", json!(5))]);
    is_refused(&show(&app, &token(&claims)).await, EXPIRED, "expired, and sub is a number");

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
async fn a_token_that_has_expired_is_expired_whenever_it_would_have_begun() {
    let claims = with(&[("exp", json!(now() - 60)), ("nbf", json!(now() + 60))]);
    is_refused(&show(&app(Store::Memory).await, &token(&claims)).await, EXPIRED, "expired, and nbf ahead");
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
async fn every_protected_route_asks_for_a_token() {
    let app = app(Store::Memory).await;
    for (method, path) in [
        (Method::POST, CHECK_IN),
        (Method::GET, EVENT),
        (Method::GET, "/attendance/%ff"),
        (Method::GET, "/attendance/konser%2F2026"),
    ] {
        let answer = call(&app, method.clone(), path).send().await;
        is_refused(&answer, MISSING, path);
        let answer = call(&app, method.clone(), path).bearer("x").send().await;
        is_refused(&answer, INVALID, path);
        let expired = token(&with(&[("exp", json!(now() - 1))]));
        is_refused(&call(&app, method, path).bearer(&expired).send().await, EXPIRED, path);
    }
    let head = call(&app, Method::HEAD, EVENT).send().await;
    assert_eq!(head.status, 401);
    assert_eq!(head.headers["www-authenticate"], "Bearer");
}

#[tokio::test]
async fn a_refused_token_checks_nothing_in() {
    let app = app(Store::Memory).await;
    let body = json!({ "event_id": "evt1", "ticket_id": "T1" });
    let forged = signed(HS256, &claims().to_string(), "another secret", Hash::Sha256);
    is_refused(&post(&app, CHECK_IN).bearer(&forged).json(&body).send().await, INVALID, "forged");
    is_refused(&post(&app, CHECK_IN).json(&body).send().await, MISSING, "none");
    assert_eq!(check_in(&app, "evt1", "T1").await.status, 200);
}

#[tokio::test]
async fn roles_are_told_apart_by_nobody_at_the_gate() {
    let app = app(Store::Memory).await;
    for role in ["committee", "admin"] {
        let token = forge::token(&with(&[("role", json!(role))]));
        let body = json!({ "event_id": "evt1", "ticket_id": role });
        assert_eq!(post(&app, CHECK_IN).bearer(&token).json(&body).send().await.status, 200, "{role}");
        assert_eq!(show(&app, &token).await.status, 200, "{role}");
    }
}
