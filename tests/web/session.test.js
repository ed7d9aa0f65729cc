import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { Session, SessionEnded } from '../../web/shared/session.js';

/** A page that knows identity-service, in which `fetch` gives what `answer` makes of a request. */
const requests = [];
let answer;
let storage;
const stored = new Map();

beforeEach(() => {
  requests.length = 0;
  stored.clear();
  globalThis.document = { querySelector: () => ({ content: 'http://identity' }) };
  globalThis.localStorage = {
    getItem: (name) => stored.get(name) ?? null,
    setItem: (name, value) => stored.set(name, value),
    removeItem: (name) => stored.delete(name),
  };
  globalThis.addEventListener = (_, listener) => (storage = listener);
  globalThis.fetch = async (url, { body }) => {
    const request = { path: new URL(url).pathname, ...JSON.parse(body) };
    requests.push(request);
    return answer(request);
  };
});

const json = (body, status = 200) => new Response(JSON.stringify(body), { status });

function token(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({})}.${part({ iat: 1000, ...claims })}.signature`;
}

/** A token of so short a life that it is to be renewed at once. */
const ending = (sub) => token({ sub, role: 'committee', exp: 1030 });
const lasting = (sub) => token({ sub, role: 'committee', exp: 4600 });
const PASS = token({ sub: 'Gerbang A', role: 'gate', event: 'e', exp: 4600 });

/** A session of `ani` that is just being renewed. `arrive` lets the answer come. */
async function renewing({ status = 200 } = {}) {
  answer = () => json({ access_token: ending('ani'), refresh_token: 'r1' });
  const session = new Session();
  await session.logIn('ani', 'secret');
  let arrive;
  const isAnswered = new Promise((resolve) => (arrive = resolve));
  answer = async ({ path }) => {
    if (path !== '/auth/refresh') return json({});
    await isAnswered;
    return json({ access_token: lasting('ani'), refresh_token: 'r2' }, status);
  };
  return { session, token: session.token(), arrive };
}

const loggedOut = () => requests.filter(({ path }) => path === '/auth/logout').map(({ refresh_token }) => refresh_token);

test('a token that is about to end is renewed', async () => {
  const { session, token, arrive } = await renewing();
  arrive();
  assert.equal(await token, lasting('ani'));
  assert.equal(await session.token(), lasting('ani'));
  assert.deepEqual(loggedOut(), []);
});

test('whoever logs out while the token is renewed stays logged out, and the new session is ended too', async () => {
  const { session, token, arrive } = await renewing();
  await session.logOut();
  arrive();
  await assert.rejects(token, SessionEnded);
  assert.equal(session.user, null);
  assert.equal(stored.size, 0);
  assert.deepEqual(loggedOut(), ['r1', 'r2']);
});

for (const [status, ended] of [[200, ['r2']], [401, []]]) {
  test(`a pass that is opened while the token is renewed stays, when the answer is ${status}`, async () => {
    const { session, token, arrive } = await renewing({ status });
    session.usePass(PASS);
    arrive();
    assert.equal(await token, PASS);
    assert.equal(session.user.name, 'Gerbang A');
    assert.deepEqual(loggedOut(), ended);
  });
}

test('what another tab has renewed meanwhile stays, and is not ended', async () => {
  const { session, token, arrive } = await renewing();
  const other = { token: lasting('ani'), refreshToken: 'r3', receivedAt: Date.now() };
  stored.set('tixgo.session', JSON.stringify(other));
  storage({ key: 'tixgo.session' });
  arrive();
  assert.equal(await token, other.token);
  assert.equal(JSON.parse(stored.get('tixgo.session')).refreshToken, 'r3');
  assert.deepEqual(loggedOut(), []);
  assert.equal(session.user.name, 'ani');
});

test('while identity-service is down, a token that is still good is used, and renewed ten seconds later', async (t) => {
  let now = 0;
  t.mock.method(performance, 'now', () => now);
  const { session, token, arrive } = await renewing({ status: 503 });
  arrive();
  assert.equal(await token, ending('ani'));
  const renewals = () => requests.filter(({ path }) => path === '/auth/refresh').length;
  now = 9999;
  assert.equal(await session.token(), ending('ani'));
  assert.equal(renewals(), 1, 'not asked again');
  await assert.rejects(session.token({ not: ending('ani') }), { status: 503 }, 'one that was refused has to be renewed');
  assert.equal(renewals(), 2);
  now += 10_000;
  await session.token();
  assert.equal(renewals(), 3);
});

test('a change says whether it was made in another tab', async () => {
  const session = new Session();
  const changes = [];
  session.addEventListener('change', ({ detail }) => changes.push(detail.isElsewhere));
  session.usePass(PASS);
  storage({ key: 'tixgo.session' });
  await session.logOut();
  assert.deepEqual(changes, [false, true, false]);
});

test('a session that identity-service knows no more has ended', async () => {
  const { token, arrive } = await renewing({ status: 401 });
  arrive();
  await assert.rejects(token, SessionEnded);
});
