use axum::http::header::AUTHORIZATION;
use serde_json::{Value, json};
use shared_http::testing::get;
use shared_service::testing::{
    app::detail,
    forge::{self, HS256, Hash, claims, now},
};

use super::{ME, app, me};

const MISSING: &str = "Missing Authorization header";
const FORMAT: &str = "Invalid Authorization header format. Use: Bearer <token>";
const EXPIRED: &str = "Token expired";
const INVALID: &str = "Invalid token";

fn with(changes: &[(&str, Value)]) -> Value {
    let mut claims = claims();
    changes.iter().for_each(|(claim, value)| claims[*claim] = value.clone());
    claims
}

#[tokio::test]
async fn the_claims_are_believed_without_looking_for_the_user() {
    let app = app().await;
    let in_a_year = now() + 400 * 24 * 3600;
    for (claims, username, role) in [
        (claims(), "panitia1", "committee"),
        (with(&[("sub", json!("nobody here")), ("role", json!("admin"))]), "nobody here", "admin"),
        // A clock behind the issuer's does no harm.
        (with(&[("iat", json!(in_a_year)), ("exp", json!(in_a_year + 60))]), "panitia1", "committee"),
    ] {
        for path in [ME, "/auth/me?username=x&role=admin&%zz"] {
            let answer = get(&app, path).bearer(&forge::token(&claims)).send().await;
            let body = json!({ "username": username, "role": role }).to_string();
            assert_eq!(answer.text(), (200, body.as_str()), "{claims}");
            assert_eq!(answer.headers["content-type"], "application/json");
        }
    }
}

/// Attendance-service's tests have the whole tables of headers and of forgeries; both services verify alike.
#[tokio::test]
async fn a_token_that_is_not_wholly_right_is_refused() {
    let good = forge::token(&claims());
    let (message, _) = good.rsplit_once('.').expect("three parts");
    let signed = |header: &str, claims: &Value, secret| {
        forge::signed(header, &claims.to_string(), secret, Hash::Sha256)
    };
    let app = app().await;
    for (name, token, expected) in [
        ("another secret", signed(HS256, &claims(), "another"), INVALID),
        ("no signature", format!("{message}."), INVALID),
        ("alg none", signed(r#"{"alg":"none","typ":"JWT"}"#, &claims(), ""), INVALID),
        ("no role", forge::token(&json!({"sub": "a", "iat": now(), "exp": now() + 60})), INVALID),
        ("a number for a name", forge::token(&with(&[("sub", json!(5))])), INVALID),
        ("not valid yet", forge::token(&with(&[("nbf", json!(now() + 60))])), INVALID),
        ("expired an hour ago", forge::token(&with(&[("exp", json!(now() - 3600))])), EXPIRED),
        ("expired just now", forge::token(&with(&[("exp", json!(now()))])), EXPIRED),
        (
            "expired, of somebody else",
            signed(HS256, &with(&[("exp", json!(now() - 60))]), "another"),
            INVALID,
        ),
    ] {
        let answer = me(&app, &token).await;
        assert_eq!((answer.status.as_u16(), detail(&answer)), (401, json!(expected)), "{name}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer", "{name}");
    }
    for (header, expected) in [
        (String::new(), Err(MISSING)),
        ("Bearer".to_owned(), Err(FORMAT)),
        (format!("Basic {good}"), Err(FORMAT)),
        (format!("Bearer {good} {good}"), Err(INVALID)),
        (format!("bEaReR \t {good} \t"), Ok(())),
    ] {
        let answer = get(&app, ME).header(AUTHORIZATION, &header).send().await;
        match expected {
            Ok(()) => assert_eq!(answer.status, 200, "{header}"),
            Err(expected) => assert_eq!(detail(&answer), expected, "{header}"),
        }
    }
    assert_eq!(detail(&get(&app, &format!("{ME}?access_token={good}")).send().await), MISSING);
}
