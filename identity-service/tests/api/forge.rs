//! Tokens made by hand (RFC 7515, RFC 7519): the code under test takes no part in it.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::SECRET;

pub(crate) const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// A token with these `claims`, signed as it should be.
pub(crate) fn token(claims: &Value) -> String {
    signed(HS256, &claims.to_string(), SECRET)
}

/// A token of any header and payload, with an HS256 signature of `secret`.
pub(crate) fn signed(header: &str, payload: &str, secret: &str) -> String {
    let message =
        format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(payload));
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    let signature = mac.chain_update(&message).finalize().into_bytes();
    format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

/// Header and claims of a token, once its signature is known to be of [`SECRET`].
pub(crate) fn opened(token: &str) -> (Value, Value) {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims] = [0, 1].map(|part| {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(parts[part]).expect("base64url without padding");
        String::from_utf8(bytes).expect("UTF-8")
    });
    assert_eq!(token, signed(&header, &claims, SECRET));
    [header, claims].map(|part| serde_json::from_str(&part).expect("JSON")).into()
}

/// Claims that are good for an hour.
pub(crate) fn claims() -> Value {
    json!({ "sub": "panitia1", "role": "committee", "iat": now(), "exp": now() + 3600 })
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}
