//! Reads a list of tickets as spreadsheets write it: with a comma, a semicolon or a tab between cells, with or without a
//! byte order mark, with any line breaks.

use std::{
    borrow::Cow,
    collections::HashMap,
    io::{Cursor, Read},
};

use csv::{ByteRecord, ReaderBuilder};
use serde_json::json;
use shared_http::{
    error::{FieldError, Input, Location},
    json::{Failure, Field, TextField},
};

use super::{MAX_FAILURES, MAX_TICKETS, kind, name, non_empty, ticket_id};
use crate::{csv_writer::needs_guard, record::TicketId, ticket::NewTicket};

/// How many cells a list may have: 50,000 tickets of 40. Of one line with millions the parser would note the place of each.
const MAX_CELLS: usize = 2_000_000;

const BOM: &[u8] = "\u{feff}".as_bytes();

/// Stands behind the list while it is read. If the last row of the list takes it in, a quote was not closed.
const END: &[u8] = b"\n.";

/// Reads `file`, or returns its mistakes.
pub(super) fn read(file: &[u8]) -> Result<Vec<NewTicket>, Vec<FieldError>> {
    let text = file.strip_prefix(BOM).unwrap_or(file);
    if is_utf16(text) {
        let msg = "this is UTF-16 and not UTF-8; save the list as \"CSV UTF-8\"";
        return Err(vec![at_line(1, wrong(msg), &())]);
    }
    let (rows, delimiter) = match separator_line(text) {
        Some((length, delimiter)) => (length, delimiter),
        None => (0, delimiter(text)),
    };
    let cells = text.iter().filter(|byte| **byte == delimiter).count();
    if cells > MAX_CELLS {
        let msg = format!("there are {cells} cells; leave out columns, at most {MAX_CELLS} are read");
        return Err(vec![at_line(1, wrong(&msg), &())]);
    }
    let mut list = List::new(text, rows, delimiter);
    list.read_rows();
    if list.failures.is_empty() { Ok(list.tickets) } else { Err(list.failures) }
}

/// A list that is being read.
struct List<'a> {
    lines: Lines<'a>,
    /// Where the header line begins.
    begin: usize,
    delimiter: u8,
    columns: Columns,
    tickets: Vec<NewTicket>,
    /// The line of each id.
    ids: HashMap<String, usize>,
    failures: Vec<FieldError>,
}

/// Which cells of a row are wanted.
#[derive(Default)]
struct Columns {
    count: usize,
    ticket_id: usize,
    name: Option<usize>,
    kind: Option<usize>,
}

impl<'a> List<'a> {
    fn new(text: &'a [u8], begin: usize, delimiter: u8) -> Self {
        Self {
            lines: Lines { text, offset: 0, line: 1 },
            begin,
            delimiter,
            columns: Columns::default(),
            tickets: Vec::new(),
            ids: HashMap::new(),
            failures: Vec::new(),
        }
    }

    fn read_rows(&mut self) {
        let rows = self.lines.text.get(self.begin..).unwrap_or_default();
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(self.delimiter)
            .from_reader(Cursor::new(rows).chain(END));
        let mut row = ByteRecord::new();
        let mut has_header = false;
        let mut header_line = 1;
        // Reading from memory does not fail.
        while let Ok(true) = reader.read_byte_record(&mut row) {
            let offset = row.position().map_or(0, |position| position.byte() as usize);
            let line = self.lines.line_at(self.begin + offset);
            if self.lines.is_at_end() {
                if self.tickets.is_empty() && self.failures.is_empty() {
                    self.fail(header_line, "ticket_id", wrong("there are no tickets in the list"), &());
                }
                return;
            }
            if reader.position().byte() as usize == rows.len() + END.len() {
                return self.fail(line, "ticket_id", wrong("a quote that begins here is not closed"), &());
            }
            if row.iter().all(|cell| cell.trim_ascii().is_empty()) {
                continue;
            }
            let can_go_on = if has_header { self.read_row(line, &row) } else { self.read_header(line, &row) };
            if !can_go_on {
                return;
            }
            if !has_header {
                (has_header, header_line) = (true, line);
            }
        }
    }

    fn read_header(&mut self, line: usize, row: &ByteRecord) -> bool {
        let names: Vec<_> =
            row.iter().map(|cell| String::from_utf8_lossy(cell).trim().to_lowercase()).collect();
        let column = |wanted: &str| names.iter().position(|name| name == wanted);
        for wanted in ["ticket_id", "name", "kind"] {
            if names.iter().filter(|name| *name == wanted).count() > 1 {
                self.fail(line, wanted, wrong("two columns have this name"), &names);
            }
        }
        match column("ticket_id") {
            Some(ticket_id) => {
                let (name, kind) = (column("name"), column("kind"));
                self.columns = Columns { count: names.len(), ticket_id, name, kind };
            }
            None => {
                let msg = "The header line, which is the first one, has no column ticket_id";
                self.fail(line, "ticket_id", Failure::new("missing", msg), &names);
            }
        }
        self.failures.is_empty()
    }

    fn read_row(&mut self, line: usize, row: &ByteRecord) -> bool {
        if self.tickets.len() == MAX_TICKETS {
            let msg = format!("List should have at most {MAX_TICKETS} items after validation, not more");
            let failure = Failure::new("too_long", msg)
                .with(json!({ "field_type": "List", "max_length": MAX_TICKETS }));
            self.fail(line, "ticket_id", failure, &());
            return false;
        }
        let Columns { count, ticket_id: id, name: name_at, kind: kind_at } = self.columns;
        // A delimiter in a name that has no quotes moves all cells behind it. Delimiters at the end do no harm.
        if row.iter().skip(count).any(|cell| !cell.trim_ascii().is_empty()) {
            let cells = row.len();
            let msg = format!(
                "{cells} cells, and {count} columns; a cell with a comma, a semicolon or a tab needs quotes"
            );
            self.fail(line, "ticket_id", wrong(&msg), &String::from_utf8_lossy(row.as_slice()));
            return self.failures.len() < MAX_FAILURES;
        }
        // Excel leaves out the delimiters of empty cells at the end of a line.
        let ticket_id = self.cell(line, row, id, &ticket_id());
        let name = name_at.map(|index| self.cell(line, row, index, &name()));
        let kind = kind_at.map(|index| self.cell(line, row, index, &kind()));
        if let Some(ticket_id) = ticket_id {
            self.push(
                line,
                NewTicket {
                    ticket_id: TicketId(ticket_id),
                    name: name.map(non_empty),
                    kind: kind.map(non_empty),
                },
            );
        }
        self.failures.len() < MAX_FAILURES
    }

    fn push(&mut self, line: usize, ticket: NewTicket) {
        let id = ticket.ticket_id.0.clone();
        let first = *self.ids.entry(id).or_insert(line);
        if first != line {
            let failure = wrong(&format!("this ticket_id is on line {first} too"));
            let failure = failure.with(json!({ "first_line": first }));
            self.fail(line, "ticket_id", failure, &ticket.ticket_id);
        }
        self.tickets.push(ticket);
    }

    /// The text of a cell; `None` if it is wrong, which is reported.
    fn cell(&mut self, line: usize, row: &ByteRecord, index: usize, field: &TextField) -> Option<String> {
        let bytes = row.get(index).unwrap_or_default();
        let outcome = match std::str::from_utf8(bytes) {
            Ok(text) => field.read_text(one_line(without_guard(text))),
            Err(_) => Err(wrong("this is not UTF-8; save the list as \"CSV UTF-8\"")),
        };
        match outcome {
            Ok(text) => Some(text),
            Err(failure) => {
                self.fail(line, field.name(), failure, &String::from_utf8_lossy(bytes));
                None
            }
        }
    }

    fn fail(&mut self, line: usize, column: &'static str, failure: Failure, input: &impl serde::Serialize) {
        if self.failures.len() < MAX_FAILURES {
            let loc = vec![Location::Name("body"), Location::Index(line), Location::Name(column)];
            self.failures.push(failure.at(loc, Input::new(input)));
        }
    }
}

fn at_line(line: usize, failure: Failure, input: &impl serde::Serialize) -> FieldError {
    let loc = vec![Location::Name("body"), Location::Index(line), Location::Name("ticket_id")];
    failure.at(loc, Input::new(input))
}

fn wrong(msg: &str) -> Failure {
    Failure::new("value_error", format!("Value error, {msg}"))
}

/// A cell on one line: spreadsheets let people break lines inside a cell, and a name is read out at a gate.
fn one_line(cell: &str) -> Cow<'_, str> {
    if cell.contains(['\r', '\n']) {
        Cow::Owned(cell.lines().map(str::trim).collect::<Vec<_>>().join(" "))
    } else {
        Cow::Borrowed(cell)
    }
}

/// A cell without the `'` that our own CSV has before what looks like a formula.
fn without_guard(cell: &str) -> &str {
    let cell = cell.trim();
    cell.strip_prefix('\'').filter(|rest| needs_guard(rest)).unwrap_or(cell)
}

/// Whether `text` is what Windows calls "Unicode text": with a mark of its own, or with a zero in every ASCII character.
fn is_utf16(text: &[u8]) -> bool {
    let begin = text.get(..2).unwrap_or_default();
    matches!(begin, [0xff, 0xfe] | [0xfe, 0xff])
        || begin.len() == 2 && begin.iter().filter(|b| **b == 0).count() == 1
}

/// The length of a first line `sep=;`, which is for Excel, and the delimiter that it names.
fn separator_line(text: &[u8]) -> Option<(usize, u8)> {
    let end = text.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
    let line = text.get(..end)?;
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    match line.to_ascii_lowercase().strip_prefix(b"sep=")? {
        [delimiter @ (b',' | b';' | b'\t')] => Some((end, *delimiter)),
        _ => None,
    }
}

/// The delimiter that the first line with something in it has most often outside quotes.
fn delimiter(text: &[u8]) -> u8 {
    let (mut counts, mut is_quoted) = ([(b',', 0), (b';', 0), (b'\t', 0)], false);
    let line = text.iter().skip_while(|byte| matches!(byte, b'\r' | b'\n'));
    for byte in line {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\r' | b'\n' if !is_quoted => break,
            _ if is_quoted => {}
            _ => counts
                .iter_mut()
                .filter(|(delimiter, _)| delimiter == byte)
                .for_each(|(_, count)| *count += 1),
        }
    }
    // Of equal ones the first.
    counts.iter().rev().max_by_key(|(_, count)| count).map_or(b',', |(delimiter, _)| *delimiter)
}

/// Counts lines as an editor does, which the parser does not: a carriage return alone ends one too.
struct Lines<'a> {
    text: &'a [u8],
    offset: usize,
    line: usize,
}

impl Lines<'_> {
    fn is_at_end(&self) -> bool {
        self.offset == self.text.len()
    }

    /// The line of the row that begins at `offset`, or behind the line breaks there. Offsets grow from call to call.
    fn line_at(&mut self, offset: usize) -> usize {
        while let Some(byte) = self.text.get(self.offset) {
            let is_break = matches!(byte, b'\r' | b'\n');
            if self.offset >= offset && !is_break {
                break;
            }
            let is_first_half = *byte == b'\r' && self.text.get(self.offset + 1) == Some(&b'\n');
            self.line += usize::from(is_break && !is_first_half);
            self.offset += 1;
        }
        self.line
    }
}
