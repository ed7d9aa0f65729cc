import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';

import { sha256 } from '../../web/shared/sha256.js';

const hash = (bytes) => createHash('sha256').update(bytes).digest();

test('SHA-256 is that of node, for every length around the blocks', () => {
  for (let length = 0; length <= 200; length += 1) {
    const bytes = randomBytes(length);
    assert.deepEqual(Buffer.from(sha256(bytes)), hash(bytes), `${length} bytes`);
  }
  const long = randomBytes(20_000);
  assert.deepEqual(Buffer.from(sha256(long)), hash(long));
});
