import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Records } from '../../web/desk/records.js';

const record = (ticket_id) => ({ ticket_id });
const state = (version, total_checked_in, last) => ({ version, total_checked_in, last: last ? record(last) : null });

/** A desk whose service answers with these lists, one after the other; `null` for 304. */
function deskWith(...answers) {
  const asked = [];
  const response = async (path, { headers }) => {
    asked.push(headers['If-None-Match'] ?? null);
    const records = answers.shift();
    return {
      status: records ? 200 : 304,
      headers: new Map([['ETag', `W/"${asked.length}"`]]),
      json: async () => ({ records }),
    };
  };
  return { asked, attendance: { response } };
}

test('one check-in after the other needs no list', async () => {
  const records = new Records();
  assert.equal(records.take(state(7, 2, 'B')), true);
  await records.load(deskWith([record('A'), record('B')]), 'e', 7);
  assert.equal(records.take(state(7, 2, 'B')), false);
  assert.equal(records.take(state(8, 3, 'C')), false);
  assert.deepEqual(records.list.map(({ ticket_id }) => ticket_id), ['A', 'B', 'C']);
  assert.equal(records.isComplete, true);
});

test('a conflict changes no record', async () => {
  const records = new Records();
  await records.load(deskWith([record('A')]), 'e', 1);
  assert.equal(records.take(state(2, 1, 'A')), false);
  assert.equal(records.list.length, 1);
});

test('two at once, an undo and a service that has begun anew need the list', async () => {
  const records = new Records();
  await records.load(deskWith([record('A'), record('B')]), 'e', 2);
  assert.equal(records.take(state(4, 4, 'D')), true);
  assert.equal(records.take(state(3, 1, 'A')), true);
  assert.equal(records.take(state(0, 0, null)), true);
  assert.equal(records.isComplete, false);
  assert.equal(records.list.length, 2);
});

test('a list that has not changed is not sent again, and asking is limited', async () => {
  const records = new Records();
  assert.equal(records.pause, 0);
  const desk = deskWith([record('A')], null);
  await records.load(desk, 'e', 1);
  assert.ok(records.pause > 4_000);
  await records.load(desk, 'e', 2);
  assert.deepEqual(desk.asked, [null, 'W/"1"']);
  assert.equal(records.list.length, 1);
  assert.equal(records.take(state(2, 1, 'A')), false);
});
