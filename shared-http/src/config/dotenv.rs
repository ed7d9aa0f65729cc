//! `.env` of the working directory.

use std::{
    env, fs,
    io::{self, Read},
    path::Path,
};

use crate::process::ConfigError;

/// What became of `.env` in the working directory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Dotenv {
    /// There is none, or its variables are in the environment now.
    Loaded,
    /// There is one, and it was not read: in production the environment is what an operator gave on purpose.
    Ignored,
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
        return Ok(if path.exists() { Dotenv::Ignored } else { Dotenv::Loaded });
    }
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Dotenv::Loaded),
        Err(error) => return Err(unreadable(&error)),
    };
    let mut lines = Lines { rest: &text, lines_read: 0 };
    let mistake = match dotenvy::from_read(&mut lines) {
        Ok(()) => return Ok(Dotenv::Loaded),
        Err(dotenvy::Error::Io(error)) => return Err(unreadable(&error)),
        Err(dotenvy::Error::LineParse(entry, _)) => {
            // A value in quotes goes on over lines. The first is where to look.
            let line = (lines.lines_read + 1).saturating_sub(entry.lines().count().max(1));
            format!("line {line} of .env is not NAME=value (quote values with spaces)")
        }
        Err(_) => ".env cannot be understood; every line must be NAME=value".to_owned(),
    };
    Err(ConfigError::new(vec![mistake]))
}

fn unreadable(error: &io::Error) -> ConfigError {
    ConfigError::new(vec![format!(".env cannot be read: {error}")])
}

/// Gives one line for each `read`, so that the number of lines read tells where a mistake is.
struct Lines<'a> {
    rest: &'a [u8],
    lines_read: usize,
}

impl Read for Lines<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let line = self.rest.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        let count = line.len().min(buffer.len());
        let is_whole = count > 0 && count == line.len();
        let (line, rest) = self.rest.split_at(count);
        buffer[..count].copy_from_slice(line);
        self.rest = rest;
        // A line that is longer than the buffer counts with its last part.
        self.lines_read += usize::from(is_whole);
        Ok(count)
    }
}
