// What this phone knows of an event: its list of tickets, and what others did since.

import { path } from '../shared/attendance.js';
import { toBase64Url } from '../shared/digest.js';
import { NoAnswer } from '../shared/http.js';
import { ADMISSIONS, admissionName, admissionsOf } from './queue.js';
import { TicketList } from './ticket-list.js';
import { verdictOfPhone } from './verdict.js';

/** How often the list is fetched. */
const LIST_EVERY_MS = 60_000;
/** A whole list may come over a bad network. */
const LIST_TIMEOUT_MS = 60_000;
const CHANGES_TIMEOUT_MS = 5000;

/** Forgets what a store has of all events but these. */
export async function forgetOtherEvents(store, events) {
  const isOf = (id, name) => [`list/${id}`, `changes/${id}`].includes(name) || name.startsWith(admissionsOf(id));
  const kept = await Promise.all(['list/', 'changes/', ADMISSIONS].map((prefix) => store.entries(prefix)));
  const names = kept.flatMap((entries) => [...entries.keys()]);
  await store.write({ remove: names.filter((name) => !events.some((id) => isOf(id, name))) });
}

/** The knowledge of one event, kept in a store. */
export class Knowledge {
  #store;
  #list = null;
  /** Digest → `{used, seq}`: the last change of a ticket that the list does not have yet, and its number. */
  #reports = new Map();
  /** The number of the last change that the list or the reports have, or `null` until the next list. */
  #cursor = null;
  #fetchedAt = null;
  #wantsList = true;
  /** Digests of the admissions by name: to compute thousands of them anew would hold up an old phone. */
  #digests = new Map();

  constructor(store, event) {
    this.#store = store;
    this.event = event;
  }

  /** Takes up what was kept of the event. */
  async load() {
    const list = await this.#store.get(`list/${this.event}`);
    if (!list) return;
    this.#list = new TicketList(list);
    const kept = await this.#store.get(`changes/${this.event}`);
    this.#cursor = kept?.cursor ?? list.version;
    this.#reports = kept?.reports ?? new Map();
    this.#fetchedAt = kept?.fetchedAt ?? null;
  }

  /** `missing`, `open` or `ready`. */
  get state() {
    return this.#list?.state ?? 'missing';
  }

  /** The number of the last change of the event that this phone knows of. */
  get version() {
    return this.#cursor;
  }

  /** When the list was last known to be as the server's, in milliseconds since 1970, or `null`. */
  get fetchedAt() {
    return this.#fetchedAt;
  }

  /** What this phone says of a ticket on its own. `isUndone`: the server has yet to be told that it is not used. */
  async verdict(ticket, { isUndone = false } = {}) {
    const admission = await this.#store.get(admissionName(this.event, ticket));
    const list = this.#list;
    const here = admission ? { ...admission, here: true } : null;
    if (!list) return verdictOfPhone({ list: 'missing', use: isUndone ? null : here });
    const digest = list.digest(ticket);
    const use = here ?? (this.#isUsed(digest) ? {} : null);
    return verdictOfPhone({
      list: list.state,
      registered: list.isRegistered(digest),
      revoked: list.isRevoked(digest),
      use: isUndone ? null : use,
    });
  }

  #isUsed(digest) {
    return this.#reports.get(toBase64Url(digest))?.used ?? this.#list.isUsed(digest);
  }

  /** Notes that the check-in of a ticket was undone here. */
  async noteUndone(ticket) {
    if (this.#list) {
      // The server's number of it is not known, but it is above all that were taken in.
      const seq = (this.#cursor ?? this.#list.stored.version) + 1;
      this.#reports.set(toBase64Url(this.#list.digest(ticket)), { used: false, seq });
    }
    await this.#store.write({ ...this.#kept(), remove: [admissionName(this.event, ticket)] });
  }

  /** Takes in what happened since, as far as there is a list. */
  async fetchChanges(attendance) {
    const before = await this.#admissions();
    while (this.#cursor !== null) {
      const url = `${path`/attendance/${this.event}/changes`}?after=${this.#cursor}&limit=1000`;
      const { version, changes } = await attendance.json(url, { milliseconds: CHANGES_TIMEOUT_MS });
      // The server was set up anew, and counts from the beginning.
      if (version < this.#cursor) {
        this.#cursor = null;
        this.#reports.clear();
        this.#wantsList = true;
        return;
      }
      for (const { seq, kind, digest } of changes) {
        this.#reports.set(digest, { used: kind !== 'undone', seq });
        this.#cursor = seq;
      }
      if (changes.length === 0) return;
      const isLast = this.#cursor >= version;
      await this.#store.write({ ...this.#kept(), remove: isLast ? await this.#undoneAmong(before) : [] });
      if (isLast) return;
    }
  }

  #admissions() {
    return this.#store.entries(admissionsOf(this.event));
  }

  /** The names of those admissions that were undone since. The answer that tells so knows of none that was made later. */
  async #undoneAmong(before) {
    const unchanged = [...(await this.#admissions())].filter(([name, { at }]) => before.get(name)?.at === at);
    return unchanged.map(([name]) => name).filter((name) => !this.#isUsed(this.#digestOfAdmission(name)));
  }

  #digestOfAdmission(name) {
    const digest = this.#digests.get(name) ?? this.#list.digest(name.slice(admissionsOf(this.event).length));
    this.#digests.set(name, digest);
    return digest;
  }

  /** Lets the list be due now. */
  wantList() {
    this.#wantsList = true;
  }

  /** Fetches the list if it is due. */
  async fetchList(attendance) {
    const age = Date.now() - (this.#fetchedAt ?? 0);
    if (!this.#wantsList && age >= 0 && age < LIST_EVERY_MS) return;
    const etag = this.#list?.stored.etag;
    const before = await this.#admissions();
    const list = await this.#ask(attendance, etag ? { 'If-None-Match': etag } : {});
    this.#wantsList = false;
    this.#fetchedAt = Date.now();
    if (list) await this.#takeInList(list, before);
    else {
      this.#cursor ??= this.#list.stored.version;
      await this.#store.write(this.#kept());
    }
  }

  /** The list, or `null` if it is the one that is known. */
  async #ask(attendance, headers) {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), LIST_TIMEOUT_MS);
    try {
      const url = path`/events/${this.event}/offline`;
      const response = await attendance.response(url, { headers, signal: abort.signal });
      if (response.status === 304) return null;
      const body = await response.json().catch((error) => {
        throw new NoAnswer(String(error?.message ?? error));
      });
      return TicketList.of(body, response.headers.get('ETag'));
    } finally {
      clearTimeout(timer);
    }
  }

  async #takeInList(list, before) {
    const { version } = list.stored;
    this.#list = list;
    // A server that was set up anew is found out by the changes.
    this.#cursor = Math.max(this.#cursor ?? 0, version);
    for (const [digest, { seq }] of this.#reports) {
      if (seq <= version) this.#reports.delete(digest);
    }
    const { put } = this.#kept();
    put[`list/${this.event}`] = list.stored;
    await this.#store.write({ put, remove: await this.#undoneAmong(before) });
  }

  /** What has to be kept of all that is no list. */
  #kept() {
    const { event } = this;
    const kept = { cursor: this.#cursor, reports: this.#reports, fetchedAt: this.#fetchedAt };
    return this.#list ? { put: { [`changes/${event}`]: kept } } : {};
  }
}
