import assert from 'node:assert/strict';
import { test } from 'node:test';

import { path } from '../../web/shared/attendance.js';
import { NoPath } from '../../web/shared/http.js';

test('every part of a path is percent-encoded', () => {
  assert.equal(path`/events/${'a/b'}/tickets/${'Siti & Budi?'}`, '/events/a%2Fb/tickets/Siti%20%26%20Budi%3F');
});

test('what would lead to another path is refused', () => {
  // A browser makes `DELETE /events/e/` of `DELETE /events/e/tickets/..`.
  for (const part of ['.', '..']) assert.throws(() => path`/events/e/tickets/${part}`, NoPath);
  assert.equal(path`/events/e/tickets/${'...'}`, '/events/e/tickets/...');
});
