import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';

import { TicketList, contains } from '../../web/gate/ticket-list.js';

const hash = (bytes) => createHash('sha256').update(bytes).digest();

const SALT = randomBytes(16);
const digest = (ticket) => hash(Buffer.concat([SALT, Buffer.from(ticket)])).subarray(0, 8);
const digests = (tickets) => Buffer.concat(tickets.map(digest).sort(Buffer.compare)).toString('base64url');

function list({ tickets, revoked = [], used = [] }) {
  const body = {
    version: 7,
    salt: SALT.toString('base64url'),
    tickets: tickets && digests(tickets),
    revoked: digests(revoked),
    used: digests(used),
  };
  return TicketList.of(body, 'W/"1"');
}

test('a list knows its tickets by their digests', () => {
  const known = list({ tickets: ['a', 'tiket 🎫', 'c'], revoked: ['c'], used: ['a'] });
  assert.equal(known.state, 'ready');
  assert.deepEqual(Buffer.from(known.digest('tiket 🎫')), digest('tiket 🎫'));
  assert.equal(known.isRegistered(known.digest('tiket 🎫')), true);
  assert.equal(known.isRegistered(known.digest('b')), false);
  assert.equal(known.isRevoked(known.digest('c')), true);
  assert.equal(known.isRevoked(known.digest('a')), false);
  assert.equal(known.isUsed(known.digest('a')), true);
  assert.equal(known.isUsed(known.digest('c')), false);
});

test('an event without a list is open', () => {
  const open = list({ tickets: null, used: ['a'] });
  assert.equal(open.state, 'open');
  assert.equal(open.isRegistered(open.digest('a')), false);
  assert.equal(open.isUsed(open.digest('a')), true);
});

test('a list with no ticket is not open', () => {
  const empty = list({ tickets: [] });
  assert.equal(empty.state, 'ready');
  assert.equal(empty.isRegistered(empty.digest('a')), false);
});

test('a list is the same after it was kept', () => {
  const known = new TicketList(structuredClone(list({ tickets: ['a'] }).stored));
  assert.equal(known.isRegistered(known.digest('a')), true);
  assert.deepEqual([known.stored.version, known.stored.etag], [7, 'W/"1"']);
});

test('every one of 50,000 tickets is found, and no other', () => {
  const tickets = Array.from({ length: 50_000 }, (_, number) => `TIKET-${number}`);
  const known = list({ tickets });
  assert.equal(known.stored.tickets.length, 400_000);
  assert.ok(tickets.every((ticket) => contains(known.stored.tickets, digest(ticket))));
  assert.ok(tickets.every((ticket) => !contains(known.stored.tickets, digest(`${ticket}x`))));
});
