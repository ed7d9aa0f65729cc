//! Settings as `doctor` shows them to an operator.

use std::{collections::BTreeMap, fmt::Display};

use serde::{Deserialize, Serialize};

/// Settings in effect, by environment variable. Of a secret they hold only how strong it is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct ShownSettings(BTreeMap<String, String>);

impl ShownSettings {
    /// Adds a setting. Of a secret, add only how strong it is.
    pub fn show(&mut self, variable: &str, value: impl Display) {
        self.0.insert(variable.to_owned(), value.to_string());
    }

    /// The value of a setting. Empty if the service has no setting of that name.
    pub fn get(&self, variable: &str) -> &str {
        self.0.get(variable).map_or("", String::as_str)
    }

    /// The variables that are in both with different values: variable, our value, their value.
    pub fn differences<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
        self.0.iter().filter_map(|(variable, ours)| {
            let theirs = other.0.get(variable).filter(|theirs| *theirs != ours)?;
            Some((variable.as_str(), ours.as_str(), theirs.as_str()))
        })
    }
}

/// How a setting is shown that is not set.
pub const NONE: &str = "none";

/// An optional setting for [`ShownSettings::show`]: [`NONE`] where there is none.
pub fn or_none(value: Option<impl Display>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| value.to_string())
}
