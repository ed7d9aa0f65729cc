//! The fields of a body, such as `text("event_id").min(1).no_nul()`. A field reads its value, or reports a failure in
//! the words of FastAPI, and describes itself for OpenAPI.

mod boolean;
mod integer;
mod list;
mod moment;
mod text;

use std::borrow::Cow;

use serde_json::Value as Json;
use utoipa::openapi::{Object, ObjectBuilder, RefOr, Type, schema::Schema as OpenApiSchema};

pub use self::{
    boolean::{BooleanField, boolean},
    integer::{IntegerField, integer},
    list::{ListField, list_of},
    moment::{Moment, MomentField, moment},
    text::{TextField, text},
};
use super::{
    document::Element,
    schema::{Context, Failure},
};
use crate::error::Input;

/// A field of a body: its name, and which values it may have.
pub trait Field: Sized {
    /// The type of the value. Its default takes the place of a value that could not be read.
    type Value: Default;

    /// The name of the field.
    fn name(&self) -> &'static str;

    /// The value of a JSON string, whose escapes are resolved.
    ///
    /// # Errors
    ///
    /// The string breaks the field.
    fn read_text(&self, text: Cow<'_, str>) -> Result<Self::Value, Failure>;

    /// The value of any JSON; `None` if a failure was reported to `at`.
    fn read(&self, value: Element<'_>, at: &mut Context) -> Option<Self::Value>;

    /// The value if the field is missing. `None` if the field is required.
    fn absent(&self) -> Option<Self::Value> {
        None
    }

    /// The description of the field for OpenAPI.
    fn property(&self) -> Property;

    /// The field may be left out, which means `value`.
    fn or(self, value: Self::Value) -> Or<Self>
    where
        Self::Value: Clone + Into<Json>,
    {
        Or { field: self, value }
    }

    /// The field may be left out or be `null`, and is `None` then.
    fn optional(self) -> Optional<Self> {
        Optional(self)
    }

    /// The field may be left out, and is `None` then. It may not be `null`.
    fn omittable(self) -> Omittable<Self> {
        Omittable(self)
    }

    /// The field may be left out, and is `None` then. It may be `null`, and is `Some(None)` then.
    fn clearable(self) -> Clearable<Self> {
        Clearable(self.optional())
    }
}

/// A field, described for OpenAPI.
pub struct Property {
    pub(super) name: &'static str,
    pub(super) required: bool,
    pub(super) schema: RefOr<OpenApiSchema>,
}

/// The part of the description that all fields have.
#[derive(Clone, Copy)]
struct About {
    name: &'static str,
    description: Option<&'static str>,
    example: Option<&'static str>,
}

impl About {
    fn new(name: &'static str) -> Self {
        Self { name, description: None, example: None }
    }

    /// Adds this part to `object`.
    fn property(self, object: ObjectBuilder) -> Property {
        let object = object.description(self.description).examples(self.example);
        Property { name: self.name, required: true, schema: object.into() }
    }
}

/// A field that may be left out: [`Field::or`].
pub struct Or<F: Field> {
    field: F,
    value: F::Value,
}

impl<F: Field> Field for Or<F>
where
    F::Value: Clone + Into<Json>,
{
    type Value = F::Value;

    fn name(&self) -> &'static str {
        self.field.name()
    }

    fn read_text(&self, text: Cow<'_, str>) -> Result<Self::Value, Failure> {
        self.field.read_text(text)
    }

    fn read(&self, value: Element<'_>, at: &mut Context) -> Option<Self::Value> {
        self.field.read(value, at)
    }

    fn absent(&self) -> Option<Self::Value> {
        Some(self.value.clone())
    }

    fn property(&self) -> Property {
        let mut property = self.field.property();
        let value = Some(self.value.clone().into());
        match &mut property.schema {
            RefOr::T(OpenApiSchema::Object(object)) => object.default = value,
            RefOr::T(OpenApiSchema::Array(array)) => array.default = value,
            _ => {}
        }
        Property { required: false, ..property }
    }
}

/// A field that may be left out or be `null`: [`Field::optional`].
pub struct Optional<F>(F);

impl<F: Field> Field for Optional<F> {
    type Value = Option<F::Value>;

    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn read_text(&self, text: Cow<'_, str>) -> Result<Self::Value, Failure> {
        self.0.read_text(text).map(Some)
    }

    fn read(&self, value: Element<'_>, at: &mut Context) -> Option<Self::Value> {
        if value.is_null() { Some(None) } else { self.0.read(value, at).map(Some) }
    }

    fn absent(&self) -> Option<Self::Value> {
        Some(None)
    }

    fn property(&self) -> Property {
        let mut property = self.0.property();
        if let RefOr::T(schema) = &mut property.schema {
            or_null(schema);
        }
        Property { required: false, ..property }
    }
}

/// A field that may be left out, but not be `null`: [`Field::omittable`].
pub struct Omittable<F>(F);

impl<F: Field> Field for Omittable<F> {
    type Value = Option<F::Value>;

    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn read_text(&self, text: Cow<'_, str>) -> Result<Self::Value, Failure> {
        self.0.read_text(text).map(Some)
    }

    fn read(&self, value: Element<'_>, at: &mut Context) -> Option<Self::Value> {
        self.0.read(value, at).map(Some)
    }

    fn absent(&self) -> Option<Self::Value> {
        Some(None)
    }

    fn property(&self) -> Property {
        Property { required: false, ..self.0.property() }
    }
}

/// A field that may be left out, which is not the same as `null`: [`Field::clearable`].
pub struct Clearable<F>(Optional<F>);

impl<F: Field> Field for Clearable<F> {
    type Value = Option<Option<F::Value>>;

    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn read_text(&self, text: Cow<'_, str>) -> Result<Self::Value, Failure> {
        self.0.read_text(text).map(Some)
    }

    fn read(&self, value: Element<'_>, at: &mut Context) -> Option<Self::Value> {
        self.0.read(value, at).map(Some)
    }

    fn absent(&self) -> Option<Self::Value> {
        Some(None)
    }

    fn property(&self) -> Property {
        self.0.property()
    }
}

fn or_null(schema: &mut OpenApiSchema) {
    use utoipa::openapi::schema::SchemaType;
    let kind = match schema {
        OpenApiSchema::Object(Object { schema_type, .. }) => schema_type,
        OpenApiSchema::Array(array) => &mut array.schema_type,
        _ => return,
    };
    match kind {
        SchemaType::Type(one) => *kind = SchemaType::from_iter([one.clone(), Type::Null]),
        SchemaType::Array(types) => types.push(Type::Null),
        SchemaType::AnyValue => {}
    }
}

/// Reads a value that can only be a string.
fn read_string<F: Field>(
    field: &F,
    value: Element<'_>,
    at: &mut Context,
    other: Failure,
) -> Option<F::Value> {
    let outcome = value.as_str().map_or(Err(other), |text| field.read_text(text));
    outcome.map_or_else(|failure| at.fail(failure, Input::new(&value)), Some)
}
