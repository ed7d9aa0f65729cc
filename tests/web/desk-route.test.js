import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readRoute, writeRoute } from '../../web/desk/route.js';

test('addresses are read as they are written', () => {
  for (const [section, event] of [['events', null], ['people', null], ['board', 'konser/2026'], ['report', 'a b%']]) {
    assert.deepEqual(readRoute(writeRoute(section, event)), { section, event });
  }
  assert.equal(writeRoute('board', 'konser/2026'), '#/event/konser%2F2026/board');
});

test('what names no section is no address', () => {
  for (const hash of ['', '#', '#/', '#/nothing', '#/event//board', '#/event/x/people', '#/board']) {
    assert.equal(readRoute(hash), null);
  }
  assert.deepEqual(readRoute('#/event/%/board'), { section: 'board', event: '%' });
});
