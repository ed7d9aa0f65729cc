use std::borrow::Cow;

use utoipa::openapi::{ObjectBuilder, Type};

use super::{About, Field, Property};
use crate::{
    error::Input,
    json::{
        document::Element,
        schema::{Context, Failure},
    },
};

/// A field that is true or false. As with FastAPI, `"yes"`, `"on"` and 1 are true, and `"no"`, `"off"` and 0 are false.
pub struct BooleanField(About);

/// A field that is true or false.
pub fn boolean(name: &'static str) -> BooleanField {
    BooleanField(About::new(name))
}

const TRUE: [&str; 6] = ["true", "1", "yes", "y", "on", "t"];
const FALSE: [&str; 6] = ["false", "0", "no", "n", "off", "f"];

/// 2^63: what is larger is no number that FastAPI looks at.
const LARGEST: f64 = 9_223_372_036_854_775_808.0;

impl BooleanField {
    /// What it is, in a sentence for the OpenAPI document.
    pub fn about(mut self, description: &'static str) -> Self {
        self.0.description = Some(description);
        self
    }
}

fn read_number(source: &str) -> Result<bool, Failure> {
    match source.parse::<f64>() {
        Ok(0.0) => Ok(false),
        Ok(1.0) => Ok(true),
        Ok(number) if number.fract() == 0.0 && number.abs() < LARGEST => Err(uninterpretable()),
        _ => Err(no_boolean()),
    }
}

fn uninterpretable() -> Failure {
    Failure::new("bool_parsing", "Input should be a valid boolean, unable to interpret input")
}

fn no_boolean() -> Failure {
    Failure::new("bool_type", "Input should be a valid boolean")
}

impl Field for BooleanField {
    type Value = bool;

    fn name(&self) -> &'static str {
        self.0.name
    }

    fn read_text(&self, text: Cow<'_, str>) -> Result<bool, Failure> {
        let is_one_of = |words: [&str; 6]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
        match (is_one_of(TRUE), is_one_of(FALSE)) {
            (true, _) => Ok(true),
            (_, true) => Ok(false),
            _ => Err(uninterpretable()),
        }
    }

    fn read(&self, value: Element<'_>, at: &mut Context) -> Option<bool> {
        let outcome = match (value.as_bool(), value.as_str(), value.as_number()) {
            (Some(truth), ..) => Ok(truth),
            (_, Some(text), _) => self.read_text(text),
            (.., Some(number)) => read_number(number),
            _ => Err(no_boolean()),
        };
        outcome.map_or_else(|failure| at.fail(failure, Input::new(&value)), Some)
    }

    fn property(&self) -> Property {
        self.0.property(ObjectBuilder::new().schema_type(Type::Boolean))
    }
}
