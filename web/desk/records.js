// The check-ins of an event, kept up to date at a cost that a small box can bear: the whole list is asked for only when
// something was missed, and the longer that takes, the more seldom.

import { path } from '../shared/attendance.js';

const SHORTEST_PAUSE_MS = 5_000;
/** Asking takes at most this part of the time. */
const SHARE = 1 / 20;

/** The records that stand, oldest first. */
export class Records {
  list = [];
  /** When `list` was complete, by the clock of this device; `null` if never. */
  completeAt = null;
  /** Whether everything that the service has told of is in `list`. */
  isComplete = false;
  #version = null;
  #etag = null;
  #nextAt = 0;

  /**
   * Takes in a live state. Returns whether the list has to be asked for: more has happened than the state tells.
   *
   * @param {{version: number, total_checked_in: number, last: object | null}} state
   */
  take({ version, total_checked_in, last }) {
    const isNext = this.#version !== null && version === this.#version + 1;
    if (isNext && last && total_checked_in === this.list.length + 1) this.list.push(last);
    const isKnown = version === this.#version || (isNext && total_checked_in === this.list.length);
    this.isComplete = isKnown;
    if (isKnown) {
      this.#version = version;
      this.completeAt = Date.now();
    }
    return !isKnown;
  }

  /** How long to wait before the list may be asked for again, in milliseconds. */
  get pause() {
    return Math.max(0, this.#nextAt - Date.now());
  }

  /** Asks for the list. `version` is that of the last live state before. */
  async load(desk, event, version, signal) {
    const began = Date.now();
    try {
      const headers = this.#etag ? { 'If-None-Match': this.#etag } : {};
      const response = await desk.attendance.response(
        path`/attendance/${event}`,
        { headers, signal, milliseconds: 60_000 },
      );
      if (response.status !== 304) {
        const { records } = await response.json();
        this.list = records;
        this.#etag = response.headers.get('ETag');
      }
      this.#version = version;
      this.isComplete = true;
      this.completeAt = Date.now();
    } finally {
      this.#nextAt = Date.now() + Math.max(SHORTEST_PAUSE_MS, (Date.now() - began) / SHARE);
    }
  }
}
