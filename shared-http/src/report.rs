//! The report of `doctor`: a line for each check. The line of a failed check says what to do.

use std::{
    fmt::{Display, Write as _},
    io::{self, Write as _},
};

use crate::{process::Failure, text::printable_line};

/// The findings so far.
#[derive(Debug, Default)]
pub struct Report {
    lines: String,
    wrong: usize,
}

impl Report {
    /// Adds a check that passed.
    pub fn good(&mut self, what: impl Display) {
        self.line("ok   ", what);
    }

    /// Adds a check that failed. `what` ends with what to do.
    pub fn wrong(&mut self, what: impl Display) {
        self.wrong += 1;
        self.line("WRONG", what);
    }

    /// Adds something that an operator should know, and that may be as intended.
    pub fn note(&mut self, what: impl Display) {
        self.line("note ", what);
    }

    fn line(&mut self, verdict: &str, what: impl Display) {
        // Writing to memory does not fail.
        let _ = writeln!(self.lines, "{verdict} {}", printable_line(&what.to_string()));
    }

    /// The lines, each with its line feed.
    pub fn lines(&self) -> &str {
        &self.lines
    }

    /// How many checks failed.
    pub fn wrong_count(&self) -> usize {
        self.wrong
    }

    /// Writes the report to stdout.
    ///
    /// # Errors
    ///
    /// A check failed, or stdout takes nothing.
    pub fn finish(&self) -> Result<(), Failure> {
        io::stdout().write_all(self.lines.as_bytes())?;
        if self.wrong == 0 { Ok(()) } else { Err(Failure::ChecksFailed(self.wrong)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_line_feeds_in_a_text_are_escaped() {
        let mut report = Report::default();
        report.note("setting: X is \u{1b}]0;owned\u{7}\nok    environment: production");
        assert_eq!(
            report.lines,
            "note  setting: X is \\u{1b}]0;owned\\u{7}\\nok    environment: production\n"
        );
    }
}
