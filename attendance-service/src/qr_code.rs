//! QR codes, as SVG for a page and as text for a terminal.

use std::fmt::Write;

use fast_qr::{ECL, QRBuilder};

/// Light modules on each side, which a reader needs to find the code (ISO/IEC 18004).
const QUIET_ZONE: usize = 4;

/// Pixels of a module where nothing else is said of the size.
const MODULE: usize = 8;

/// The QR code of `text` with error correction M, as an SVG image; `None` if it is too long for one.
// Drawn as one path of one row each run: a rectangle for each module takes ten times the bytes.
pub fn svg(text: &str) -> Option<String> {
    let code = QRBuilder::new(text).ecl(ECL::M).build().ok()?;
    let side = code.size + 2 * QUIET_ZONE;
    let pixels = side * MODULE;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{pixels}\" height=\"{pixels}\" \
         viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/><path fill=\"#000\" d=\""
    );
    for y in 0..code.size {
        let mut x = 0;
        while x < code.size {
            let run = code[y][x..].iter().take_while(|module| module.value()).count();
            if run > 0 {
                // Writing to a string does not fail.
                let _ = write!(svg, "M{} {}h{run}v1h-{run}z", x + QUIET_ZONE, y + QUIET_ZONE);
            }
            x += run + 1;
        }
    }
    svg.push_str("\"/></svg>");
    Some(svg)
}

/// The QR code of `text` with error correction L, for a terminal of any colours; `None` if it is too long for one.
// A character is one module wide and two high: the upper half block has the colour of the text above and that of the
// background below. Black and white are named out of the cube of 256 colours, which no theme changes.
pub fn terminal(text: &str) -> Option<String> {
    let code = QRBuilder::new(text).ecl(ECL::L).build().ok()?;
    let side = code.size + 2 * QUIET_ZONE;
    let is_dark = |x: usize, y: usize| {
        let inside = |at: usize| at.checked_sub(QUIET_ZONE).filter(|at| *at < code.size);
        inside(x).zip(inside(y)).is_some_and(|(x, y)| code[y][x].value())
    };
    let mut lines = String::new();
    for y in (0..side).step_by(2) {
        lines.push_str("\x1b[38;5;16;48;5;231m");
        for x in 0..side {
            lines.push(match (is_dark(x, y), is_dark(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        lines.push_str("\x1b[0m\n");
    }
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_says_how_large_it_is_and_has_a_quiet_zone() {
        // Version 1 has 21 modules.
        let svg = svg("7K2M-9QXT-4RBN").unwrap();
        let begin =
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"232\" height=\"232\" viewBox=\"0 0 29 29\" ";
        assert!(svg.starts_with(begin), "{svg}");
        // The upper edge of the left finder pattern.
        assert!(svg.contains("d=\"M4 4h7v1h-7z"), "{svg}");
        assert!(!svg.contains("<script"), "{svg}");
    }

    #[test]
    fn a_code_for_a_terminal_has_the_modules_of_the_code_and_names_its_colours() {
        let url = "https://192.168.100.100:18082/gate";
        let (code, text) = (QRBuilder::new(url).ecl(ECL::L).build().unwrap(), terminal(url).unwrap());
        let (begin, end) = ("\x1b[38;5;16;48;5;231m", "\x1b[0m");
        let rows: Vec<Vec<char>> = text
            .lines()
            .map(|line| line.strip_prefix(begin).unwrap().strip_suffix(end).unwrap().chars().collect())
            .collect();
        let side = code.size + 8;
        assert!(rows.len() == side.div_ceil(2) && rows.iter().all(|row| row.len() == side), "{text}");
        for (y, x) in (0..side).flat_map(|y| (0..side).map(move |x| (y, x))) {
            let half = if y % 2 == 0 { '▀' } else { '▄' };
            let is_dark = rows[y / 2][x] == '█' || rows[y / 2][x] == half;
            let inside = (4..side - 4).contains(&x) && (4..side - 4).contains(&y);
            assert_eq!(is_dark, inside && code[y - 4][x - 4].value(), "{x} {y}\n{text}");
        }
        assert_eq!(terminal(&"x".repeat(3000)), None);
    }

    #[test]
    fn two_hundred_bytes_of_any_text_fit_into_version_10() {
        for text in ["x".repeat(200), "札".repeat(66), "7".repeat(200), "A".repeat(200)] {
            let svg = svg(&text).unwrap();
            let side = svg.split_once("viewBox=\"0 0 ").unwrap().1.split(' ').next().unwrap();
            assert!(side.parse::<usize>().unwrap() <= 17 + 40 + 8, "{side}");
        }
    }
}
