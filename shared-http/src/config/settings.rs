//! Reads settings, and collects what is wrong with them.

use std::str::FromStr;

use crate::process::ConfigError;

/// Reads settings one by one and remembers what is wrong with them.
#[derive(Debug, Default)]
pub struct Settings {
    mistakes: Vec<String>,
}

impl Settings {
    /// Parses the value `given` for `variable`. If it is unset or empty, returns `default`. If `parse` refuses it,
    /// remembers a mistake, which says what is `allowed`, and returns `default` too.
    pub fn read<T>(
        &mut self,
        variable: &str,
        given: &Option<String>,
        default: T,
        allowed: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> T {
        let Some(text) = set(given) else { return default };
        parse(text).unwrap_or_else(|| {
            self.mistake(format!("{variable} is {text:?}; it may be {allowed}"));
            default
        })
    }

    /// Reads a whole number from `least` to `most`.
    pub fn number(
        &mut self,
        variable: &str,
        given: &Option<String>,
        default: u64,
        least: u64,
        most: u64,
    ) -> u64 {
        let allowed = format!("a whole number from {least} to {most}");
        self.read(variable, given, default, &allowed, |text| {
            parse(text).filter(|number| (least..=most).contains(number))
        })
    }

    /// Remembers a mistake: a sentence that names the variable and says what to do. It holds no secret.
    pub fn mistake(&mut self, sentence: String) {
        self.mistakes.push(sentence);
    }

    /// Returns `value` if there were no mistakes.
    ///
    /// # Errors
    ///
    /// All mistakes.
    pub fn finish<T>(self, value: T) -> Result<T, ConfigError> {
        if self.mistakes.is_empty() { Ok(value) } else { Err(ConfigError::new(self.mistakes)) }
    }
}

/// The value that is given, trimmed. Empty counts as unset, because compose files pass `VARIABLE=` for an unset
/// variable.
pub fn set(given: &Option<String>) -> Option<&str> {
    given.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

pub(super) fn parse<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}
