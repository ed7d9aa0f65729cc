//! The token: its claims, who issues it and who verifies it (RFC 7519, HS256 of RFC 7518).

use std::{
    borrow::Cow,
    fmt, iter,
    str::FromStr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{ErrorKind, Result as JwtResult},
    signature::{self, Signer, Verifier},
};
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::Sha256;
use utoipa::ToSchema;

/// How many verified tokens are cached, and how many bytes a cached token may have. Together they bound the memory.
const CACHED_TOKENS: usize = 1024;
const MAX_CACHED_LENGTH: usize = 1024;

/// What a user may be.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Checks tickets in at the gate.
    Committee,
    /// Runs the event.
    Admin,
}

impl Role {
    /// The role as text, as tokens, stores and operators write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Committee => "committee",
            Self::Admin => "admin",
        }
    }
}

/// A text that is no [`Role`].
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("it may be committee or admin")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        match text {
            "committee" => Ok(Self::Committee),
            "admin" => Ok(Self::Admin),
            _ => Err(UnknownRole),
        }
    }
}

/// What the bearer of a token may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permission {
    /// What a user with this role may.
    User(Role),
    /// A gate pass: to check in and to look up, for one event only.
    Gate {
        /// The id of the event.
        event: Arc<str>,
    },
}

/// What a token says.
///
/// As JSON these are `sub`, `role`, `iat` and `exp`, and nothing else. A gate pass has the role `gate`, and `event`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(try_from = "JsonClaims", into = "JsonClaims")]
pub struct Claims {
    /// The user's name, or the name of the gate.
    pub sub: Arc<str>,
    /// What the bearer may do.
    pub permission: Permission,
    /// When the token was issued, in seconds since 1970. May be ahead of the clock: a set-top box has
    /// no clock battery, and after a power cut its clock starts in the past.
    pub iat: i64,
    /// When the token expires, in seconds since 1970: at this second it is no longer good.
    pub exp: i64,
}

impl Claims {
    /// Whether the bearer is an admin.
    pub fn is_admin(&self) -> bool {
        self.permission == Permission::User(Role::Admin)
    }

    /// Whether the bearer may do something that is about `event`: any user may, and a gate pass for that event.
    pub fn is_for(&self, event: &str) -> bool {
        match &self.permission {
            Permission::User(_) => true,
            Permission::Gate { event: own } => **own == *event,
        }
    }
}

/// [`Claims`] as they stand in a token.
#[derive(Deserialize, Serialize)]
struct JsonClaims {
    sub: Arc<str>,
    role: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Arc<str>>,
    iat: i64,
    exp: i64,
}

const GATE: &str = "gate";

impl From<Claims> for JsonClaims {
    fn from(Claims { sub, permission, iat, exp }: Claims) -> Self {
        let (role, event) = match permission {
            Permission::User(role) => (role.as_str(), None),
            Permission::Gate { event } => (GATE, Some(event)),
        };
        Self { sub, role: role.into(), event, iat, exp }
    }
}

impl TryFrom<JsonClaims> for Claims {
    type Error = UnknownRole;

    fn try_from(JsonClaims { sub, role, event, iat, exp }: JsonClaims) -> Result<Self, UnknownRole> {
        let permission = match event {
            Some(event) if role == GATE => Permission::Gate { event },
            _ => Permission::User(role.parse()?),
        };
        Ok(Self { sub, permission, iat, exp })
    }
}

/// A key for HS256. Whoever has it can issue tokens, so it is never shown.
#[derive(Clone, PartialEq)]
pub struct Secret(Arc<[u8]>);

impl Secret {
    /// Takes `bytes` as they are. `TokenArgs` checks whether a secret is strong enough.
    pub fn new(bytes: impl AsRef<[u8]>) -> Self {
        Self(Arc::from(bytes.as_ref()))
    }

    /// The bytes of the key. Never to be shown.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The secrets in use. While a secret is replaced, both the new and the previous one are valid, so nobody is logged
/// out.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// Signs new tokens, and verifies tokens.
    pub signing: Secret,
    /// Verifies tokens that were signed before the secret was replaced.
    pub previous: Option<Secret>,
}

/// Signs tokens.
pub struct TokenIssuer {
    header: Header,
    key: EncodingKey,
    lifetime: Duration,
}

impl TokenIssuer {
    /// Issues tokens that are signed with `secret` and valid for `lifetime`, in whole seconds.
    pub fn new(secret: &Secret, lifetime: Duration) -> Self {
        install_hs256();
        // `typ` behind `alg`, so that tokens begin with the `eyJhbGc` that people know them by.
        let mut header = Header { typ: None, ..Header::new(Algorithm::HS256) };
        header.extras.insert("typ".to_owned(), "JWT".to_owned());
        Self { header, key: EncodingKey::from_secret(&secret.0), lifetime }
    }

    /// A token for the user `sub` with the role `role`, valid from now on.
    ///
    /// # Errors
    ///
    /// The claims cannot be signed. No claims are known to cause this.
    pub fn issue(&self, sub: &str, role: Role) -> Result<String, jsonwebtoken::errors::Error> {
        self.sign(sub, Permission::User(role), self.lifetime).map(|(token, _)| token)
    }

    /// A gate pass for `event`, valid from now on for `lifetime`, in whole seconds. Returns when it expires, too, in
    /// seconds since 1970.
    ///
    /// # Errors
    ///
    /// The claims cannot be signed. No claims are known to cause this.
    pub fn issue_pass(
        &self,
        name: &str,
        event: &str,
        lifetime: Duration,
    ) -> Result<(String, i64), jsonwebtoken::errors::Error> {
        self.sign(name, Permission::Gate { event: event.into() }, lifetime)
    }

    fn sign(
        &self,
        sub: &str,
        permission: Permission,
        lifetime: Duration,
    ) -> Result<(String, i64), jsonwebtoken::errors::Error> {
        let iat = now();
        let exp = iat.saturating_add_unsigned(lifetime.as_secs());
        let claims = Claims { sub: sub.into(), permission, iat, exp };
        Ok((jsonwebtoken::encode(&self.header, &claims, &self.key)?, exp))
    }
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum TokenError {
    /// It is after its `exp`.
    #[error("Token expired")]
    Expired,
    /// Anything else.
    #[error("Invalid token")]
    Invalid,
}

/// Verifies tokens, and caches the verified ones: a gate sends the same token all evening.
pub struct TokenVerifier {
    key: DecodingKey,
    previous_key: Option<DecodingKey>,
    validation: Validation,
    /// By the whole token, including its signature, so that only a token that was verified is found.
    cache: Cache<Box<str>, Arc<Claims>>,
}

impl TokenVerifier {
    /// Accepts tokens that a [`TokenIssuer`] with one of the `secrets` has issued.
    pub fn new(secrets: &Secrets) -> Self {
        install_hs256();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        // Checked here: the library accepts an `exp` of just now, and reports other faults before "expired".
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.required_spec_claims.clear();
        let key = |secret: &Secret| DecodingKey::from_secret(&secret.0);
        Self {
            key: key(&secrets.signing),
            previous_key: secrets.previous.as_ref().map(key),
            validation,
            cache: Cache::new(CACHED_TOKENS),
        }
    }

    /// The claims of `token`, or why it is refused.
    ///
    /// # Errors
    ///
    /// [`TokenError::Expired`] only where the signature is good.
    pub fn verify(&self, token: &str) -> Result<Arc<Claims>, TokenError> {
        if let Some(claims) = self.cache.get(token) {
            if is_expired(claims.exp) {
                self.cache.remove(token);
                return Err(TokenError::Expired);
            }
            return Ok(claims);
        }

        let claims = Arc::new(self.verify_uncached(token)?);
        if token.len() <= MAX_CACHED_LENGTH {
            self.cache.insert(token.into(), claims.clone());
        }
        Ok(claims)
    }

    fn verify_uncached(&self, token: &str) -> Result<Claims, TokenError> {
        if requires_extension(token) {
            return Err(TokenError::Invalid);
        }
        let decode = |key| jsonwebtoken::decode::<Map<String, Value>>(token, key, &self.validation);
        let keys = iter::once(&self.key).chain(&self.previous_key);
        let claims = keys.map(decode).find_map(Result::ok).ok_or(TokenError::Invalid)?.claims;
        if claims.get("exp").and_then(Value::as_i64).is_some_and(is_expired) {
            return Err(TokenError::Expired);
        }
        if claims.get("nbf").is_some_and(|nbf| nbf.as_i64().is_none_or(|nbf| nbf > now())) {
            return Err(TokenError::Invalid);
        }
        let claims: Claims =
            serde_json::from_value(Value::Object(claims)).map_err(|_| TokenError::Invalid)?;
        // No username contains NUL, and not every store could keep it.
        if claims.sub.contains('\0') { Err(TokenError::Invalid) } else { Ok(claims) }
    }
}

/// Whether the header has `crit`, which names extensions that have to be understood (RFC 7515, section 4.1.11), or
/// `b64` (RFC 7797), which changes what is signed. No extension is supported, and the library checks neither.
fn requires_extension(token: &str) -> bool {
    let header = token.split('.').next().and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok());
    let header = header.and_then(|json| serde_json::from_slice::<Map<String, Value>>(&json).ok());
    header.is_none_or(|header| header.contains_key("crit") || header.contains_key("b64"))
}

fn is_expired(exp: i64) -> bool {
    exp <= now()
}

fn now() -> i64 {
    // A clock that shows a time before 1970 is not set yet. It counts as 1970.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// HS256 over `hmac` and `sha2`. The library's own back ends bring sixty more crates, `rsa` with
/// RUSTSEC-2023-0071 among them, or a C build.
static HS256: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| Ok(Box::new(Hs256::new(algorithm, key.as_bytes())?)),
    verifier_factory: |algorithm, key| Ok(Box::new(Hs256::new(algorithm, key.try_get_as_bytes()?)?)),
    key_utils: KeyUtils::new_unimplemented(),
};

/// The library keeps one provider for the whole process. A second call changes nothing.
fn install_hs256() {
    let _ = HS256.install_default();
}

struct Hs256(Hmac<Sha256>);

impl Hs256 {
    fn new(algorithm: &Algorithm, key: &[u8]) -> JwtResult<Self> {
        if *algorithm != Algorithm::HS256 {
            return Err(ErrorKind::InvalidAlgorithm.into());
        }
        Hmac::new_from_slice(key).map(Self).map_err(|_| ErrorKind::InvalidKeyFormat.into())
    }
}

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(self.0.clone().chain_update(message).finalize().into_bytes().to_vec())
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let mac = self.0.clone().chain_update(message);
        mac.verify_slice(signature).map_err(|_| signature::Error::new())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}
