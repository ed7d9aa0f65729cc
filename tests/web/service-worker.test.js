import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const WEB = new URL('../../web/', import.meta.url);
const SERVICE_WORKER = read('/web/gate/service-worker.js');
const [FILES, TEXTS] = ['FILES', 'TEXTS'].map((name) => {
  const [, files] = SERVICE_WORKER.match(new RegExp(`const ${name} = \\[([^\\]]*)\\]`));
  return [...files.matchAll(/'([^']+)'/g)].map(([, file]) => file);
});

function read(address) {
  const name = address === '/gate' ? 'gate.html' : address.slice('/web/'.length);
  return readFileSync(new URL(name, WEB), 'utf8');
}

/** What a file loads: modules and workers of a module; scripts, styles and pictures of anything else. */
function loads(address) {
  const content = read(address);
  if (!address.endsWith('.js')) return [...content.matchAll(/"(\/web\/[^"]+)"/g)].map(([, loaded]) => loaded);
  const imported = [...content.matchAll(/\b(?:from|import)\s*\(?\s*'(\.[^']+)'/g)];
  const workers = [...content.matchAll(/const WORKER = '([^']+)'/g)];
  return [
    ...imported.map(([, path]) => new URL(path, `http://gate${address}`).pathname),
    ...workers.map(([, path]) => path),
  ];
}

function everythingFrom(address, found = new Set()) {
  if (found.has(address)) return found;
  found.add(address);
  for (const loaded of loads(address)) everythingFrom(loaded, found);
  return found;
}

test('the service worker keeps what the gate loads, and nothing else', () => {
  assert.deepEqual(TEXTS, ['/web/texts/id.js', '/web/texts/en.js']);
  assert.deepEqual([...FILES, ...TEXTS].sort(), [...everythingFrom('/gate')].sort());
});

test('what the service worker itself loads is kept with the page', () => {
  const own = [...everythingFrom('/web/gate/service-worker.js')].slice(1);
  assert.deepEqual(own.filter((file) => !FILES.includes(file)), []);
});

test('a page that has changed is another service worker', () => {
  assert.match(SERVICE_WORKER, /\{\{version\}\}/);
});
