use std::borrow::Cow;

use serde_json::json;
use utoipa::openapi::{ObjectBuilder, Type};
use validator::ValidateRange;

use super::{About, Field, Property};
use crate::{
    error::Input,
    json::{
        document::Element,
        schema::{Context, Failure},
    },
};

/// No `i64` is as large as this, 2^63.
const LARGEST: f64 = 9_223_372_036_854_775_808.0;

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

    fn read_whole(&self, digits: &str) -> Option<Result<i64, Failure>> {
        let unsigned = digits.strip_prefix(['-', '+']).unwrap_or(digits);
        if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(match (digits.parse(), digits.starts_with('-')) {
            (Ok(number), _) => self.check(number),
            (Err(_), true) if self.min.is_some() => self.check(i64::MIN),
            (Err(_), false) if self.max.is_some() => self.check(i64::MAX),
            (Err(_), _) => Err(too_large()),
        })
    }

    fn read_number(&self, source: &str) -> Result<i64, Failure> {
        if let Some(whole) = self.read_whole(source) {
            return whole;
        }
        match source.parse::<f64>() {
            Ok(number) if number.abs() >= LARGEST => Err(too_large()),
            Ok(number) if number.fract() == 0.0 => self.check(number as i64),
            _ => {
                let msg = "Input should be a valid integer, got a number with a fractional part";
                Err(Failure::new("int_from_float", msg))
            }
        }
    }
}

fn too_large() -> Failure {
    let msg = "Unable to parse input string as an integer, exceeded maximum size";
    Failure::new("int_parsing_size", msg)
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
        self.read_whole(digits.map_or(text, |(whole, _)| whole)).unwrap_or_else(|| {
            let msg = "Input should be a valid integer, unable to parse string as an integer";
            Err(Failure::new("int_parsing", msg))
        })
    }

    fn read(&self, value: Element<'_>, at: &mut Context) -> Option<i64> {
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
