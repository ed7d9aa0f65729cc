import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fieldMoment, fieldValue, localTime, momentMs, withOffset, zoneName, zonesToChoose } from '../../web/desk/zones.js';

test('a local time is sent with the offset of its zone', () => {
  assert.equal(withOffset('2026-12-01T19:00', 'Asia/Jakarta'), '2026-12-01T19:00:00+07:00');
  assert.equal(withOffset('2026-12-01T19:00', 'Asia/Makassar'), '2026-12-01T19:00:00+08:00');
  assert.equal(withOffset('2026-12-01T19:00:30', 'Asia/Jayapura'), '2026-12-01T19:00:30+09:00');
  assert.equal(withOffset('2026-12-01T19:00', 'America/St_Johns'), '2026-12-01T19:00:00-03:30');
  assert.equal(withOffset('2026-12-01T19:00', 'UTC'), '2026-12-01T19:00:00+00:00');
});

test('the offset is that of the day, also beside a change of clocks', () => {
  assert.equal(withOffset('2026-03-29T01:30', 'Europe/Berlin'), '2026-03-29T01:30:00+01:00');
  assert.equal(withOffset('2026-03-29T03:30', 'Europe/Berlin'), '2026-03-29T03:30:00+02:00');
  assert.equal(withOffset('2026-07-01T12:00', 'Europe/Berlin'), '2026-07-01T12:00:00+02:00');
});

test('a moment is shown as local time, over midnight too', () => {
  const ms = Date.parse('2026-12-01T18:30:05.415880+00:00');
  assert.equal(localTime(ms, 'Asia/Jakarta'), '2026-12-02T01:30:05');
  assert.equal(localTime(ms, 'Asia/Jayapura'), '2026-12-02T03:30:05');
});

test('a field for times gives back what it was filled with', () => {
  assert.equal(fieldValue('2026-12-01T19:00:00+07:00', 'Asia/Jakarta'), '2026-12-01T19:00');
  assert.equal(fieldValue('2026-12-01T12:00:00Z', 'Asia/Makassar'), '2026-12-01T20:00');
  assert.equal(fieldValue('2026-12-01T19:00:00', 'Asia/Jakarta'), '2026-12-01T19:00');
  assert.equal(fieldValue(null, 'Asia/Jakarta'), '');
  assert.equal(fieldMoment('2026-12-01T19:00', 'Asia/Jakarta'), '2026-12-01T19:00:00+07:00');
  assert.equal(fieldMoment('', 'Asia/Jakarta'), null);
  assert.equal(momentMs('2026-12-01T19:00:00.250000', 'UTC'), Date.UTC(2026, 11, 1, 19));
});

test('the zones of Indonesia are offered, and that of the browser', () => {
  assert.deepEqual(zonesToChoose('Asia/Makassar'), ['Asia/Jakarta', 'Asia/Makassar', 'Asia/Jayapura']);
  assert.deepEqual(zonesToChoose('Asia/Tokyo'), ['Asia/Jakarta', 'Asia/Makassar', 'Asia/Jayapura', 'Asia/Tokyo']);
  assert.equal(zoneName('Asia/Jakarta'), 'WIB');
  assert.equal(zoneName('Asia/Tokyo'), 'Asia/Tokyo');
});
