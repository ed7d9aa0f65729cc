//! `.env` of the working directory.

use std::{env, path::Path};

use super::ConfigError;

/// What became of `.env` in the working directory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Dotenv {
    /// There is none, or its variables are in the environment now.
    Read,
    /// It is there, and was not read: in production the environment is what an operator gave on purpose.
    LeftAlone,
}

/// Adds the variables of `.env` in the working directory to the environment, unless that says `APP_ENV=production`.
/// What is set already stays. Call it before there is a second thread.
///
/// # Errors
///
/// The file is there and cannot be read or understood. The message does not quote it, for it holds
/// secrets.
pub fn load_dotenv() -> Result<Dotenv, ConfigError> {
    let path = Path::new(".env");
    // Before clap reads the settings, for it decides where they come from.
    if env::var_os("APP_ENV").is_some_and(|name| name.to_str().map(str::trim) == Some("production")) {
        return Ok(if path.exists() { Dotenv::LeftAlone } else { Dotenv::Read });
    }
    let complaint = match dotenvy::from_path(path) {
        Ok(()) => return Ok(Dotenv::Read),
        Err(error) if error.not_found() => return Ok(Dotenv::Read),
        Err(dotenvy::Error::Io(error)) => format!(".env cannot be read: {error}"),
        Err(dotenvy::Error::LineParse(_, column)) => {
            format!(
                ".env has a line that is not NAME=value (at its character {column}); quote values with spaces"
            )
        }
        Err(_) => ".env cannot be understood; every line must be NAME=value".to_owned(),
    };
    Err(ConfigError(vec![complaint]))
}
