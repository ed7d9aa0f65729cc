import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCsv, withFormula, withoutFormula, writeCsv, writeRow } from '../../web/desk/csv.js';

const cells = (text) => readCsv(text).rows.map((row) => row.cells);

test('what is written is read back', () => {
  const rows = [['id', 'name'], ['A-1', 'Rahayu, Siti'], ['A-2', 'Agus "Gus"'], ['A-3', 'two\nlines'], ['A-4', 'a;b\tc']];
  assert.deepEqual(cells(writeCsv(rows)), rows);
  assert.equal(writeCsv([['a', 'b']]), '\ufeffa,b\r\n');
  assert.equal(writeRow(['a"b', ' c', 'd,e']), '"a""b"," c","d,e"\r\n');
});

test('no cell is a formula to a spreadsheet', () => {
  for (const cell of ['=1+1', '+62812', '-1', '@SUM(A1)', ' =1', '\t1', '\u00a0=1', '\uff1d1']) {
    assert.equal(withoutFormula(cell), `'${cell}`);
    assert.equal(withFormula(`'${cell}`), cell);
    assert.equal(withFormula(withoutFormula(`'${cell}`)), `'${cell}`);
  }
  for (const cell of ["O'Brien", '007', '', "'tis"]) {
    assert.equal(withoutFormula(cell), cell);
    assert.equal(withFormula(cell), cell);
  }
  assert.equal(withoutFormula(null), '');
});

test('comma, semicolon and tab are recognised, and a line that names the separator', () => {
  assert.deepEqual(cells('a,b\n1,2'), [['a', 'b'], ['1', '2']]);
  assert.deepEqual(cells('a;b\r\n1;2,5\r\n'), [['a', 'b'], ['1', '2,5']]);
  assert.deepEqual(cells('a\tb\n1\t'), [['a', 'b'], ['1', '']]);
  assert.deepEqual(cells('"x,y";b\n1;2'), [['x,y', 'b'], ['1', '2']]);
  assert.deepEqual(readCsv('sep=|\na|b').rows, [{ line: 2, cells: ['a', 'b'] }]);
  assert.deepEqual(cells('A-1\nA-2'), [['A-1'], ['A-2']]);
});

test('lines are those of an editor, also behind empty lines and breaks in quotes', () => {
  const { rows } = readCsv('id,name\n\nA-1,"two\r\nlines"\n , \nA-2,x');
  assert.deepEqual(rows.map(({ line }) => line), [1, 3, 6]);
  assert.deepEqual(rows[1].cells, ['A-1', 'two\r\nlines']);
  assert.deepEqual(readCsv('a\rb\rc').rows.map(({ line }) => line), [1, 2, 3]);
});

test('a quote that is never closed is found', () => {
  assert.equal(readCsv('a,b\n1,"x\n2,y').openQuote, 2);
  assert.equal(readCsv('a,b\n1,"x"').openQuote, null);
  assert.deepEqual(cells('"a""b""",c'), [['a"b"', 'c']]);
  assert.deepEqual(readCsv('').rows, []);
});
