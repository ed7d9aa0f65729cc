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
    max_bytes: Option<usize>,
    no_nul: bool,
    no_control: bool,
    no_dot_segment: bool,
    trimmed: bool,
    pattern: Option<Pattern>,
}

/// A regular expression, and whether a text matches it.
type Pattern = (&'static str, fn(&str) -> bool);

/// A field that is a string, of any length.
pub fn text(name: &'static str) -> TextField {
    TextField {
        about: About::new(name),
        min: None,
        max: None,
        max_bytes: None,
        no_nul: false,
        no_control: false,
        no_dot_segment: false,
        trimmed: false,
        pattern: None,
    }
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

    /// At most so many bytes of UTF-8.
    pub fn max_bytes(self, bytes: usize) -> Self {
        Self { max_bytes: Some(bytes), ..self }
    }

    /// Without control characters, NUL and line breaks among them.
    pub fn no_control(self) -> Self {
        Self { no_control: true, ..self }
    }

    /// Neither `.` nor `..`: a client takes such a part out of the path of a URL (RFC 3986, 5.2.4), and asks for something
    /// else.
    pub fn no_dot_segment(self) -> Self {
        Self { no_dot_segment: true, ..self }
    }

    /// Without the white space at both ends, before anything else is looked at.
    pub fn trimmed(self) -> Self {
        Self { trimmed: true, ..self }
    }

    /// Only texts that match `regex`, which `matches` decides.
    pub fn pattern(self, regex: &'static str, matches: fn(&str) -> bool) -> Self {
        Self { pattern: Some((regex, matches)), ..self }
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
            _ => self.check_characters(text),
        }
    }

    fn check_characters(&self, text: &str) -> Result<(), Failure> {
        let wrong = |msg| Err(Failure::new("value_error", format!("Value error, {msg}")));
        match (self.max_bytes, self.pattern) {
            (Some(max), _) if text.len() > max => wrong(format!("at most {max} bytes of UTF-8 are allowed")),
            _ if self.no_control && text.contains(char::is_control) => {
                wrong("control characters are not allowed".to_owned())
            }
            _ if self.no_dot_segment && matches!(text, "." | "..") => {
                wrong(format!("{text} cannot be part of a URL"))
            }
            (_, Some((regex, matches))) if !matches(text) => Err(wrong_pattern(regex)),
            _ => Ok(()),
        }
    }
}

fn wrong_pattern(regex: &str) -> Failure {
    let msg = format!("String should match pattern '{regex}'");
    Failure::new("string_pattern_mismatch", msg).with(json!({ "pattern": regex }))
}

impl Field for TextField {
    type Value = String;

    fn name(&self) -> &'static str {
        self.about.name
    }

    fn read_text(&self, text: Cow<'_, str>) -> Result<String, Failure> {
        let text = if self.trimmed { Cow::Borrowed(text.trim()) } else { text };
        self.check(&text).map(|()| text.into_owned())
    }

    fn read(&self, value: Element<'_>, at: &mut Context) -> Option<String> {
        read_string(self, value, at, Failure::new("string_type", "Input should be a valid string"))
    }

    fn property(&self) -> Property {
        let length = |limit: Option<u64>| limit.and_then(|limit| usize::try_from(limit).ok());
        let pattern = self.pattern.map(|(regex, _)| regex);
        let pattern = pattern.or(self.no_control.then_some(r"^[^\u0000-\u001f\u007f-\u009f]*$"));
        let pattern = pattern.or(self.no_nul.then_some(r"^[^\u0000]*$"));
        self.about.property(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .min_length(length(self.min))
                .max_length(length(self.max))
                .pattern(pattern),
        )
    }
}
