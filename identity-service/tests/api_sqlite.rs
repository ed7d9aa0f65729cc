//! The story of `api`, told to the store in a SQLite file.

#[path = "api/main.rs"]
mod api;

use api::{
    BAD_ROLE, LOGIN, ME, REGISTER, SECRET, TOO_LONG, WRONG, app, app_with, detail, forge, log_in, me,
    register, taken, token_of,
};
