//! `.env` of the working directory.

use std::{
    env, fs,
    io::{self, Read},
    path::Path,
};

use crate::process::ConfigError;

/// Whether `.env` in the working directory was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Dotenv {
    /// It was read, or there is none.
    Loaded,
    /// There is one, and it was not read. In production only the environment counts.
    Ignored,
}

/// Adds the variables of `.env` in the working directory to the environment, unless that says `APP_ENV=production`.
/// A variable that is set already is kept. Call it before there is a second thread.
///
/// # Errors
///
/// The file exists, but cannot be read or parsed. The message does not quote it, because it holds secrets.
pub fn load_dotenv() -> Result<Dotenv, ConfigError> {
    let path = Path::new(".env");
    // Read before clap parses the settings, because it decides where they come from.
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
            // A quoted value may span several lines. The message names the first.
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
