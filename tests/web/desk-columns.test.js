import assert from 'node:assert/strict';
import { test } from 'node:test';
import { importDocument, problemsOfLines, readTable, roundedIds, tickets } from '../../web/desk/columns.js';

test('columns are found by what people write above them', () => {
  const table = readTable('Nama;Kode Tiket;Jenis\nSiti;A-1;VIP');
  assert.equal(table.hasHeader, true);
  assert.deepEqual(table.columns, { ticket_id: 1, name: 0, kind: 2 });
  assert.deepEqual(tickets(table), [{ line: 2, ticket_id: 'A-1', name: 'Siti', kind: 'VIP' }]);
  assert.deepEqual(readTable('ticket_id,name,kind\n').columns, { ticket_id: 0, name: 1, kind: 2 });
  assert.deepEqual(readTable('No,Nama\n1,Siti').columns, { ticket_id: 0, name: 1, kind: -1 });
});

test('a pasted column of ids needs no heading', () => {
  const table = readTable('A-1\nA-2\n\nA-3\n');
  assert.equal(table.hasHeader, false);
  assert.deepEqual(table.columns, { ticket_id: 0, name: -1, kind: -1 });
  assert.deepEqual(tickets(table).map(({ line, ticket_id, name }) => [line, ticket_id, name]), [
    [1, 'A-1', null],
    [2, 'A-2', null],
    [4, 'A-3', null],
  ]);
});

test('a pasted table without headings is ids, names, kinds', () => {
  assert.deepEqual(readTable('A-1\tSiti\tVIP\textra').columns, { ticket_id: 0, name: 1, kind: 2 });
});

test('each ticket is sent on a line of its own, with the columns that there are', () => {
  const list = tickets(readTable('id,nama\nA-1,"two\nlines"\nA-2,"Rahayu, Siti"'));
  assert.equal(importDocument(list), 'ticket_id,name\r\nA-1,two lines\r\nA-2,"Rahayu, Siti"\r\n');
  assert.equal(importDocument(tickets(readTable('A-1'))), 'ticket_id\r\nA-1\r\n');
});

test('what the service says of a line is about the line that was brought', () => {
  const list = tickets(readTable('id\n\nA-1\nA-2\nA-1'));
  const detail = [
    {
      type: 'value_error',
      loc: ['body', 4, 'ticket_id'],
      msg: 'Value error, this ticket_id is on line 2 too',
      input: 'A-1',
      ctx: { first_line: 2 },
    },
    { type: 'missing', loc: ['body'], msg: 'Field required', input: null },
  ];
  const [duplicate, whole] = problemsOfLines(detail, list);
  assert.equal(duplicate.line, 5);
  assert.equal(duplicate.firstLine, 3);
  assert.equal(duplicate.column, 'ticket_id');
  assert.equal(duplicate.msg, 'this ticket_id is on line 2 too');
  assert.equal(whole.line, null);
});

test('ids that a spreadsheet has rounded are found', () => {
  const list = tickets(readTable('id;nama\n1.23E+15;\n1,23E+15;\nA-1;\n12345;\nE-12;'));
  assert.deepEqual(roundedIds(list).map(({ line }) => line), [2, 3]);
});
