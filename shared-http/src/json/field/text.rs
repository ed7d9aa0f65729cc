use std::borrow::Cow;

use serde_json::json;
use utoipa::openapi::{ObjectBuilder, Type};
use validator::{ValidateDoesNotContain, ValidateLength};

use super::{About, Field, Property, read_string};
use crate::json::{
    document::Element,
    schema::{Context, Failure},
};

/// A field that is a string.
pub struct TextField {
    about: About,
    min: Option<u64>,
    max: Option<u64>,
    no_nul: bool,
}

/// A field that is a string, of any length.
pub fn text(name: &'static str) -> TextField {
    TextField { about: About::new(name), min: None, max: None, no_nul: false }
}

impl TextField {
    /// At least so many characters.
    pub fn min(self, characters: u64) -> Self {
        Self { min: Some(characters), ..self }
    }

    /// At most so many characters.
    pub fn max(self, characters: u64) -> Self {
        Self { max: Some(characters), ..self }
    }

    /// Without the character NUL: bcrypt cannot tell `a` from `a\0a`, and PostgreSQL cannot store it.
    pub fn no_nul(self) -> Self {
        Self { no_nul: true, ..self }
    }

    /// What it is, in a sentence for the OpenAPI document.
    pub fn about(mut self, description: &'static str) -> Self {
        self.about.description = Some(description);
        self
    }

    /// An example for the OpenAPI document.
    pub fn example(mut self, example: &'static str) -> Self {
        self.about.example = Some(example);
        self
    }

    fn check(&self, text: &str) -> Result<(), Failure> {
        let length = |kind, bound, limit: u64, key: &str| {
            let plural = if limit == 1 { "" } else { "s" };
            let msg = format!("String should have {bound} {limit} character{plural}");
            Failure::new(kind, msg).with(json!({ key: limit }))
        };
        match (self.min, self.max) {
            (Some(min), _) if !text.validate_length(Some(min), None, None) => {
                Err(length("string_too_short", "at least", min, "min_length"))
            }
            (_, Some(max)) if !text.validate_length(None, Some(max), None) => {
                Err(length("string_too_long", "at most", max, "max_length"))
            }
            _ if self.no_nul && !text.validate_does_not_contain("\0") => {
                Err(Failure::new("value_error", "Value error, NUL characters are not allowed"))
            }
            _ => Ok(()),
        }
    }
}

impl Field for TextField {
    type Value = String;

    fn name(&self) -> &'static str {
        self.about.name
    }

    fn read_text(&self, text: Cow<'_, str>) -> Result<String, Failure> {
        self.check(&text).map(|()| text.into_owned())
    }

    fn read(&self, value: Element<'_>, at: &mut Context) -> Option<String> {
        read_string(self, value, at, Failure::new("string_type", "Input should be a valid string"))
    }

    fn property(&self) -> Property {
        let length = |limit: Option<u64>| limit.and_then(|limit| usize::try_from(limit).ok());
        self.about.property(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .min_length(length(self.min))
                .max_length(length(self.max))
                .pattern(self.no_nul.then_some(r"^[^\u0000]*$")),
        )
    }
}
