//! Request bodies: read, parsed and checked, or refused in FastAPI's words (contract, "Schema errors").

mod cpython;
mod document;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{HeaderMap, header::CONTENT_TYPE},
};
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use validator::{Validate, ValidationError, ValidationErrors, ValidationErrorsKind};

use self::{
    cpython::Fault,
    document::{Document, Element},
};
use crate::{
    error::{ApiError, FieldError, Input, Location},
    server::OverBudget,
};

/// The longest body that is read, in bytes.
pub const BODY_LIMIT: usize = 64 * 1024;

/// A field of a [`Schema`]. All fields are strings: the contract knows no others.
pub struct Field {
    name: &'static str,
    required: bool,
}

impl Field {
    /// A field that has to be there.
    pub const fn required(name: &'static str) -> Self {
        Self { name, required: true }
    }

    /// A field that may be left out, but not be `null`.
    pub const fn optional(name: &'static str) -> Self {
        Self { name, required: false }
    }
}

/// A request body. The limits of its fields are `#[validate(…)]` on the struct.
pub trait Schema: DeserializeOwned + Validate {
    /// The fields, named as in the struct, in the order in which failures are reported.
    const FIELDS: &'static [Field];
}

/// The body of a request, known to keep to the schema of `T`.
///
/// Refusals: 413 over [`BODY_LIMIT`], 400 where the body is not UTF-8, 422 with every failing
/// field at once.
pub struct ValidJson<T>(pub T);

impl<S: Send + Sync, T: Schema> FromRequest<S> for ValidJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let is_json = is_json(request.headers());
        let body = read(request.into_body()).await?;
        let text = std::str::from_utf8(&body).map_err(|_| unreadable())?;
        match parse_plain(text) {
            Some(body) if is_json => Ok(Self(body)),
            _ => parse_like_fastapi(text, is_json).map(Self),
        }
    }
}

/// Parses quickly what nearly every body is: an object with the fields of `T` and no others, all good.
fn parse_plain<T: Schema>(text: &str) -> Option<T> {
    // serde would fill a struct from a list as well.
    if !text.starts_with('{') {
        return None;
    }
    let mut others = false;
    let mut json = serde_json::Deserializer::from_str(text);
    let body: T = serde_ignored::deserialize(&mut json, |_| others = true).ok()?;
    json.end().ok()?;
    (!others && body.validate().is_ok()).then_some(body)
}

/// Parses every other body: reads it as CPython does, then collects everything that is wrong, if anything.
fn parse_like_fastapi<T: Schema>(text: &str, is_json: bool) -> Result<T, ApiError> {
    if text.is_empty() {
        return Err(body_error("missing", "Field required", Input::new(&())));
    }
    if !is_json {
        return Err(not_an_object(Input::new(text)));
    }
    let document = parse_document(text)?;
    let body = document.root();
    if body.is_object() {
        check(body)
    } else if body.is_null() {
        Err(body_error("missing", "Field required", Input::new(&())))
    } else {
        Err(not_an_object(Input::new(&body)))
    }
}

/// For `#[validate(custom(function = "no_nul"))]` on a stored text: bcrypt cannot tell `a` from
/// `a\0a`, and PostgreSQL cannot store it.
pub fn no_nul(text: &impl AsRef<str>) -> Result<(), ValidationError> {
    if text.as_ref().contains('\0') { Err(ValidationError::new("nul")) } else { Ok(()) }
}

/// FastAPI's rule: `application/json` or `application/…+json`, and no content type counts as JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return true };
    let Ok(value) = value.to_str() else { return false };
    if value == "application/json" || value.is_empty() {
        return true;
    }
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.strip_prefix("application/") {
        Some(subtype) => !subtype.contains('/') && (subtype == "json" || subtype.ends_with("+json")),
        None => false,
    }
}

async fn read(mut body: Body) -> Result<Bytes, ApiError> {
    // An announced length is refused at once, so that a client that waits for `100 Continue` sends nothing.
    if body.size_hint().lower() > BODY_LIMIT as u64 {
        return Err(ApiError::BodyTooLarge);
    }
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(interrupted)?.into_data() else { continue };
        if read.len() + data.len() > BODY_LIMIT {
            return Err(ApiError::BodyTooLarge);
        }
        if read.is_empty() && body.is_end_stream() {
            return Ok(data);
        }
        // Copied: a slice of the server's buffer would keep all 8 KiB of it.
        read.extend_from_slice(&data);
    }
    Ok(read.into())
}

fn interrupted(error: axum::Error) -> ApiError {
    if error.into_inner().is::<OverBudget>() { ApiError::Busy } else { unreadable() }
}

fn unreadable() -> ApiError {
    ApiError::BadRequest(Cow::Borrowed("There was an error parsing the body"))
}

fn parse_document(text: &str) -> Result<Document<'_>, ApiError> {
    Document::parse(text.strip_prefix('\u{feff}').unwrap_or(text)).map_err(|fault| match fault {
        Fault::Syntax { offset, message } => ApiError::Invalid(vec![FieldError {
            kind: "json_invalid",
            loc: vec![Location::Name("body"), Location::Offset(offset)],
            msg: "JSON decode error".to_owned(),
            input: Input::new(&Map::new()),
            ctx: Some(json!({ "error": message })),
        }]),
        Fault::TooDeep => unreadable(),
    })
}

fn not_an_object(input: Input) -> ApiError {
    let msg = "Input should be a valid dictionary or object to extract fields from";
    body_error("model_attributes_type", msg, input)
}

fn body_error(kind: &'static str, msg: &str, input: Input) -> ApiError {
    let loc = vec![Location::Name("body")];
    ApiError::Invalid(vec![FieldError { kind, loc, msg: msg.to_owned(), input, ctx: None }])
}

/// Collects every failing field. One that is missing or no string is replaced by an empty string meanwhile, so that the
/// limits of the others are checked too.
fn check<T: Schema>(body: Element<'_>) -> Result<T, ApiError> {
    let mut fields = Map::new();
    let mut failures = Vec::new();
    let mut whole_body = None;
    for field in T::FIELDS {
        let member = body.member(field.name);
        let text = member.and_then(Element::as_str);
        let failing = match member {
            Some(_) if text.is_some() => None,
            Some(other) => Some(("string_type", "Input should be a valid string", Input::new(&other))),
            None if field.required => {
                let input: &mut Input = whole_body.get_or_insert_with(|| Input::new(&body));
                Some(("missing", "Field required", input.clone()))
            }
            None => None,
        };
        if text.is_some() || failing.is_some() {
            fields.insert(field.name.to_owned(), Value::String(text.unwrap_or_default().into_owned()));
        }
        failures.push(failing.map(|(kind, msg, input)| failure(field, kind, msg.to_owned(), input)));
    }

    let body: T = serde_json::from_value(Value::Object(fields)).map_err(ApiError::internal)?;
    if let Err(broken) = body.validate() {
        for (field, failure) in T::FIELDS.iter().zip(&mut failures) {
            if failure.is_none() {
                *failure = broken_limit(field, &broken);
            }
        }
    }
    let failures: Vec<_> = failures.into_iter().flatten().collect();
    if failures.is_empty() { Ok(body) } else { Err(ApiError::Invalid(failures)) }
}

fn broken_limit(field: &Field, broken: &ValidationErrors) -> Option<FieldError> {
    let Some(ValidationErrorsKind::Field(errors)) = broken.0.get(field.name) else { return None };
    let error = errors.iter().find(|error| error.code == "length").or(errors.first())?;
    let value = error.params.get("value");
    let input = Input::new(&value);
    if error.code == "nul" {
        let msg = "Value error, NUL characters are not allowed".to_owned();
        return Some(failure(field, "value_error", msg, input));
    }

    let length = value.and_then(Value::as_str).unwrap_or_default().chars().count() as u64;
    let limit = |name| error.params.get(name).and_then(Value::as_u64);
    let (kind, bound, key, limit) = match (limit("min"), limit("max")) {
        (Some(min), _) if length < min => ("string_too_short", "at least", "min_length", min),
        (_, max) => ("string_too_long", "at most", "max_length", max?),
    };
    let plural = if limit == 1 { "" } else { "s" };
    let msg = format!("String should have {bound} {limit} character{plural}");
    Some(FieldError { ctx: Some(json!({ key: limit })), ..failure(field, kind, msg, input) })
}

fn failure(field: &Field, kind: &'static str, msg: String, input: Input) -> FieldError {
    let loc = vec![Location::Name("body"), Location::Name(field.name)];
    FieldError { kind, loc, msg, input, ctx: None }
}
