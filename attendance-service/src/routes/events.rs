use axum::{Json, extract::State};
use serde::Serialize;
use shared_auth::AuthUser;
use shared_http::{
    ApiError, ValidJson, describe_body,
    error::ErrorBody,
    json::{Field as _, Fields, Moment, MomentField, Schema, TextField, moment, text},
    openapi::{AnyRoute, JsonBody},
    text::printable,
};
use utoipa::ToSchema;
use uuid::Uuid;

use super::path::{EventPath, NoSuchEvent};
use crate::{
    AppState,
    event::{Event, EventChange},
    record::{EventId, Timestamp},
};

/// The 404 where there is no such event.
pub(super) const NO_EVENT: ApiError = ApiError::Absent("Event not found");

/// An event to create.
pub(super) struct NewEvent {
    title: String,
    description: Option<String>,
    location: Option<String>,
    start_time: Option<Moment>,
    end_time: Option<Moment>,
}

fn title() -> TextField {
    text("title")
        .min(1)
        .no_nul()
        .about("What it is called, at least 1 character.")
        .example("Konser Akhir Tahun")
}

fn description() -> TextField {
    text("description").no_nul().about("What it is about.").example("Malam musik kampus")
}

fn location() -> TextField {
    text("location").no_nul().about("Where it is.").example("Gedung Serbaguna")
}

fn start_time() -> MomentField {
    moment("start_time").about("When it begins.")
}

fn end_time() -> MomentField {
    moment("end_time").about("When it ends.")
}

impl Schema for NewEvent {
    const DESCRIPTION: &'static str = "An event to create.";

    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            title: fields.get(title()),
            description: fields.get(description().optional()),
            location: fields.get(location().optional()),
            start_time: fields.get(start_time().optional()),
            end_time: fields.get(end_time().optional()),
        }
    }
}

/// What changes of an event.
pub(super) struct ChangedEvent(EventChange);

impl Schema for ChangedEvent {
    const DESCRIPTION: &'static str =
        "What changes of an event. What is left out stays as it is, and `null` clears.";

    fn read(fields: &mut Fields<'_>) -> Self {
        let written = |moment: Option<Option<Moment>>| moment.map(|moment| moment.map(|it| it.to_string()));
        Self(EventChange {
            title: fields.get(title().omittable()),
            description: fields.get(description().clearable()),
            location: fields.get(location().clearable()),
            start_time: written(fields.get(start_time().clearable())),
            end_time: written(fields.get(end_time().clearable())),
        })
    }
}

describe_body!(NewEvent, ChangedEvent);

/// All events, oldest first
///
/// A gate pass finds its own event alone.
#[utoipa::path(
    get,
    path = "/events",
    tag = "events",
    responses((status = 200, description = "The events.", body = Vec<Event>), AnyRoute)
)]
pub(super) async fn list(
    State(state): State<AppState>,
    AuthUser(claims): AuthUser,
) -> Result<Json<Vec<Event>>, ApiError> {
    let mut events = state.events.events().await?;
    events.retain(|event| claims.is_for(event.id.as_ref()));
    Ok(Json(events))
}

/// An event
#[utoipa::path(
    get,
    path = "/events/{event_id}",
    tag = "events",
    params(("event_id" = String, Path, description = "The id of the event.")),
    responses(
        (status = 200, description = "The event.", body = Event),
        NoSuchEvent,
        AnyRoute
    )
)]
pub(super) async fn show(
    State(state): State<AppState>,
    EventPath(event_id): EventPath,
) -> Result<Json<Event>, ApiError> {
    state.events.event(&event_id).await?.map(Json).ok_or(NO_EVENT)
}

/// Create an event
#[utoipa::path(
    post,
    path = "/events",
    tag = "events",
    request_body = NewEvent,
    responses(
        (status = 200, description = "The event, with its id.", body = Event),
        (
            status = 400,
            description = "The body is not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "There was an error parsing the body"})
        ),
        JsonBody,
        AnyRoute
    )
)]
pub(super) async fn create(
    State(state): State<AppState>,
    AuthUser(claims): AuthUser,
    ValidJson(request): ValidJson<NewEvent>,
) -> Result<Json<Event>, ApiError> {
    let NewEvent { title, description, location, start_time, end_time } = request;
    let event = Event {
        id: EventId(Uuid::new_v4().to_string()),
        title,
        description,
        location,
        start_time: start_time.map(|moment| moment.to_string()),
        end_time: end_time.map(|moment| moment.to_string()),
        created_by: claims.sub.as_ref().to_owned(),
        created_at: Timestamp::now(),
    };
    state.events.create_event(event.clone()).await?;
    tracing::info!(user = %printable(&claims.sub), event = %event.id.0, "an event was created");
    Ok(Json(event))
}

/// Change an event
#[utoipa::path(
    put,
    path = "/events/{event_id}",
    tag = "events",
    params(("event_id" = String, Path, description = "The id of the event.")),
    request_body = ChangedEvent,
    responses(
        (status = 200, description = "The event as it is now.", body = Event),
        (
            status = 400,
            description = "The body or the event in the path is not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "There was an error parsing the body"})
        ),
        (
            status = 404,
            description = "There is no such event.",
            body = ErrorBody,
            example = json!({"detail": "Event not found"})
        ),
        JsonBody,
        AnyRoute
    )
)]
pub(super) async fn update(
    State(state): State<AppState>,
    EventPath(event_id): EventPath,
    AuthUser(claims): AuthUser,
    ValidJson(ChangedEvent(change)): ValidJson<ChangedEvent>,
) -> Result<Json<Event>, ApiError> {
    let event = state.events.update_event(&event_id, change).await?.ok_or(NO_EVENT)?;
    tracing::info!(user = %printable(&claims.sub), event = %event_id.0, "an event was changed");
    Ok(Json(event))
}

/// An event is gone.
#[derive(Serialize, ToSchema)]
pub(super) struct Deleted {
    /// Always `deleted`.
    #[schema(example = "deleted")]
    status: &'static str,
    /// The id of the event.
    #[schema(value_type = String)]
    event_id: EventId,
}

/// Delete an event and its list of tickets
///
/// Its check-ins stay readable under `/attendance`.
#[utoipa::path(
    delete,
    path = "/events/{event_id}",
    tag = "events",
    params(("event_id" = String, Path, description = "The id of the event.")),
    responses(
        (status = 200, description = "The event is gone.", body = Deleted),
        NoSuchEvent,
        AnyRoute
    )
)]
pub(super) async fn delete(
    State(state): State<AppState>,
    EventPath(event_id): EventPath,
    AuthUser(claims): AuthUser,
) -> Result<Json<Deleted>, ApiError> {
    if !state.events.delete_event(&event_id).await? {
        return Err(NO_EVENT);
    }
    tracing::info!(user = %printable(&claims.sub), event = %event_id.0, "an event was deleted");
    Ok(Json(Deleted { status: "deleted", event_id }))
}
