use axum::http::{Method, header::AUTHORIZATION};
use serde_json::{Value, json};
use shared_http::testing::{call, get};

use crate::{
    ME, app, detail,
    forge::{self, HS256, claims, now},
    log_in, me, token_of,
};

const MISSING: &str = "Missing Authorization header";
const FORMAT: &str = "Invalid Authorization header format. Use: Bearer <token>";
const EXPIRED: &str = "Token expired";
const INVALID: &str = "Invalid token";

#[tokio::test]
async fn a_bearer_is_told_who_it_is() {
    let app = app().await;
    for (username, role) in [("panitia1", "committee"), ("admin1", "admin")] {
        let token = token_of(&log_in(&app, username, "secret").await);
        let answer = me(&app, &token).await;
        let body = format!(r#"{{"username":"{username}","role":"{role}"}}"#);
        assert_eq!(answer.text(), (200, body.as_str()));
        assert_eq!(answer.headers["content-type"], "application/json");
    }
}

#[tokio::test]
async fn the_claims_are_believed_without_looking_for_the_user() {
    let mut claims = claims();
    claims["sub"] = json!("nobody here");
    claims["role"] = json!("admin");
    let answer = me(&app().await, &forge::token(&claims)).await;
    assert_eq!(answer.text(), (200, r#"{"username":"nobody here","role":"admin"}"#));
}

#[tokio::test]
async fn the_authorization_header_has_one_form() {
    let app = app().await;
    let token = token_of(&log_in(&app, "panitia1", "secret").await);
    // `TOKEN` stands for a good token.
    let rows: [(&[u8], Result<(), &str>); 22] = [
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
        let answer = get(&app, ME).header(AUTHORIZATION, fill(template, &token)).send().await;
        let template = String::from_utf8_lossy(template);
        match expected {
            Ok(()) => assert_eq!(answer.status, 200, "{template}"),
            Err(expected) => {
                assert_eq!(answer.status, 401, "{template}");
                assert_eq!(detail(&answer), expected, "{template}");
                assert_eq!(answer.headers["www-authenticate"], "Bearer", "{template}");
            }
        }
    }

    let answer = get(&app, &format!("{ME}?access_token={token}")).send().await;
    assert_eq!(answer.text(), (401, r#"{"detail":"Missing Authorization header"}"#));
    assert_eq!(answer.headers["www-authenticate"], "Bearer");
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

/// Attendance-service's tests have the whole table of forgeries; both services verify alike.
#[tokio::test]
async fn a_token_that_is_not_wholly_right_is_refused() {
    let with = |key: &str, value: Value| {
        let mut claims = claims();
        claims[key] = value;
        claims
    };
    let good = forge::token(&claims());
    let (message, _) = good.rsplit_once('.').expect("three parts");
    let rows = [
        ("another secret", forge::signed(HS256, &claims().to_string(), "another"), INVALID),
        ("no signature", format!("{message}."), INVALID),
        ("alg none", forge::signed(r#"{"alg":"none","typ":"JWT"}"#, &claims().to_string(), ""), INVALID),
        ("no role", forge::token(&json!({"sub": "a", "iat": now(), "exp": now() + 60})), INVALID),
        ("a number for a name", forge::token(&with("sub", json!(5))), INVALID),
        ("not valid yet", forge::token(&with("nbf", json!(now() + 60))), INVALID),
        ("expired an hour ago", forge::token(&with("exp", json!(now() - 3600))), EXPIRED),
        ("expired just now", forge::token(&with("exp", json!(now()))), EXPIRED),
        (
            "expired and signed by somebody else",
            forge::signed(HS256, &with("exp", json!(now() - 60)).to_string(), "another"),
            INVALID,
        ),
    ];
    let app = app().await;
    for (name, token, expected) in rows {
        let answer = me(&app, &token).await;
        assert_eq!(answer.status, 401, "{name}");
        assert_eq!(detail(&answer), expected, "{name}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer", "{name}");
    }
    assert_eq!(me(&app, &good).await.status, 200);
}

#[tokio::test]
async fn a_clock_behind_the_issuer_s_does_no_harm() {
    let mut claims = claims();
    claims["iat"] = json!(now() + 400 * 24 * 3600);
    claims["exp"] = json!(now() + 400 * 24 * 3600 + 60);
    assert_eq!(me(&app().await, &forge::token(&claims)).await.status, 200);
}

#[tokio::test]
async fn a_query_is_ignored() {
    let app = app().await;
    let token = forge::token(&claims());
    let answer = call(&app, Method::GET, "/auth/me?username=x&role=admin&%zz").bearer(&token).send().await;
    assert_eq!(answer.text(), (200, r#"{"username":"panitia1","role":"committee"}"#));
}
