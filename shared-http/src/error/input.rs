//! The input of a client that a 422 quotes.

use std::{
    io::{self, Write},
    sync::Arc,
};

use serde::{Serialize, Serializer, ser::Error};
use serde_json::value::RawValue;

/// The longest JSON that is quoted whole, in bytes.
const MAX_WHOLE: usize = 8192;

/// How many characters of longer JSON are quoted.
const MAX_BEGINNING: usize = 256;

/// The input of a client as JSON, for a response that quotes it. Of long input only the beginning is quoted, as a
/// string, so that a response is not many times as long as its request.
#[derive(Clone, Debug, PartialEq)]
pub struct Input(Arc<str>);

impl Input {
    /// Quotes `value`. It is written as JSON only as far as it is quoted.
    pub fn new(value: &(impl Serialize + ?Sized)) -> Self {
        let mut json = Bounded::default();
        let is_whole = serde_json::to_writer(&mut json, value).is_ok();
        let json = String::from_utf8_lossy(&json.0);
        if is_whole {
            return Self(json.into());
        }
        let beginning: String = json.chars().take(MAX_BEGINNING).chain(['…']).collect();
        Self(serde_json::Value::String(beginning).to_string().into())
    }
}

impl Serialize for Input {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json: &RawValue = serde_json::from_str(&self.0).map_err(S::Error::custom)?;
        json.serialize(serializer)
    }
}

/// Takes [`MAX_WHOLE`] bytes, and fails at the next byte.
#[derive(Default)]
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match bytes.get(..MAX_WHOLE - self.0.len()) {
            Some(fitting) if fitting.len() < bytes.len() => {
                self.0.extend_from_slice(fitting);
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => {
                self.0.extend_from_slice(bytes);
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn echo(value: &Value) -> Value {
        serde_json::to_value(Input::new(value)).unwrap()
    }

    #[test]
    fn what_is_longer_than_8192_bytes_of_json_is_cut_to_256_characters() {
        // Two quotes are part of the JSON.
        let longest = json!("é".repeat((8192 - 2) / 2));
        assert_eq!(echo(&longest), longest);
        let longer = json!(format!("{}x", "é".repeat((8192 - 2) / 2)));
        assert_eq!(echo(&longer), json!(format!("\"{}…", "é".repeat(255))));
    }

    #[test]
    fn an_object_is_cut_as_its_json_is() {
        let value = json!({"x": vec![json!({"": 1e5}); 3000]});
        let json = value.to_string();
        assert_eq!(echo(&value), json!(format!("{}…", &json[..256])));
        assert_eq!(echo(&json!({"x": [1.50, -0.0, null]})).to_string(), r#"{"x":[1.5,-0.0,null]}"#);
    }

    #[test]
    fn control_characters_count_as_they_are_written() {
        // Six bytes each.
        let text = "\u{1}".repeat(1365);
        assert_eq!(echo(&json!(text)), json!(text));
        assert_eq!(echo(&json!("\u{1}".repeat(1366))).as_str().unwrap().chars().count(), 257);
    }
}
