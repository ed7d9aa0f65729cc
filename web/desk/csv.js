// CSV (RFC 4180) as spreadsheets write and read it.

const BYTE_ORDER_MARK = '\ufeff';
const SEPARATORS = [',', ';', '\t'];

/** What OWASP lists as the beginning of a formula, also behind white space, which some spreadsheets drop. */
const FORMULA = /^(?:[\t\r\n]|\s*[=+\-@\uff1d\uff0b\uff0d\uff20])/;

/** `rows` of texts as a document: with a byte order mark, without which Excel garbles names, and no formula in it. */
export function writeCsv(rows) {
  return BYTE_ORDER_MARK + rows.map((row) => writeRow(row.map(withoutFormula))).join('');
}

/** One line, with its break, of cells that stay as they are. */
export function writeRow(cells) {
  return `${cells.map(quoted).join(',')}\r\n`;
}

/**
 * A cell that a spreadsheet would take for a formula, made a text by a `'` in front. One that looks as if it had its `'`
 * already gets one too, so that both can be told apart.
 */
export function withoutFormula(cell) {
  const text = String(cell ?? '');
  return needsMark(text) ? `'${text}` : text;
}

/** The text of a cell of which {@link withoutFormula}, or a service, has made a text. */
export function withFormula(cell) {
  return cell.startsWith("'") && needsMark(cell.slice(1)) ? cell.slice(1) : cell;
}

function needsMark(text) {
  return FORMULA.test(text.replace(/^'+/, ''));
}

function quoted(cell) {
  const text = String(cell ?? '');
  return /[",;\t\r\n]|^ | $/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * Reads a document, or what was copied out of a spreadsheet.
 *
 * @returns {{rows: {line: number, cells: string[]}[], separator: string, openQuote: number | null}} `line` counts as
 *   an editor does; empty lines are left out. `openQuote` is the line of a quote that is never closed.
 */
export function readCsv(text) {
  const document = text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text;
  const named = /^"?sep=(.)"?\r?\n/i.exec(document);
  const separator = named ? named[1] : separatorOf(document);
  const rows = [];
  let openQuote = null;
  let cells = [];
  let [position, line, firstLine] = named ? [named[0].length, 2, 2] : [0, 1, 1];

  const endRow = () => {
    if (cells.some((cell) => cell.trim() !== '')) rows.push({ line: firstLine, cells });
    cells = [];
  };
  while (position < document.length) {
    const isQuoted = document[position] === '"';
    const start = isQuoted ? closedAt(document, position) : position;
    if (start === -1) {
      openQuote = line;
      break;
    }
    const end = endOfCell(document, start, separator);
    const rest = document.slice(start, end);
    const cell = isQuoted ? document.slice(position + 1, start - 1).replaceAll('""', '"') + rest : rest;
    cells.push(cell.trim());
    line += isQuoted ? breaksIn(document.slice(position, start)) : 0;
    position = end + 1;
    if (document[end] === separator) {
      if (position === document.length) cells.push('');
      continue;
    }
    if (document[end] === '\r' && document[position] === '\n') position += 1;
    endRow();
    line += 1;
    firstLine = line;
  }
  endRow();
  return { rows, separator, openQuote };
}

/** Behind the quote that closes the one at `position`, or -1. */
function closedAt(document, position) {
  let at = position + 1;
  for (;;) {
    at = document.indexOf('"', at);
    if (at === -1) return -1;
    if (document[at + 1] !== '"') return at + 1;
    at += 2;
  }
}

function endOfCell(document, start, separator) {
  let end = start;
  const isEnd = (character) => character === separator || character === '\n' || character === '\r';
  while (end < document.length && !isEnd(document[end])) end += 1;
  return end;
}

function breaksIn(text) {
  return text.match(/\r\n|\r|\n/g)?.length ?? 0;
}

/** What separates the cells of the first line: whatever is there most often outside quotes. */
function separatorOf(document) {
  const firstLine = (/^(?:"(?:[^"]|"")*"|[^"\r\n])*/.exec(document)?.[0] ?? '').replace(/"(?:[^"]|"")*"/g, '');
  const count = (separator) => firstLine.split(separator).length - 1;
  return SEPARATORS.reduce((most, separator) => (count(separator) > count(most) ? separator : most));
}
