//! The fields of a request body, and how they are read.

use utoipa::openapi::{ObjectBuilder, RefOr, Type, schema::Schema as OpenApiSchema};

use super::{
    document::Element,
    field::{Field, Property},
    flat::Flat,
};
use crate::error::{FieldError, Input, Location};

/// A request body. [`describe_body!`](crate::describe_body) makes it known to the OpenAPI document.
pub trait Schema: Sized {
    /// What it is, in a sentence for the OpenAPI document.
    const DESCRIPTION: &'static str;

    /// Reads every field with one [`Fields::get`], in the order in which failures are reported. What is returned is
    /// used only if no field failed.
    fn read(fields: &mut Fields<'_>) -> Self;
}

/// The fields of a body that is being read, or described.
pub struct Fields<'a> {
    source: Source<'a>,
    at: Context,
}

#[expect(clippy::large_enum_variant, reason = "there is one a request, on the stack")]
enum Source<'a> {
    /// An object of strings, as nearly every body is. If a field fails, the body takes the slow path, which reports it.
    Flat(Flat<'a>),
    /// Any other object. `echo` quotes the whole object in the failure of a missing field.
    Object { object: Element<'a>, echo: Option<Input> },
    /// No body: the fields are only described.
    Description(Vec<Property>),
}

/// The path of the value that is being read, and the failures so far.
#[derive(Default)]
pub struct Context {
    path: Vec<Location>,
    failures: Vec<FieldError>,
    failed: bool,
}

impl Fields<'_> {
    /// The value of a field. If it is wrong, the failure is reported, and the default is returned.
    #[expect(clippy::needless_pass_by_value, reason = "a field is made where it is read")]
    pub fn get<F: Field>(&mut self, field: F) -> F::Value {
        let value = match &mut self.source {
            Source::Description(properties) => {
                properties.push(field.property());
                None
            }
            Source::Flat(members) => match members.take(field.name()) {
                Some(text) => field.read_text(text).ok(),
                None => field.absent(),
            },
            Source::Object { object, echo } => {
                self.at.enter(Location::Name(field.name()), |at| match object.member(field.name()) {
                    Some(value) => field.read(value, at),
                    None => field.absent().or_else(|| {
                        let input = echo.get_or_insert_with(|| Input::new(object)).clone();
                        at.fail(missing(), input)
                    }),
                })
            }
        };
        value.unwrap_or_else(|| {
            self.at.failed = true;
            F::Value::default()
        })
    }
}

impl Context {
    /// Calls `read` with the path extended by `step`.
    pub(super) fn enter<T>(&mut self, step: Location, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step);
        let value = read(self);
        self.path.pop();
        value
    }

    /// Reports a failure of the value at this path, which was `input`.
    pub(super) fn fail<T>(&mut self, failure: Failure, input: Input) -> Option<T> {
        self.failures.push(failure.at(self.path.clone(), input));
        None
    }
}

/// How a value breaks a rule, in FastAPI's words.
pub struct Failure {
    kind: &'static str,
    msg: String,
    ctx: Option<serde_json::Value>,
}

impl Failure {
    pub(super) fn new(kind: &'static str, msg: impl Into<String>) -> Self {
        Self { kind, msg: msg.into(), ctx: None }
    }

    /// The failure of the whole body, which was `input`.
    pub(super) fn at_body(self, input: Input) -> FieldError {
        self.at(vec![Location::Name("body")], input)
    }

    fn at(self, loc: Vec<Location>, input: Input) -> FieldError {
        FieldError { kind: self.kind, loc, msg: self.msg, input, ctx: self.ctx }
    }

    pub(super) fn with(self, ctx: serde_json::Value) -> Self {
        Self { ctx: Some(ctx), ..self }
    }
}

/// Reads `text` on the fast path: `None` unless it is an object of strings without a failure. [`read`] is for all
/// others.
pub(super) fn read_flat<T: Schema>(text: &str) -> Option<T> {
    let mut fields = Fields { source: Source::Flat(Flat::parse(text)?), at: Context::default() };
    let body = T::read(&mut fields);
    let Source::Flat(rest) = &fields.source else { return None };
    (!fields.at.failed && rest.is_empty()).then_some(body)
}

/// Reads `value`, or returns every failure in it.
pub(super) fn read<T: Schema>(value: Element<'_>) -> Result<T, Vec<FieldError>> {
    let mut at = Context::default();
    let body = at.enter(Location::Name("body"), |at| read_at(value, at));
    body.ok_or(at.failures)
}

/// Reads an object that is part of a body. Failures are reported to `at`.
pub(super) fn read_at<T: Schema>(value: Element<'_>, at: &mut Context) -> Option<T> {
    if !value.is_object() {
        return at.fail(not_an_object(), Input::new(&value));
    }
    let failures = at.failures.len();
    let mut fields = Fields { source: Source::Object { object: value, echo: None }, at: std::mem::take(at) };
    let body = T::read(&mut fields);
    *at = fields.at;
    (at.failures.len() == failures).then_some(body)
}

pub(super) fn missing() -> Failure {
    Failure::new("missing", "Field required")
}

pub(super) fn not_an_object() -> Failure {
    let msg = "Input should be a valid dictionary or object to extract fields from";
    Failure::new("model_attributes_type", msg)
}

/// The schema of `T`, as OpenAPI wants it.
pub fn describe<T: Schema>() -> RefOr<OpenApiSchema> {
    let mut fields = Fields { source: Source::Description(Vec::new()), at: Context::default() };
    T::read(&mut fields);
    let mut object = ObjectBuilder::new().schema_type(Type::Object).description(Some(T::DESCRIPTION));
    if let Source::Description(properties) = fields.source {
        for Property { name, required, schema } in properties {
            object = object.property(name, schema);
            if required {
                object = object.required(name);
            }
        }
    }
    object.into()
}

/// Makes request bodies known to the OpenAPI document, under the names of their types.
#[macro_export]
macro_rules! describe_body {
    ($($body:ty),+) => {$(
        impl ::utoipa::PartialSchema for $body {
            fn schema() -> ::utoipa::openapi::RefOr<::utoipa::openapi::schema::Schema> {
                $crate::json::describe::<$body>()
            }
        }
        impl ::utoipa::ToSchema for $body {}
    )+};
}

#[cfg(test)]
mod tests;
