//! Events that a committee prepares.

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::record::{EventId, Timestamp};

/// An event that was created here. Tickets can be checked in to others too.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Event {
    /// Its id, a version 4 UUID.
    #[schema(value_type = String, example = "0b8fa9a6-5d0f-4a6e-9d6c-3f1f6a4b2c11")]
    pub id: EventId,
    /// What it is called.
    #[schema(example = "Konser Akhir Tahun")]
    pub title: String,
    /// What it is about.
    pub description: Option<String>,
    /// Where it is.
    pub location: Option<String>,
    /// When it begins, with the offset that it was given with, or without one.
    #[schema(example = "2026-12-01T19:00:00+07:00")]
    pub start_time: Option<String>,
    /// When it ends, in the same form.
    pub end_time: Option<String>,
    /// Who created it.
    #[schema(example = "admin1")]
    pub created_by: String,
    /// When.
    #[serde(serialize_with = "with_z")]
    #[schema(value_type = String, format = DateTime, example = "2026-11-24T09:14:10.564266Z")]
    pub created_at: Timestamp,
}

fn with_z<S: Serializer>(moment: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&moment.with_z())
}

/// What changes of an event. What is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventChange {
    /// The new title.
    pub title: Option<String>,
    /// The new description; `Some(None)` for none.
    pub description: Option<Option<String>>,
    /// The new place; `Some(None)` for none.
    pub location: Option<Option<String>>,
    /// The new begin; `Some(None)` for none.
    pub start_time: Option<Option<String>>,
    /// The new end; `Some(None)` for none.
    pub end_time: Option<Option<String>>,
}

impl EventChange {
    /// Changes `event`.
    pub fn apply_to(self, event: &mut Event) {
        let Self { title, description, location, start_time, end_time } = self;
        event.title = title.unwrap_or_else(|| std::mem::take(&mut event.title));
        for (field, change) in [
            (&mut event.description, description),
            (&mut event.location, location),
            (&mut event.start_time, start_time),
            (&mut event.end_time, end_time),
        ] {
            if let Some(change) = change {
                *field = change;
            }
        }
    }
}
