use std::borrow::Cow;

use serde_json::json;
use utoipa::openapi::{ObjectBuilder, Type};
use validator::ValidateRange;

use super::{About, Field, Property};
use crate::{
    error::Input,
    json::{
        document::Element,
        schema::{Failure, Place},
    },
};

/// A field that is a whole number. As with FastAPI, `5.0` and `"5"` are 5, and `true` is 1.
pub struct IntegerField {
    about: About,
    min: Option<i64>,
    max: Option<i64>,
}

/// A field that is a whole number.
pub fn integer(name: &'static str) -> IntegerField {
    IntegerField { about: About::new(name), min: None, max: None }
}

impl IntegerField {
    /// At least this.
    pub fn min(self, least: i64) -> Self {
        Self { min: Some(least), ..self }
    }

    /// At most this.
    pub fn max(self, greatest: i64) -> Self {
        Self { max: Some(greatest), ..self }
    }

    /// What it is, in a sentence for the OpenAPI document.
    pub fn about(mut self, description: &'static str) -> Self {
        self.about.description = Some(description);
        self
    }

    fn check(&self, number: i64) -> Result<i64, Failure> {
        match (self.min, self.max) {
            (Some(min), _) if !number.validate_range(Some(min), None, None, None) => {
                let msg = format!("Input should be greater than or equal to {min}");
                Err(Failure::new("greater_than_equal", msg).with(json!({ "ge": min })))
            }
            (_, Some(max)) if !number.validate_range(None, Some(max), None, None) => {
                let msg = format!("Input should be less than or equal to {max}");
                Err(Failure::new("less_than_equal", msg).with(json!({ "le": max })))
            }
            _ => Ok(number),
        }
    }

    fn read_number(&self, source: &str) -> Result<i64, Failure> {
        if let Some(whole) = saturating(source) {
            return self.check(whole);
        }
        match source.parse::<f64>() {
            // `as` saturates, and no limit is as large as what it saturates at.
            Ok(number) if number.fract() == 0.0 => self.check(number as i64),
            _ => {
                let msg = "Input should be a valid integer, got a number with a fractional part";
                Err(Failure::new("int_from_float", msg))
            }
        }
    }
}

/// The whole number that `digits` are, or the greatest or least there is if it is beyond that.
fn saturating(digits: &str) -> Option<i64> {
    let unsigned = digits.strip_prefix(['-', '+']).unwrap_or(digits);
    if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let beyond = if digits.starts_with('-') { i64::MIN } else { i64::MAX };
    Some(digits.parse().unwrap_or(beyond))
}

impl Field for IntegerField {
    type Value = i64;

    fn name(&self) -> &'static str {
        self.about.name
    }

    fn read_text(&self, text: Cow<'_, str>) -> Result<i64, Failure> {
        let text = text.trim();
        let digits =
            text.split_once('.').filter(|(_, zeros)| !zeros.is_empty() && zeros.bytes().all(|b| b == b'0'));
        match saturating(digits.map_or(text, |(whole, _)| whole)) {
            Some(number) => self.check(number),
            None => {
                let msg = "Input should be a valid integer, unable to parse string as an integer";
                Err(Failure::new("int_parsing", msg))
            }
        }
    }

    fn read(&self, value: Element<'_>, at: &mut Place) -> Option<i64> {
        let outcome = match (value.as_str(), value.as_number(), value.as_bool()) {
            (Some(text), ..) => self.read_text(text),
            (_, Some(number), _) => self.read_number(number),
            (.., Some(truth)) => self.check(truth.into()),
            _ => Err(Failure::new("int_type", "Input should be a valid integer")),
        };
        outcome.map_or_else(|failure| at.fail(failure, Input::new(&value)), Some)
    }

    fn property(&self) -> Property {
        let limit = |limit: Option<i64>| limit.map(utoipa::Number::from);
        self.about.property(
            ObjectBuilder::new().schema_type(Type::Integer).minimum(limit(self.min)).maximum(limit(self.max)),
        )
    }
}
