//! Sessions: a login that goes on without the password, by refresh tokens that are replaced at each use.
//!
//! All refresh tokens of a session begin with the same half, so a used one is known without being kept. The other half
//! is new each time. Only digests are kept, and for 30 s after its use the successor of a token, which nobody can read
//! without that token.

use std::{fmt, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::clock::Micros;

/// How long a used token is still good, for whoever has not got the answer.
pub const GRACE: Duration = Duration::from_secs(30);

/// A session that is not used for this long ends.
pub const UNUSED: Duration = Duration::from_secs(30 * 24 * 3600);

/// How many used tokens of a session may be in their grace. While there are as many, the newest token is not replaced.
const MAX_USED: usize = 16;

const HALF: usize = 16;

/// A refresh token. `Debug` does not show it.
#[derive(Clone, PartialEq)]
pub struct RefreshToken {
    session: [u8; HALF],
    secret: [u8; HALF],
}

impl RefreshToken {
    /// A token of a new session.
    ///
    /// # Errors
    ///
    /// The system's random number generator fails.
    pub fn generate() -> Result<Self, getrandom::Error> {
        Ok(Self { session: random()?, secret: random()? })
    }

    /// Reads what a client sends. `None` if it is no token.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (session, secret) = bytes.split_first_chunk()?;
        Some(Self { session: *session, secret: secret.try_into().ok()? })
    }

    /// What the client gets.
    pub fn to_text(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode([self.session, self.secret].concat())
    }

    /// The session it belongs to.
    pub fn session(&self) -> SessionId {
        SessionId(digest(&[&self.session]))
    }

    fn digest(&self) -> String {
        digest(&[&self.session, &self.secret])
    }

    fn with_secret(&self, secret: [u8; HALF]) -> Self {
        Self { session: self.session, secret }
    }

    /// The secret of the token after this one, hidden from whoever does not have this one; or shown again. Each pad is
    /// used once, since a token has one successor.
    fn mask(&self, successor: [u8; HALF]) -> [u8; HALF] {
        let pad =
            Sha256::new().chain_update(b"successor").chain_update(self.session).chain_update(self.secret);
        let mut masked = successor;
        masked.iter_mut().zip(pad.finalize()).for_each(|(byte, pad)| *byte ^= pad);
        masked
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(…)")
    }
}

/// Half of a token, from the system's random number generator.
///
/// # Errors
///
/// It fails.
pub fn random() -> Result<[u8; HALF], getrandom::Error> {
    let mut bytes = [0; HALF];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

fn digest(parts: &[&[u8]]) -> String {
    let digest = parts.iter().fold(Sha256::new(), |digest, part| digest.chain_update(part));
    BASE64_URL_SAFE_NO_PAD.encode(digest.finalize())
}

/// Names a session in the store: a digest.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionId(String);

impl AsRef<str> for SessionId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// What is kept of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// When it was used last.
    pub used_at: Micros,
    /// A digest of the newest token.
    pub newest: String,
    /// The tokens before it that are in their grace, oldest first.
    pub used: Vec<UsedToken>,
}

/// A token that was used.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct UsedToken {
    digest: String,
    /// The secret of its successor, masked.
    successor: [u8; HALF],
    /// In microseconds since 1970.
    used_at: i64,
}

/// Why a session has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A token was used that had been used before its grace: somebody else may have a copy.
    Reused,
    /// It was not used for 30 days.
    Unused,
    /// The user is gone or inactive, or has a new password or role.
    ByUser,
}

/// A session that goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Continued {
    /// The newest token.
    pub token: RefreshToken,
    /// Whether the token was used before, in its grace.
    pub is_repeated: bool,
}

impl Session {
    /// A session whose newest token is `token`.
    pub fn open(token: &RefreshToken, now: Micros) -> Self {
        Self { used_at: now, newest: token.digest(), used: Vec::new() }
    }

    /// Continues the session of `token`, which is replaced by one with the secret `fresh`.
    ///
    /// # Errors
    ///
    /// Why the session has ended.
    pub fn refresh(
        &mut self,
        token: &RefreshToken,
        fresh: [u8; HALF],
        now: Micros,
    ) -> Result<Continued, Ended> {
        if now.since(self.used_at) > UNUSED {
            return Err(Ended::Unused);
        }
        self.used.retain(|used| now.since(Micros(used.used_at)) <= GRACE);
        // Another replica may have a clock that is ahead.
        self.used_at = self.used_at.max(now);
        let digest = token.digest();
        if digest != self.newest {
            let token = self.newest_after(token.clone()).ok_or(Ended::Reused)?;
            return Ok(Continued { token, is_repeated: true });
        }
        if self.used.len() == MAX_USED {
            return Ok(Continued { token: token.clone(), is_repeated: true });
        }
        let next = token.with_secret(fresh);
        self.used.push(UsedToken { digest, successor: token.mask(fresh), used_at: now.0 });
        self.newest = next.digest();
        Ok(Continued { token: next, is_repeated: false })
    }

    /// The newest token, which `token` leads to from successor to successor while all of them are in their grace.
    fn newest_after(&self, mut token: RefreshToken) -> Option<RefreshToken> {
        for used in &self.used {
            if used.digest == token.digest() {
                token = token.with_secret(token.mask(used.successor));
            }
        }
        (token.digest() == self.newest).then_some(token)
    }
}

#[cfg(test)]
mod tests;
