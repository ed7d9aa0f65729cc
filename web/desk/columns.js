// The table a committee brings: which of its columns are those of tickets, and what the service says of its lines.

import { readCsv, writeRow } from './csv.js';

/** The columns that the service takes, and what people write above them. */
const NAMES = {
  ticket_id: /^(id|tiket|ticket|kode|code|barcode|qr|(id|no|nomor|kode)[ ._-]*t(iket|icket)|t(iket|icket)[ ._-]*(id|no|number|code|kode))\.?$/i,
  name: /^(name|nama|guest|tamu|peserta|nama[ _-]?(lengkap|tamu|peserta)|full[ _-]?name)$/i,
  kind: /^(kind|jenis|kategori|category|type|tipe|kelas|class|jenis[ _-]?tiket|ticket[ _-]?type)$/i,
};

/** The longest list that the service takes. */
export const MAX_TICKETS = 50_000;
export const MAX_BYTES = 8 * 1024 * 1024;

/**
 * Reads a table and guesses what is in it.
 *
 * @returns {{rows: {line: number, cells: string[]}[], openQuote: number | null, width: number, hasHeader: boolean,
 *   columns: {ticket_id: number, name: number, kind: number}}} the numbers of the columns, from 0; -1 for none
 */
export function readTable(text) {
  const { rows, openQuote } = readCsv(text);
  const width = rows.reduce((most, { cells }) => Math.max(most, cells.length), 0);
  const first = rows[0]?.cells ?? [];
  const column = (name) => first.findIndex((cell) => NAMES[name].test(cell));
  const named = { ticket_id: column('ticket_id'), name: column('name'), kind: column('kind') };
  if (named.ticket_id !== -1) return { rows, openQuote, width, hasHeader: true, columns: named };
  // Without a heading for the ids: a table of ids, then names, then kinds.
  const hasHeader = named.name !== -1 || named.kind !== -1;
  const free = [...Array(width).keys()].filter((index) => index !== named.name && index !== named.kind);
  const next = (found) => (found !== -1 || hasHeader ? found : (free.shift() ?? -1));
  const columns = { ticket_id: free.shift() ?? -1, name: next(named.name), kind: next(named.kind) };
  return { rows, openQuote, width, hasHeader, columns };
}

/** The tickets of a table: `{line, ticket_id, name, kind}`; `null` where the table has no such column. */
export function tickets({ rows, hasHeader, columns }) {
  const cell = (cells, column) => (column === -1 ? null : (cells[column] ?? '').replace(/\s*[\r\n]+\s*/g, ' '));
  return rows.slice(hasHeader ? 1 : 0).map(({ line, cells }) => ({
    line,
    ticket_id: cell(cells, columns.ticket_id) ?? '',
    name: cell(cells, columns.name),
    kind: cell(cells, columns.kind),
  }));
}

/** The document to send: a heading, and each ticket on one line, so that ticket `i` is on line `i + 2`. */
export function importDocument(list) {
  const columns = ['ticket_id', 'name', 'kind'].filter((column) => list[0]?.[column] != null);
  return writeRow(columns) + list.map((ticket) => writeRow(columns.map((column) => ticket[column]))).join('');
}

/** Ids of which a spreadsheet has made a rounded number: nobody can tell what they were. */
export function roundedIds(list) {
  return list.filter(({ ticket_id }) => /^\d([.,]\d+)?E\+?\d+$/i.test(ticket_id));
}

/**
 * The entries of a 422 about a document of {@link importDocument}, with the lines of what the committee brought:
 * `{line, column, type, msg, input, firstLine}`. `line` is `null` for what is about the whole document.
 */
export function problemsOfLines(detail, list) {
  const lineOf = (sent) => list[sent - 2]?.line ?? null;
  return detail.map(({ loc, type, msg, input, ctx }) => ({
    line: lineOf(loc[1]),
    column: loc[2] ?? null,
    type,
    msg: msg.replace(/^Value error, /, ''),
    input,
    firstLine: ctx?.first_line ? lineOf(ctx.first_line) : null,
  }));
}
