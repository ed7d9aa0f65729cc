//! JSON as `CPython`'s json module (3.11) reads it, for the bodies that need its words.
//!
//! Clients see what it says of a broken text and where, so both follow the C scanner (`_json.c`), which
//! differs in details from the Python one. Where `CPython` is laxer than JSON (`NaN`, lone surrogates,
//! numbers without bound) the words are ours. What it reads is echoed, so objects keep their order and
//! numbers their digits.

use std::borrow::Cow;

use serde_json::Number;

use super::document::{Document, Node};

/// As deep as `serde_json` goes.
const MAX_DEPTH: usize = 127;

const EXPECTING_VALUE: &str = "Expecting value";
const LONE_SURROGATE: &str = "Lone surrogate in string";
const OUT_OF_RANGE: &str = "Number out of range";

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `offset` counts Unicode code points.
    Syntax {
        offset: usize,
        message: &'static str,
    },
    TooDeep,
}

/// Reads `text`, from which a byte order mark has been removed, or finds its first fault.
pub(crate) fn parse(text: &str) -> Result<Document<'_>, Fault> {
    let mut scanner = Scanner { text, at: 0, depth: 0, nodes: Vec::new() };
    match scanner.document() {
        Ok(()) => Ok(Document { text, nodes: scanner.nodes }),
        Err(Fault::TooDeep) => Err(Fault::TooDeep),
        Err(Fault::Syntax { offset, message }) => {
            let offset = text.char_indices().take_while(|(i, _)| *i < offset).count();
            Err(Fault::Syntax { offset, message })
        }
    }
}

/// The text of `source`, a string of a text that was read.
pub(super) fn decode(source: &str) -> Cow<'_, str> {
    let mut scanner = Scanner { text: source, at: 0, depth: 0, nodes: Vec::new() };
    scanner.string().unwrap_or_default()
}

type Scan<T = ()> = Result<T, Fault>;

/// Counts in bytes: a fault's offset becomes code points once, in [`parse`].
struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    nodes: Vec<Node>,
}

impl<'a> Scanner<'a> {
    fn document(&mut self) -> Scan {
        self.value()?;
        if self.at < self.text.len() {
            return self.fail("Extra data");
        }
        Ok(())
    }

    fn value(&mut self) -> Scan {
        self.whitespace();
        self.node(|scanner| match scanner.peek() {
            Some(b'"') => scanner.string().map(drop),
            Some(b'{') => scanner.object(),
            Some(b'[') => scanner.nested("]", Self::value),
            Some(b'-' | b'0'..=b'9') => scanner.number(),
            _ if scanner.eat("null") || scanner.eat("true") || scanner.eat("false") => Ok(()),
            _ => scanner.fail(EXPECTING_VALUE),
        })?;
        self.whitespace();
        Ok(())
    }

    fn object(&mut self) -> Scan {
        self.nested("}", |scanner| {
            scanner.whitespace();
            if scanner.peek() != Some(b'"') {
                return scanner.fail("Expecting property name enclosed in double quotes");
            }
            scanner.node(|scanner| scanner.string().map(drop))?;
            scanner.whitespace();
            scanner.require(":", "Expecting ':' delimiter")?;
            scanner.value()
        })
    }

    /// Notes where what `read` reads begins and ends.
    fn node(&mut self, read: impl FnOnce(&mut Self) -> Scan) -> Scan {
        let index = self.nodes.len();
        self.nodes.push(Node { start: self.at as u32, end: 0, next: 0 });
        read(self)?;
        let (end, next) = (self.at as u32, self.nodes.len() as u32);
        if let Some(node) = self.nodes.get_mut(index) {
            (node.end, node.next) = (end, next);
        }
        Ok(())
    }

    fn nested(&mut self, close: &str, mut item: impl FnMut(&mut Self) -> Scan) -> Scan {
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

    fn string(&mut self) -> Scan<Cow<'a, str>> {
        let start = self.at;
        self.at += 1;
        let mut string = Cow::Borrowed("");
        let mut plain = self.at;
        loop {
            match self.peek() {
                None => return fail_at(start, "Unterminated string starting at"),
                Some(b'"') => break,
                Some(b'\\') if self.at + 1 < self.text.len() => {
                    string += self.slice(plain, self.at);
                    string.to_mut().push(self.escape()?);
                    plain = self.at;
                }
                Some(..b' ') => return self.fail("Invalid control character at"),
                Some(_) => self.at += 1,
            }
        }
        string += self.slice(plain, self.at);
        self.at += 1;
        Ok(string)
    }

    fn escape(&mut self) -> Scan<char> {
        let start = self.at;
        self.at += 1;
        let plain = match self.peek() {
            Some(plain @ (b'"' | b'\\' | b'/')) => plain,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => return self.unicode(start),
            _ => return fail_at(start, "Invalid \\escape"),
        };
        self.at += 1;
        Ok(char::from(plain))
    }

    /// Reads `uXXXX`, or `uXXXX\uXXXX` where it takes two halves to make a character.
    fn unicode(&mut self, start: usize) -> Scan<char> {
        let mut code = self.hex()?;
        // Whether a half is lone shows only once the second escape is read, and a broken one stops
        // CPython right there.
        if (0xD800..0xDC00).contains(&code) && self.rest().starts_with(b"\\u") {
            self.at += 1;
            let low = self.hex()?;
            if (0xDC00..0xE000).contains(&low) {
                code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
            }
        }
        char::from_u32(code).map_or_else(|| fail_at(start, LONE_SURROGATE), Ok)
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
        match self.slice(start, self.at).parse::<Number>() {
            Ok(number) if number.as_f64().is_some_and(f64::is_finite) => Ok(()),
            _ => fail_at(start, OUT_OF_RANGE),
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

    /// Both ends are at ASCII bytes, so they part no character.
    fn slice(&self, from: usize, to: usize) -> &'a str {
        self.text.get(from..to).unwrap_or_default()
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
    use std::process::{Command, Stdio};

    use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
    use serde_json::Value;

    use super::*;

    /// What a text means, as it would be echoed.
    fn echo(text: &str) -> Option<String> {
        serde_json::to_string(&parse(text).ok()?.root()).ok()
    }

    fn check(cases: &[(&str, usize, &'static str)]) {
        for &(text, offset, message) in cases {
            assert_eq!(parse(text), Err(Fault::Syntax { offset, message }), "{text:?}");
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
            assert_eq!(parse(&nested(MAX_DEPTH + 1)), Err(Fault::TooDeep));
            assert_eq!(parse(&open.repeat(1_000_000)), Err(Fault::TooDeep));
            check(&[(&(nested(MAX_DEPTH) + "x"), nested(MAX_DEPTH).len(), "Extra data")]);
        }
    }

    #[test]
    fn keeps_order_digits_and_the_last_of_equal_keys() {
        let text = r#" {"z": [1.0, -0, 12345678901234567890123, 1e5], "a": null, "z2": true, "a": "\u00e9\ud83d\ude00\n"} "#;
        let expected = r#"{"z":[1.0,-0,12345678901234567890123,1e+5],"a":"é😀\n","z2":true}"#;
        assert_eq!(echo(text).unwrap(), expected);
        let private = r#"{"$serde_json::private::Number":"5"}"#;
        assert_eq!(echo(private).unwrap(), private);
    }

    proptest! {
        #[test]
        fn reads_what_serde_json_reads(text in r#"[\[\]{}:,"\\0-9a-fA-F.eEtrulnsx+ é\t-]{0,12}"#) {
            let theirs = serde_json::from_str::<Value>(&text).ok();
            let theirs = theirs.filter(|value| value.as_number().is_none_or(|number| number.as_f64().is_some()));
            prop_assert_eq!(echo(&text), theirs.map(|value| value.to_string()));
        }

        #[test]
        fn reads_every_string_and_number(string: String, number in any::<f64>(), integer: i64) {
            let value = serde_json::json!({ &string: [string, number, integer] });
            prop_assert_eq!(echo(&value.to_string()), Some(value.to_string()));
        }
    }
    /// Reads a list of texts, and answers for each where and why `json` refuses it, or `null`.
    const PYTHON: &str = r#"
import json, sys
def fault(text):
    try: json.loads(text)
    except json.JSONDecodeError as e: return [e.pos, e.msg]
print(json.dumps([fault(text) for text in json.load(sys.stdin)]))
"#;

    #[test]
    #[ignore = "needs Python 3.11 or 3.12; .ci/run runs it"]
    fn says_what_cpython_says_of_anything() {
        let pieces = [
            "{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\"a\":", "\\", "\\n", "\\u", "\\u00e9", "\\ud83d",
            "\\ude00", "0", "-", "7", ".5", "e", "E+", "1e999", "null", "true", "false", "nul", "é", "😀",
            " ", "\n", "\t", "\0", "\u{a0}", "\u{feff}",
        ];
        let texts = prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..14);
        let mut runner = TestRunner::default();
        let texts: Vec<_> =
            std::iter::repeat_with(|| texts.new_tree(&mut runner).unwrap().current().concat())
                // `loads` of a text refuses what we take away before we parse.
                .filter(|text| !text.starts_with('\u{feff}'))
                .take(200_000)
                .collect();

        let mut command = Command::new("python3");
        let mut python =
            command.args(["-c", PYTHON]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        serde_json::to_writer(python.stdin.take().unwrap(), &texts).unwrap();
        let output = python.wait_with_output().unwrap();
        let theirs: Vec<Option<(usize, String)>> = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(theirs.len(), texts.len());
        for (text, theirs) in texts.iter().zip(theirs) {
            match parse(text) {
                // Where CPython is laxer it reads on.
                Err(Fault::Syntax { message: LONE_SURROGATE | OUT_OF_RANGE, .. }) => {}
                Err(Fault::Syntax { offset, message }) => {
                    assert_eq!(Some((offset, message.to_owned())), theirs, "{text:?}");
                }
                ours => assert_eq!((ours.is_ok(), &theirs), (true, &None), "{text:?}"),
            }
        }
    }
}
