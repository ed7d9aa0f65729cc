//! The first admin: who registers the others where not everybody may register.

use std::{
    error::Error,
    io::{self, Write},
};

use shared_auth::Role;

use crate::{
    password::{Password, PasswordError, Passwords},
    store::{Registration, StoreError, User, UserStore, Username},
};

/// What a password is drawn from: 32 characters that nobody takes for each other.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// How many of them: 100 bits.
const LENGTH: usize = 20;

/// An admin who is there from the first start on.
#[derive(Clone, Debug)]
pub struct FirstAdmin {
    /// The name.
    pub username: Username,
    /// The password, or none, and one is drawn.
    pub password: Option<Password>,
}

/// Why there is no first admin.
#[derive(Debug, thiserror::Error)]
#[error("ADMIN_USERNAME cannot be registered: {0}")]
pub struct FirstAdminError(Box<dyn Error + Send + Sync>);

impl From<StoreError> for FirstAdminError {
    fn from(error: StoreError) -> Self {
        Self(error.into())
    }
}

impl From<PasswordError> for FirstAdminError {
    fn from(error: PasswordError) -> Self {
        Self(error.into())
    }
}

/// Registers `admin`, unless somebody has the name. Of several replicas that start at once one does, and only
/// that one tells a password that was drawn.
///
/// # Errors
///
/// [`FirstAdminError`]
pub async fn register(
    admin: &FirstAdmin,
    users: &dyn UserStore,
    passwords: &Passwords,
) -> Result<(), FirstAdminError> {
    let username = &admin.username;
    if let Some(user) = users.find(username).await? {
        if user.role != Role::Admin {
            tracing::warn!(username = username.0, "ADMIN_USERNAME is no admin; set another name");
        } else {
            tracing::info!(
                username = username.0,
                "ADMIN_USERNAME is there already, with the password it has"
            );
        }
        return Ok(());
    }
    let (password, drawn) = match &admin.password {
        Some(password) => (password.clone(), None),
        None => {
            let (password, text) = draw()?;
            (password, Some(text))
        }
    };
    let password = passwords.hash(password).await?;
    let user = User { username: username.clone(), role: Role::Admin, password };
    if users.register(user).await? == Registration::Accepted {
        tell(username, drawn.as_deref());
    }
    Ok(())
}

fn draw() -> Result<(Password, String), FirstAdminError> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(|error| FirstAdminError(error.into()))?;
    let text: String = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    let password = Password::new(text.clone()).map_err(|_| FirstAdminError("too long".into()))?;
    Ok((password, text))
}

/// Whatever the log leaves out, a password that nobody else knows is told.
fn tell(Username(username): &Username, drawn: Option<&str>) {
    let Some(password) = drawn else {
        tracing::info!(username, "the first admin was registered");
        return;
    };
    if tracing::enabled!(tracing::Level::WARN) {
        tracing::warn!(
            username,
            password,
            "the first admin was registered; this password is not shown again"
        );
    } else {
        // With stderr gone there is nobody left to tell.
        let _ =
            writeln!(io::stderr(), "the first admin {username:?} was registered with password {password}");
    }
}
