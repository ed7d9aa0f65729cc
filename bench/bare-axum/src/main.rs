//! The yardstick of the benchmarks: axum as it comes, which parses and answers the same JSON with no
//! token, no store and no middleware. `bare-axum ADDRESS [FILE]`; `GET /bytes` answers the file.

use std::{
    env,
    error::Error,
    fs,
    io::{self, Write},
};

use axum::{
    Json, Router,
    http::header::CONTENT_TYPE,
    routing::{get, post},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

#[derive(Deserialize)]
struct CheckInRequest {
    event_id: String,
    ticket_id: String,
}

#[derive(Serialize)]
struct CheckedIn {
    status: &'static str,
    record: Record,
}

#[derive(Serialize)]
struct Record {
    event_id: String,
    ticket_id: String,
    checked_in_by: &'static str,
    checked_in_at: &'static str,
}

#[derive(Serialize)]
struct Me {
    username: &'static str,
    role: &'static str,
}

async fn check_in(Json(request): Json<CheckInRequest>) -> Json<CheckedIn> {
    let CheckInRequest { event_id, ticket_id } = request;
    let checked_in_at = "2026-01-03T13:25:53.415880+00:00";
    let record = Record { event_id, ticket_id, checked_in_by: "panitia1", checked_in_at };
    Json(CheckedIn { status: "checked_in", record })
}

async fn me() -> Json<Me> {
    Json(Me { username: "panitia1", role: "committee" })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().ok_or("usage: bare-axum ADDRESS [FILE]")?;
    let bytes = Bytes::from(arguments.next().map(fs::read).transpose()?.unwrap_or_default());
    let app = Router::new()
        .route("/checkins", post(check_in))
        .route("/auth/me", get(me))
        .route("/bytes", get(async move || ([(CONTENT_TYPE, "application/json")], bytes)));
    let listener = TcpListener::bind(address).await?;
    writeln!(io::stderr(), "bare-axum is ready address={}", listener.local_addr()?)?;
    #[expect(clippy::disallowed_methods, reason = "the yardstick is axum as it comes")]
    axum::serve(listener, app).await?;
    Ok(())
}
