//! Passwords that an operator sets for users: they are typed or generated. A generated one may be written to a file.

use std::{
    fs::{self, File},
    io::{self, BufRead, IsTerminal, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::password::Password;

/// The characters of a generated password. No two of the 32 look alike.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// The length of a generated password in characters: 100 bits.
const LENGTH: usize = 20;

/// How much of stdin is read, in bytes. Longer than any password.
const MAX_INPUT: u64 = 1024;

/// `text` as a password, under the rules of `/auth/register`.
///
/// # Errors
///
/// What `text` is instead. It completes a sentence that begins with "which holds" or "stdin holds".
pub fn parse_password(text: &str) -> Result<Password, &'static str> {
    if text.chars().count() < 4 || text.contains('\0') {
        return Err("no password of at least 4 characters");
    }
    Password::new(text.to_owned()).map_err(|_| "more than 72 bytes")
}

/// A random password, and its text.
///
/// # Errors
///
/// The system's random number generator fails.
pub fn generate_password() -> io::Result<(Password, String)> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes)?;
    let text: String = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    let password = parse_password(&text).map_err(io::Error::other)?;
    Ok((password, text))
}

/// Reads a password from stdin: from a terminal twice and without echo, otherwise from the first line.
///
/// # Errors
///
/// It cannot be read, the two are not the same, or it breaks the rules.
pub fn read_password(username: &str) -> io::Result<Password> {
    let stdin = io::stdin();
    let text = if stdin.is_terminal() {
        let text = rpassword::prompt_password(format!("New password of {username}: "))?;
        if rpassword::prompt_password("Once more: ")? != text {
            return Err(io::Error::other("both passwords are not the same; nothing was changed"));
        }
        text
    } else {
        let mut line = String::new();
        stdin.lock().take(MAX_INPUT).read_line(&mut line)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    parse_password(&text).map_err(|what| io::Error::other(format!("stdin holds {what}; nothing was changed")))
}

/// Writes a generated password to `first-admin-password` in the directory of the SQLite file `users`, readable by its
/// owner only, and returns the path. An existing file or link of that name is replaced, never followed, and the file
/// is never left half written.
///
/// # Errors
///
/// The directory is not writable.
pub fn write_password_file(users: &Path, password: &str) -> io::Result<PathBuf> {
    let path = users.with_file_name("first-admin-password");
    let new = users.with_file_name("first-admin-password.new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
    writeln!(file, "{password}")?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok(path)
}
