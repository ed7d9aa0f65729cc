import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checksOf, nextStep } from '../../web/desk/drill-checks.js';

const scan = (by, at, scanned) => ({ by, at: `2026-12-01T12:${at}+00:00`, scanned_at: scanned && `2026-12-01T${scanned}` });

test('a phone is ready when one scan came at once, one late, and somebody heard it', () => {
  const first = scan('Timur', '00:10.200', '12:00:10.000Z');
  assert.equal(nextStep(checksOf('Timur', [], null)), 'direct');
  assert.equal(nextStep(checksOf('Timur', [first], null)), 'late');
  const scans = [first, scan('Timur', '01:00.200', '19:00:35+07:00')];
  const waiting = checksOf('Timur', scans, null);
  assert.equal(nextStep(waiting), 'sound');
  assert.equal(waiting.direct, first.at);
  assert.deepEqual(waiting.late, { at: scans[1].at, seconds: 25 });
  assert.equal(waiting.isReady, false);
  assert.equal(checksOf('Timur', scans, false).isReady, false);
  assert.equal(nextStep(checksOf('Timur', scans, false)), 'done');
  assert.equal(checksOf('Timur', scans, true).isReady, true);
});

test('the scans of other phones say nothing', () => {
  const checks = checksOf('Barat', [scan('Timur', '00:10', '12:00:10Z')], null);
  assert.equal(checks.direct, null);
  assert.equal(checks.notLate, false);
});

test('a second scan that came at once was made with a network', () => {
  const checks = checksOf('Timur', [scan('Timur', '00:10', '12:00:10Z'), scan('Timur', '00:20', '12:00:19Z')], null);
  assert.equal(checks.late, null);
  assert.equal(checks.notLate, true);
  assert.equal(nextStep(checks), 'late');
});

test('a wrong clock hides nothing, and is told', () => {
  for (const [first, second, minutes] of [['12:20:00Z', '12:30:00Z', -20], ['02:00:00Z', '02:10:00Z', 600]]) {
    const checks = checksOf('Timur', [scan('Timur', '00:00', first), scan('Timur', '10:12', second)], true);
    assert.equal(checks.clockOff, minutes);
    assert.equal(checks.late.seconds, 12);
    assert.equal(checks.isReady, true);
  }
});

test('a scan without a time of its own was sent at once', () => {
  const checks = checksOf('Timur', [scan('Timur', '00:00', null), scan('Timur', '01:00', '12:00:50Z')], true);
  assert.equal(checks.late.seconds, 10);
  assert.equal(checks.clockOff, 0);
});
