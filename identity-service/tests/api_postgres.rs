//! The story of `api`, told to the store in PostgreSQL: TEST_POSTGRES_URL names a server.

#[path = "api/main.rs"]
mod api;

use api::{
    BAD_ROLE, LOGIN, ME, REGISTER, SECRET, TOO_LONG, WRONG, app, app_on, app_with, config, detail, forge,
    log_in, me, new_store, register, taken, token_of,
};
