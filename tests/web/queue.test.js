import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Flush } from '../../web/gate/flush.js';
import { Queue, admissionName } from '../../web/gate/queue.js';
import { MemoryStore } from '../../web/gate/store.js';
import { ApiError, NoAnswer } from '../../web/shared/http.js';
import { GateServer, failing } from './gate-server.js';

/** A phone with its queue, before a server. */
function phone(server = new GateServer()) {
  const store = new MemoryStore();
  const queue = new Queue(store, null);
  const flush = new Flush(store);
  return {
    server,
    store,
    queue,
    draft: (ticket) => queue.draft({ event: 'e', ticket, gate: 'Utara', listVersion: 3 }),
    begin(ticket, user) {
      return queue.begin(this.draft(ticket), user);
    },
    /** Lets a guest in without a network. `user` says that the server was asked before. */
    async admit(ticket, user = null) {
      const scan = user ? await this.begin(ticket, user) : this.draft(ticket);
      await queue.decide(scan, 'in', 'in-unsynced');
      return scan;
    },
    send: (user = 'a') => flush.run(server.as(user), user),
    async unsynced() {
      return (await queue.summary()).unsynced;
    },
    async notes() {
      return (await queue.summary()).notes;
    },
  };
}

test('a scan is kept with all that is to be known of it, before anybody is asked', async () => {
  const one = phone();
  const scan = await one.begin('T1', 'a');
  const [kept] = await one.queue.scans();
  assert.deepEqual(kept, scan);
  assert.match(kept.key, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.match(kept.scannedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  const { event, ticket, gate, listVersion, fate, sentBy } = kept;
  assert.deepEqual({ event, ticket, gate, listVersion, fate, sentBy }, {
    event: 'e', ticket: 'T1', gate: 'Utara', listVersion: 3, fate: 'asking', sentBy: ['a'],
  });
  assert.notEqual(one.draft('T1').key, scan.key);
});

test('admissions go out in order, each once, and leave the queue', async () => {
  const one = phone();
  for (const ticket of ['T1', 'T2', 'T3']) await one.admit(ticket);
  assert.equal(await one.unsynced(), 3);
  await one.send();
  assert.equal(await one.unsynced(), 0);
  assert.deepEqual(one.server.entries.map(({ ticket }) => ticket), ['T1', 'T2', 'T3']);
  assert.equal(one.server.requests.length, 1);
  const [first] = one.server.requests[0][1];
  assert.equal(first.gate, 'Utara');
  assert.equal(first.admitted, true);
  assert.equal((await one.store.get(admissionName('e', 'T1'))).by, 'a', 'the phone remembers whom it has let in');
});

test('a scan without an answer is not sent by the queue: nobody was told anything', async () => {
  const one = phone();
  await one.begin('T1', 'a');
  await one.send();
  assert.deepEqual(one.server.requests, []);
  assert.equal(await one.unsynced(), 0);
});

test('a lost answer neither loses nor doubles an admission', async () => {
  const one = phone();
  await one.admit('T1');
  await one.admit('T2');
  one.server.answers = failing(1);
  await assert.rejects(one.send(), NoAnswer);
  assert.equal(await one.unsynced(), 2);
  await one.send();
  assert.deepEqual(one.server.kinds('T1'), ['checked_in']);
  assert.deepEqual(one.server.kinds('T2'), ['checked_in']);
  assert.equal(await one.unsynced(), 0);
});

test('an admission that the server had taken when it was asked is no conflict', async () => {
  const one = phone();
  const scan = await one.begin('T1', 'a');
  await one.server.as('a').checkIn([{ ticket_id: 'T1', idempotency_key: scan.key, admitted: false }]);
  await one.queue.decide(scan, 'in', 'in-unsynced');
  await one.send();
  assert.deepEqual(one.server.kinds('T1'), ['checked_in']);
  assert.deepEqual(await one.notes(), []);
});

test('two phones, one ticket: a conflict, which is kept until somebody has seen to it', async () => {
  const server = new GateServer();
  const [one, other] = [phone(server), phone(server)];
  await one.admit('T1');
  await other.admit('T1');
  await one.send('a');
  await other.send('b');
  assert.deepEqual(server.kinds('T1'), ['checked_in', 'conflict']);
  const [note] = await other.notes();
  assert.deepEqual(note.conflict, { why: 'conflict', by: 'a', at: '1', guest: null });
  assert.equal(await other.unsynced(), 0);
  await other.send('b');
  assert.equal(server.requests.length, 2, 'it is not sent again');
  await other.queue.noteTold([note.order]);
  assert.equal((await other.notes())[0].conflict.isTold, true);
  await other.queue.dismiss(note.order);
  assert.deepEqual(await other.notes(), []);
});

test('who was let in without being on the list is told of', async () => {
  const one = phone();
  await one.admit('NONE-1');
  await one.admit('T1');
  await one.send();
  assert.equal((await one.notes())[0].conflict.why, 'unregistered');
  assert.deepEqual(one.server.kinds('T1'), ['checked_in']);
});

test('undone before it was sent: the check-in goes out before its undo, and what comes after it after both', async () => {
  const one = phone();
  const scan = await one.admit('T1');
  assert.equal(await one.queue.undo(scan.key), true);
  await one.admit('T1');
  assert.equal(await one.unsynced(), 2);
  await one.send();
  assert.deepEqual(one.server.kinds('T1'), ['checked_in', 'undone', 'checked_in']);
  assert.equal(await one.unsynced(), 0);
});

test('undone, and the answers are lost: undone once', async () => {
  for (const lost of ['checkIn', 'undo']) {
    const one = phone();
    const scan = await one.admit('T1');
    await one.queue.undo(scan.key);
    const fail = failing(1);
    one.server.answers = (name) => name === lost && fail();
    await assert.rejects(one.send(), NoAnswer);
    await one.send();
    assert.deepEqual(one.server.kinds('T1'), ['checked_in', 'undone'], lost);
    assert.equal(await one.unsynced(), 0);
  }
});

test('undone while it is on its way', async () => {
  const one = phone();
  const scan = await one.admit('T1');
  let undoing;
  one.server.answers = (name) => {
    undoing ??= name === 'checkIn' && one.queue.undo(scan.key);
  };
  await one.send();
  assert.equal(await undoing, true);
  assert.deepEqual(one.server.kinds('T1'), ['checked_in', 'undone']);
});

test('undone, though another gate has the guest in: that one stays in', async () => {
  const one = phone();
  const scan = await one.admit('T1');
  await one.server.as('b').checkIn([{ ticket_id: 'T1', idempotency_key: 'k', admitted: false }]);
  await one.queue.undo(scan.key);
  await one.send();
  assert.deepEqual(one.server.kinds('T1'), ['checked_in']);
  assert.equal(one.server.isIn('T1'), true);
});

test('what is in the server’s hands cannot be undone in the queue', async () => {
  const one = phone();
  const scan = await one.admit('T1');
  await one.send();
  assert.equal(await one.queue.undo(scan.key), false);
});

test('who was not let in is not in, even if the server had taken the question for an answer', async () => {
  const one = phone();
  const scan = await one.begin('T1', 'a');
  await one.server.as('a').checkIn([{ ticket_id: 'T1', idempotency_key: scan.key, admitted: false }]);
  await one.queue.reject(scan, 'unsure');
  assert.equal(await one.unsynced(), 0, 'it is no admission');
  await one.send();
  assert.equal(one.server.isIn('T1'), false);
  assert.deepEqual(await one.queue.scans(), []);
});

test('who was not let in, and of whom nobody was asked, leaves nothing', async () => {
  const one = phone();
  await one.queue.reject(one.draft('T1'), 'refused');
  assert.deepEqual(await one.queue.scans(), []);
});

test('the queue belongs to the device: whoever logs in sends it', async () => {
  const one = phone();
  await one.admit('T1');
  await one.send('b');
  assert.deepEqual(one.server.entries, [{ kind: 'checked_in', ticket: 'T1', user: 'b' }]);
});

test('what another user’s attempt has brought to the server is no conflict with itself', async () => {
  const one = phone();
  await one.admit('T1');
  await one.admit('T2');
  one.server.answers = failing(1);
  await assert.rejects(one.send('a'), NoAnswer);
  await one.send('b');
  assert.deepEqual(one.server.entries.map(({ kind, user }) => [kind, user]), [['checked_in', 'a'], ['checked_in', 'a']]);
  assert.deepEqual(await one.notes(), []);
});

test('what another user could not bring to the server is a conflict if a third was faster', async () => {
  const one = phone();
  await one.admit('T1');
  one.server.network = failing(1);
  await assert.rejects(one.send('a'), NoAnswer);
  await one.server.as('c').checkIn([{ ticket_id: 'T1', idempotency_key: 'k', admitted: false }]);
  await one.send('b');
  assert.deepEqual(one.server.kinds('T1'), ['checked_in', 'conflict']);
  assert.equal((await one.notes())[0].conflict.by, 'c');
});

test('an undo that cannot succeed keeps no other scan waiting', async () => {
  const one = phone();
  const scan = await one.admit('T1');
  await one.queue.undo(scan.key);
  await one.admit('T2');
  const api = { ...one.server.as('a'), undo: () => Promise.reject(new ApiError(405, 'Method Not Allowed')) };
  await new Flush(one.store).run(api, 'a');
  assert.equal(one.server.isIn('T2'), true);
  assert.equal((await one.notes())[0].held.why, 'notUndone');
});

test('an undo that the server refuses is held and shown, not dropped', async () => {
  const one = phone();
  const scan = await one.admit('T1');
  one.server.answers = failing(1);
  await assert.rejects(one.send('a'), NoAnswer);
  await one.queue.undo(scan.key);
  await one.send('b');
  const [note] = await one.notes();
  assert.equal(note.held.why, 'notUndone');
  assert.equal(await one.unsynced(), 1);
  await one.queue.release();
  await one.send('a');
  assert.equal(one.server.isIn('T1'), false);
  assert.equal(await one.unsynced(), 0);
});

test('a record is undone once, wherever the network breaks, and also if the server knows nothing of it any more', async () => {
  for (const isLost of [false, true]) {
    for (const [where, name] of [['network', 'checkIn'], ['answers', 'checkIn'], ['network', 'undo'], ['answers', 'undo']]) {
      const before = phone();
      const scan = await before.admit('T1');
      await before.send('a');
      const record = await before.store.get(admissionName('e', 'T1'));
      const one = phone(isLost ? new GateServer() : before.server);
      if (isLost) await one.server.as('b').checkIn([{ ticket_id: 'T0', idempotency_key: 'k', admitted: false }]);
      await one.queue.undoRecord(scan, record);
      assert.equal(await one.unsynced(), 1);
      one.server[where] = failing(1, new NoAnswer('cut'), name);
      await assert.rejects(one.send('a'), NoAnswer);
      await one.send('a');
      const when = `${where} ${name} ${isLost}`;
      // A check-in that is not the one to be undone, and that the phone has not heard of, may be another door's.
      assert.equal(one.server.isIn('T1'), isLost && where === 'answers' && name === 'checkIn', when);
      assert.deepEqual(await one.queue.scans(), [], when);
      assert.equal(await one.store.get(admissionName('e', 'T1')), undefined, when);
    }
  }
});

test('whose record is another’s by now is not remembered as let in here', async () => {
  const one = phone();
  await one.admit('T1');
  one.server.answers = failing(1);
  await assert.rejects(one.send('a'), NoAnswer);
  await one.server.as('a').undo('e', 'T1');
  await one.server.as('b').checkIn([{ ticket_id: 'T1', idempotency_key: 'k', admitted: false }]);
  await one.send('a');
  assert.deepEqual(await one.queue.scans(), []);
  assert.equal(await one.store.get(admissionName('e', 'T1')), undefined);
});

test('a guest who comes again after an undo that the server refuses is no conflict with itself', async () => {
  for (const isInElsewhere of [false, true]) {
    const one = phone();
    const scan = await one.admit('T1');
    await one.send('a');
    const admission = await one.store.get(admissionName('e', 'T1'));
    await one.queue.undoRecord(scan, admission);
    const late = { ...one.server.as('a'), undo: () => Promise.reject(new ApiError(403, 'Check-in ini hanya dapat dibatalkan oleh admin')) };
    await new Flush(one.store).run(late, 'a');
    if (isInElsewhere) {
      await one.server.as('a').undo('e', 'T1');
      await one.server.as('b').checkIn([{ ticket_id: 'T1', idempotency_key: 'k', admitted: false }]);
    }
    await one.admit('T1');
    await new Flush(one.store).run(late, 'a');
    const [again, notes] = isInElsewhere ? [['undone', 'checked_in', 'conflict'], ['notUndone', 'conflict']] : [[], []];
    assert.deepEqual(one.server.kinds('T1'), ['checked_in', ...again]);
    assert.deepEqual((await one.notes()).map(({ held, conflict }) => (held ?? conflict).why), notes);
    assert.deepEqual(await one.store.get(admissionName('e', 'T1')), admission);
  }
});

test('an undo that is held undoes no later check-in of the ticket', async (t) => {
  const one = phone();
  const scan = await one.admit('T1');
  await one.queue.undo(scan.key);
  const late = { ...one.server.as('a'), undo: () => Promise.reject(new ApiError(403, 'Check-in ini hanya dapat dibatalkan oleh admin')) };
  await new Flush(one.store).run(late, 'a');
  assert.equal((await one.notes())[0].held.why, 'notUndone');
  // An admin undoes it, and the guest comes again, at another door of the same user.
  await one.server.as('a').undo('e', 'T1');
  await one.server.as('a').checkIn([{ ticket_id: 'T1', idempotency_key: 'k', admitted: false }]);
  const heldAt = Date.now();
  t.mock.method(Date, 'now', () => heldAt + 60_000);
  await one.send('a');
  assert.deepEqual(one.server.kinds('T1'), ['checked_in', 'undone', 'checked_in']);
  assert.deepEqual(await one.queue.scans(), []);
});

test('an undo that was held goes through by itself once an admin has undone it', async (t) => {
  const one = phone();
  const scan = await one.admit('T1');
  one.server.answers = failing(1);
  await assert.rejects(one.send('a'), NoAnswer);
  await one.queue.undo(scan.key);
  await one.send('b');
  await one.server.as('a').undo('e', 'T1');
  const heldAt = Date.now();
  await one.send('b');
  assert.equal(await one.unsynced(), 1, 'not at once');
  t.mock.method(Date, 'now', () => heldAt + 60_000);
  await one.send('b');
  assert.equal(await one.unsynced(), 0);
  assert.equal(one.server.isIn('T1'), false);
});

test('a scan that the server will never take can be forgotten, and no other that is not settled', async () => {
  const one = phone();
  await one.admit('T1');
  one.server.network = failing(1, new ApiError(422, []));
  await one.send();
  await one.admit('T2');
  const [first, second] = await one.queue.scans();
  await one.queue.dismiss(second.order);
  assert.equal(await one.unsynced(), 2);
  await one.queue.dismiss(first.order);
  assert.deepEqual((await one.queue.scans()).map(({ ticket }) => ticket), ['T2']);
});

test('one scan that the server does not take holds up no other', async () => {
  const one = phone();
  const tickets = Array.from({ length: 20 }, (_, number) => `T${number}`);
  for (const ticket of tickets) await one.admit(ticket);
  one.server.network = (name, scans) => {
    if (scans.some((scan) => scan.ticket_id === 'T13')) throw new ApiError(422, []);
  };
  await one.send();
  assert.equal(await one.unsynced(), 1);
  const [note] = await one.notes();
  assert.deepEqual([note.ticket, note.held], ['T13', { why: 'unacceptable', status: 422 }]);
  const others = tickets.filter((ticket) => ticket !== 'T13');
  assert.deepEqual(one.server.entries.map(({ ticket }) => ticket), others, 'in order');
});

test('a batch that is too large is halved', async () => {
  const one = phone();
  for (let number = 0; number < 10; number += 1) await one.admit(`T${number}`);
  one.server.network = (name, scans) => {
    if (scans.length > 3) throw new ApiError(413, 'too large');
  };
  await one.send();
  assert.equal(await one.unsynced(), 0);
  assert.equal(one.server.entries.length, 10);
});

test('a server that is too busy is asked for less the next time', async () => {
  const one = phone();
  for (let number = 0; number < 10; number += 1) await one.admit(`T${number}`);
  one.server.network = failing(1, new ApiError(503, 'busy', 2));
  await assert.rejects(one.send(), { status: 503, retryAfter: 2 });
  await one.send();
  assert.deepEqual(one.server.requests.map(([, scans]) => scans.length), [10, 5, 5]);
});

test('no batch has more than 500 scans', async () => {
  const one = phone();
  for (let number = 0; number < 1100; number += 1) await one.admit(`T${number}`);
  await one.send();
  assert.deepEqual(one.server.requests.map(([, scans]) => scans.length), [500, 500, 100]);
});

test('two senders at once double nothing', async () => {
  const one = phone();
  for (let number = 0; number < 10; number += 1) await one.admit(`T${number}`);
  const [, , third] = await one.queue.scans();
  await one.queue.undo(third.key);
  await Promise.all([one.send(), one.send()]);
  assert.equal(one.server.entries.filter(({ kind }) => kind === 'checked_in').length, 10);
  assert.equal(one.server.isIn('T2'), false);
  assert.deepEqual(await one.queue.scans(), []);
});
