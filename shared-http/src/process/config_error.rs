use std::process::ExitCode;

/// `EX_CONFIG` of sysexits.h: a configuration error.
const EX_CONFIG: u8 = 78;

/// What is wrong with the settings: one sentence a mistake.
#[derive(Debug, thiserror::Error)]
#[error("cannot start, the configuration is wrong:\n  {}\nSee --help for every setting.", .0.join("\n  "))]
pub struct ConfigError(Vec<String>);

impl ConfigError {
    pub(crate) fn new(mistakes: Vec<String>) -> Self {
        Self(mistakes)
    }

    /// Adds what may have caused a mistake, such as a setting whose name was mistyped.
    #[must_use]
    pub fn with_hints<'a>(mut self, hints: impl Iterator<Item = &'a str>) -> Self {
        self.0.extend(hints.map(str::to_owned));
        self
    }

    /// One sentence a mistake.
    pub fn mistakes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl From<&ConfigError> for ExitCode {
    fn from(_: &ConfigError) -> Self {
        Self::from(EX_CONFIG)
    }
}
