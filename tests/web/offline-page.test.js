import assert from 'node:assert/strict';
import { test } from 'node:test';

import { keepPage } from '../../web/gate/offline-page.js';

test('keeping the page is tried again after a broken network, and not after the certificate was refused', async () => {
  const errors = [new TypeError('the network broke'), new DOMException('the certificate', 'SecurityError')];
  let tries = 0;
  const register = async () => {
    throw errors[tries++];
  };
  globalThis.isSecureContext = true;
  Object.defineProperty(globalThis, 'navigator', {
    value: { serviceWorker: { register, getRegistration: async () => undefined } },
  });

  assert.equal(await keepPage(), 'refused');
  assert.equal(await keepPage(), 'refused');
  assert.equal(tries, 2);
  assert.equal(await keepPage(), 'refused');
  assert.equal(tries, 2);
});
