//! Tokens made by hand (RFC 7515, RFC 7519): the code under test takes no part in it.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Sha256, Sha384, Sha512};

/// The secret of the tests.
pub const SECRET: &str = "a secret of the tests";

/// The header of a token of the services.
pub const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// The hash that a signature is made with, whatever the header says.
#[derive(Clone, Copy, Debug)]
pub enum Hash {
    /// HS256
    Sha256,
    /// HS384
    Sha384,
    /// HS512
    Sha512,
}

/// A token with these `claims`, signed as it should be.
pub fn token(claims: &Value) -> String {
    signed(HS256, &claims.to_string(), SECRET, Hash::Sha256)
}

/// A token of any header and payload, signed with `secret`.
pub fn signed(header: &str, payload: &str, secret: &str, hash: Hash) -> String {
    let message = format!("{}.{}", encoded(header), encoded(payload));
    let signature = match hash {
        Hash::Sha256 => mac::<Hmac<Sha256>>(&message, secret),
        Hash::Sha384 => mac::<Hmac<Sha384>>(&message, secret),
        Hash::Sha512 => mac::<Hmac<Sha512>>(&message, secret),
    };
    format!("{message}.{}", encoded(signature))
}

fn mac<M: Mac + KeyInit>(message: &str, secret: &str) -> Vec<u8> {
    let mac = <M as KeyInit>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.chain_update(message).finalize().into_bytes().to_vec()
}

/// Base64url without padding.
pub fn encoded(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Header and claims of a token that is signed with [`SECRET`].
pub fn opened(token: &str) -> (Value, Value) {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims] = [0, 1].map(|part| {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(parts[part]).expect("base64url without padding");
        String::from_utf8(bytes).expect("UTF-8")
    });
    assert_eq!(token, signed(&header, &claims, SECRET, Hash::Sha256));
    [header, claims].map(|part| serde_json::from_str(&part).expect("JSON")).into()
}

/// Claims that are good for an hour.
pub fn claims() -> Value {
    json!({ "sub": "panitia1", "role": "committee", "iat": now(), "exp": now() + 3600 })
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}
