//! What is wrong with a text that `serde_json` refused, in the words of `CPython`'s json module (3.11).
//!
//! Clients see those words and the place they point at, so both follow the C scanner (`_json.c`),
//! which differs in details from the Python one. Where `CPython` is laxer than JSON (`NaN`, lone
//! surrogates, numbers without bound) the words are ours.

/// `serde_json` starts at 128 and refuses on reaching zero, so the 128th bracket is one too many.
const MAX_DEPTH: usize = 127;

const EXPECTING_VALUE: &str = "Expecting value";
const LONE_SURROGATE: &str = "Lone surrogate in string";

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `offset` counts Unicode code points.
    Syntax {
        offset: usize,
        message: &'static str,
    },
    TooDeep,
}

/// Finds the first fault of `text`, from which a byte order mark has been removed.
pub(crate) fn diagnose(text: &str) -> Fault {
    let mut scanner = Scanner { text, at: 0, depth: 0 };
    // The grammar is serde_json's, so the fallback serves one refused text only: an object whose first
    // key is the name under which serde_json smuggles numbers of arbitrary precision.
    match scanner.document() {
        Err(Fault::TooDeep) => Fault::TooDeep,
        Err(Fault::Syntax { offset, message }) => {
            Fault::Syntax { offset: text.char_indices().take_while(|(i, _)| *i < offset).count(), message }
        }
        Ok(()) => Fault::Syntax { offset: 0, message: EXPECTING_VALUE },
    }
}

type Scan<T = ()> = Result<T, Fault>;

/// Counts in bytes: a fault's offset becomes code points once, in [`diagnose`].
struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Scanner<'_> {
    fn document(&mut self) -> Scan {
        self.value()?;
        if self.at < self.text.len() {
            return self.fail("Extra data");
        }
        Ok(())
    }

    fn value(&mut self) -> Scan {
        self.whitespace();
        match self.peek() {
            Some(b'"') => self.string()?,
            Some(b'{') => self.nested("}", Self::member)?,
            Some(b'[') => self.nested("]", Self::value)?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ if ["null", "true", "false"].iter().any(|word| self.eat(word)) => {}
            _ => return self.fail(EXPECTING_VALUE),
        }
        self.whitespace();
        Ok(())
    }

    fn nested(&mut self, close: &str, item: fn(&mut Self) -> Scan) -> Scan {
        if self.depth == MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
        self.depth += 1;
        self.at += 1;
        self.whitespace();
        if !self.eat(close) {
            item(self)?;
            while !self.eat(close) {
                self.require(",", "Expecting ',' delimiter")?;
                item(self)?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn member(&mut self) -> Scan {
        self.whitespace();
        if self.peek() != Some(b'"') {
            return self.fail("Expecting property name enclosed in double quotes");
        }
        self.string()?;
        self.whitespace();
        self.require(":", "Expecting ':' delimiter")?;
        self.value()
    }

    fn string(&mut self) -> Scan {
        let start = self.at;
        self.at += 1;
        while !self.eat("\"") {
            match self.peek() {
                None => return fail_at(start, "Unterminated string starting at"),
                Some(b'\\') if self.at + 1 < self.text.len() => self.escape()?,
                Some(..b' ') => return self.fail("Invalid control character at"),
                Some(_) => self.at += 1,
            }
        }
        Ok(())
    }

    fn escape(&mut self) -> Scan {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => match self.hex()? {
                // Whether the half is lone shows only once the second escape is read, and a broken
                // one stops CPython right there.
                0xD800..=0xDBFF if self.rest().starts_with(b"\\u") => {
                    self.at += 1;
                    if !matches!(self.hex()?, 0xDC00..=0xDFFF) {
                        return fail_at(start, LONE_SURROGATE);
                    }
                }
                0xD800..=0xDFFF => return fail_at(start, LONE_SURROGATE),
                _ => {}
            },
            _ => return fail_at(start, "Invalid \\escape"),
        }
        Ok(())
    }

    /// Reads `uXXXX`. At the very end of the text `CPython` blames the escape, whole as it is,
    /// rather than the missing quote.
    fn hex(&mut self) -> Scan<u32> {
        let digits = self.at + 1;
        let end = digits + 4;
        let hex = self.text.get(digits..end).filter(|_| end < self.text.len());
        let code = hex.and_then(|hex| hex.chars().try_fold(0, |code, c| Some(code * 16 + c.to_digit(16)?)));
        let Some(code) = code else {
            return self.fail("Invalid \\uXXXX escape");
        };
        self.at = end;
        Ok(code)
    }

    /// Takes the longest number there is: what follows, as in `01` or `1.`, is the caller's.
    fn number(&mut self) -> Scan {
        let start = self.at;
        self.eat("-");
        if !self.eat("0") && !self.digits() {
            return fail_at(start, EXPECTING_VALUE);
        }
        self.optional(|s| s.eat(".") && s.digits());
        self.optional(|s| {
            let marked = s.eat("e") || s.eat("E");
            let _ = s.eat("+") || s.eat("-");
            marked && s.digits()
        });
        match self.text.get(start..self.at).map(str::parse::<f64>) {
            Some(Ok(number)) if number.is_finite() => Ok(()),
            _ => fail_at(start, "Number out of range"),
        }
    }

    fn digits(&mut self) -> bool {
        let digits = self.rest().iter().take_while(|b| b.is_ascii_digit());
        let count = digits.count();
        self.at += count;
        count > 0
    }

    fn optional(&mut self, part: fn(&mut Self) -> bool) {
        let start = self.at;
        if !part(self) {
            self.at = start;
        }
    }

    fn whitespace(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token.as_bytes());
        if found {
            self.at += token.len();
        }
        found
    }

    fn require(&mut self, token: &str, message: &'static str) -> Scan {
        if self.eat(token) {
            return Ok(());
        }
        self.fail(message)
    }

    fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    fn rest(&self) -> &[u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn fail<T>(&self, message: &'static str) -> Scan<T> {
        fail_at(self.at, message)
    }
}

fn fail_at<T>(offset: usize, message: &'static str) -> Scan<T> {
    Err(Fault::Syntax { offset, message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn check(cases: &[(&str, usize, &'static str)]) {
        for &(text, offset, message) in cases {
            assert_eq!(diagnose(text), Fault::Syntax { offset, message }, "{text:?}");
        }
    }

    /// The table is the output of `CPython` 3.11.
    #[test]
    #[rustfmt::skip]
    fn says_what_cpython_says() {
        check(&[
            ("", 0, "Expecting value"),
            ("  \n", 3, "Expecting value"),
            ("{", 1, "Expecting property name enclosed in double quotes"),
            (" { ", 3, "Expecting property name enclosed in double quotes"),
            ("[", 1, "Expecting value"),
            ("[1,", 3, "Expecting value"),
            ("[1,]", 3, "Expecting value"),
            ("[,]", 1, "Expecting value"),
            ("[1 2]", 3, "Expecting ',' delimiter"),
            ("[1", 2, "Expecting ',' delimiter"),
            ("{\"a\":1,}", 7, "Expecting property name enclosed in double quotes"),
            ("{,}", 1, "Expecting property name enclosed in double quotes"),
            ("{a:1}", 1, "Expecting property name enclosed in double quotes"),
            ("{'a':1}", 1, "Expecting property name enclosed in double quotes"),
            ("{\"a\"}", 4, "Expecting ':' delimiter"),
            ("{\"a\" 1}", 5, "Expecting ':' delimiter"),
            ("{\"a\":", 5, "Expecting value"),
            ("{\"a\":}", 5, "Expecting value"),
            ("{\"a\":1", 6, "Expecting ',' delimiter"),
            ("{\"a\":1 \"b\":2}", 7, "Expecting ',' delimiter"),
            ("{\"a\":1]", 6, "Expecting ',' delimiter"),
            ("[1}", 2, "Expecting ',' delimiter"),
            ("{\"a\":1}}", 7, "Extra data"),
            ("[] []", 3, "Extra data"),
            ("nul", 0, "Expecting value"),
            ("nullx", 4, "Extra data"),
            ("True", 0, "Expecting value"),
            ("\u{a0}", 0, "Expecting value"),
            ("\u{feff}1", 0, "Expecting value"),
            ("\u{b}1", 0, "Expecting value"),
            ("-", 0, "Expecting value"),
            ("[-]", 1, "Expecting value"),
            ("-a", 0, "Expecting value"),
            ("01", 1, "Extra data"),
            ("-01", 2, "Extra data"),
            ("1.", 1, "Extra data"),
            (".5", 0, "Expecting value"),
            ("+1", 0, "Expecting value"),
            ("1e", 1, "Extra data"),
            ("1e+", 1, "Extra data"),
            ("1.e3", 1, "Extra data"),
            ("\"", 0, "Unterminated string starting at"),
            ("\"abc", 0, "Unterminated string starting at"),
            (" \"a\\", 1, "Unterminated string starting at"),
            ("\"a\\\"", 0, "Unterminated string starting at"),
            ("\"\n\"", 1, "Invalid control character at"),
            ("\"é\t\"", 2, "Invalid control character at"),
            ("\"\\x\"", 1, "Invalid \\escape"),
            ("\"é\\U0041\"", 2, "Invalid \\escape"),
            ("\"\\u12\"", 2, "Invalid \\uXXXX escape"),
            ("\"\\u12é4\"", 2, "Invalid \\uXXXX escape"),
            ("\"\\u+123\"", 2, "Invalid \\uXXXX escape"),
            ("\"\\u1234", 2, "Invalid \\uXXXX escape"),
            ("\"\\ud83d\\ude00", 8, "Invalid \\uXXXX escape"),
            ("\"\\ud83d\\uZZZZ\"", 8, "Invalid \\uXXXX escape"),
            ("{\"é\":\"日本\",\"😀\" 1}", 14, "Expecting ':' delimiter"),
            ("[\"😀😀\",é]", 6, "Expecting value"),
            ("{\"naïve\":\"ü\\q\"}", 11, "Invalid \\escape"),
            ("\"日本\" x", 5, "Extra data"),
            ("{\"é\":\"😀", 5, "Unterminated string starting at"),
        ]);
    }

    #[test]
    #[rustfmt::skip]
    fn refuses_what_cpython_lets_pass() {
        let long = "9".repeat(400);
        check(&[
            ("NaN", 0, "Expecting value"),
            ("[1, Infinity]", 4, "Expecting value"),
            ("{\"é\": -Infinity}", 6, "Expecting value"),
            ("\"é\\ud800\"", 2, "Lone surrogate in string"),
            ("\"\\udc00\"", 1, "Lone surrogate in string"),
            ("\"\\ud800\\ud800\"", 1, "Lone surrogate in string"),
            ("\"\\ud83d\\ude00\\ud800\\n", 13, "Lone surrogate in string"),
            ("[\"é\", 1e400", 6, "Number out of range"),
            ("-1e309", 0, "Number out of range"),
            (&long, 0, "Number out of range"),
        ]);
    }

    #[test]
    fn agrees_with_serde_json_on_depth() {
        for open in ["[", "{\"a\":"] {
            let close = if open == "[" { "]" } else { "}" };
            let nested = |depth| format!("{}1{}", open.repeat(depth), close.repeat(depth));
            assert!(serde_json::from_str::<Value>(&nested(MAX_DEPTH)).is_ok());
            assert!(serde_json::from_str::<Value>(&nested(MAX_DEPTH + 1)).is_err());
            assert_eq!(diagnose(&nested(MAX_DEPTH + 1)), Fault::TooDeep);
            assert_eq!(diagnose(&open.repeat(1_000_000)), Fault::TooDeep);
            check(&[(&(nested(MAX_DEPTH) + "x"), nested(MAX_DEPTH).len(), "Extra data")]);
        }
    }
}
