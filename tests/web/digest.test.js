import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';

import { fromBase64Url, ticketDigest, toBase64Url } from '../../web/shared/digest.js';

test('a digest is the first 8 bytes over salt and id', () => {
  const salt = randomBytes(16);
  for (const id of ['A-001', 'Tiket é/1', 'x'.repeat(200)]) {
    const expected = createHash('sha256').update(salt).update(id).digest().subarray(0, 8);
    assert.deepEqual(Buffer.from(ticketDigest(salt, id)), expected);
  }
});

test('base64url is read and written', () => {
  for (const length of [0, 1, 2, 3, 8, 16]) {
    const bytes = randomBytes(length);
    assert.equal(toBase64Url(bytes), bytes.toString('base64url'));
    assert.deepEqual(Buffer.from(fromBase64Url(bytes.toString('base64url'))), bytes);
  }
});
