// The scans of this device that the server does not know of for certain, and those that the committee has to know of.
//
// A scan is `{order, key, event, ticket, gate, scannedAt, listVersion, fate, verdict, sentBy, checkedInAt?, held?, conflict?}`.
// What was scanned is never changed; what becomes of it is told by `fate`:
//   asking    the server is asked, and nothing was said to the guest yet
//   in        the guest is in
//   undone    the guest was in, and that was undone
//   out       the guest was not let in, though the server may have heard of it
//   conflict  the server knows it, and somebody has to know of `conflict`
// `sentBy` names the users under whom it was sent; `checkedInAt` is of the record that it has made, where that is known;
// `held` says why it is not sent now, and since when if it is tried again.

import { newUuid } from '../shared/uuid.js';
import { countUnsynced, isHopeless } from './verdict.js';

/** The name of the channel on which is said that the queue has changed. */
export const QUEUE_CHANNEL = 'tixgo.gate.queue';

/** The queue in a store. It fires `change` when anything in it has changed, in whichever tab. */
export class Queue extends EventTarget {
  #store;
  #channel;

  /** `channel` is a BroadcastChannel to the other tabs and the service worker, or `null`. */
  constructor(store, channel) {
    super();
    this.#store = store;
    this.#channel = channel;
    this.#channel?.addEventListener('message', () => this.dispatchEvent(new Event('change')));
  }

  scans() {
    return this.#store.scans();
  }

  /** A new scan, which is not kept yet. */
  draft({ event, ticket, gate, listVersion }) {
    const scannedAt = new Date().toISOString();
    return { key: newUuid(), event, ticket, gate, scannedAt, listVersion, fate: 'asking', verdict: null, sentBy: [] };
  }

  /** Keeps a new scan about which `user` asks the server. */
  async begin(draft, user) {
    const scan = { ...draft, sentBy: [user] };
    return { ...scan, order: await this.#store.addScan(scan) };
  }

  /** Keeps that `user` asks about a scan that was begun before, and to which no answer came. */
  async resume(scan, user) {
    if (scan.sentBy.includes(user)) return scan;
    const resumed = { ...scan, sentBy: [...scan.sentBy, user] };
    await this.#store.write({ putScan: resumed });
    return resumed;
  }

  /** Keeps what was said to the guest, that it is to be sent, and the values `put`. */
  async decide(scan, fate, verdict, put = {}) {
    const decided = { ...scan, fate, verdict };
    if (scan.order === undefined) await this.#store.addScan(decided, put);
    else await this.#store.write({ putScan: decided, put });
    this.changed();
  }

  /** Forgets a scan that came to nothing, or keeps it as `out` if the server may have heard of it. */
  async reject(scan, verdict) {
    if (scan.sentBy.length > 0) await this.decide(scan, 'out', verdict);
    else if (scan.order !== undefined) await this.#store.write({ removeScan: [scan.order] });
  }

  /** Forgets a scan that the server has answered. `put` is kept in its place. */
  async settle(scan, put = {}) {
    // If that is lost, the same guest is asked about with the same key, and is in.
    await this.#store.write({ removeScan: [scan.order], put }, { mayBeLost: true });
  }

  /** Marks an admission that was not sent, or not answered, as undone. Returns whether there was one. */
  async undo(key) {
    const orders = (await this.scans()).filter((scan) => scan.key === key).map(({ order }) => order);
    const undone = (scan) => (scan?.fate === 'in' ? { putScan: { ...scan, fate: 'undone' } } : null);
    const changed = await this.#store.change(orders, undone);
    if (changed.length > 0) this.changed();
    return changed.length > 0;
  }

  /** Keeps that the record `{by, at}` of an admission, which the server has, is to be undone: its scan goes out once more. */
  async undoRecord({ event, ticket, gate, scannedAt, listVersion, key }, { by, at }) {
    const scan = { key, event, ticket, gate, scannedAt, listVersion };
    await this.#store.addScan({ ...scan, fate: 'undone', verdict: 'in', sentBy: [by], checkedInAt: at });
    this.changed();
  }

  /** Lets scans that were held go out again. */
  async release() {
    const held = (await this.scans()).filter((scan) => scan.held);
    if (held.length === 0) return;
    const orders = held.map(({ order }) => order);
    await this.#store.change(orders, (scan) => (scan?.held ? { putScan: { ...scan, held: undefined } } : null));
    this.changed();
  }

  /** Notes that conflicts were shown, so that they are not announced again. */
  async noteTold(orders) {
    const told = (scan) => ({ putScan: { ...scan, conflict: { ...scan.conflict, isTold: true } } });
    await this.#store.change(orders, (scan) => (scan?.conflict ? told(scan) : null));
  }

  /** Forgets a conflict that somebody has seen to, or a scan that the server will never take. */
  async dismiss(order) {
    const canBeForgotten = (scan) => scan && (scan.fate === 'conflict' || isHopeless(scan));
    await this.#store.change([order], (scan) => (canBeForgotten(scan) ? { removeScan: [order] } : null));
    this.changed();
  }

  /** `{unsynced, notes}`: how many admissions the server does not know of, and the scans that somebody has to see. */
  async summary() {
    const scans = await this.scans();
    return {
      unsynced: countUnsynced(scans),
      notes: scans.filter((scan) => scan.fate === 'conflict' || scan.held),
    };
  }

  /** Says in all tabs that something has changed. */
  changed() {
    this.#channel?.postMessage('changed');
    this.dispatchEvent(new Event('change'));
  }
}

/** How the names of all admissions begin. */
export const ADMISSIONS = 'admission/';

/** The name of what this phone remembers of a ticket that it has let in, until that was undone: `{by, at}` of the record. */
export function admissionName(event, ticket) {
  return admissionsOf(event) + ticket;
}

/** How the names of all that it has let in to an event begin. */
export function admissionsOf(event) {
  return `${ADMISSIONS}${encodeURIComponent(event)}/`;
}
