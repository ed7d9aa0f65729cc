import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';

import english from '../../web/texts/en.js';
import indonesian from '../../web/texts/id.js';

const WEB = new URL('../../web/', import.meta.url);

function flat(texts, prefix = '') {
  return Object.entries(texts).flatMap(([key, value]) =>
    typeof value === 'string' ? [[prefix + key, value]] : flat(value, `${prefix}${key}.`),
  );
}

const ENGLISH = new Map(flat(english));
const INDONESIAN = new Map(flat(indonesian));
const placeholders = (text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();

/** Where texts are used: every page and module but the texts themselves. */
const SOURCES = readdirSync(WEB, { recursive: true })
  .filter((name) => /\.(js|html)$/.test(name) && !name.startsWith('texts'))
  .map((name) => readFileSync(new URL(name, WEB), 'utf8'))
  .join('\n');

/** Keys that are written out, and beginnings of keys whose end is a value, such as `gate.word.${state}`. */
const WRITTEN = new Set(SOURCES.match(/\b(?:common|gate|desk)(?:\.\w+)+/g));
const BEGINNINGS = [...SOURCES.matchAll(/`((?:common|gate|desk)(?:\.\w+)*\.)\$\{/g)].map(([, beginning]) => beginning);

test('both languages say the same things', () => {
  assert.deepEqual([...INDONESIAN.keys()].sort(), [...ENGLISH.keys()].sort());
});

test('both languages have the same places to fill in', () => {
  for (const [key, text] of INDONESIAN) assert.deepEqual(placeholders(text), placeholders(ENGLISH.get(key) ?? ''), key);
});

test('no text is empty', () => {
  for (const [key, text] of [...INDONESIAN, ...ENGLISH]) assert.notEqual(text.trim(), '', key);
});

test('every text that a page asks for is there', () => {
  const asked = [...SOURCES.matchAll(/(?:\btext\(\s*|data-text(?:-[\w-]+)?=|\btext: |\baction: )["'`]((?:common|gate|desk)\.[\w.-]+)["'`]/g)];
  assert.ok(asked.length > 20);
  const missing = asked.map(([, key]) => key).filter((key) => !INDONESIAN.has(key));
  assert.deepEqual(missing, []);
});

test('every text is asked for', () => {
  const isUsed = (key) => WRITTEN.has(key) || BEGINNINGS.some((beginning) => key.startsWith(beginning));
  assert.deepEqual([...INDONESIAN.keys()].filter((key) => !isUsed(key)), []);
});
