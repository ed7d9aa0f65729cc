//! Writes CSV (RFC 4180) that a spreadsheet opens as the table that was meant.

/// A spreadsheet takes a file that begins with this byte order mark for UTF-8. Without it Excel garbles names.
pub const BOM: &[u8] = "\u{feff}".as_bytes();

/// Appends a row with its line break.
///
/// A cell that a spreadsheet would take for a formula gets a `'` in front: names come from users, and a formula can
/// send the whole table elsewhere.
pub fn push_row(out: &mut Vec<u8>, cells: &[&str]) {
    // A row of one empty cell would be an empty line, which readers skip.
    if let [""] = cells {
        out.extend_from_slice(b"\"\"");
    }
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_cell(out, cell);
    }
    out.extend_from_slice(b"\r\n");
}

/// Whether a spreadsheet would take `cell` for a formula: what OWASP lists, at the beginning of the cell or behind
/// white space there, which some spreadsheets drop.
fn is_formula(cell: &str) -> bool {
    cell.starts_with(['\t', '\r', '\n'])
        || cell.trim_start().starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'])
}

/// Whether `cell` gets a `'` in front: a formula, and what would be taken for one that has its `'` already.
pub fn needs_guard(cell: &str) -> bool {
    is_formula(cell.trim_start_matches('\''))
}

fn push_cell(out: &mut Vec<u8>, cell: &str) {
    let guard = if needs_guard(cell) { "'" } else { "" };
    // Some spreadsheets separate cells at semicolons and tabs.
    let needs_quotes =
        cell.contains([',', ';', '\t', '"', '\r', '\n']) || cell.starts_with(' ') || cell.ends_with(' ');
    if !needs_quotes {
        out.extend_from_slice(guard.as_bytes());
        out.extend_from_slice(cell.as_bytes());
        return;
    }
    out.push(b'"');
    out.extend_from_slice(guard.as_bytes());
    for byte in cell.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> String {
        let mut out = Vec::new();
        push_row(&mut out, cells);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_cell_is_quoted_where_it_would_end_early() {
        assert_eq!(row(&["T1", "Siti Rahayu", "", "VIP"]), "T1,Siti Rahayu,,VIP\r\n");
        assert_eq!(row(&["Rahayu, Siti", "a;b", "a\tb"]), "\"Rahayu, Siti\",\"a;b\",\"a\tb\"\r\n");
        assert_eq!(row(&["Agus \"Gus\" Salim"]), "\"Agus \"\"Gus\"\" Salim\"\r\n");
        assert_eq!(row(&["a\nb", "c\r\nd", "e\rf"]), "\"a\nb\",\"c\r\nd\",\"e\rf\"\r\n");
        assert_eq!(row(&[" a", "b "]), "\" a\",\"b \"\r\n");
        assert_eq!(row(&["007", "札幌🎫", "O'Brien"]), "007,札幌🎫,O'Brien\r\n");
    }

    #[test]
    fn a_row_is_never_an_empty_line() {
        assert_eq!(row(&[""]), "\"\"\r\n");
        assert_eq!(row(&["", ""]), ",\r\n");
    }

    #[test]
    fn a_formula_is_made_text() {
        for formula in ["=1+1", "+62812", "-1", "@SUM(A1)", " =1", "\u{a0}=1", "\u{ff1d}1", "-"] {
            let expected = format!("'{formula}");
            assert_eq!(row(&[formula]).trim_end_matches("\r\n").trim_matches('"'), expected, "{formula:?}");
        }
        for begin in ["\t", "\r", "\n"] {
            assert_eq!(row(&[&format!("{begin}x")]), format!("\"'{begin}x\"\r\n"));
        }
        assert_eq!(row(&["=HYPERLINK(\"x\",A1)"]), "\"'=HYPERLINK(\"\"x\"\",A1)\"\r\n");
        assert_eq!(row(&["'=1", "''=1", "'a"]), "''=1,'''=1,'a\r\n", "each can be told from the others");
        for text in ["a=1", "1-2", "a@b.id", "", "'=1", "7K2M-9QXT-4RBN"] {
            assert!(!is_formula(text), "{text:?}");
        }
    }
}
