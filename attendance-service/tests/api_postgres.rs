//! The story of `api`, told to the store in PostgreSQL: TEST_POSTGRES_URL names a server.

#[path = "api/main.rs"]
mod api;

use api::{
    CHECK_IN, DUPLICATE, SECRET, app, app_with, attendance, check_in, detail, forge, idempotency, list, path,
    record, ticket, ticket_path,
};
