import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';

import { Knowledge, forgetOtherEvents } from '../../web/gate/knowledge.js';
import { admissionName } from '../../web/gate/queue.js';
import { MemoryStore } from '../../web/gate/store.js';
import { NoAnswer } from '../../web/shared/http.js';

const SALT = Buffer.alloc(16, 7);
const digest = (ticket) => createHash('sha256').update(SALT).update(ticket).digest().subarray(0, 8);
const digests = (tickets) => Buffer.concat(tickets.map(digest).sort(Buffer.compare)).toString('base64url');

/** attendance-service, as far as it tells phones what happened. */
class Event {
  tickets = ['T1', 'T2', 'T3'];
  revoked = [];
  used = new Set();
  changes = [];
  asked = [];
  boot = 1;

  happen(kind, ticket) {
    this.changes.push({ seq: this.changes.length + 1, kind, digest: digest(ticket).toString('base64url') });
    if (kind === 'undone') this.used.delete(ticket);
    else this.used.add(ticket);
  }

  async json(url) {
    this.asked.push(url);
    const query = new URLSearchParams(url.split('?')[1]);
    const after = this.changes.filter(({ seq }) => seq > Number(query.get('after')));
    return { version: this.changes.length, changes: after.slice(0, 2) };
  }

  async response(url, { headers }) {
    this.asked.push(url);
    const etag = `W/"${this.boot}-${this.changes.length}"`;
    if (headers['If-None-Match'] === etag) return { status: 304 };
    const body = {
      version: this.changes.length,
      salt: SALT.toString('base64url'),
      tickets: this.tickets && digests(this.tickets),
      revoked: digests(this.revoked),
      used: digests([...this.used]),
    };
    return { status: 200, headers: new Map([['ETag', etag]]), json: async () => body };
  }
}

async function phone(event, store = new MemoryStore()) {
  const knowledge = new Knowledge(store, 'e/1');
  await knowledge.load();
  const said = async (ticket) => (await knowledge.verdict(ticket)).state;
  return { knowledge, store, said };
}

test('before there is a list, nothing is known', async () => {
  const { knowledge, said } = await phone();
  assert.equal(knowledge.state, 'missing');
  assert.equal(await said('T1'), 'unsure');
});

test('with the list, the phone decides', async () => {
  const event = new Event();
  event.revoked = ['T3'];
  event.happen('checked_in', 'T2');
  const { knowledge, said } = await phone();
  await knowledge.fetchList(event);
  assert.deepEqual(event.asked, ['/events/e%2F1/offline']);
  assert.equal(knowledge.state, 'ready');
  assert.equal(knowledge.version, 1);
  assert.deepEqual(await Promise.all(['T1', 'T2', 'T3', 'T4'].map(said)), ['in-unsynced', 'already', 'refused', 'refused']);
});

test('the changes of others count at once, and the list is not fetched again for them', async () => {
  const event = new Event();
  const { knowledge, said } = await phone();
  await knowledge.fetchList(event);
  for (const ticket of ['T1', 'T2', 'T3']) event.happen('checked_in', ticket);
  event.happen('undone', 'T2');
  event.happen('conflict', 'T1');
  await knowledge.fetchChanges(event);
  await knowledge.fetchList(event);
  assert.equal(knowledge.version, 5);
  assert.deepEqual(await Promise.all(['T1', 'T2', 'T3'].map(said)), ['already', 'in-unsynced', 'already']);
  assert.equal(event.asked.filter((url) => url.endsWith('/offline')).length, 1);
  assert.equal(event.asked.at(-1), '/attendance/e%2F1/changes?after=4&limit=1000');
});

test('what is known is known after the page was loaded again', async () => {
  const event = new Event();
  const { knowledge, store } = await phone();
  await knowledge.fetchList(event);
  event.happen('checked_in', 'T1');
  await knowledge.fetchChanges(event);
  const again = await phone(event, store);
  assert.equal(again.knowledge.state, 'ready');
  assert.equal(again.knowledge.version, 1);
  assert.ok(again.knowledge.fetchedAt > 0);
  assert.deepEqual(await Promise.all(['T1', 'T2'].map(again.said)), ['already', 'in-unsynced']);
});

test('whom this phone has let in is used, and until it was undone', async () => {
  const event = new Event();
  const { knowledge, store, said } = await phone();
  await knowledge.fetchList(event);
  const admission = { by: 'a', at: '2026-11-29T12:04:00+00:00' };
  await store.write({ put: { [admissionName('e/1', 'T1')]: admission } });
  const { state, by, at, here } = await knowledge.verdict('T1');
  assert.deepEqual({ state, by, at, here }, { state: 'already', by: 'a', at: admission.at, here: true });
  await knowledge.noteUndone('T1');
  assert.equal(await said('T1'), 'in-unsynced');
});

test('a list that is the same is not sent again', async (t) => {
  const event = new Event();
  const { knowledge } = await phone();
  t.mock.method(Date, 'now', () => 1_000_000);
  await knowledge.fetchList(event);
  Date.now.mock.mockImplementation(() => 1_059_999);
  await knowledge.fetchList(event);
  assert.equal(event.asked.length, 1, 'within a minute');
  Date.now.mock.mockImplementation(() => 1_060_000);
  await knowledge.fetchList(event);
  assert.equal(event.asked.length, 2);
  assert.equal(knowledge.fetchedAt, 1_060_000, 'it is as good as new');
});

test('a newer list replaces what was heard before', async (t) => {
  const event = new Event();
  const { knowledge, said } = await phone();
  t.mock.method(Date, 'now', () => 1_000_000);
  await knowledge.fetchList(event);
  event.happen('checked_in', 'T1');
  await knowledge.fetchChanges(event);
  event.happen('undone', 'T1');
  Date.now.mock.mockImplementation(() => 1_070_000);
  await knowledge.fetchList(event);
  assert.equal(await said('T1'), 'in-unsynced');
});

for (const [when, later] of [['', 1_070_000], [', though its clock was set back', 10]]) {
  test(`whom this phone has let in may come again when somebody else has undone that${when}`, async (t) => {
    const event = new Event();
    const { knowledge, store, said } = await phone();
    t.mock.method(Date, 'now', () => 1_000_000);
    await knowledge.fetchList(event);
    event.happen('checked_in', 'T1');
    event.happen('checked_in', 'T2');
    for (const ticket of ['T1', 'T2']) await store.write({ put: { [admissionName('e/1', ticket)]: { by: 'a', at: 'then' } } });
    event.happen('undone', 'T1');
    event.happen('checked_in', 'T3');
    Date.now.mock.mockImplementation(() => later);
    // The list has the undo in it already, and the changes are heard nevertheless.
    await knowledge.fetchList(event);
    await knowledge.fetchChanges(event);
    assert.deepEqual(await Promise.all(['T1', 'T2', 'T3'].map(said)), ['in-unsynced', 'already', 'already']);
    assert.equal((await knowledge.verdict('T2')).here, true);
  });
}

/** Keeps an admission as the gate does. */
async function admit({ store }, event, ticket) {
  event.happen('checked_in', ticket);
  await store.write({ put: { [admissionName('e/1', ticket)]: { by: 'a', at: `${event.changes.length}` } } });
}

test('an undo is heard by the changes, by a list, and by the first list', async () => {
  const ways = {
    changes: async ({ knowledge }, event) => knowledge.fetchChanges(event),
    list: async ({ knowledge }, event) => {
      knowledge.wantList();
      await knowledge.fetchList(event);
    },
    'the first list': async ({ knowledge }, event) => knowledge.fetchList(event),
  };
  for (const [way, hear] of Object.entries(ways)) {
    const event = new Event();
    const one = await phone();
    if (way !== 'the first list') await one.knowledge.fetchList(event);
    for (const ticket of ['T1', 'T2']) await admit(one, event, ticket);
    event.happen('undone', 'T1');
    await hear(one, event);
    assert.equal((await one.knowledge.verdict('T1')).state, 'in-unsynced', way);
    assert.equal((await one.knowledge.verdict('T2')).here, true, way);
    assert.deepEqual([...(await one.store.entries('admission/')).keys()], [admissionName('e/1', 'T2')], way);
  }
});

test('an admission after an undo stays known, with when and by whom, also if the answer on its way is older', async () => {
  for (const isOnItsWay of [false, true]) {
    const event = new Event();
    const one = await phone();
    await one.knowledge.fetchList(event);
    await admit(one, event, 'T1');
    event.happen('undone', 'T1');
    if (isOnItsWay) {
      const answer = await event.json('?after=0');
      await one.knowledge.fetchChanges({
        json: async () => {
          await admit(one, event, 'T1');
          return answer;
        },
      });
    } else {
      await admit(one, event, 'T1');
      await one.knowledge.fetchChanges(event);
    }
    assert.equal((await one.knowledge.verdict('T1')).at, '3', `${isOnItsWay}`);
  }
});

test('a list that was on its way knows nothing of an admission, whoever has kept it', async () => {
  const event = new Event();
  const one = await phone();
  const response = async (url, options) => {
    const answer = await event.response(url, options);
    // The service worker has sent the queue.
    await admit(one, event, 'T1');
    return answer;
  };
  await one.knowledge.fetchList({ response });
  assert.equal((await one.knowledge.verdict('T1')).here, true);
});

test('a server that was set up anew, and has the same list, goes on telling of changes', async () => {
  const event = new Event();
  const { knowledge, said } = await phone();
  event.happen('checked_in', 'T1');
  await knowledge.fetchList(event);
  event.happen('undone', 'T1');
  await knowledge.fetchChanges(event);
  event.changes.pop();
  event.used.add('T1');
  await knowledge.fetchChanges(event);
  assert.equal(await said('T1'), 'already');
  await knowledge.fetchList(event);
  event.happen('checked_in', 'T2');
  await knowledge.fetchChanges(event);
  assert.equal(await said('T2'), 'already');
});

test('what was undone here is not used, though the server has yet to be told', async () => {
  const event = new Event();
  event.happen('checked_in', 'T1');
  const { knowledge, said } = await phone();
  await knowledge.fetchList(event);
  assert.equal(await said('T1'), 'already');
  assert.equal((await knowledge.verdict('T1', { isUndone: true })).state, 'in-unsynced');
  await knowledge.noteUndone('T1');
  assert.equal(await said('T1'), 'in-unsynced');
  knowledge.wantList();
  event.happen('checked_in', 'T1');
  await knowledge.fetchList(event);
  assert.equal(await said('T1'), 'already', 'and the next list counts');
});

test('what is known of events that are no more is forgotten', async () => {
  const event = new Event();
  const one = await phone();
  await one.knowledge.fetchList(event);
  await admit(one, event, 'T1');
  await forgetOtherEvents(one.store, ['e/1']);
  assert.deepEqual([...(await one.store.entries('')).keys()].sort(), ['admission/e%2F1/T1', 'changes/e/1', 'list/e/1']);
  await forgetOtherEvents(one.store, ['e']);
  assert.deepEqual([...(await one.store.entries('')).keys()], []);
});

test('a server that was set up anew is asked for all', async () => {
  const event = new Event();
  const { knowledge, said } = await phone();
  event.happen('checked_in', 'T1');
  await knowledge.fetchList(event);
  const anew = Object.assign(new Event(), { boot: 2 });
  await knowledge.fetchChanges(anew);
  await knowledge.fetchList(anew);
  assert.equal(await said('T1'), 'in-unsynced');
});

test('a list that breaks off on its way changes nothing', async () => {
  const event = new Event();
  const { knowledge, said } = await phone();
  const broken = {
    response: async () => ({ status: 200, headers: new Map(), json: async () => { throw new TypeError('network error'); } }),
  };
  await assert.rejects(knowledge.fetchList(broken), NoAnswer);
  assert.equal(knowledge.state, 'missing');
  await knowledge.fetchList(event);
  assert.equal(await said('T1'), 'in-unsynced');
});

test('an event without a list is open', async () => {
  const event = Object.assign(new Event(), { tickets: null });
  event.happen('checked_in', 'T1');
  const { knowledge, said } = await phone();
  await knowledge.fetchList(event);
  assert.equal(knowledge.state, 'open');
  assert.deepEqual(await Promise.all(['T1', 'T2'].map(said)), ['already', 'unsure']);
});
