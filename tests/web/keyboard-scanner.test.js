import assert from 'node:assert/strict';
import { test } from 'node:test';

import { KeyboardScanner } from '../../web/gate/keyboard-scanner.js';

/** Presses keys, each so many milliseconds after the one before, and returns what the last of them came to. */
function press(scanner, keys, milliseconds, from = 0) {
  let at = from;
  let read;
  for (const key of keys) {
    at += milliseconds;
    read = scanner.read(key, at);
  }
  return { ...read, at };
}

test('fast keys and Enter are a code', () => {
  assert.equal(press(new KeyboardScanner(), [...'7K2M-9QXT', 'Enter'], 8).code, '7K2M-9QXT');
  assert.equal(press(new KeyboardScanner(), [...'7K2M-9QXT', 'Enter'], 45).code, '7K2M-9QXT', 'over Bluetooth');
  assert.equal(press(new KeyboardScanner(), [...'7K2M-9QXT', 'Enter'], 0).code, '7K2M-9QXT', 'all at once');
});

test('what a person types is none', () => {
  assert.equal(press(new KeyboardScanner(), [...'7K2M-9QXT', 'Enter'], 90).code, undefined);
  const scanner = new KeyboardScanner();
  const { at } = press(scanner, [...'TIKET'], 20);
  assert.equal(scanner.read('Enter', at + 500).code, undefined, 'Enter came later');
});

test('a browser that stumbles loses no key of a code', () => {
  const scanner = new KeyboardScanner();
  scanner.read('T', 0);
  const { at } = press(scanner, [...'IKET-'], 8, 250);
  assert.equal(press(scanner, ['1', 'Enter'], 8, at + 300).code, 'TIKET-1');
});

test('a few keys, or Enter alone, are none', () => {
  assert.equal(press(new KeyboardScanner(), ['a', 'b', 'c', 'Enter'], 5).code, undefined);
  assert.equal(press(new KeyboardScanner(), ['Enter'], 5).code, undefined);
});

test('the keys of a person before do not belong to the code', () => {
  const scanner = new KeyboardScanner();
  const { at } = press(scanner, [...'hallo'], 150);
  assert.equal(press(scanner, [...'TIKET-1', 'Enter'], 70, at).code, undefined);
  assert.equal(press(scanner, ['T', ...'IKET-1', 'Enter'], 10, 10_000).code, 'TIKET-1');
});

test('one code after the other', () => {
  const scanner = new KeyboardScanner();
  const first = press(scanner, [...'TIKET-1', 'Enter'], 5);
  assert.equal(first.code, 'TIKET-1');
  assert.equal(press(scanner, [...'TIKET-2', 'Enter'], 5, first.at).code, 'TIKET-2');
});

test('Shift and other keys without a character are not part of it', () => {
  assert.equal(press(new KeyboardScanner(), ['Shift', 'T', 'Shift', 'I', 'K', 'E', 'T', 'Enter'], 10).code, 'TIKET');
});

test('it is said where a code may begin, and what only a scanner types', () => {
  const scanner = new KeyboardScanner();
  assert.deepEqual(scanner.read('T', 0), { isFirst: true, isFast: false });
  assert.deepEqual(scanner.read('I', 10), { isFirst: false, isFast: true });
  assert.deepEqual(scanner.read('K', 200), { isFirst: false, isFast: false });
  assert.deepEqual(scanner.read('E', 1000), { isFirst: true, isFast: false });
});
