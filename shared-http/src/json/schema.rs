//! The fields of a request body, and how they are read.

use utoipa::openapi::{ObjectBuilder, RefOr, Type, schema::Schema as OpenApiSchema};

use super::{
    document::Element,
    field::{Field, Property},
    flat::Flat,
};
use crate::{
    error::{FieldError, Input, Location},
    json::BODY_LIMIT,
};

/// A request body. [`describe_body!`](crate::describe_body) makes it known to the OpenAPI document.
pub trait Schema: Sized {
    /// What it is, in a sentence for the OpenAPI document.
    const DESCRIPTION: &'static str;

    /// The longest body that is read, in bytes.
    const BODY_LIMIT: usize = BODY_LIMIT;

    /// How many failures are reported at most. Without a limit a long body could ask for an answer that is many times as
    /// long.
    const MAX_FAILURES: Option<usize> = None;

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
    /// The parameters of a query: name and value.
    Query(&'a [(String, String)]),
    /// No body: the fields are only described.
    Description(Vec<Property>),
}

/// The path of the value that is being read, and the failures so far.
#[derive(Default)]
pub struct Context {
    path: Vec<Location>,
    failures: Vec<FieldError>,
    /// How many failures there were, whether they are reported or not.
    count: usize,
    /// How many are reported at most, if there is a limit.
    max: Option<usize>,
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
            Source::Query(parameters) => self.at.enter(Location::Name(field.name()), |at| {
                match parameters.iter().rev().find(|(name, _)| name == field.name()) {
                    Some((_, text)) => field
                        .read_text(text.into())
                        .map_or_else(|failure| at.fail(failure, Input::new(text)), Some),
                    None => field.absent().or_else(|| at.fail(missing(), Input::new(&()))),
                }
            }),
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

    /// A rule about several fields, to be called after the last of them. If it is broken and no field has failed, that
    /// is reported of the object as a whole: `msg` says what is wanted.
    pub fn require(&mut self, is_kept: bool, msg: &str) {
        if is_kept || self.at.failed {
            return;
        }
        self.at.failed = true;
        let failure = Failure::new("value_error", format!("Value error, {msg}"));
        if let Source::Object { object, .. } = &self.source {
            self.at.fail::<()>(failure, Input::new(object));
        }
    }
}

impl Context {
    fn reporting(max: Option<usize>) -> Self {
        Self { max, ..Self::default() }
    }

    /// Calls `read` with the path extended by `step`.
    pub(super) fn enter<T>(&mut self, step: Location, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step);
        let value = read(self);
        self.path.pop();
        value
    }

    /// Reports a failure of the value at this path, which was `input`.
    pub(super) fn fail<T>(&mut self, failure: Failure, input: Input) -> Option<T> {
        self.count += 1;
        if self.max.is_none_or(|max| self.failures.len() < max) {
            self.failures.push(failure.at(self.path.clone(), input));
        }
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
    /// A failure of this kind, in a sentence.
    pub fn new(kind: &'static str, msg: impl Into<String>) -> Self {
        Self { kind, msg: msg.into(), ctx: None }
    }

    /// The failure of the whole body, which was `input`.
    pub(super) fn at_body(self, input: Input) -> FieldError {
        self.at(vec![Location::Name("body")], input)
    }

    /// The failure of what stands at `loc`, which was `input`.
    pub fn at(self, loc: Vec<Location>, input: Input) -> FieldError {
        FieldError { kind: self.kind, loc, msg: self.msg, input, ctx: self.ctx }
    }

    /// Adds the limit that was broken, or what a parser says.
    pub fn with(self, ctx: serde_json::Value) -> Self {
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
    let mut at = Context::reporting(T::MAX_FAILURES);
    let body = at.enter(Location::Name("body"), |at| read_at(value, at));
    body.ok_or(at.failures)
}

/// Reads the parameters of a query, or returns every failure in them.
pub(crate) fn read_query<T: Schema>(parameters: &[(String, String)]) -> Result<T, Vec<FieldError>> {
    let at = Context { path: vec![Location::Name("query")], ..Context::default() };
    let mut fields = Fields { source: Source::Query(parameters), at };
    let query = T::read(&mut fields);
    if fields.at.failed { Err(fields.at.failures) } else { Ok(query) }
}

/// Reads an object that is part of a body. Failures are reported to `at`.
pub(super) fn read_at<T: Schema>(value: Element<'_>, at: &mut Context) -> Option<T> {
    if !value.is_object() {
        return at.fail(not_an_object(), Input::new(&value));
    }
    let failures = at.count;
    let mut fields = Fields { source: Source::Object { object: value, echo: None }, at: std::mem::take(at) };
    let body = T::read(&mut fields);
    *at = fields.at;
    (at.count == failures).then_some(body)
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
mod change_tests;
#[cfg(test)]
mod range_tests;
#[cfg(test)]
mod tests;
