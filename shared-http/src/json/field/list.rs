use std::{borrow::Cow, marker::PhantomData};

use serde_json::json;
use utoipa::openapi::ArrayBuilder;

use super::{About, Field, Property};
use crate::{
    error::{Input, Location},
    json::{
        document::Element,
        schema::{Context, Failure, Schema, describe, read_at},
    },
};

/// A field that is a list of objects.
pub struct ListField<T> {
    about: About,
    min: usize,
    max: usize,
    items: PhantomData<T>,
}

/// A field that is a list of at most `max` objects.
pub fn list_of<T: Schema>(name: &'static str, max: usize) -> ListField<T> {
    ListField { about: About::new(name), min: 0, max, items: PhantomData }
}

impl<T> ListField<T> {
    /// At least so many.
    pub fn min(self, items: usize) -> Self {
        Self { min: items, ..self }
    }

    /// What it is, in a sentence for the OpenAPI document.
    pub fn about(mut self, description: &'static str) -> Self {
        self.about.description = Some(description);
        self
    }

    fn wrong_length(&self, length: usize) -> Failure {
        let (kind, key, bound, limit) = if length < self.min {
            ("too_short", "min_length", "at least", self.min)
        } else {
            ("too_long", "max_length", "at most", self.max)
        };
        let plural = if limit == 1 { "" } else { "s" };
        let msg = format!("List should have {bound} {limit} item{plural} after validation, not {length}");
        Failure::new(kind, msg).with(json!({ "field_type": "List", key: limit, "actual_length": length }))
    }
}

fn no_list() -> Failure {
    Failure::new("list_type", "Input should be a valid list")
}

impl<T: Schema> Field for ListField<T> {
    type Value = Vec<T>;

    fn name(&self) -> &'static str {
        self.about.name
    }

    fn read_text(&self, _: Cow<'_, str>) -> Result<Vec<T>, Failure> {
        Err(no_list())
    }

    fn read(&self, value: Element<'_>, at: &mut Context) -> Option<Vec<T>> {
        let Some(items) = value.items() else { return at.fail(no_list(), Input::new(&value)) };
        let length = items.clone().count();
        // Before the items, so that a list that is too long is refused with one failure.
        if length > self.max {
            return at.fail(self.wrong_length(length), Input::new(&value));
        }
        let read = |(index, item)| at.enter(Location::Index(index), |at| read_at(item, at));
        // All of them, for every failure is reported.
        let items: Vec<Option<T>> = items.enumerate().map(read).collect();
        let items = items.into_iter().collect::<Option<Vec<T>>>()?;
        if length < self.min {
            return at.fail(self.wrong_length(length), Input::new(&value));
        }
        Some(items)
    }

    fn property(&self) -> Property {
        let list = ArrayBuilder::new()
            .items(describe::<T>())
            .min_items(Some(self.min))
            .max_items(Some(self.max))
            .description(self.about.description);
        Property { name: self.about.name, required: true, schema: list.into() }
    }
}
