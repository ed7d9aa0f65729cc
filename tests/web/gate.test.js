import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Flush } from '../../web/gate/flush.js';
import { Gate } from '../../web/gate/gate.js';
import { Queue, admissionName } from '../../web/gate/queue.js';
import { MemoryStore } from '../../web/gate/store.js';
import { ApiError, NoAnswer } from '../../web/shared/http.js';
import { SessionEnded } from '../../web/shared/session.js';
import { GateServer, failing } from './gate-server.js';

/** A gate on a phone, before a server. `phoneSays` is what the phone says without it. */
async function gate({ server = new GateServer(), store = new MemoryStore(), phoneSays = { state: 'in-unsynced' }, decidingAlone = locks() } = {}) {
  const queue = new Queue(store, null);
  const connection = {
    isOnline: true,
    lost(error) {
      this.isOnline = false;
      this.error = error;
    },
    kicks: 0,
    kick() {
      this.kicks += 1;
    },
    queues: 0,
    queued() {
      this.queues += 1;
    },
  };
  const knowledge = {
    event: 'e',
    version: 3,
    state: 'open',
    isListWanted: false,
    wantList() {
      this.isListWanted = true;
    },
    asked: [],
    async verdict(ticket, known) {
      this.asked.push(known);
      return phoneSays;
    },
    undone: [],
    async noteUndone(ticket) {
      this.undone.push(ticket);
    },
  };
  const attendance = {
    async json(_url, { json }) {
      return { results: await server.as('a').checkIn(json.scans) };
    },
  };
  const shown = [];
  const session = { user: { name: 'a' } };
  const made = new Gate({
    store, queue, knowledge, attendance, connection, session,
    decidingAlone,
    onVerdict: (verdict) => shown.push(verdict),
    onAdmission: () => {},
  });
  await made.load();
  const flush = (user) => new Flush(store).run(server.as(user), user);
  return { gate: made, server, store, queue, flush, connection, knowledge, session, shown, states: () => shown.map(({ state }) => state) };
}

/** The locks of one phone, as its browser has them. */
function locks() {
  const held = new Map();
  return ({ event, ticket }, work) => {
    const name = `${event}/${ticket}`;
    const done = (held.get(name) ?? Promise.resolve()).then(work);
    held.set(name, done.catch(() => {}));
    return done;
  };
}

/** Lets the time go on without waiting for it. */
function clock(t) {
  let now = 0;
  t.mock.method(performance, 'now', () => now);
  t.mock.timers.enable({ apis: ['setTimeout'] });
  return (milliseconds) => {
    now += milliseconds;
    t.mock.timers.tick(milliseconds);
  };
}

test('the server is asked, and nothing stays in the queue', async () => {
  const one = await gate();
  await one.gate.scan(' T1 ');
  assert.deepEqual(one.states(), ['checking', 'in']);
  assert.deepEqual(await one.queue.scans(), []);
  assert.equal(one.gate.admission.ticket, 'T1');
  assert.equal(one.server.requests[0][1][0].admitted, false);
  one.gate.end();
});

test('a scan is kept before the server is asked', async () => {
  const one = await gate();
  let kept;
  one.server.network = () => {
    kept = one.queue.scans();
  };
  await one.gate.scan('T1');
  assert.equal((await kept)[0].ticket, 'T1');
  one.gate.end();
});

test('without an answer the phone decides, and the queue sends with the same key', async () => {
  const one = await gate();
  one.server.answers = failing(1);
  await one.gate.scan('T1');
  assert.deepEqual(one.states(), ['checking', 'in-unsynced']);
  assert.ok(one.connection.error instanceof NoAnswer);
  await one.flush('a');
  assert.deepEqual(one.server.kinds('T1'), ['checked_in']);
  one.gate.end();
});

test('an ended session refuses nobody', async () => {
  const one = await gate();
  one.server.network = failing(1, new SessionEnded());
  await one.gate.scan('T1');
  assert.deepEqual(one.states(), ['checking', 'in-unsynced']);
  assert.ok(one.connection.error instanceof SessionEnded);
  one.gate.end();
});

test('after a second the phone does not wait any longer', async (t) => {
  const tick = clock(t);
  let asked;
  const isAsked = new Promise((resolve) => (asked = resolve));
  const slow = await gate({ server: { as: () => ({ checkIn: () => (asked(), new Promise(() => {})) }) } });
  const scanning = slow.gate.scan('T1');
  await isAsked;
  assert.deepEqual(slow.states(), ['checking']);
  tick(1000);
  await scanning;
  assert.deepEqual(slow.states(), ['checking', 'in-unsynced']);
  slow.gate.end();
});

test('the same guest again is just now, once, and not asked about', async (t) => {
  const tick = clock(t);
  const one = await gate();
  await one.gate.scan('T1');
  for (let picture = 0; picture < 10; picture += 1) {
    tick(100);
    one.gate.see('T1');
  }
  assert.deepEqual(one.states(), ['checking', 'in'], 'the verdict stays as long as it is shown');
  for (let picture = 0; picture < 30; picture += 1) {
    tick(100);
    one.gate.see('T1');
  }
  assert.deepEqual(one.states(), ['checking', 'in', 'ready', 'just-now']);
  assert.equal(one.server.requests.length, 1);
  tick(3000);
  await one.gate.see('T1');
  assert.equal(one.states().at(-1), 'already');
  one.gate.end();
});

test('an attempt of before, to which no answer came, is taken up with its key', async () => {
  const store = new MemoryStore();
  const server = new GateServer();
  const before = await gate({ server, store });
  const scan = await before.queue.begin(before.queue.draft({ event: 'e', ticket: 'T1', gate: '', listVersion: 1 }), 'a');
  await server.as('a').checkIn([{ ticket_id: 'T1', idempotency_key: scan.key, admitted: false }]);
  const after = await gate({ server, store });
  await after.gate.scan('T1');
  assert.deepEqual(after.states(), ['checking', 'in']);
  assert.deepEqual(server.kinds('T1'), ['checked_in']);
  after.gate.end();
});

test('an attempt of before that was undone since is another one now', async () => {
  const store = new MemoryStore();
  const server = new GateServer();
  const before = await gate({ server, store });
  const scan = await before.queue.begin(before.queue.draft({ event: 'e', ticket: 'T1', gate: '', listVersion: 1 }), 'a');
  await server.as('a').checkIn([{ ticket_id: 'T1', idempotency_key: scan.key, admitted: false }]);
  await server.as('a').undo('e', 'T1');
  const after = await gate({ server, store });
  await after.gate.scan('T1');
  assert.equal(after.states().at(-1), 'in');
  assert.equal(server.isIn('T1'), true);
  after.gate.end();
});

test('two tabs of a phone that read the same ticket at the same moment let in one guest', async () => {
  for (const isOnline of [true, false]) {
    const [store, server, decidingAlone] = [new MemoryStore(), new GateServer(), locks()];
    const tabs = [await gate({ store, server, decidingAlone }), await gate({ store, server, decidingAlone })];
    for (const { connection } of tabs) connection.isOnline = isOnline;
    await Promise.all(tabs.map((tab) => tab.gate.scan('T1')));
    const letIn = isOnline ? 'in' : 'in-unsynced';
    assert.deepEqual(tabs.map((tab) => tab.states().at(-1)), [letIn, 'already']);
    for (const tab of tabs) tab.gate.end();
  }
});

test('what waits in the queue is known here, though the server does not know it yet', async (t) => {
  const tick = clock(t);
  const one = await gate();
  one.server.network = failing(1);
  await one.gate.scan('T1');
  one.connection.isOnline = true;
  tick(4000);
  await one.gate.scan('T1');
  const { state, here, by } = one.shown.at(-1);
  assert.deepEqual({ state, here, by }, { state: 'already', here: true, by: 'a' });
  assert.deepEqual(one.server.entries, [], 'asked for by the queue alone');
  one.gate.end();
});

test('who is refused without the server is no admission', async () => {
  const one = await gate({ phoneSays: { state: 'refused', reason: 'unregistered' } });
  one.connection.isOnline = false;
  await one.gate.scan('T1');
  assert.deepEqual(one.states(), ['checking', 'refused']);
  assert.deepEqual(await one.queue.scans(), []);
  one.gate.end();
});

test('who is not certain waits for the volunteer, whatever the camera sees', async () => {
  for (const isAllowed of [true, false]) {
    const one = await gate({ phoneSays: { state: 'unsure', reason: 'open' } });
    one.connection.isOnline = false;
    await one.gate.scan('T1');
    one.gate.see('T2');
    assert.equal(await one.gate.scan('T3'), false, 'and is not taken');
    assert.deepEqual(one.states(), ['checking', 'unsure']);
    await one.gate.answer(isAllowed);
    assert.equal(one.states().at(-1), isAllowed ? 'in-unsynced' : 'ready');
    const fates = (await one.queue.scans()).map(({ ticket, fate, verdict }) => [ticket, fate, verdict]);
    assert.deepEqual(fates, isAllowed ? [['T1', 'in', 'unsure']] : []);
    assert.equal(await one.gate.scan('T3'), true);
    one.gate.end();
  }
});

test('what the server does not take at all is for the volunteer to decide', async () => {
  const one = await gate();
  one.server.network = failing(1, new ApiError(422, 'gate: too long'));
  await one.gate.scan('T1');
  const { state, reason, detail } = one.shown.at(-1);
  assert.deepEqual({ state, reason, detail }, { state: 'unsure', reason: 'server', detail: 'gate: too long' });
  one.gate.end();
});

test('what cannot be a ticket is refused without asking', async () => {
  const one = await gate();
  await one.gate.scan('a\0b');
  assert.deepEqual(one.shown.map(({ state, reason }) => [state, reason]), [['refused', 'noTicket']]);
  await one.gate.scan('   ');
  assert.equal(one.shown.length, 1, 'and nothing is nothing');
  one.gate.end();
});

test('the last admission is undone, and the ticket is as good as new', async () => {
  const one = await gate();
  await one.gate.scan('T/1');
  await one.gate.undo(one.gate.admission);
  assert.equal(one.gate.admission, null);
  assert.equal(one.shown.at(-1).undone.ticket, 'T/1');
  assert.deepEqual(one.knowledge.undone, ['T/1']);
  assert.equal(one.connection.queues, 1, 'it goes out at once');
  await one.gate.scan('T/1');
  assert.equal(one.states().at(-1), 'in-unsynced', 'what waits for this ticket goes out first');
  assert.deepEqual(one.knowledge.asked, [{ isUndone: true }]);
  await one.flush('a');
  assert.deepEqual(one.server.kinds('T/1'), ['checked_in', 'undone', 'checked_in']);
  assert.deepEqual(await one.queue.scans(), []);
  one.gate.end();
});

test('what somebody else has undone is not undone again', async () => {
  const one = await gate();
  await one.gate.scan('T1');
  await one.server.as('a').undo('e', 'T1');
  await one.gate.undo(one.gate.admission);
  await one.flush('a');
  assert.deepEqual(one.server.kinds('T1'), ['checked_in', 'undone']);
  await one.gate.scan('T2');
  const { admission } = one.gate;
  // The phone has heard of it meanwhile.
  await one.store.write({ remove: [admissionName('e', 'T2')] });
  await one.gate.undo(admission);
  assert.equal(one.shown.at(-1).notUndone.ticket, 'T2', 'and that is said');
  assert.deepEqual([one.gate.admission, await one.queue.scans()], [null, []]);
  one.gate.end();
});

test('an undo is of the one check-in, and not of another of the ticket', async () => {
  for (const other of ['a', 'b']) {
    const one = await gate();
    await one.gate.scan('T1');
    await one.gate.undo(one.gate.admission);
    one.server.answers = failing(1, new NoAnswer('cut'), 'undo');
    await assert.rejects(one.flush('a'), NoAnswer);
    // The server has heard it, and the guest has walked on to another door.
    await one.server.as(other).checkIn([{ ticket_id: 'T1', idempotency_key: 'k', admitted: false }]);
    await one.flush('a');
    assert.deepEqual(one.server.kinds('T1'), ['checked_in', 'undone', 'checked_in'], other);
    assert.deepEqual(await one.queue.scans(), [], other);
    one.gate.end();
  }
});

test('an undo is of whoever has let in the guest, whoever is logged in now', async () => {
  const one = await gate();
  await one.gate.scan('T1');
  one.session.user = { name: 'b' };
  await one.gate.undo(one.gate.admission);
  await one.flush('b');
  const [note] = (await one.queue.summary()).notes;
  assert.deepEqual([note.ticket, note.held.why], ['T1', 'notUndone'], 'said, for b may not undo it');
  await one.gate.scan('T1');
  assert.deepEqual(one.knowledge.asked.at(-1), { isUndone: true }, 'and the guest may come again');
  one.gate.end();
});

test('an attempt of before that was undone since, and then another’s, lets nobody in', async () => {
  const [store, server] = [new MemoryStore(), new GateServer()];
  const before = await gate({ server, store });
  const scan = await before.queue.begin(before.queue.draft({ event: 'e', ticket: 'T1', gate: '', listVersion: 1 }), 'a');
  await server.as('a').checkIn([{ ticket_id: 'T1', idempotency_key: scan.key, admitted: false }]);
  await server.as('a').undo('e', 'T1');
  await server.as('b').checkIn([{ ticket_id: 'T1', idempotency_key: 'k', admitted: false }]);
  const after = await gate({ server, store });
  await after.gate.scan('T1');
  assert.equal(after.states().at(-1), 'already');
  after.gate.end();
});

test('what is undone is what was asked about, though another guest came meanwhile', async () => {
  for (const isOnline of [true, false]) {
    const one = await gate();
    one.connection.isOnline = isOnline;
    await one.gate.scan('T1');
    const { admission } = one.gate;
    await one.gate.scan('T2');
    await one.gate.undo(admission);
    await one.flush('a');
    assert.equal(one.server.isIn('T1'), false);
    assert.equal(one.server.isIn('T2'), true);
    assert.equal(one.gate.admission.ticket, 'T2', 'which can be undone still');
    one.gate.end();
  }
});

test('an admission that came to a conflict cannot be undone: the record is another’s', async () => {
  const one = await gate();
  one.server.network = failing(1);
  await one.gate.scan('T1');
  const { admission } = one.gate;
  await one.server.as('b').checkIn([{ ticket_id: 'T1', idempotency_key: 'k', admitted: false }]);
  await one.flush('a');
  one.gate.tell((await one.queue.summary()).notes);
  assert.equal(one.gate.admission, null);
  const [{ order }] = await one.queue.scans();
  await one.queue.dismiss(order);
  await one.gate.undo(admission);
  assert.equal(one.server.isIn('T1'), true);
  assert.deepEqual(one.knowledge.undone, [], 'the ticket is used');
  one.gate.end();
});

test('conflicts are told when nobody waits, one after the other', async (t) => {
  const tick = clock(t);
  const one = await gate();
  const conflict = (order) => ({ order, ticket: `C${order}`, conflict: { why: 'conflict', by: 'b', at: '1', guest: null } });
  await one.gate.scan('T1');
  one.gate.tell([conflict(1), conflict(2)]);
  assert.equal(one.states().at(-1), 'in');
  tick(2000);
  assert.equal(one.shown.at(-1).ticket, 'C1');
  tick(5000);
  assert.equal(one.shown.at(-1).ticket, 'C2');
  tick(5000);
  assert.equal(one.states().at(-1), 'ready');
});

test('a guest whom the server lets in without a list, though this phone has one, makes the phone fetch it at once', async () => {
  for (const [state, ticket, isDoubted] of [['ready', undefined, true], ['ready', { name: null, kind: null }, false], ['open', undefined, false]]) {
    const server = new GateServer();
    const checkIn = async (scans) => (await server.as('a').checkIn(scans)).map((result) => ({ ...result, ticket }));
    const one = await gate({ server: { as: () => ({ checkIn }) } });
    one.knowledge.state = state;
    await one.gate.scan('T1');
    assert.equal(one.states().at(-1), 'in');
    assert.deepEqual([one.knowledge.isListWanted, one.connection.kicks], isDoubted ? [true, 1] : [false, 0]);
    one.gate.end();
  }
});

test('what can be undone is known after the page was loaded again', async () => {
  const store = new MemoryStore();
  const before = await gate({ store });
  await before.gate.scan('T1');
  before.gate.end();
  const after = await gate({ store, server: before.server });
  assert.equal(after.gate.admission.ticket, 'T1');
});
