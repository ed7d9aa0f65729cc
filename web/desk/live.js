// Looking on at an event: its live state as server-sent events, read by `fetch` since `EventSource` sends no token.

import { path } from '../shared/attendance.js';
import { ApiError, NoAnswer } from '../shared/http.js';
import { needsLogin } from './explain.js';
import { EventStreamReader } from './event-stream.js';

/** The service sends something every 15 s. After this long without anything the connection is dead. */
const SILENCE_MS = 30_000;
const SHORTEST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;

/**
 * Follows `event` until `signal` aborts, across lost connections.
 *
 * @param {{onState: (state: object) => void, onLost: (error: Error | null) => void}} callbacks `onLost` gets `null` at
 *   the planned end of a stream, after which the next one is there within a second or two
 */
export async function follow(desk, event, signal, { onState, onLost }) {
  let wait = SHORTEST_WAIT_MS;
  while (!signal.aborted) {
    let failure = null;
    try {
      await readStates(desk, event, signal, (state) => {
        wait = SHORTEST_WAIT_MS;
        onState(state);
      });
    } catch (error) {
      failure = error;
    }
    if (signal.aborted) return;
    onLost(failure);
    await pause(failure?.retryAfter ? failure.retryAfter * 1000 : wait, signal);
    if (failure) wait = Math.min(2 * wait, LONGEST_WAIT_MS);
    // Nothing comes until somebody has logged in.
    if (failure && needsLogin(failure)) await loggedIn(desk, signal);
  }
}

/** The state of `event` now. */
export async function stateNow(desk, event, signal) {
  const abort = new AbortController();
  signal.addEventListener('abort', () => abort.abort());
  let found = null;
  await readStates(desk, event, abort.signal, (state) => {
    found ??= state;
    abort.abort();
  }).catch((error) => {
    if (!found) throw error;
  });
  if (!found) throw new NoAnswer('the stream ended without a state');
  return found;
}

async function readStates(desk, event, signal, onState) {
  const abort = new AbortController();
  const abortToo = () => abort.abort();
  signal.addEventListener('abort', abortToo);
  let timer = setTimeout(abortToo, SILENCE_MS);
  try {
    const response = await desk.attendance.response(path`/attendance/${event}/live`, { signal: abort.signal });
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    const events = new EventStreamReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(abortToo, SILENCE_MS);
      for (const { type, data } of events.push(decoder.decode(value, { stream: true }))) {
        if (type === 'state') onState(JSON.parse(data));
      }
    }
  } catch (error) {
    throw error instanceof ApiError || needsLogin(error) ? error : new NoAnswer(String(error?.message ?? error));
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abortToo);
  }
}

/** Waits, but no longer than until there is a network again. */
function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    const now = () => {
      clearTimeout(timer);
      resolve();
    };
    addEventListener('online', now, { once: true });
    signal.addEventListener('abort', now, { once: true });
  });
}

function loggedIn(desk, signal) {
  return new Promise((resolve) => {
    desk.session.addEventListener('change', resolve, { once: true });
    signal.addEventListener('abort', resolve, { once: true });
  });
}
