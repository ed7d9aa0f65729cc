//! The fast path for reading a body that is a JSON object with few members, all of them strings.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};

/// Objects with more members take the slow path. This many are kept without an allocation.
const MAX_MEMBERS: usize = 8;

/// The members of an object.
#[derive(Default)]
pub(super) struct Flat<'a>([Option<(Text<'a>, Text<'a>)>; MAX_MEMBERS]);

impl<'a> Flat<'a> {
    /// Parses `text`, if it is such an object and no name occurs twice.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Removes the member of that name, and returns its value.
    pub(super) fn take(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let named = |member: &&mut Option<(Text<'a>, Text<'a>)>| {
            member.as_ref().is_some_and(|(found, _)| found.0 == name)
        };
        self.0.iter_mut().find(named)?.take().map(|(_, value)| value.0)
    }

    /// Whether every member was taken.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}

impl<'de> Deserialize<'de> for Flat<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Flat<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an object of at most {MAX_MEMBERS} strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut flat = Flat::default();
                let mut count = 0;
                while let Some(member) = map.next_entry::<Text<'de>, Text<'de>>()? {
                    let is_new = flat.0.iter().flatten().all(|(name, _)| name.0 != member.0.0);
                    match flat.0.get_mut(count) {
                        Some(free) if is_new => *free = Some(member),
                        _ => return Err(A::Error::custom("too many members, or two of one name")),
                    }
                    count += 1;
                }
                Ok(flat)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// A string, borrowed from the body unless it has escapes. `Cow`'s own implementation always copies.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_members_of_an_object_of_strings_are_taken_by_name() {
        let mut flat = Flat::parse(r#" {"a":"1","b\u0063":"\n"} "#).unwrap();
        assert_eq!(flat.take("bc").as_deref(), Some("\n"));
        assert!(flat.take("bc").is_none());
        assert!(!flat.is_empty());
        assert!(matches!(flat.take("a"), Some(Cow::Borrowed("1"))));
        assert!(flat.is_empty());
        assert!(Flat::parse("{}").unwrap().is_empty());
    }

    #[test]
    fn any_other_text_is_left_to_the_slow_path() {
        let many: String = (0..9).map(|i| format!(r#""{i}":"","#)).collect();
        for text in [
            "",
            "null",
            "[]",
            r#"["a"]"#,
            r#""a""#,
            r#"{"a":1}"#,
            r#"{"a":null}"#,
            r#"{"a":{}}"#,
            r#"{"a":"1"}x"#,
            r#"{"a":"1","a":"2"}"#,
            &format!("{{{}}}", many.trim_end_matches(',')),
        ] {
            assert!(Flat::parse(text).is_none(), "{text}");
        }
    }
}
