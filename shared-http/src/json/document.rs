//! A parsed JSON text. When it is echoed, objects keep the order of their members, and numbers their digits.
//!
//! A body of 64 KiB can hold ten thousand objects, and a map for each would take megabytes. So only the text and the
//! positions of its values are kept: 12 bytes for each value.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
};

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Number;

use super::cpython::{self, Fault, Node};

/// A text that was parsed.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    text: &'a str,
    nodes: Vec<Node>,
}

impl<'a> Document<'a> {
    /// Parses `text`, from which a byte order mark has been removed.
    pub(crate) fn parse(text: &'a str) -> Result<Self, Fault> {
        Ok(Self { text, nodes: cpython::parse(text)? })
    }

    /// The value that the whole text is.
    pub(crate) fn root(&self) -> Element<'_> {
        Element { document: self, index: 0 }
    }
}

/// A value of a document. It is serialised as `CPython` would echo it: of members with equal names only one is kept,
/// with the value of the last at the position of the first.
#[derive(Clone, Copy)]
pub struct Element<'a> {
    document: &'a Document<'a>,
    index: usize,
}

impl<'a> Element<'a> {
    pub fn is_object(self) -> bool {
        self.source().starts_with('{')
    }

    pub fn is_null(self) -> bool {
        self.source() == "null"
    }

    /// The text of a string.
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        self.source().starts_with('"').then(|| self.decoded())
    }

    /// A number, as it is written.
    pub fn as_number(self) -> Option<&'a str> {
        self.source().starts_with(|first: char| first == '-' || first.is_ascii_digit()).then(|| self.source())
    }

    pub fn as_bool(self) -> Option<bool> {
        match self.source() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// The items of an array.
    pub fn items(self) -> Option<impl Iterator<Item = Self> + Clone> {
        self.source().starts_with('[').then(|| self.children())
    }

    /// The value of the last member of that name.
    pub fn member(self, name: &str) -> Option<Self> {
        let named = self.members().filter(|(found, _)| found.decoded() == name);
        named.map(|(_, value)| value).last()
    }

    fn members(self) -> impl Iterator<Item = (Self, Self)> {
        let mut children = self.children();
        std::iter::from_fn(move || Some((children.next()?, children.next()?)))
    }

    /// The items of an array; the names and values of an object alternating.
    fn children(self) -> impl Iterator<Item = Self> + Clone {
        let end = self.next();
        let first = Self { index: self.index + 1, ..self };
        std::iter::successors(Some(first), |child| Some(Self { index: child.next(), ..*child }))
            .take_while(move |child| child.index < end)
    }

    fn next(self) -> usize {
        self.document.nodes.get(self.index).map_or(usize::MAX, |node| node.next as usize)
    }

    fn source(self) -> &'a str {
        let span = self.document.nodes.get(self.index).map(|node| node.start as usize..node.end as usize);
        span.and_then(|span| self.document.text.get(span)).unwrap_or_default()
    }

    fn decoded(self) -> Cow<'a, str> {
        cpython::decode(self.source())
    }
}

impl Serialize for Element<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let source = self.source();
        match source.as_bytes().first() {
            Some(b'{') => {
                let members = last_of_equal_names(self.members());
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    map.serialize_entry(&name, &value)?;
                }
                map.end()
            }
            Some(b'[') => serializer.collect_seq(self.children()),
            Some(b'"') => serializer.serialize_str(&self.decoded()),
            Some(b't') => serializer.serialize_bool(true),
            Some(b'f') => serializer.serialize_bool(false),
            Some(b'n') | None => serializer.serialize_unit(),
            Some(_) => source.parse::<Number>().map_err(serde::ser::Error::custom)?.serialize(serializer),
        }
    }
}

fn last_of_equal_names<'a>(
    members: impl Iterator<Item = (Element<'a>, Element<'a>)>,
) -> Vec<(Cow<'a, str>, Element<'a>)> {
    let mut last: Vec<(Cow<'a, str>, Element<'a>)> = Vec::new();
    let mut positions = HashMap::new();
    for (name, value) in members {
        let name = name.decoded();
        match positions.entry(name.clone()) {
            Entry::Vacant(place) => {
                place.insert(last.len());
                last.push((name, value));
            }
            Entry::Occupied(place) => {
                if let Some(member) = last.get_mut(*place.get()) {
                    member.1 = value;
                }
            }
        }
    }
    last
}
