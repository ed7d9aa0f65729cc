import assert from 'node:assert/strict';
import { test } from 'node:test';
import { absent, byGate, byHour, byKind } from '../../web/desk/counts.js';

const record = (checked_in_at, checked_in_by = 'budi') => ({ checked_in_at, checked_in_by });

test('hours are those of the zone, and those between are there', () => {
  const records = [
    record('2026-12-01T11:59:59.999999+00:00'),
    record('2026-12-01T12:00:00.000000+00:00'),
    record('2026-12-01T14:10:00.000000+00:00'),
  ];
  assert.deepEqual(byHour(records, 'Asia/Jakarta'), [
    { hour: '2026-12-01T18', count: 1 },
    { hour: '2026-12-01T19', count: 1 },
    { hour: '2026-12-01T20', count: 0 },
    { hour: '2026-12-01T21', count: 1 },
  ]);
  assert.deepEqual(byHour([], 'Asia/Jakarta'), []);
});

test('a long time with nobody is one empty hour', () => {
  const hours = byHour([record('2026-11-24T01:00:00+00:00'), record('2026-12-01T12:00:00+00:00')], 'UTC');
  assert.deepEqual(hours.map(({ count }) => count), [1, 0, 1]);
  assert.equal(hours.at(-1).hour, '2026-12-01T12');
});

test('gates are counted, the busiest first', () => {
  const records = [record('1', 'timur'), record('2', 'barat'), record('3', 'timur'), record('4', 'admin1')];
  assert.deepEqual(byGate(records), [
    { name: 'timur', count: 2, last: '3' },
    { name: 'admin1', count: 1, last: '4' },
    { name: 'barat', count: 1, last: '2' },
  ]);
});

test('a revoked ticket is no guest, unless it is in', () => {
  const ticket = (kind, revoked, isIn) => ({ kind, revoked, checked_in_at: isIn ? 'then' : null });
  const tickets = [ticket('VIP', false, true), ticket('VIP', true, true), ticket('VIP', true, false), ticket(null, false, false)];
  assert.deepEqual(byKind(tickets), [
    { kind: 'VIP', in: 2, of: 2 },
    { kind: '', in: 0, of: 1 },
  ]);
  assert.deepEqual(absent(tickets), [tickets[3]]);
});
