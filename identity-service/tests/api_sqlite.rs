//! The story of `api`, told to the store in a SQLite file.

#[path = "api/main.rs"]
mod api;

use api::{
    BAD_ROLE, LOGIN, ME, REGISTER, SECRET, TOO_LONG, WRONG, app, app_on, app_with, config, detail, forge,
    log_in, me, new_store, register, taken, token_of,
};
