//! The settings of tokens: the secret that both services share, and the previous secret.

use std::{
    fmt::{self, Display},
    fs,
};

use clap::Args;
use shared_http::{
    config::{Environment, Settings, set},
    report::Report,
    shown_settings::{ShownSettings, or_none},
};

use crate::token::{Secret, Secrets};

/// HS256 is as strong as its key: RFC 7518, section 3.2, asks for at least the hash's 256 bits.
const MIN_BYTES: usize = 32;

/// The default in development. Everybody knows it.
const DEVELOPMENT_SECRET: &str = "dev-secret";

/// A secret that contains one of these was copied from documentation, whatever is around it. The long ones are from the
/// examples of jwt.io, of FastAPI's tutorial and of the service that this one replaces.
const EXAMPLES: [&str; 26] = [
    "09d25e094faa6ca2556c818166b7a956",
    "a-string-secret",
    "a1b2c3d4e5f6",
    "changeme",
    "change-me",
    "change_me",
    "change-this",
    "change_this",
    "dev-secret",
    "dev_secret",
    "example",
    "ganti-",
    "jwt-secret",
    "jwt_secret",
    "my-secret",
    "my_secret",
    "mysecret",
    "password",
    "placeholder",
    "qwerty",
    "rahasia",
    "secret-key",
    "secret_key",
    "secretkey",
    "supersecret",
    "your-",
];

/// What the settings show of a secret that is good enough for production.
const STRONG: &str = "strong";

/// A secret with fewer different characters than this was typed, not generated.
const MIN_DISTINCT: usize = 8;

/// The settings of tokens, as the operator wrote them.
// No `Debug`: it would show the secret.
#[derive(Args)]
pub struct TokenArgs {
    /// Secret that signs the tokens, the same for both services; production: at least 32 bytes, such
    /// as `openssl rand -base64 48` prints [default: dev-secret, in production none]
    #[arg(long, env, value_name = "SECRET", hide_env_values = true)]
    jwt_secret: Option<String>,

    /// File that holds the secret, instead of JWT_SECRET
    #[arg(long, env, value_name = "PATH")]
    jwt_secret_file: Option<String>,

    /// Secret that signed the tokens until now: they stay good, and it signs no more [default: none]
    #[arg(long, env, value_name = "SECRET", hide_env_values = true)]
    jwt_secret_previous: Option<String>,

    /// File that holds the previous secret, instead of JWT_SECRET_PREVIOUS
    #[arg(long, env, value_name = "PATH")]
    jwt_secret_previous_file: Option<String>,

    /// Signature algorithm; HS256 is the only one [default: HS256]
    #[arg(long, env, value_name = "NAME")]
    jwt_alg: Option<String>,
}

impl TokenArgs {
    /// The secrets, if they are good enough for `environment`.
    pub fn check(&self, settings: &mut Settings, environment: Environment) -> Secrets {
        settings.read("JWT_ALG", &self.jwt_alg, (), "HS256", |name| (name == "HS256").then_some(()));

        let signing = read_secret("JWT_SECRET", &self.jwt_secret, &self.jwt_secret_file).and_then(|found| {
            let Some((variable, secret)) = found else {
                return match environment {
                    Environment::Development => Ok(DEVELOPMENT_SECRET.to_owned()),
                    Environment::Production => Err(format!("JWT_SECRET is not set; {REMEDY}")),
                };
            };
            check_strength(&variable, secret, environment, REMEDY)
        });
        let previous = read_secret(
            "JWT_SECRET_PREVIOUS",
            &self.jwt_secret_previous,
            &self.jwt_secret_previous_file,
        )
        .and_then(|found| {
            let Some((variable, secret)) = found else { return Ok(None) };
            if signing.as_ref() == Ok(&secret) {
                return Err(format!(
                    "{variable} is the same secret as JWT_SECRET; put a new one into JWT_SECRET, or unset \
                             {variable}"
                ));
            }
            check_strength(&variable, secret, environment, PREVIOUS_REMEDY).map(Some)
        });

        let mut or_mistake = |secret: Result<Option<String>, String>| match secret {
            Ok(secret) => secret.map(Secret::new),
            Err(mistake) => {
                settings.mistake(mistake);
                None
            }
        };
        Secrets {
            signing: or_mistake(signing.map(Some)).unwrap_or_else(|| Secret::new("")),
            previous: or_mistake(previous),
        }
    }
}

/// The name of the variable that is set, and the secret: in `variable` itself, or in the file that `variable` with
/// `_FILE` appended names.
fn read_secret(
    variable: &str,
    secret: &Option<String>,
    file: &Option<String>,
) -> Result<Option<(String, String)>, String> {
    match (set(secret), set(file)) {
        (Some(_), Some(_)) => Err(format!(
            "{variable} and {variable}_FILE are both set; unset one of them, in the environment or in .env"
        )),
        (Some(secret), None) => Ok(Some((variable.to_owned(), secret.to_owned()))),
        (None, Some(path)) => match fs::read_to_string(path) {
            Ok(text) if text.trim().is_empty() => Err(format!("{variable}_FILE is {path:?}, which is empty")),
            Ok(text) => Ok(Some((format!("{variable}_FILE"), text.trim().to_owned()))),
            Err(error) => Err(format!("{variable}_FILE is {path:?}, which cannot be read: {error}")),
        },
        (None, None) => Ok(None),
    }
}

/// `secret`, if it is good enough for `environment`.
fn check_strength(
    variable: &str,
    secret: String,
    environment: Environment,
    remedy: &str,
) -> Result<String, String> {
    match (environment, weakness(&secret)) {
        (Environment::Production, Some(weakness)) => Err(format!("{variable} {weakness}; {remedy}")),
        _ => Ok(secret),
    }
}

impl TokenArgs {
    /// Reports whether the secrets would be good enough in production. If the service is `running`, its settings say
    /// how good they are, because only the service itself knows its secrets.
    pub fn examine(&self, report: &mut Report, running: Option<&ShownSettings>) {
        if let Some(settings) = running {
            return examine_running(report, settings);
        }
        let mut settings = Settings::default();
        self.check(&mut settings, Environment::Production);
        match settings.finish(()) {
            Ok(()) => report.good("secret: strong enough"),
            Err(error) => {
                error.mistakes().for_each(|mistake| report.wrong(format_args!("secret: {mistake}")));
            }
        }
    }
}

/// Reports how good the secrets of a running service are, as its settings say.
fn examine_running(report: &mut Report, settings: &ShownSettings) {
    let mut all_strong = true;
    for (variable, remedy) in [("JWT_SECRET", REMEDY), ("JWT_SECRET_PREVIOUS", PREVIOUS_REMEDY)] {
        let word = settings.get(variable);
        if let Some(weakness) = Weakness::ALL.into_iter().find(|weakness| weakness.word() == word) {
            all_strong = false;
            report.wrong(format_args!("secret: {variable} {weakness}; {remedy}"));
        }
    }
    match settings.get("JWT_SECRET") {
        STRONG if all_strong => report.good("secret: strong enough"),
        // Older versions do not show how good it is.
        "" if settings.get("APP_ENV") == "production" => {
            report.good("secret: strong enough, or the service would not run");
        }
        "" => report.note("secret: the running service does not say how good it is; restart it"),
        _ => {}
    }
}

impl Secrets {
    /// Adds how strong each secret is to what an operator is shown, and nothing else of the secret.
    pub fn show(&self, shown: &mut ShownSettings) {
        shown.show("JWT_SECRET", strength(&self.signing));
        shown.show("JWT_SECRET_PREVIOUS", or_none(self.previous.as_ref().map(strength)));
    }

    /// Logs what an operator should know about them.
    pub fn announce(&self) {
        if self.signing == Secret::new(DEVELOPMENT_SECRET) {
            tracing::warn!(
                "JWT_SECRET is the development secret, known to everybody; never use it in public"
            );
        }
        if self.previous.is_some() {
            tracing::info!("tokens of JWT_SECRET_PREVIOUS are accepted too; unset it once they have expired");
        }
    }
}

const REMEDY: &str = "in production it must be at least 32 random bytes, the same for both services, such as \
     `openssl rand -base64 48` prints";

const PREVIOUS_REMEDY: &str =
    "in production it must be as good as JWT_SECRET; unset it, and everybody has to log in again";

/// Why a secret is not good enough in production.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Weakness {
    Development,
    Published,
    Short,
    Repetitive,
    Pattern,
}

impl Weakness {
    const ALL: [Self; 5] = [Self::Development, Self::Published, Self::Short, Self::Repetitive, Self::Pattern];

    /// The word for it in the settings that an operator is shown.
    fn word(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Published => "published",
            Self::Short => "short",
            Self::Repetitive => "repetitive",
            Self::Pattern => "pattern",
        }
    }
}

impl Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Development => "is the development secret, known to everybody",
            Self::Published => "is an example from the documentation",
            Self::Short => "is shorter than 32 bytes",
            Self::Repetitive => "repeats a few characters only",
            Self::Pattern => "follows a pattern",
        })
    }
}

/// The word for the strength of a secret in the settings that an operator is shown. It reveals nothing else.
fn strength(secret: &Secret) -> &'static str {
    if *secret == Secret::new(DEVELOPMENT_SECRET) {
        return Weakness::Development.word();
    }
    weakness(&String::from_utf8_lossy(secret.bytes())).map_or(STRONG, Weakness::word)
}

fn weakness(secret: &str) -> Option<Weakness> {
    let lower = secret.to_ascii_lowercase();
    let mut distinct: Vec<u8> = secret.bytes().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if EXAMPLES.iter().any(|example| lower.contains(example)) {
        Some(Weakness::Published)
    } else if secret.len() < MIN_BYTES {
        Some(Weakness::Short)
    } else if distinct.len() < MIN_DISTINCT {
        Some(Weakness::Repetitive)
    } else if repeats_itself(lower.as_bytes()) || is_sequence(lower.as_bytes()) {
        Some(Weakness::Pattern)
    } else {
        None
    }
}

/// Whether it is one sequence that is repeated.
fn repeats_itself(secret: &[u8]) -> bool {
    (1..=secret.len() / 2).any(|length| secret.iter().zip(&secret[length..]).all(|(one, other)| one == other))
}

/// Whether half of its letters and digits continue a sequence: each is the next, or each the previous, of one of the
/// two characters before it, as in `0123…`, `zyx…` and `a1b2c3…`. One in eight random hexadecimal digits does. That 16
/// of 32 do happens once in millions.
fn is_sequence(secret: &[u8]) -> bool {
    let characters: Vec<u8> = secret.iter().copied().filter(u8::is_ascii_alphanumeric).collect();
    let follows = |step: i16| {
        let is_next = |three: &&[u8]| match three {
            [two_before, before, this] => {
                [before, two_before].into_iter().any(|other| i16::from(*this) - i16::from(*other) == step)
            }
            _ => false,
        };
        characters.windows(3).filter(is_next).count()
    };
    follows(1).max(follows(-1)) >= secret.len() / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strength_of_a_secret_is_shown_in_one_word() {
        for (secret, word) in [
            ("3mFq0b6Jw1Zc8Yt5Rk2Nv7Xs4Lp9Hd0G", "strong"),
            ("dev-secret", "development"),
            ("9f86d081884c7d65", "short"),
            ("please-change-me-to-a-long-random-string", "published"),
            ("abababababababababababababababababab", "repetitive"),
            ("0123456789abcdef0123456789abcdef", "pattern"),
        ] {
            assert_eq!(strength(&Secret::new(secret)), word, "{secret}");
        }
    }

    #[test]
    fn a_random_secret_of_32_bytes_is_accepted() {
        for secret in [
            "9f86d081884c7d659a2feaa0c55ad015",
            "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
            "uSg3bq0WYdL/8Z5l2nV0k0mE1mCk3yJv9H3x1yqXr9jTtXoQe7oUOQ4v4cB2p6sN",
            "correct horse battery staple tractor",
        ] {
            assert_eq!(weakness(secret), None, "{secret}");
        }
    }

    #[test]
    fn an_example_from_documentation_is_refused_whatever_surrounds_it() {
        for secret in [
            "a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6",
            "A1B2C3D4E5F6G7H8I9J0K1L2M3N4O5P6",
            "\"a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6\"",
            "'a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6'",
            "a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6",
            "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
            "a-string-secret-at-least-256-bits-long",
            "my_super_long_jwt_secret_for_tixgo_2026",
        ] {
            assert_eq!(weakness(secret), Some(Weakness::Published), "{secret}");
        }
    }

    #[test]
    fn a_secret_that_follows_a_pattern_is_refused() {
        for secret in [
            "0123456789abcdef0123456789abcdef",
            "abcdefghijklmnopqrstuvwxyz012345",
            "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345",
            "zyxwvutsrqponmlkjihgfedcba987654",
            "b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6q7",
            "1a2b3c4d-5e6f7g8h-9i0j1k2l-3m4n5o6p",
            "12345678901234567890123456789012",
            "gerbang7-2026gerbang7-2026gerbang7-2026",
        ] {
            assert_eq!(weakness(secret), Some(Weakness::Pattern), "{secret}");
        }
    }

    #[test]
    fn short_published_and_repetitive_secrets_are_refused() {
        assert_eq!(weakness("9f86d081884c7d659a2feaa0c55ad01"), Some(Weakness::Short));
        assert_eq!(weakness("dev-secret"), Some(Weakness::Published));
        assert_eq!(weakness("please-CHANGE-ME-to-a-long-random-string"), Some(Weakness::Published));
        assert_eq!(weakness(&"ab".repeat(32)), Some(Weakness::Repetitive));
    }
}
