//! Escapes text from users before an operator sees it on a terminal.

use std::fmt::{self, Display, Write};

/// Characters of a name that are shown.
const MAX_NAME: usize = 64;

/// Characters of a sentence that are shown.
const MAX_SENTENCE: usize = 256;

/// Characters of a line that are shown: the longest path fits.
const MAX_LINE: usize = 8192;

/// `text` on a terminal: what could move the cursor, change the direction of the line or be invisible is
/// escaped as in a Rust string, and what is longer than 64 characters is cut and ends with `…`.
pub fn printable(text: &str) -> impl Display + use<'_> {
    Printable { text, max_chars: MAX_NAME, escapes_backslash: true }
}

/// The same for a sentence, such as another service sends: it is cut after 256 characters.
pub fn printable_sentence(text: &str) -> impl Display + use<'_> {
    Printable { text, max_chars: MAX_SENTENCE, escapes_backslash: true }
}

/// A whole line for a terminal, put together from any texts: as [`printable`], but of 8192 characters, and a backslash
/// is not escaped, for parts of the line may be escaped already.
pub(crate) fn printable_line(line: &str) -> impl Display + use<'_> {
    Printable { text: line, max_chars: MAX_LINE, escapes_backslash: false }
}

struct Printable<'a> {
    text: &'a str,
    max_chars: usize,
    escapes_backslash: bool,
}

impl Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.text.chars();
        for character in characters.by_ref().take(self.max_chars) {
            match character {
                // Nothing is quoted here, so quotes do no harm.
                '"' | '\'' => f.write_char(character)?,
                '\\' if !self.escapes_backslash => f.write_char(character)?,
                _ => write!(f, "{}", character.escape_debug())?,
            }
        }
        if characters.next().is_some() { f.write_char('…') } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        printable(text).to_string()
    }

    #[test]
    fn names_stay_readable() {
        for name in ["siti", "O'Brien \"Bri\"", "s\u{ed}ti", "シティ", "Ситі", "سيتي", "🎫"] {
            assert_eq!(shown(name), name);
        }
        assert_eq!(shown(&"x".repeat(64)), "x".repeat(64));
    }

    #[test]
    fn control_and_invisible_characters_are_escaped() {
        for (text, expected) in [
            ("a\x1b[2Jb\r\n\tc\0\x7f", r"a\u{1b}[2Jb\r\n\tc\0\u{7f}"),
            // C1: an escape sequence without ESC.
            ("\u{9b}2J\u{85}", r"\u{9b}2J\u{85}"),
            // Overrides, embeddings, isolates and marks of direction.
            ("\u{202e}nimda\u{202c}", r"\u{202e}nimda\u{202c}"),
            ("\u{2066}\u{2069}\u{200f}\u{61c}", r"\u{2066}\u{2069}\u{200f}\u{61c}"),
            // Invisible, breaking the line, or drawn over the line above.
            ("\u{200b}\u{feff}\u{ad}\u{2028}\u{301}", r"\u{200b}\u{feff}\u{ad}\u{2028}\u{301}"),
            // A backslash is escaped, so that a user cannot write text that looks escaped.
            (r"\u{1b}", r"\\u{1b}"),
        ] {
            assert_eq!(shown(text), expected);
        }
        for code in (0..0x20).chain(0x7f..0xa0) {
            let character = char::from(code);
            assert!(shown(&character.to_string()).starts_with('\\'), "{code:#x}");
        }
    }

    #[test]
    fn a_line_is_not_escaped_twice_and_has_room_for_a_path() {
        let line = format!("ok    \u{1b}]0;owned\u{7}\nWRONG {} of {:?}", printable("a\u{1b}"), "/data\t");
        let expected = r#"ok    \u{1b}]0;owned\u{7}\nWRONG a\u{1b} of "/data\t""#;
        assert_eq!(printable_line(&line).to_string(), expected);
        let path = "x".repeat(4096);
        assert_eq!(printable_line(&path).to_string(), path);
        assert_eq!(printable_line(&"x".repeat(9000)).to_string(), "x".repeat(8192) + "…");
    }

    #[test]
    fn what_is_long_is_cut_between_characters() {
        assert_eq!(shown(&"🎫".repeat(65)), "🎫".repeat(64) + "…");
        assert_eq!(shown(&"\x1b".repeat(1000)), r"\u{1b}".repeat(64) + "…");
    }
}
