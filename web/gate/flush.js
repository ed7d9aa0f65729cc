// Sending the queue: in order, until it is empty or the server cannot be reached. The page does it, and the service
// worker in the background.

import { ApiError } from '../shared/http.js';
import { admissionName } from './queue.js';
import { isAdmitted, nextBatch, outcomeOfQueued, refusedUndos, saysNotCheckedIn } from './verdict.js';

const MOST_SCANS = 500;

/** Statuses of a request that will never be taken as it is. */
const UNACCEPTABLE = [400, 413, 422];

/**
 * How attendance-service is asked.
 * @typedef {{checkIn: (scans: object[]) => Promise<object[]>, undo: (event: string, ticket: string) => Promise<void>}} Api
 */

/** Sends the scans of a store. Only one at a time may run on a device, though nothing is lost or doubled if two do. */
export class Flush {
  #store;
  #limit = MOST_SCANS;

  constructor(store) {
    this.#store = store;
  }

  /**
   * Sends everything that is due, as `user`. Calls `onProgress` whenever something has left the queue.
   *
   * @param {Api} api
   * @throws {NoAnswer | ApiError | SessionEnded} if the rest has to wait
   */
  async run(api, user, onProgress = () => {}) {
    for (;;) {
      const scans = await this.#store.scans();
      const batch = nextBatch(scans, user, this.#limit, Date.now());
      if (batch.length === 0) return;
      await this.#send(batch, refusedUndos(scans), api, user);
      onProgress();
    }
  }

  async #send(batch, refused, api, user) {
    await this.#markSent(batch, user);
    let results;
    try {
      results = await api.checkIn(batch.map((scan) => wire(scan, isAdmitted(scan, user, refused))));
    } catch (error) {
      return this.#refused(batch, error);
    }
    this.#limit = Math.min(MOST_SCANS, this.#limit * 2);
    const outcome = (scan, result) => outcomeOfQueued(scan, result, user, refused);
    const outcomes = new Map(batch.map((scan, index) => [scan.order, outcome(scan, results[index])]));
    const [first] = batch;
    if (outcomes.get(first.order).do === 'insist') {
      results = await api.checkIn([wire(first, true)]);
      outcomes.set(first.order, outcome({ ...first, sentBy: [user] }, results[0]));
    }
    if (outcomes.get(first.order).do === 'undo') {
      await this.#noteRecord(first, results[0].record);
      outcomes.set(first.order, await undo(first, api));
    }
    await this.#settle(batch, outcomes, results);
  }

  async #markSent(batch, user) {
    const orders = batch.filter(({ sentBy }) => !sentBy.includes(user)).map(({ order }) => order);
    if (orders.length === 0) return;
    const sent = (scan) => (scan ? { putScan: { ...scan, sentBy: [...scan.sentBy, user] } } : null);
    await this.#store.change(orders, sent);
  }

  /** Keeps which record is to be undone: when it is tried again, another one may stand. */
  async #noteRecord({ order }, record) {
    const checkedInAt = record?.checked_in_at;
    await this.#store.change([order], (scan) => (scan ? { putScan: { ...scan, checkedInAt } } : null));
  }

  /** Finds the one scan that spoils a batch, so that the others go on. */
  async #refused(batch, error) {
    const isUnacceptable = error instanceof ApiError && UNACCEPTABLE.includes(error.status);
    if (isUnacceptable && batch.length === 1) return this.#hold(batch[0], { why: 'unacceptable', status: error.status });
    // A server that is too slow for many may be fast enough for few.
    if (error instanceof ApiError) this.#limit = Math.ceil(batch.length / 2);
    if (!isUnacceptable) throw error;
  }

  async #hold({ order }, held) {
    await this.#store.change([order], (scan) => (scan ? { putScan: { ...scan, held } } : null));
  }

  async #settle(batch, outcomes, results) {
    const sent = new Map(batch.map((scan, index) => [scan.order, { ...scan, result: results[index] }]));
    await this.#store.change([...sent.keys()], (scan, order) => {
      const { fate, result } = sent.get(order);
      // Undone while it was on its way: it goes out once more, as undone.
      if (scan?.fate !== fate) return null;
      return changeBy(outcomes.get(order), scan, result);
    });
  }
}

/** A scan as `POST /checkins/batch` takes it. */
export function wire({ event, ticket, key, scannedAt, gate }, admitted) {
  return {
    event_id: event,
    ticket_id: ticket,
    idempotency_key: key,
    scanned_at: scannedAt,
    admitted,
    ...(gate ? { gate } : {}),
  };
}

async function undo(scan, api) {
  try {
    await api.undo(scan.event, scan.ticket);
  } catch (error) {
    if (!(error instanceof ApiError) || error.isTemporary || error.status === 401) throw error;
    // Whatever the reason: no scan may keep the others waiting.
    if (!saysNotCheckedIn(error)) return { do: 'hold', why: 'notUndone' };
  }
  return { do: 'settle' };
}

/** The change that an outcome makes to what is kept of a scan. */
function changeBy(outcome, scan, { record, ticket }) {
  if (outcome.do !== 'settle') return { putScan: { ...scan, held: { why: outcome.why ?? outcome.do, at: Date.now() } } };
  if (outcome.conflict) {
    const standing = { by: record?.checked_in_by, at: record?.checked_in_at };
    const conflict = { why: outcome.conflict, ...standing, guest: ticket ?? null };
    return { putScan: { ...scan, fate: 'conflict', conflict } };
  }
  const removeScan = [scan.order, ...(outcome.instead ?? [])];
  // A record of others may stand since this one was undone.
  if (scan.fate !== 'in' || !scan.sentBy.includes(record?.checked_in_by)) return { removeScan };
  const admission = { by: record.checked_in_by, at: record.checked_in_at };
  return { removeScan, put: { [admissionName(scan.event, scan.ticket)]: admission } };
}
