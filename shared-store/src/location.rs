//! `DATABASE_URL`: where a service keeps its data.

use std::{
    fmt::{self, Display},
    path::{Path, PathBuf},
};

use clap::Args;
use shared_http::{
    config::{Settings, set},
    shown_settings::ShownSettings,
};

use crate::postgres::connect_options;

/// The settings of the store, as the operator wrote them.
// No `Debug`: it would show a password.
#[derive(Args)]
pub struct StoreArgs {
    /// Where data is kept: `memory:`, a file or directory such as `sqlite:///data/`, or
    /// `postgres://USER:PASSWORD@HOST/DATABASE?sslmode=verify-full&sslrootcert=/path/to/ca.pem` (`sslmode` is
    /// `disable`, `prefer`, `require` or `verify-full`) [default: memory:]
    #[arg(long, env, value_name = "URL", hide_env_values = true, global = true)]
    database_url: Option<String>,

    /// `true` refuses to begin anew where the SQLite file is missing, as with a disk that is not mounted
    /// [default: false]
    #[arg(long, env, value_name = "BOOL", global = true)]
    expect_data: Option<String>,
}

/// Where a service keeps its data.
#[derive(Clone, PartialEq)]
pub enum Location {
    /// In the memory of the process.
    Memory,
    /// In a SQLite file, from which one process at a time serves.
    Sqlite {
        /// The path of the file, which need not exist yet.
        path: PathBuf,
        /// Whether the file must exist already.
        is_expected: bool,
    },
    /// In the PostgreSQL database at this URL, which any number of replicas share.
    Postgres(String),
}

impl StoreArgs {
    /// Checks the settings. If `DATABASE_URL` names a directory, the file in it is `file_name`.
    pub fn check(&self, settings: &mut Settings, file_name: &str) -> Location {
        let is_expected =
            settings.read("EXPECT_DATA", &self.expect_data, false, "true or false", |text| text.parse().ok());
        let Some(url) = set(&self.database_url) else { return Location::Memory };
        parse(url, file_name, is_expected).unwrap_or_else(|mistake| {
            settings.mistake(mistake);
            Location::Memory
        })
    }
}

/// The message of a mistake quotes no part of the URL, which may hold a password.
fn parse(url: &str, file_name: &str, is_expected: bool) -> Result<Location, String> {
    if url == "memory:" {
        return Ok(Location::Memory);
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        connect_options(url).map_err(|error| error.to_string())?;
        return Ok(Location::Postgres(url.to_owned()));
    }
    let path = url.strip_prefix("sqlite://").map(PathBuf::from);
    let Some(path) = path.filter(|path| path.is_absolute() && !url.contains(['?', '#'])) else {
        return Err(
            "DATABASE_URL may be memory:, sqlite:// and an absolute path such as sqlite:///data/, or \
             postgres://USER:PASSWORD@HOST/DATABASE"
                .to_owned(),
        );
    };
    let is_directory = url.ends_with('/') || path.is_dir();
    let path = if is_directory { path.join(file_name) } else { path };
    // A file can have several paths. Its lock and its log lie next to the canonical one.
    Ok(Location::Sqlite { path: path.canonicalize().unwrap_or(path), is_expected })
}

impl Location {
    /// The memory or the file that `settings` name. `None` for PostgreSQL, because `settings` hold no password.
    pub(crate) fn of(settings: &ShownSettings) -> Option<Self> {
        let is_expected = settings.get("EXPECT_DATA") == "true";
        parse(settings.get("DATABASE_URL"), "", is_expected)
            .ok()
            .filter(|location| !matches!(location, Self::Postgres(_)))
    }

    /// The directory of the SQLite file, if the data is in one.
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::Sqlite { path, .. } => path.parent(),
            Self::Memory | Self::Postgres(_) => None,
        }
    }

    /// Adds the location to the settings that an operator is shown.
    pub fn show(&self, shown: &mut ShownSettings) {
        shown.show("DATABASE_URL", self.without_password());
        if let Self::Sqlite { is_expected, .. } = self {
            shown.show("EXPECT_DATA", is_expected);
        }
    }

    /// `DATABASE_URL` as it is in effect, without user and password.
    pub(crate) fn without_password(&self) -> String {
        match self {
            Self::Memory => "memory:".to_owned(),
            Self::Sqlite { path, .. } => format!("sqlite://{}", path.display()),
            Self::Postgres(url) => connect_options(url).map_or_else(
                |_| "postgres:".to_owned(),
                |options| {
                    let (host, port) = (options.get_host(), options.get_port());
                    let socket = options.get_socket().map(|socket| socket.display().to_string());
                    let database = options.get_database().unwrap_or_default();
                    format!("postgres://{}:{port}/{database}", socket.as_deref().unwrap_or(host))
                },
            ),
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Sqlite { path, .. } => write!(f, "sqlite {}", path.display()),
            // Without the URL: it may hold a password.
            Self::Postgres(_) => f.write_str("postgres"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sqlite(path: &str) -> Result<Location, String> {
        Ok(Location::Sqlite { path: PathBuf::from(path), is_expected: false })
    }

    #[test]
    fn a_url_names_memory_a_file_or_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        let there = directory.path().to_str().unwrap();
        assert_eq!(parse("memory:", "a.db", false), Ok(Location::Memory));
        assert_eq!(parse("sqlite:///data/gate.db", "a.db", false), sqlite("/data/gate.db"));
        assert_eq!(parse("sqlite:///data/", "a.db", false), sqlite("/data/a.db"));
        assert_eq!(parse(&format!("sqlite://{there}"), "a.db", false), sqlite(&format!("{there}/a.db")));
    }

    #[test]
    fn a_shown_url_has_neither_user_nor_password() {
        for (url, shown) in [
            ("memory:", "memory:"),
            ("sqlite:///data/gate.db", "sqlite:///data/gate.db"),
            ("postgres://tixgo:hemlig@db.example.org:5433/gate", "postgres://db.example.org:5433/gate"),
            ("postgres://db/gate?password=hemlig&user=tixgo", "postgres://db:5432/gate"),
        ] {
            assert_eq!(parse(url, "a.db", false).unwrap().without_password(), shown);
        }
    }

    #[test]
    fn a_location_in_the_log_has_no_password() {
        let postgres = parse("postgres://tixgo:hemlig@db.example.org/gate", "a.db", false).unwrap();
        assert_eq!(postgres.to_string(), "postgres");
        assert_eq!(format!("{postgres:?}"), "postgres");
        assert_eq!(sqlite("/data/gate.db").unwrap().to_string(), "sqlite /data/gate.db");
    }

    #[test]
    fn any_other_url_is_refused() {
        for url in [
            "sqlite:",
            "sqlite://data.db",
            "sqlite:///data/a.db?mode=ro",
            "mysql://x",
            "/data/a.db",
            "memory",
        ] {
            assert!(parse(url, "a.db", false).is_err(), "{url}");
        }
    }
}
