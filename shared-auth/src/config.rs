//! The settings of the token: the secret that both services share.

use std::fs;

use clap::Args;
use shared_http::config::{Environment, Settings, set};

use crate::token::Secret;

/// HS256 is as strong as its key: RFC 7518, section 3.2, asks for at least the hash's 256 bits.
const LEAST_BYTES: usize = 32;

/// Good on a developer's machine only, and known to everybody.
const DEVELOPMENT_SECRET: &str = "dev-secret";

/// What is left of the examples that get copied from documentation, whatever is put around them.
const EXAMPLES: [&str; 14] = [
    "changeme",
    "change-me",
    "change_me",
    "change-this",
    "change_this",
    "dev-secret",
    "dev_secret",
    "example",
    "ganti-",
    "placeholder",
    "secret-key",
    "secret_key",
    "supersecret",
    "your-",
];

/// A secret with fewer different characters than this was typed, not drawn.
const LEAST_DISTINCT: usize = 8;

/// The settings of the token, as the operator wrote them.
// Without Debug, for it would show the secret.
#[derive(Args)]
pub struct TokenArgs {
    /// Secret that signs the tokens, the same for both services; production: at least 32 bytes, such
    /// as `openssl rand -base64 48` prints [default: dev-secret, in production none]
    #[arg(long, env, value_name = "SECRET", hide_env_values = true)]
    jwt_secret: Option<String>,

    /// File that holds the secret, instead of JWT_SECRET
    #[arg(long, env, value_name = "PATH")]
    jwt_secret_file: Option<String>,

    /// Signature algorithm; HS256 is the only one [default: HS256]
    #[arg(long, env, value_name = "NAME")]
    jwt_alg: Option<String>,
}

impl TokenArgs {
    /// The secret, if it is good enough for `environment`.
    pub fn check(&self, settings: &mut Settings, environment: Environment) -> Secret {
        settings.read("JWT_ALG", &self.jwt_alg, (), "HS256", |name| (name == "HS256").then_some(()));

        let secret = match (set(&self.jwt_secret), set(&self.jwt_secret_file)) {
            (Some(_), Some(_)) => {
                Err("JWT_SECRET and JWT_SECRET_FILE are both set; unset one of them".to_owned())
            }
            (Some(secret), None) => Ok(Some(("JWT_SECRET", secret.to_owned()))),
            (None, Some(path)) => match fs::read_to_string(path) {
                Ok(text) if text.trim().is_empty() => {
                    Err(format!("JWT_SECRET_FILE is {path:?}, which is empty"))
                }
                Ok(text) => Ok(Some(("JWT_SECRET_FILE", text.trim().to_owned()))),
                Err(error) => Err(format!("JWT_SECRET_FILE is {path:?}, which cannot be read: {error}")),
            },
            (None, None) => Ok(None),
        };
        let checked = match (secret, environment) {
            (Err(mistake), _) => Err(mistake),
            (Ok(Some((_, secret))), Environment::Development) => Ok(secret),
            (Ok(None), Environment::Development) => Ok(DEVELOPMENT_SECRET.to_owned()),
            (Ok(Some((variable, secret))), Environment::Production) => match weakness(&secret) {
                Some(weakness) => Err(format!("{variable} {weakness}; {WAY_OUT}")),
                None => Ok(secret),
            },
            (Ok(None), Environment::Production) => Err(format!("JWT_SECRET is not set; {WAY_OUT}")),
        };
        Secret::new(checked.unwrap_or_else(|mistake| {
            settings.mistake(mistake);
            String::new()
        }))
    }

    /// Whether the secret is the one that everybody knows.
    pub fn is_development_secret(&self) -> bool {
        set(&self.jwt_secret).is_none_or(|secret| secret == DEVELOPMENT_SECRET)
            && set(&self.jwt_secret_file).is_none()
    }
}

const WAY_OUT: &str = "in production it must be at least 32 random bytes, the same for both services, such as \
     `openssl rand -base64 48` prints";

fn weakness(secret: &str) -> Option<&'static str> {
    let lower = secret.to_ascii_lowercase();
    let mut distinct: Vec<u8> = secret.bytes().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if EXAMPLES.iter().any(|example| lower.contains(example)) {
        Some("is an example from the documentation")
    } else if secret.len() < LEAST_BYTES {
        Some("is shorter than 32 bytes")
    } else if distinct.len() < LEAST_DISTINCT {
        Some("repeats a few characters only")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::weakness;

    #[test]
    fn a_random_secret_of_32_bytes_is_accepted() {
        assert_eq!(weakness("9f86d081884c7d659a2feaa0c55ad015"), None);
    }

    #[test]
    fn short_published_and_typed_secrets_are_refused() {
        assert_eq!(weakness("9f86d081884c7d659a2feaa0c55ad01"), Some("is shorter than 32 bytes"));
        assert_eq!(weakness("dev-secret"), Some("is an example from the documentation"));
        assert_eq!(
            weakness("please-CHANGE-ME-to-a-long-random-string"),
            Some("is an example from the documentation")
        );
        assert_eq!(weakness(&"ab".repeat(32)), Some("repeats a few characters only"));
    }
}
