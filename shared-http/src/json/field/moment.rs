use std::{borrow::Cow, fmt};

use serde::{Serialize, Serializer};
use serde_json::json;
use speedate::{
    Date, DateTime, DateTimeConfig, MicrosecondsPrecisionOverflowBehavior, ParseError, Time, TimeConfig,
};
use strum::EnumMessage;
use utoipa::openapi::{KnownFormat, ObjectBuilder, SchemaFormat, Type, schema::SchemaType};

use super::{About, Field, Property};
use crate::{
    error::Input,
    json::{
        document::Element,
        schema::{Context, Failure},
    },
};

/// A date and a time of day, as a client gave it: with an offset from UTC, or without one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment(DateTime);

impl Moment {
    /// Microseconds since 1970-01-01 UTC. A moment without an offset counts as UTC.
    pub fn micros(&self) -> i64 {
        self.0.timestamp_tz() * 1_000_000 + i64::from(self.0.time.microsecond)
    }
}

/// 1970-01-01T00:00:00Z
impl Default for Moment {
    fn default() -> Self {
        Self(at_midnight(Date { year: 1970, month: 1, day: 1 }, Some(0)))
    }
}

/// ISO 8601: with `Z` for an offset of 0, and six digits of a second that is not whole.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn at_midnight(date: Date, tz_offset: Option<i32>) -> DateTime {
    DateTime { date, time: Time { hour: 0, minute: 0, second: 0, microsecond: 0, tz_offset } }
}

/// A field that is a moment: ISO 8601, a date alone among it, or seconds since 1970.
pub struct MomentField(About);

/// A field that is a moment: ISO 8601, a date alone among it, or seconds since 1970.
pub fn moment(name: &'static str) -> MomentField {
    MomentField(About::new(name))
}

impl MomentField {
    /// What it is, in a sentence for the OpenAPI document.
    pub fn about(mut self, description: &'static str) -> Self {
        self.0.description = Some(description);
        self
    }
}

/// The numbers of the first and of the last year that a calendar has. As with FastAPI, a number this far from 0 counts
/// milliseconds.
const FIRST: i64 = -62_135_596_800_000;
const LAST: i64 = 253_402_300_799_999;

/// What FastAPI sets: digits after the sixth are dropped, and what is a number is UTC.
fn config() -> DateTimeConfig {
    let digits = MicrosecondsPrecisionOverflowBehavior::Truncate;
    let time =
        TimeConfig::builder().microseconds_precision_overflow_behavior(digits).unix_timestamp_offset(Some(0));
    DateTimeConfig::builder().time_config(time.build()).build()
}

fn failure(kind: &'static str, what: &str, why: &str) -> Failure {
    Failure::new(kind, format!("Input should be a valid {what}, {why}")).with(json!({ "error": why }))
}

fn why(error: &ParseError) -> &'static str {
    error.get_documentation().unwrap_or("it is malformed")
}

fn read_number(source: &str) -> Result<Moment, Failure> {
    let moment = match (source.parse(), source.parse()) {
        (Ok(seconds), _) => DateTime::from_timestamp_with_config(seconds, 0, &config()),
        (_, Ok(seconds)) => DateTime::from_float_with_config(seconds, &config()),
        _ => return Err(no_moment()),
    };
    match moment {
        Ok(DateTime { date: Date { year: 0, .. }, .. }) => {
            Err(failure("datetime_parsing", "datetime", "year 0 is out of range"))
        }
        Ok(moment) => Ok(Moment(moment)),
        Err(error) => Err(failure("datetime_parsing", "datetime", why(&error))),
    }
}

fn no_moment() -> Failure {
    Failure::new("datetime_type", "Input should be a valid datetime")
}

impl Field for MomentField {
    type Value = Moment;

    fn name(&self) -> &'static str {
        self.0.name
    }

    fn read_text(&self, text: Cow<'_, str>) -> Result<Moment, Failure> {
        let moment = DateTime::parse_str_with_config(&text, &config()).or_else(|_| {
            let date = Date::parse_str(&text)?;
            Ok(at_midnight(date, None))
        });
        let kind = "datetime_from_date_parsing";
        match moment {
            // The calendar has no such year, and speedate does not mind.
            Ok(DateTime { date: Date { year: 0, .. }, .. }) => {
                Err(failure(kind, "datetime or date", "year 0 is out of range"))
            }
            Ok(moment) => Ok(Moment(moment)),
            Err(error) => Err(failure(kind, "datetime or date", why(&error))),
        }
    }

    fn read(&self, value: Element<'_>, at: &mut Context) -> Option<Moment> {
        let outcome = match (value.as_str(), value.as_number()) {
            (Some(text), _) => self.read_text(text),
            (_, Some(number)) => read_number(number),
            _ => Err(no_moment()),
        };
        outcome.map_or_else(|failure| at.fail(failure, Input::new(&value)), Some)
    }

    fn property(&self) -> Property {
        let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        let types = SchemaType::Array(vec![Type::String, Type::Number]);
        let object = ObjectBuilder::new().schema_type(types).format(Some(format)).min_length(Some(1));
        self.0.property(object.minimum(Some(FIRST)).maximum(Some(LAST)))
    }
}
