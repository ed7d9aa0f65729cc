//! The first admin, named by `ADMIN_USERNAME`: registers the others where registration is not open to everybody.

use std::io;

use shared_auth::Role;
use shared_http::text::printable;
use shared_store::Location;

use crate::{
    operator_password::{generate_password, write_password_file},
    password::{Password, PasswordError, Passwords},
    store::{
        User, Username,
        operator::{OperatorError, OperatorStore, UserWithOrigin},
    },
};

/// An admin who is registered at the first start.
#[derive(Clone, Debug)]
pub struct FirstAdmin {
    /// The name.
    pub username: Username,
    /// The password. Without one, a password is generated.
    pub password: Option<Password>,
}

/// Why there is no first admin.
#[derive(Debug, thiserror::Error)]
pub enum FirstAdminError {
    /// Another user has the name, who was not made by the operator.
    #[error(
        "ADMIN_USERNAME is {name}, and it was not the operator who made that user: a stranger may have registered \
         with the name before, or a version of this service that did not remember. Take it over with a new password: \
         identity-service users password {name}; users role {name} admin; or remove it: users remove {name}; or set \
         another ADMIN_USERNAME. In containers: docker compose -f docker-compose.prod.yml run --rm identity users \
         password {name}",
        name = printable(&.0.0)
    )]
    NameTaken(Username),
    /// No password is set, and there is no SQLite file beside which a generated one could be written.
    #[error(
        "ADMIN_USERNAME needs a password: put one into a file and name that in ADMIN_PASSWORD_FILE. One is drawn only \
         where users are kept in a SQLite file, to be written beside it. In PostgreSQL `identity-service users add \
         NAME admin` does without both"
    )]
    NowhereToWrite,
    /// The file for the generated password cannot be written.
    #[error("the password of ADMIN_USERNAME cannot be written down: {0}")]
    WritePassword(#[from] io::Error),
    /// The password could not be hashed or verified.
    #[error("ADMIN_USERNAME cannot be registered: {0}")]
    Password(#[from] PasswordError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] OperatorError),
}

/// Whether `text` has the 3 to 50 characters of a user name.
pub fn is_length_of_username(text: &str) -> bool {
    (3..=50).contains(&text.chars().count())
}

/// Registers `admin`, unless the operator did so before. If users are kept in memory only, nothing is stored and the
/// user is returned, for the caller to put into the store.
///
/// # Errors
///
/// [`FirstAdminError`]
pub async fn register(
    admin: &FirstAdmin,
    location: &Location,
    passwords: &Passwords,
) -> Result<Option<User>, FirstAdminError> {
    if *location == Location::Memory {
        let password = admin.password.clone().ok_or(FirstAdminError::NowhereToWrite)?;
        return Ok(Some(new_user(admin, password, passwords).await?));
    }
    let mut store = OperatorStore::open(location).await?;
    let existing = match store.find(&admin.username).await? {
        None if add(admin, location, passwords, &mut store).await? => None,
        // Another replica has started at the same time and registered the admin first.
        None => store.find(&admin.username).await?,
        existing => existing,
    };
    if let Some(existing) = existing {
        check_existing(admin, &existing, passwords, &mut store).await?;
    }
    store.close().await?;
    Ok(None)
}

/// Registers the admin. False if the name was taken meanwhile.
async fn add(
    admin: &FirstAdmin,
    location: &Location,
    passwords: &Passwords,
    store: &mut OperatorStore,
) -> Result<bool, FirstAdminError> {
    let username = &admin.username.0;
    if let Some(password) = &admin.password {
        let is_added = store.add(&new_user(admin, password.clone(), passwords).await?).await?;
        if is_added {
            tracing::info!(username, "the first admin was registered");
        }
        return Ok(is_added);
    }
    let Location::Sqlite { path, .. } = location else { return Err(FirstAdminError::NowhereToWrite) };
    let (password, text) = generate_password()?;
    let user = new_user(admin, password, passwords).await?;
    // Written before the user is stored: otherwise a failure in between would leave an admin whose password is lost.
    let file = write_password_file(path, &text)?;
    let is_added = store.add(&user).await?;
    if is_added {
        tracing::warn!(
            username,
            file = %file.display(),
            "the first admin was registered; this file holds its password: put it somewhere safe, and delete the file"
        );
    }
    Ok(is_added)
}

async fn new_user(
    admin: &FirstAdmin,
    password: Password,
    passwords: &Passwords,
) -> Result<User, PasswordError> {
    let password = passwords.hash(password).await?;
    Ok(User { username: admin.username.clone(), role: Role::Admin, password })
}

/// Accepts the existing user of that name if the operator made it. An admin with the password that the operator has
/// set is accepted too, and is recorded as made by the operator.
async fn check_existing(
    admin: &FirstAdmin,
    existing: &UserWithOrigin,
    passwords: &Passwords,
    store: &mut OperatorStore,
) -> Result<(), FirstAdminError> {
    let username = &admin.username.0;
    let UserWithOrigin { user, active, by_operator } = existing;
    if !by_operator {
        let password = admin.password.clone().filter(|_| user.role == Role::Admin);
        let is_match = match password {
            Some(password) => passwords.matches(password, user.password.clone()).await?,
            None => false,
        };
        if !is_match {
            return Err(FirstAdminError::NameTaken(admin.username.clone()));
        }
        store.record_made_by_operator(&admin.username).await?;
    }
    match user.role {
        Role::Admin if !active => tracing::warn!(
            username,
            "ADMIN_USERNAME is inactive and cannot log in; users activate lets it in again"
        ),
        Role::Admin => {
            tracing::info!(username, "ADMIN_USERNAME is there already, with the password it has");
        }
        Role::Committee => tracing::warn!(
            username,
            "ADMIN_USERNAME is no admin; set another name, or give it the role with users role"
        ),
    }
    Ok(())
}
