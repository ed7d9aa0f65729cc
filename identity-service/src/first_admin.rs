//! The first admin: who registers the others where not everybody may register.

use std::io;

use shared_auth::Role;
use shared_http::text::printable;
use shared_store::Location;

use crate::{
    operator_password::{draw, keep},
    password::{Password, PasswordError, Passwords},
    store::{
        User, Username,
        operator::{OperatedUser, OperatorError, OperatorStore},
    },
};

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
pub enum FirstAdminError {
    /// Who has the name may be anybody.
    #[error(
        "ADMIN_USERNAME is {name}, and it was not the operator who made that user: a stranger may have registered \
         with the name before, or a version of this service that did not remember. Take it over with a new password: \
         identity-service users password {name}; users role {name} admin; or remove it: users remove {name}; or set \
         another ADMIN_USERNAME. In containers: docker compose -f docker-compose.prod.yml run --rm identity users \
         password {name}",
        name = printable(&.0.0)
    )]
    NameTaken(Username),
    /// There is no directory of data.
    #[error(
        "ADMIN_USERNAME needs a password: put one into a file and name that in ADMIN_PASSWORD_FILE. One is drawn only \
         where users are kept in a SQLite file, to be written beside it. In PostgreSQL `identity-service users add \
         NAME admin` does without both"
    )]
    NowhereToWrite,
    /// The file of the drawn password cannot be written.
    #[error("the password of ADMIN_USERNAME cannot be written down: {0}")]
    Unwritten(#[from] io::Error),
    /// There is no hash of the password.
    #[error("ADMIN_USERNAME cannot be registered: {0}")]
    Password(#[from] PasswordError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] OperatorError),
}

/// Whether a name is as long as the contract wants it.
pub fn is_length_of_username(text: &str) -> bool {
    (3..=50).contains(&text.chars().count())
}

/// Sees to it that `admin` is there, and is the operator's. Where nothing is kept it is in the answer, to be held
/// in memory.
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
        return Ok(Some(user(admin, password, passwords).await?));
    }
    let mut store = OperatorStore::open(location).await?;
    let found = match store.find(&admin.username).await? {
        None if add(admin, location, passwords, &mut store).await? => None,
        // Of several replicas that start at once another was first.
        None => store.find(&admin.username).await?,
        found => found,
    };
    if let Some(found) = found {
        judge(admin, &found, passwords, &mut store).await?;
    }
    store.close().await?;
    Ok(None)
}

/// False, if somebody has got the name meanwhile.
async fn add(
    admin: &FirstAdmin,
    location: &Location,
    passwords: &Passwords,
    store: &mut OperatorStore,
) -> Result<bool, FirstAdminError> {
    let username = &admin.username.0;
    if let Some(password) = &admin.password {
        let is_added = store.add(&user(admin, password.clone(), passwords).await?).await?;
        if is_added {
            tracing::info!(username, "the first admin was registered");
        }
        return Ok(is_added);
    }
    let Location::Sqlite { path, .. } = location else { return Err(FirstAdminError::NowhereToWrite) };
    let (password, text) = draw()?;
    let user = user(admin, password, passwords).await?;
    // First, for a password that nobody has been told is none.
    let file = keep(path, &text)?;
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

async fn user(admin: &FirstAdmin, password: Password, passwords: &Passwords) -> Result<User, PasswordError> {
    let password = passwords.hash(password).await?;
    Ok(User { username: admin.username.clone(), role: Role::Admin, password })
}

/// Whether who has the name is the operator's, or can only be.
async fn judge(
    admin: &FirstAdmin,
    found: &OperatedUser,
    passwords: &Passwords,
    store: &mut OperatorStore,
) -> Result<(), FirstAdminError> {
    let username = &admin.username.0;
    let OperatedUser { user, by_operator } = found;
    if !by_operator {
        let password = admin.password.clone().filter(|_| user.role == Role::Admin);
        let is_known = match password {
            Some(password) => passwords.matches(password, user.password.clone()).await?,
            None => false,
        };
        if !is_known {
            return Err(FirstAdminError::NameTaken(admin.username.clone()));
        }
        store.confirm(&admin.username).await?;
    }
    match user.role {
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
