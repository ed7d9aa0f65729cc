import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventStreamReader } from '../../web/desk/event-stream.js';

test('events are whole however the stream is cut', () => {
  const stream = ':\n\nevent: state\r\ndata: {"a":1}\r\n\r\n:\n\ndata: one\ndata: two\n\nevent: state\ndata: unfinished\n';
  const expected = [{ type: 'state', data: '{"a":1}' }, { type: 'message', data: 'one\ntwo' }];
  for (let size = 1; size <= stream.length; size += 1) {
    const reader = new EventStreamReader();
    const events = [];
    for (let at = 0; at < stream.length; at += size) events.push(...reader.push(stream.slice(at, at + size)));
    assert.deepEqual(events, expected, `in pieces of ${size}`);
  }
});

test('an event without data is none', () => {
  const reader = new EventStreamReader();
  assert.deepEqual(reader.push('event: state\n\ndata\n\n'), [{ type: 'message', data: '' }]);
});
