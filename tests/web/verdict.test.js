import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  ANSWER_MS,
  JUST_NOW_MS,
  LONGEST_TICKET,
  UNDO_MS,
  backoff,
  countUnsynced,
  isAdmitted,
  isHopeless,
  isJustNow,
  isKept,
  nextBatch,
  outcomeOfQueued,
  readTicket,
  refusedUndos,
  saysNotCheckedIn,
  verdictOfPhone,
  verdictOfServer,
} from '../../web/gate/verdict.js';

const RECORD = { event_id: 'e', ticket_id: 't', checked_in_by: 'panitia1', checked_in_at: '2026-11-29T12:04:00.000000+00:00' };
const GUEST = { name: 'Siti', kind: 'VIP' };

test('a guest waits a second, stands three seconds before the camera, and can be undone for two minutes', () => {
  // timers.js of the browser tests knows the wait for the server by its length.
  assert.deepEqual([ANSWER_MS, JUST_NOW_MS, UNDO_MS], [1000, 3000, 120_000]);
});

test('any text is a ticket, without the white space around it', () => {
  assert.deepEqual(readTicket('  7K2M-9QXT \n'), { ticket: '7K2M-9QXT' });
  assert.deepEqual(readTicket('https://example.org/?t=1'), { ticket: 'https://example.org/?t=1' });
  assert.deepEqual(readTicket('tiket 🎫'), { ticket: 'tiket 🎫' });
  assert.equal(readTicket(' \t'), null);
});

test('what the service would not take as an id is no ticket', () => {
  assert.equal(readTicket('é'.repeat(LONGEST_TICKET / 2)).problem, undefined);
  assert.equal(readTicket('é'.repeat(LONGEST_TICKET / 2) + 'a').problem, 'tooLong');
  assert.equal(readTicket('..').problem, 'noTicket');
  assert.equal(readTicket('...').problem, undefined);
  assert.equal(readTicket('a\0b').problem, 'noTicket');
  assert.equal(readTicket('a\ud800').problem, 'noTicket');
  assert.equal(readTicket('\udc00a').problem, 'noTicket');
});

test('only the service itself says that a ticket is not checked in', () => {
  assert.equal(saysNotCheckedIn({ status: 404, detail: 'Ticket belum check-in' }), true);
  assert.equal(saysNotCheckedIn({ status: 404, detail: 'Not Found' }), false);
  assert.equal(saysNotCheckedIn({ status: 405, detail: 'Method Not Allowed' }), false);
});

test('the same ticket within three seconds is just now', () => {
  const last = { ticket: 'a', at: 1000 };
  assert.equal(isJustNow(last, 'a', 3999), true);
  assert.equal(isJustNow(last, 'a', 4000), false);
  assert.equal(isJustNow(last, 'b', 1001), false);
  assert.equal(isJustNow(null, 'a', 0), false);
});

test('the server decides', () => {
  const said = (status, more, user = 'panitia1') => verdictOfServer({ ticket_id: 't', status, ...more }, user);
  assert.deepEqual(said('accepted', { record: RECORD, ticket: GUEST }), { state: 'in', guest: GUEST });
  assert.deepEqual(said('accepted', { record: RECORD }), { state: 'in', guest: null });
  assert.deepEqual(said('replayed', { record: RECORD }), { state: 'in', guest: null }, 'one’s own attempt, whose answer was lost');
  const use = { by: RECORD.checked_in_by, at: RECORD.checked_in_at };
  assert.deepEqual(said('duplicate', { record: RECORD, ticket: GUEST }), { state: 'already', guest: GUEST, ...use });
  assert.deepEqual(said('conflict', { record: RECORD }), { state: 'already', guest: null, ...use }, 'of an attempt before');
  for (const status of ['unregistered', 'revoked', 'forbidden']) {
    assert.deepEqual(said(status), { state: 'refused', reason: status, guest: null });
  }
  assert.throws(() => said('something'), /unknown status something/);
});

test('a guest who is in was kept, by the server or by the phone', () => {
  const states = ['ready', 'checking', 'in', 'in-unsynced', 'already', 'just-now', 'refused', 'unsure', 'conflict'];
  assert.deepEqual(states.filter((state) => isKept({ state })), ['in', 'in-unsynced']);
});

test('an attempt that was undone since, or whose key is another’s, needs another key', () => {
  assert.equal(verdictOfServer({ ticket_id: 't', status: 'replayed' }, 'panitia1'), null);
  assert.equal(verdictOfServer({ ticket_id: 't', status: 'replayed', record: RECORD }, 'a'), null, 'let in by others since');
  assert.equal(verdictOfServer({ ticket_id: 't', status: 'key_reused', record: RECORD }, 'panitia1'), null);
});

test('without the server, the phone decides by what it knows', () => {
  const ready = { list: 'ready', registered: true, revoked: false, use: null };
  assert.deepEqual(verdictOfPhone(ready), { state: 'in-unsynced' });
  assert.deepEqual(verdictOfPhone({ ...ready, registered: false }), { state: 'refused', reason: 'unregistered' });
  assert.deepEqual(verdictOfPhone({ ...ready, revoked: true }), { state: 'refused', reason: 'revoked' });
  assert.deepEqual(verdictOfPhone({ ...ready, use: {} }), { state: 'already' });
  const use = { by: 'a', at: 'b', here: true };
  assert.deepEqual(verdictOfPhone({ ...ready, use }), { state: 'already', ...use });
  assert.deepEqual(
    verdictOfPhone({ ...ready, revoked: true, use }),
    { state: 'refused', reason: 'revoked' },
    'valid or not is said before used or not',
  );
});

test('without the server and without a list, nobody knows', () => {
  assert.deepEqual(verdictOfPhone({ list: 'open', use: null }), { state: 'unsure', reason: 'open' });
  assert.deepEqual(verdictOfPhone({ list: 'missing', use: null }), { state: 'unsure', reason: 'missing' });
  assert.equal(verdictOfPhone({ list: 'open', use: {} }).state, 'already', 'but what is known is said');
  assert.equal(verdictOfPhone({ list: 'missing', use: { here: true } }).state, 'already');
});

test('one waits longer each time, never as long as everybody else, and as long as the server says', () => {
  const waits = (random) => [1, 2, 3, 4, 20].map((failures) => backoff(failures, { random: () => random }));
  assert.deepEqual(waits(1), [1000, 2000, 4000, 5000, 5000]);
  assert.deepEqual(waits(0), [500, 1000, 2000, 2500, 2500]);
  assert.equal(backoff(1, { retryAfter: 30 }), 30_000);
  assert.ok(backoff(3) >= 2000 && backoff(3) <= 4000);
});

const scan = (order, fate = 'in', more = {}) => ({ order, fate, sentBy: [], ...more });
const outcome = (of, status, record, user = 'panitia1', refused = []) => outcomeOfQueued(of, { status, record }, user, refused);

test('an admission leaves the queue when the server knows it', () => {
  assert.deepEqual(outcome(scan(1), 'accepted', RECORD), { do: 'settle' });
  assert.deepEqual(outcome(scan(1), 'replayed', RECORD), { do: 'settle' });
  for (const status of ['conflict', 'unregistered', 'revoked']) {
    assert.deepEqual(outcome(scan(1), status, RECORD), { do: 'settle', conflict: status });
  }
});

test('what this user cannot settle is held, and never dropped', () => {
  for (const fate of ['in', 'undone', 'out']) assert.equal(outcome(scan(1, fate), 'forbidden').do, 'hold');
  assert.deepEqual(outcome(scan(1), 'key_reused', RECORD), { do: 'hold', why: 'key_reused' });
  assert.deepEqual(outcome(scan(1), 'something'), { do: 'hold', why: 'something' });
});

test('who is not in any more is undone if the server has taken the check-in', () => {
  for (const fate of ['undone', 'out']) {
    assert.deepEqual(outcome(scan(1, fate), 'accepted', RECORD), { do: 'undo' });
    assert.deepEqual(outcome(scan(1, fate), 'replayed', RECORD), { do: 'undo' });
    assert.deepEqual(outcome(scan(1, fate), 'replayed'), { do: 'settle' }, 'it was undone already');
    assert.deepEqual(outcome(scan(1, fate), 'replayed', RECORD, 'a'), { do: 'settle' }, 'and others have let the guest in');
    const of = (checkedInAt) => scan(1, fate, { checkedInAt, sentBy: ['panitia1'] });
    for (const status of ['replayed', 'duplicate']) {
      for (const user of ['panitia1', 'admin1']) {
        assert.deepEqual(outcome(of(RECORD.checked_in_at), status, RECORD, user), { do: 'undo' });
        assert.deepEqual(outcome(of('before'), status, RECORD, user), { do: 'settle' }, 'or the same user has, elsewhere');
      }
    }
    assert.deepEqual(outcome(scan(1, fate), 'duplicate', RECORD), { do: 'settle' }, 'another guest is in with that ticket');
    assert.deepEqual(outcome(scan(1, fate), 'revoked'), { do: 'settle' });
  }
});

test('who comes again after an undo that the server has refused is in by the record that was not undone', () => {
  const held = { why: 'notUndone', at: 0 };
  const refused = scan(1, 'undone', { event: 'e', ticket: 't', held, checkedInAt: RECORD.checked_in_at });
  const again = scan(2, 'in', { event: 'e', ticket: 't' });
  assert.deepEqual(refusedUndos([refused, again]), [refused]);
  assert.equal(isAdmitted(again, 'a', [refused]), false, 'asked first');
  assert.deepEqual(nextBatch([refused, again, scan(3)], 'a', 500, 1).map(({ order }) => order), [2]);
  assert.deepEqual(outcome(again, 'duplicate', RECORD, 'a', [refused]), { do: 'settle', instead: [1] });
  const both = { ...again, sentBy: ['panitia1'] };
  assert.deepEqual(outcome(both, 'duplicate', RECORD, 'a', [refused]), { do: 'settle', instead: [1] }, 'sent as another, too');
  for (const other of [{ ticket: 'u' }, { event: 'f' }]) {
    assert.equal(isAdmitted({ ...again, ...other }, 'a', [refused]), true);
    assert.deepEqual(outcome({ ...again, ...other }, 'duplicate', RECORD, 'a', [refused]), { do: 'insist' });
  }
  assert.deepEqual(outcome(again, 'duplicate', { ...RECORD, checked_in_at: 'later' }, 'a', [refused]), { do: 'insist' });
});

test('what was sent under another name may be in already: it is no conflict with itself', () => {
  const sent = scan(1, 'in', { sentBy: ['panitia1'] });
  assert.equal(isAdmitted(sent, 'panitia1', []), true);
  assert.equal(isAdmitted(sent, 'admin1', []), false, 'asked first');
  assert.deepEqual(outcome(sent, 'duplicate', RECORD, 'admin1'), { do: 'settle' });
  const byThird = { ...RECORD, checked_in_by: 'panitia3' };
  assert.deepEqual(outcome(sent, 'duplicate', byThird, 'admin1'), { do: 'insist' });
  const undone = scan(1, 'undone', { sentBy: ['panitia1'] });
  assert.deepEqual(outcome(undone, 'duplicate', RECORD, 'admin1'), { do: 'undo' });
  assert.deepEqual(outcome(undone, 'duplicate', byThird, 'admin1'), { do: 'settle' });
});

test('a batch takes admissions in order, and alone what needs more than one request', () => {
  const orders = (scans, limit = 500) => nextBatch(scans, 'a', limit, 0).map(({ order }) => order);
  assert.deepEqual(orders([scan(1), scan(2), scan(3)]), [1, 2, 3]);
  assert.deepEqual(orders([scan(1), scan(2), scan(3)], 2), [1, 2]);
  assert.deepEqual(orders([scan(1), scan(2, 'undone'), scan(3)]), [1]);
  assert.deepEqual(orders([scan(2, 'undone'), scan(3)]), [2]);
  assert.deepEqual(orders([scan(2, 'out'), scan(3)]), [2]);
  assert.deepEqual(orders([scan(1, 'in', { sentBy: ['b'] }), scan(2)]), [1]);
  assert.deepEqual(orders([scan(1, 'in', { sentBy: ['a'] }), scan(2)]), [1, 2]);
  assert.deepEqual(orders([scan(1, 'asking'), scan(2, 'conflict'), scan(3, 'in', { held: {} })]), []);
  assert.deepEqual(orders([scan(1, 'asking'), scan(2)]), [2]);
});

test('the server is asked once a minute to undo what it has refused to, and nothing else that is held', () => {
  const at = 1_000_000;
  const isDue = (why, now) => nextBatch([scan(1, 'undone', { held: { why, at } })], 'a', 500, now).length === 1;
  assert.equal(isDue('notUndone', at + 59_999), false);
  assert.equal(isDue('notUndone', at + 60_000), true);
  assert.equal(isDue('notUndone', at - 3_600_000), true, 'the clock was put back');
  for (const why of ['forbidden', 'unacceptable', 'key_reused']) assert.equal(isDue(why, at + 60_000), false, why);
});

test('there is no hope for what is held, unless another login or an admin can help', () => {
  const hopeless = ['forbidden', 'notUndone', 'unacceptable', 'key_reused'].filter((why) => isHopeless({ held: { why } }));
  assert.deepEqual(hopeless, ['unacceptable', 'key_reused']);
  assert.equal(isHopeless(scan(1)), false);
});

test('unsynchronised is who is in, or was, and not what came to nothing', () => {
  const fates = ['in', 'undone', 'out', 'asking', 'conflict'];
  assert.equal(countUnsynced(fates.map((fate, order) => scan(order, fate))), 2);
  assert.equal(countUnsynced([scan(1, 'in', { held: {} })]), 1);
});
