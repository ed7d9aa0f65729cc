// Keeps the gate's page on the phone, and sends the queue in the background where the browser can.

import { Flush } from './flush.js';
import { QUEUE_CHANNEL } from './queue.js';
import { sendingAlone, tokenApi } from './sending.js';
import { openStore } from './store.js';

/** Everything that the page loads, but for its texts. */
const FILES = [
  '/gate',
  '/web/gate/camera.js',
  '/web/gate/connection.js',
  '/web/gate/event-screen.js',
  '/web/gate/facts-view.js',
  '/web/gate/flush.js',
  '/web/gate/gate.css',
  '/web/gate/gate.js',
  '/web/gate/gate.webmanifest',
  '/web/gate/keyboard-scanner.js',
  '/web/gate/knowledge.js',
  '/web/gate/login-screen.js',
  '/web/gate/main.js',
  '/web/gate/notices.js',
  '/web/gate/offline-page.js',
  '/web/gate/pass.js',
  '/web/gate/questions.js',
  '/web/gate/queue.js',
  '/web/gate/reader.js',
  '/web/gate/scan-view.js',
  '/web/gate/sending.js',
  '/web/gate/signals.js',
  '/web/gate/store.js',
  '/web/gate/ticket-list.js',
  '/web/gate/verdict-text.js',
  '/web/gate/verdict.js',
  '/web/gate/wake-lock.js',
  '/web/icon.svg',
  '/web/qr-worker.js',
  '/web/qr.js',
  '/web/qr/binarize.js',
  '/web/qr/codewords.js',
  '/web/qr/finder.js',
  '/web/qr/format.js',
  '/web/qr/gray.js',
  '/web/qr/grid.js',
  '/web/qr/modules.js',
  '/web/qr/reed-solomon.js',
  '/web/qr/segments.js',
  '/web/qr/symbols.js',
  '/web/qr/version.js',
  '/web/shared/attendance.js',
  '/web/shared/base.css',
  '/web/shared/digest.js',
  '/web/shared/dom.js',
  '/web/shared/errors.js',
  '/web/shared/http.js',
  '/web/shared/jwt.js',
  '/web/shared/language.js',
  '/web/shared/session.js',
  '/web/shared/sha256.js',
  '/web/shared/uuid.js',
];

/** Those in the browser's language are kept from the start, as shared/language.js chooses it; the others once asked for. */
const TEXTS = ['/web/texts/id.js', '/web/texts/en.js'];
const OWN_TEXTS = TEXTS[navigator.language?.startsWith('en') ? 1 : 0];

const CACHE = 'tixgo-gate-{{version}}';

self.addEventListener('install', (event) => event.waitUntil(install()));
self.addEventListener('activate', (event) => event.waitUntil(activate()));
self.addEventListener('fetch', (event) => {
  const file = fileOf(event.request);
  if (file) event.respondWith(fromCache(file));
});
self.addEventListener('sync', (event) => event.waitUntil(sendQueue()));

async function install() {
  const cache = await caches.open(CACHE);
  await cache.addAll([...FILES, OWN_TEXTS].map((file) => new Request(file, { cache: 'no-cache' })));
  await self.skipWaiting();
}

async function activate() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith('tixgo-gate-') && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
  await self.clients.claim();
}

/** The file that a request is for, or `null` if it is for something else. */
function fileOf({ method, url }) {
  const { origin, pathname, search } = new URL(url);
  if (method !== 'GET' || origin !== location.origin) return null;
  // A worker is kept only if its address is in the scope, `/gate`. reader.js asks for it so.
  if (pathname === '/gate' && search === '?decoder') return '/web/qr-worker.js';
  return [...FILES, ...TEXTS].includes(pathname) ? pathname : null;
}

async function fromCache(file) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(file);
  if (kept) return kept;
  const response = await fetch(file);
  // The page does not wait for it, and works without.
  if (TEXTS.includes(file) && response.ok) cache.put(file, response.clone()).catch(() => {});
  return response;
}

async function sendQueue() {
  const store = await openStore();
  const api = tokenApi(await store.get('token'));
  if (api) await sendingAlone(() => new Flush(store).run(api, api.user));
  new BroadcastChannel(QUEUE_CHANNEL).postMessage('changed');
}
