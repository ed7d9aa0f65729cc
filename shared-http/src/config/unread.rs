//! Settings that are set but not read: mistyped ones, and those in a `.env` that production ignores.

use std::env;

use clap::Command;

use super::dotenv::Dotenv;
use crate::text::printable;

/// Settings that the other service, Compose, the scripts and their tools read. All of them share one `.env`. The settings of the
/// service itself are known from its command line.
const READ_ELSEWHERE: &[&str] = &[
    "ADMIN_PASSWORD_FILE",
    "ADMIN_USERNAME",
    "ATTENDANCE_PORT",
    "ATTENDANCE_URL",
    "BCRYPT_COST",
    "BIND_ADDRESS",
    "COMPOSE_FILE",
    "COMPOSE_PROFILES",
    "COMPOSE_PROJECT_NAME",
    "DEMO_USERS",
    "GRAFANA_PORT",
    "IDENTITY_PORT",
    "IDENTITY_URL",
    "IMAGE_REGISTRY",
    "IMAGE_TAG",
    "LOGIN_GUARD",
    "MAX_STORE_MB",
    "OBSERVABILITY_ADDRESS",
    "PROMETHEUS_PORT",
    "REGISTRATION",
    "REGISTRATIONS_PER_HOUR",
    "SMOKE_PASSWORD",
    "SMOKE_USERNAME",
    "SSL_CERT_FILE",
    "TOKEN_EXPIRE_MINUTES",
];

/// A variable with one of these prefixes is meant for a service: no other program nearby reads such variables.
const PREFIXES: [&str; 4] = ["BCRYPT_", "CORS_", "JWT_", "TRUSTED_"];

/// For a shorter setting no mistyped names are reported: `POST` differs from `HOST` by one letter.
const MIN_LENGTH: usize = 7;

/// The settings that are set but not read: a sentence for each.
#[derive(Debug, Default)]
pub struct Unread {
    names: Vec<String>,
    dotenv: Option<&'static str>,
}

const DOTENV_IGNORED: &str = ".env of the working directory is not read, for the environment says \
     APP_ENV=production; set what it holds in the environment, or take APP_ENV out of that";

impl Unread {
    /// Finds variables in the environment of the process, which includes those of `.env`, whose names resemble a
    /// setting of `command` but are none.
    pub fn find(command: &Command, dotenv: Dotenv) -> Self {
        let own = command.get_arguments().filter_map(|argument| argument.get_env()?.to_str());
        let known: Vec<&str> = own.chain(READ_ELSEWHERE.iter().copied()).collect();
        let mut names: Vec<String> = env::vars_os()
            .filter_map(|(name, _)| name.into_string().ok())
            .filter_map(|name| {
                let meant = likely_meant(&name, &known)?;
                Some(format!("{} is set, and nothing reads it; is {meant} meant?", printable(&name)))
            })
            .collect();
        names.sort_unstable();
        Self { names, dotenv: (dotenv == Dotenv::Ignored).then_some(DOTENV_IGNORED) }
    }

    /// The sentences about mistyped settings.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The sentence about a `.env` that production ignores, if there is one.
    pub fn dotenv(&self) -> Option<&str> {
        self.dotenv
    }

    /// All sentences.
    pub fn sentences(&self) -> impl Iterator<Item = &str> {
        self.names().chain(self.dotenv)
    }

    /// Logs all sentences as warnings.
    pub fn announce(&self) {
        self.sentences().for_each(|sentence| tracing::warn!("{sentence}"));
    }
}

/// The setting that `name` probably stands for, if `name` resembles one but is none.
fn likely_meant<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    if known.contains(&name) {
        return None;
    }
    let upper = name.to_ascii_uppercase();
    let nearest = |prefix: &str| {
        let candidates = known.iter().filter(|known| known.starts_with(prefix));
        candidates
            .map(|known| (strsim::osa_distance(&upper, known), *known))
            .min_by_key(|(distance, _)| *distance)
    };
    if let Some(prefix) = PREFIXES.iter().find(|prefix| upper.starts_with(**prefix)) {
        return nearest(prefix).map(|(_, known)| known);
    }
    // Such as `MAX_STORE` for `MAX_STORE_MB`. A single word such as `TOKEN` may belong to any program.
    let is_beginning = |known: &str| known.strip_prefix(&*upper).is_some_and(|rest| rest.starts_with('_'));
    if let Some(whole) = known.iter().find(|known| upper.contains('_') && is_beginning(known)) {
        return Some(whole);
    }
    let (distance, known) = nearest("")?;
    let allowed = if known.len() < 10 { 1 } else { 2 };
    (known.len() >= MIN_LENGTH && distance <= allowed).then_some(known)
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command};

    use super::*;
    use crate::config::HttpArgs;

    fn known() -> Vec<String> {
        let command = HttpArgs::augment_args(Command::new("service"));
        let own = command.get_arguments().filter_map(|argument| argument.get_env());
        let own: Vec<String> = own.map(|name| name.to_str().expect("ASCII").to_owned()).collect();
        // Settings of the crates that depend on this one.
        let others = [
            "DATABASE_URL",
            "EXPECT_DATA",
            "JWT_ALG",
            "JWT_SECRET",
            "JWT_SECRET_FILE",
            "JWT_SECRET_PREVIOUS",
        ];
        own.into_iter().chain(READ_ELSEWHERE.iter().chain(&others).map(|name| (*name).to_owned())).collect()
    }

    fn meant(name: &str) -> Option<String> {
        let known = known();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        likely_meant(name, &known).map(str::to_owned)
    }

    #[test]
    fn the_setting_that_a_mistyped_name_stands_for_is_found() {
        for (name, expected) in [
            ("DATABSE_URL", "DATABASE_URL"),
            ("DATABASE_URI", "DATABASE_URL"),
            ("database_url", "DATABASE_URL"),
            ("DATABSAE_ULR", "DATABASE_URL"),
            ("JWT_SECRT", "JWT_SECRET"),
            ("JWT_SECRET_KEY", "JWT_SECRET"),
            ("JWT_ALGORITHM", "JWT_ALG"),
            ("TRUSTED_PROXY", "TRUSTED_PROXIES"),
            ("CORS_ORIGINS", "CORS_ALLOWED_ORIGINS"),
            ("BCRYPT_ROUNDS", "BCRYPT_COST"),
            ("COMPOSE_PROFILE", "COMPOSE_PROFILES"),
            ("LOG_FROMAT", "LOG_FORMAT"),
            ("APP_ENVS", "APP_ENV"),
            ("MAX_CONNECTION", "MAX_CONNECTIONS"),
            ("TOKEN_EXPIRES_MINUTES", "TOKEN_EXPIRE_MINUTES"),
            ("MAX_STORE", "MAX_STORE_MB"),
            ("TOKEN_EXPIRE", "TOKEN_EXPIRE_MINUTES"),
            ("REQUEST_TIMEOUT", "REQUEST_TIMEOUT_SECONDS"),
            ("ADMIN_PASSWORD", "ADMIN_PASSWORD_FILE"),
        ] {
            assert_eq!(meant(name).as_deref(), Some(expected), "{name}");
        }
    }

    #[test]
    fn a_variable_of_another_program_is_no_mistyped_setting() {
        for name in [
            "PATH",
            "HOME",
            "HOSTNAME",
            "PORTS",
            "POST",
            "HOSTS",
            "LOGNAME",
            "USER",
            "TERM",
            "PWD",
            "LANG",
            "SHELL",
            "RUST_BACKTRACE",
            "RUST_LOG_STYLE",
            "RUSTUP_HOME",
            "APP_KEY",
            "APP_NAME",
            "PGPORT",
            "REDIS_URL",
            "IDENTITY_PORT_8000_TCP",
            "IDENTITY_SERVICE_HOST",
            "COMPOSE_BAKE",
            "HTTP_PROXY",
            "NO_PROXY",
            "XDG_RUNTIME_DIR",
            "INVOCATION_ID",
            "JOURNAL_STREAM",
            "TEST_POSTGRES_URL",
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "TOKEN",
            "DATABASE",
            "IMAGE",
            "COMPOSE",
            "MAX_",
            "",
        ] {
            assert_eq!(meant(name), None, "{name}");
        }
    }

    #[test]
    fn no_setting_in_the_documentation_is_reported_as_mistyped() {
        let example = include_str!("../../../.env.example");
        let compose = include_str!("../../../docker-compose.prod.yml");
        let in_example = example.lines().filter_map(|line| line.trim_start_matches('#').split_once('='));
        let in_example = in_example.map(|(name, _)| name).filter(|name| !name.contains(' '));
        let in_compose = compose.split("${").skip(1).filter_map(|rest| rest.split([':', '}', '-']).next());
        let names: Vec<&str> = in_example.chain(in_compose).collect();
        assert!(
            names.len() > 30 && names.contains(&"JWT_SECRET") && names.contains(&"IMAGE_TAG"),
            "{names:?}"
        );
        for name in names {
            assert_eq!(meant(name), None, "{name}");
        }
    }
}
