//! The passwords that an operator gives to users: chosen, drawn, and where a drawn one is written down.

use std::{
    fs::{self, File},
    io::{self, BufRead, IsTerminal, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::password::Password;

/// What a password is drawn from: 32 characters that nobody takes for each other.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// How many of them: 100 bits.
const LENGTH: usize = 20;

/// No password is longer, and no more of stdin is read.
const LONGEST_INPUT: u64 = 1024;

/// `text`, if it is as good as what `/auth/register` takes.
///
/// # Errors
///
/// What is wrong with it, to be put behind "which holds" or "the password is".
pub fn chosen(text: &str) -> Result<Password, &'static str> {
    if text.chars().count() < 4 || text.contains('\0') {
        return Err("no password of at least 4 characters");
    }
    Password::new(text.to_owned()).map_err(|_| "more than 72 bytes")
}

/// A password that nobody else knows, and its text.
///
/// # Errors
///
/// The system has no randomness.
pub fn draw() -> io::Result<(Password, String)> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes)?;
    let text: String = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    let password = chosen(&text).map_err(io::Error::other)?;
    Ok((password, text))
}

/// Reads a password from stdin: twice and unseen from a terminal, else the first line.
///
/// # Errors
///
/// It cannot be read, both are not the same, or it is not good enough.
pub fn ask(username: &str) -> io::Result<Password> {
    let stdin = io::stdin();
    let text = if stdin.is_terminal() {
        let text = rpassword::prompt_password(format!("New password of {username}: "))?;
        if rpassword::prompt_password("Once more: ")? != text {
            return Err(io::Error::other("both passwords are not the same; nothing was changed"));
        }
        text
    } else {
        let mut line = String::new();
        stdin.lock().take(LONGEST_INPUT).read_line(&mut line)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    chosen(&text).map_err(|what| io::Error::other(format!("stdin holds {what}; nothing was changed")))
}

/// Writes a drawn password to `first-admin-password` beside the file of users, for its owner alone. Whatever has
/// that name is replaced, never followed, and never left half written.
///
/// # Errors
///
/// The directory takes no writes.
pub fn keep(users: &Path, password: &str) -> io::Result<PathBuf> {
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
