//! The routes. Each module has the request, the response, the OpenAPI description and the handler of one route.

mod accept;
mod attendance;
mod batch;
mod changes;
mod check_in;
mod event_attendance;
mod event_check_in;
mod events;
mod generate;
mod history;
mod import;
mod live;
mod offline;
mod path;
mod qr;
mod ready;
mod ticket;
mod ticket_csv;
mod tickets;
mod undo;

pub(crate) use attendance::{accepts_gzip, is_unchanged};
use shared_auth::openapi::BearerScheme;
use shared_http::{
    ApiError,
    error::{ErrorBody, InvalidBody},
    pages::About,
};
use shared_service::health::{self, ReadySummary};
use utoipa::OpenApi;

use crate::{AppState, store::StoreError};

const TAGLINE: &str = "Checks every ticket in exactly once, and tells who came.";

/// What the HTML pages say about this service.
pub(crate) fn about() -> About {
    About {
        service: "attendance-service",
        indonesian: "Setiap tiket masuk tepat satu kali, dan panitia tahu siapa yang datang.",
        english: TAGLINE,
        pages: Some(String::new()),
        notice: "",
    }
}

const READY_SUMMARY: ReadySummary = ReadySummary("Whether tickets can be checked in");

#[derive(OpenApi)]
#[openapi(
    info(title = "TixGo attendance-service", description = TAGLINE),
    paths(health::health, health::ready),
    components(schemas(ErrorBody, InvalidBody)),
    modifiers(&BearerScheme, &READY_SUMMARY)
)]
struct Description;

shared_auth::routes! {
    AppState, Description:
    Any post "/checkins" => check_in::check_in,
    AnyGate post "/checkins/batch" => batch::batch,
    Any get "/attendance/{event_id}/tickets/{ticket_id}" => ticket::ticket,
    Gate delete "/attendance/{event_id}/tickets/{ticket_id}" => undo::undo,
    Any get "/attendance/{event_id}/tickets/{ticket_id}/history" => history::history,
    Admin post "/attendance/{event_id}/undo" => undo::undo_all,
    Gate get "/attendance/{event_id}/changes" => changes::changes,
    Gate get "/attendance/{event_id}/live" => live::live,
    Any get "/attendance/{event_id}" => attendance::attendance,
    AnyGate get "/events" => events::list,
    Admin post "/events" => events::create,
    Gate get "/events/{event_id}" => events::show,
    Admin put "/events/{event_id}" => events::update,
    Admin delete "/events/{event_id}" => events::delete,
    Gate post "/events/{event_id}/checkins" => event_check_in::check_in,
    Admin get "/events/{event_id}/attendance" => event_attendance::attendance,
    Admin get "/events/{event_id}/summary" => event_attendance::summary,
    Any get "/events/{event_id}/tickets" => tickets::list,
    Admin put "/events/{event_id}/tickets" => import::import,
    Admin post "/events/{event_id}/tickets/generate" => generate::generate,
    Admin delete "/events/{event_id}/tickets/{ticket_id}" => tickets::revoke,
    Gate get "/events/{event_id}/offline" => offline::offline,
    Any get "/qr" => qr::qr,
    Any post "/qr" => qr::qr_of_body,
}

/// The `detail` of the 503 for a check-in when the store is full.
const FULL: &str = "Penyimpanan check-in penuh (MAX_STORE_MB), hubungi pengelola";

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            // The store logs an outage when it begins, so it is not logged again for each request.
            StoreError::Unavailable(_) => Self::StorageUnavailable,
            StoreError::Full => Self::Full(FULL.into()),
            StoreError::Internal(cause) => Self::Internal(cause),
        }
    }
}
