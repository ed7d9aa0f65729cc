//! The subcommand `users`: an operator lists and changes users from a shell.

use std::{
    error::Error,
    fmt::Write as _,
    io::{self, Write as _},
    path::Path,
};

use clap::Subcommand;
use shared_auth::Role;
use shared_http::{process::Failure, text::printable};
use shared_store::Location;

use crate::{
    first_admin::is_length_of_username,
    operator_password::{generate_password, read_password},
    password::{Password, Passwords},
    store::{
        User, Username,
        operator::{self, OperatorError, OperatorStore, UserWithOrigin},
    },
};

/// The subcommands of `users`.
#[derive(Clone, Debug, Subcommand)]
pub enum Users {
    /// Show who is registered, while the service runs or not
    List,
    /// Add a user
    Add {
        /// The name, 3 to 50 characters
        name: String,
        /// `committee` or `admin`
        role: Role,
        /// Draw the password and show it, instead of reading one from stdin
        #[arg(long)]
        draw: bool,
    },
    /// Remove a user
    Remove {
        /// The name
        name: String,
        /// Remove the last admin too
        #[arg(long)]
        force: bool,
    },
    /// Give a user a new password, read from stdin
    Password {
        /// The name
        name: String,
        /// Draw the password and show it, instead of reading one from stdin
        #[arg(long)]
        draw: bool,
    },
    /// Let a user log in no longer
    Deactivate {
        /// The name
        name: String,
        /// Deactivate the last admin too
        #[arg(long)]
        force: bool,
    },
    /// Let a user log in again
    Activate {
        /// The name
        name: String,
    },
    /// Give a user another role
    Role {
        /// The name
        name: String,
        /// `committee` or `admin`
        role: Role,
        /// Take its role from the last admin too
        #[arg(long)]
        force: bool,
    },
}

/// Runs a subcommand, and prints to stdout what was done.
///
/// # Errors
///
/// It cannot be done, and nothing was changed.
pub async fn run(users: &Users, location: &Location, passwords: &Passwords) -> Result<(), Failure> {
    let report = execute(users, location, passwords).await.map_err(Failure::Maintenance)?;
    match io::stdout().write_all(report.as_bytes()) {
        // The reader has closed the pipe, as in `users list | head`.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

async fn execute(
    users: &Users,
    location: &Location,
    passwords: &Passwords,
) -> Result<String, Box<dyn Error + Send + Sync>> {
    match users {
        Users::List => Ok(table(&operator::list(location).await?)),
        Users::Add { name, role, draw } => {
            if !is_length_of_username(name) || name.contains('\0') {
                return Err("a name has 3 to 50 characters".into());
            }
            let username = Username(name.clone());
            let new_file = new_file(location);
            let mut store = OperatorStore::open(location).await?;
            if let Some(path) = new_file {
                // Written before the next steps: the file remains even if one of them fails.
                let directory = path.parent().unwrap_or(Path::new("/")).display();
                let name = path.file_name().unwrap_or_default().display();
                let _ = writeln!(io::stderr(), "a new {name} is made in {directory}");
            }
            let (password, shown) = new_password(&username, *draw)?;
            let password = passwords.hash(password).await?;
            let user = User { username: username.clone(), role: *role, password };
            if !store.add(&user).await? {
                return Err(OperatorError::Taken(username).into());
            }
            store.close().await?;
            let with_password = if *draw { ", with a password" } else { "" };
            Ok(format!("{}: registered{with_password}{shown}\n", printable(name)))
        }
        Users::Remove { name, force } => {
            let store = OperatorStore::open_existing(location).await?;
            store.remove(&Username(name.clone()), *force).await?;
            Ok(format!("{}: removed. Tokens stay good until they expire.\n", printable(name)))
        }
        Users::Password { name, draw } => {
            let username = Username(name.clone());
            let mut store = OperatorStore::open_existing(location).await?;
            // Checked before a password is asked for.
            if store.find(&username).await?.is_none() {
                return Err(OperatorError::Unknown(username).into());
            }
            let (password, shown) = new_password(&username, *draw)?;
            store.set_password(&username, &passwords.hash(password).await?).await?;
            Ok(format!("{}: has a new password{shown}\n", printable(name)))
        }
        Users::Deactivate { name, force } => {
            let store = OperatorStore::open_existing(location).await?;
            store.set_active(&Username(name.clone()), false, *force).await?;
            Ok(format!("{}: inactive. Tokens stay good until they expire.\n", printable(name)))
        }
        Users::Activate { name } => {
            let store = OperatorStore::open_existing(location).await?;
            store.set_active(&Username(name.clone()), true, false).await?;
            Ok(format!("{}: active\n", printable(name)))
        }
        Users::Role { name, role, force } => {
            let store = OperatorStore::open_existing(location).await?;
            store.set_role(&Username(name.clone()), *role, *force).await?;
            let (name, role) = (printable(name), role.as_str());
            Ok(format!("{name}: is {role}. Tokens keep their role until they expire.\n"))
        }
    }
}

/// The file that opening `location` will create. The operator is told about it, in case another path was meant.
fn new_file(location: &Location) -> Option<&Path> {
    match location {
        Location::Sqlite { path, .. } if !path.exists() => Some(path),
        _ => None,
    }
}

/// A password, generated or read from stdin, and the text that shows a generated one.
fn new_password(username: &Username, is_generated: bool) -> io::Result<(Password, String)> {
    if !is_generated {
        return Ok((read_password(&printable(&username.0).to_string())?, String::new()));
    }
    let (password, text) = generate_password()?;
    Ok((password, format!(" that is shown this once: {text}")))
}

/// One line for each user. Names come last, because they may be of any width.
fn table(users: &[UserWithOrigin]) -> String {
    let yes_or_no = |is_so: &bool| if *is_so { "yes" } else { "no" };
    let mut table = "ROLE       ACTIVE  BY OPERATOR  USERNAME\n".to_owned();
    for UserWithOrigin { user, active, by_operator } in users {
        let (active, by_operator) = (yes_or_no(active), yes_or_no(by_operator));
        let (role, name) = (user.role.as_str(), printable(&user.username.0));
        // Writing to a String does not fail.
        let _ = writeln!(table, "{role:<9}  {active:<6}  {by_operator:<11}  {name}");
    }
    table
}
