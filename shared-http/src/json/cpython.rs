//! A JSON parser that reports the errors of `CPython`'s json module (3.11).
//!
//! Clients see the messages and offsets of errors. Both are those of the C scanner (`_json.c`), which differs in
//! details from the Python one. `CPython` accepts some texts that are no JSON: `NaN`, lone surrogates and numbers of
//! any size. They are refused here, with messages of our own.

use std::borrow::Cow;

use serde_json::Number;

/// The deepest nesting that is read, the same as that of `serde_json`.
pub(super) const MAX_DEPTH: usize = 127;

/// How many values and names of members a text may have. A body of 64 KiB cannot have as many, and a list of 50,000 tickets
/// has a third of them. Each takes 12 bytes.
pub(super) const MAX_NODES: usize = 1 << 20;

const EXPECTING_VALUE: &str = "Expecting value";
pub(super) const LONE_SURROGATE: &str = "Lone surrogate in string";
pub(super) const OUT_OF_RANGE: &str = "Number out of range";

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `offset` counts Unicode code points.
    Syntax {
        offset: usize,
        message: &'static str,
    },
    TooDeep,
    TooMany,
}

/// The position of one value, or of the name of a member, in a text. No body is too long for `u32`.
#[derive(Debug, PartialEq)]
pub(super) struct Node {
    /// Its first byte, and the first byte after it.
    pub(super) start: u32,
    pub(super) end: u32,
    /// The number of the first node that is not inside this one.
    pub(super) next: u32,
}

/// Parses `text`, from which a byte order mark has been removed. Returns its values and names in the order in which
/// they begin, or its first fault.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, Fault> {
    let mut scanner = Scanner { text, at: 0, depth: 0, nodes: Vec::new() };
    match scanner.document() {
        Ok(()) => Ok(scanner.nodes),
        Err(Fault::Syntax { offset, message }) => {
            let offset = text.char_indices().take_while(|(i, _)| *i < offset).count();
            Err(Fault::Syntax { offset, message })
        }
        Err(fault) => Err(fault),
    }
}

/// Decodes a string that [`parse`] has read. `source` is the string with its quotes.
pub(super) fn decode(source: &str) -> Cow<'_, str> {
    let mut scanner = Scanner { text: source, at: 0, depth: 0, nodes: Vec::new() };
    scanner.string().unwrap_or_default()
}

type Scan<T = ()> = Result<T, Fault>;

/// Its offsets are in bytes. [`parse`] converts that of a fault to code points.
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

    /// Adds a node for what `read` reads.
    fn node(&mut self, read: impl FnOnce(&mut Self) -> Scan) -> Scan {
        let index = self.nodes.len();
        if index == MAX_NODES {
            return Err(Fault::TooMany);
        }
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

    /// Reads `uXXXX`, or the two escapes `uXXXX\uXXXX` of a surrogate pair.
    fn unicode(&mut self, start: usize) -> Scan<char> {
        let mut code = self.hex()?;
        // Whether a surrogate is lone is known only after the second escape. If that is malformed, CPython reports it
        // instead.
        if (0xD800..0xDC00).contains(&code) && self.rest().starts_with(b"\\u") {
            self.at += 1;
            let low = self.hex()?;
            if (0xDC00..0xE000).contains(&low) {
                code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
            }
        }
        char::from_u32(code).map_or_else(|| fail_at(start, LONE_SURROGATE), Ok)
    }

    /// Reads `uXXXX`. If the text ends right after it, `CPython` reports the escape as invalid, and not the missing
    /// quote.
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

    /// Reads the longest number. What follows it, as in `01` or `1.`, is left to the caller.
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

    /// Both ends are next to ASCII bytes, so they split no character.
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
