// A gate at work: takes what was read, decides, and keeps what has to be sent.

import { ApiError, NoAnswer } from '../shared/http.js';
import { SessionEnded } from '../shared/session.js';
import { wire } from './flush.js';
import { admissionName } from './queue.js';
import { ANSWER_MS, UNDO_MS, isJustNow, readTicket, verdictOfServer } from './verdict.js';

/** How long a verdict is shown, unless the next guest comes. */
const SHOWN_MS = 2000;
const CONFLICT_SHOWN_MS = 5000;

export const LAST_ADMISSION = 'last-admission';

/**
 * The gate of one event. It calls `onVerdict` with each state to show, `{state, ticket?, …}` as verdict.js says, and
 * `onAdmission` when the admission that can be undone has changed.
 */
export class Gate {
  #store;
  #queue;
  #knowledge;
  #attendance;
  #connection;
  #session;
  #decidingAlone;
  #onVerdict;
  #onAdmission;
  /** What was read last, and when; the same again is no other guest. */
  #last = null;
  /** The state that is shown. */
  #shown = { state: 'ready' };
  #timer;
  /** The work at hand, for one thing is done after the other. */
  #work = Promise.resolve();
  #isBusy = false;
  /** The scan that the volunteer has to decide. */
  #open = null;
  #conflicts = [];

  /** Which door this is, or ''. */
  gateName = '';

  /** The last admission, `{event, ticket, gate, scannedAt, listVersion, key, guest, at}`, or `null`. */
  admission = null;

  constructor({ store, queue, knowledge, attendance, connection, session, decidingAlone, onVerdict, onAdmission }) {
    this.#store = store;
    this.#queue = queue;
    this.#knowledge = knowledge;
    this.#attendance = attendance;
    this.#connection = connection;
    this.#session = session;
    this.#decidingAlone = decidingAlone;
    this.#onVerdict = onVerdict;
    this.#onAdmission = onAdmission;
  }

  /** Takes up what could be undone before the page was loaded. */
  async load() {
    this.#setAdmission((await this.#store.get(LAST_ADMISSION)) ?? null);
  }

  /** Forgets the screen: nothing is shown any more. */
  end() {
    clearTimeout(this.#timer);
    this.#show({ state: 'ready' });
  }

  /** What the camera sees in a picture. It sees the same code many times, and may see it again. */
  see(text) {
    if (this.#isBusy || this.#open) return;
    const read = readTicket(text);
    if (!read) return;
    if (!this.#isSameGuest(read.ticket)) return this.scan(text);
    this.#last.at = performance.now();
    const { state, ticket } = this.#shown;
    if (state === 'ready' || (state === 'just-now' && ticket === read.ticket)) this.#showJustNow(read.ticket);
  }

  /**
   * What somebody has typed, or a scanner has. It waits for its turn. Resolves to whether it was taken: it is not while the
   * volunteer has to decide about another guest.
   */
  async scan(text) {
    const read = readTicket(text);
    if (!read) return true;
    return this.#next(async () => {
      if (this.#open) return false;
      await this.#decide(read);
      return true;
    });
  }

  /** What the volunteer says of a guest whom the phone is not sure of. */
  answer(isAllowed) {
    return this.#next(async () => {
      if (!this.#open) return;
      const { scan, verdict } = this.#open;
      this.#open = null;
      if (isAllowed) await this.#admitUnsynced(scan, { ...verdict, state: 'in-unsynced' }, 'unsure');
      else {
        await this.#queue.reject(scan, 'unsure');
        this.#show({ state: 'ready' });
      }
    });
  }

  /** Tells of scans that came to a conflict, one after the other, when there is time for it. */
  tell(scans) {
    // The record that stands is not this phone's: it must not be undone here.
    if (scans.some(({ key }) => key === this.admission?.key)) {
      this.#forgetAdmission().catch((error) => reportError(error));
    }
    for (const { order, ticket, conflict } of scans) {
      const { why, by, at, guest } = conflict;
      if (!this.#conflicts.some((told) => told.order === order)) {
        this.#conflicts.push({ state: 'conflict', reason: why, order, ticket, by, at, guest });
      }
    }
    if (!this.#isBusy && this.#shown.state === 'ready') this.#showConflict();
  }

  /**
   * Undoes `admission`, which is or was the last one: while somebody was asked about it, the next guest may have come. The
   * queue tells the server.
   */
  undo(admission) {
    return this.#next(async () => {
      const isUndone = (await this.#queue.undo(admission.key)) || (await this.#undoRecord(admission));
      if (isUndone) {
        await this.#knowledge.noteUndone(admission.ticket);
        this.#connection.queued();
      }
      if (this.admission?.key === admission.key) await this.#forgetAdmission();
      this.#last = null;
      this.#show({ state: 'ready', [isUndone ? 'undone' : 'notUndone']: admission }, SHOWN_MS);
    });
  }

  #next(work) {
    const after = this.#work.then(async () => {
      this.#isBusy = true;
      try {
        return await work();
      } finally {
        this.#isBusy = false;
      }
    });
    this.#work = after.catch(() => {});
    return after;
  }

  #isSameGuest(ticket) {
    return isJustNow(this.#last, ticket, performance.now());
  }

  async #decide({ ticket, problem }) {
    if (this.#isSameGuest(ticket)) {
      this.#last.at = performance.now();
      return this.#showJustNow(ticket);
    }
    this.#last = { ticket, at: performance.now() };
    if (problem) return this.#show({ state: 'refused', reason: problem, ticket: ticket.slice(0, 80) }, SHOWN_MS);
    this.#show({ state: 'checking', ticket });
    try {
      await this.#decidingAlone({ event: this.#knowledge.event, ticket }, () => this.#ask(ticket));
    } catch (error) {
      // Nothing was kept, so nothing may be said.
      this.#last = null;
      this.#show({ state: 'ready' });
      throw error;
    }
  }

  async #ask(ticket) {
    const event = this.#knowledge.event;
    const same = (await this.#queue.scans()).filter((scan) => scan.event === event && scan.ticket === ticket);
    const waiting = same.find(({ fate }) => fate === 'in');
    if (waiting) return this.#showAlready(ticket, waiting);
    // What waits for this ticket goes out first.
    const canAsk = this.#connection.isOnline && same.every(({ fate }) => fate === 'asking' || fate === 'conflict');
    const begun = same.find(({ fate }) => fate === 'asking');
    const scan = begun ?? this.#draft(ticket);
    // The server has yet to be told, or has refused to hear of it.
    const isUndone = same.some(({ fate }) => fate === 'undone');
    if (!canAsk) return this.#decideHere(scan, { isUndone });
    return this.#decideThere(await (begun ? this.#queue.resume(scan, this.#user) : this.#queue.begin(scan, this.#user)));
  }

  get #user() {
    return this.#session.user?.name ?? '';
  }

  #draft(ticket) {
    const { event, version } = this.#knowledge;
    return this.#queue.draft({ event, ticket, gate: this.gateName, listVersion: version });
  }

  async #decideThere(scan) {
    const { ticket } = scan;
    const result = await this.#askServer(scan);
    if (!result) return this.#decideHere(scan);
    if (result.detail) return this.#leaveOpen(scan, { state: 'unsure', reason: 'server', detail: result.detail, ticket });
    const verdict = verdictOfServer(result, this.#user);
    if (verdict?.state === 'in' && !result.ticket && this.#knowledge.state === 'ready') this.#doubtList();
    if (verdict) return this.#settle(scan, verdict, result.record);
    // An attempt of before, which was undone since: this one is another.
    await this.#queue.settle(scan);
    return this.#ask(ticket);
  }

  /** The server let somebody in as where there is no list: the list was taken away, or the event was deleted. */
  #doubtList() {
    this.#knowledge.wantList();
    this.#connection.kick();
  }

  /** The server's result, `{detail}` if it takes no such scan, or `null` if there is none in time. */
  async #askServer(scan) {
    const abort = new AbortController();
    let timer;
    const tooLate = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new NoAnswer('too late')), ANSWER_MS);
    });
    const asked = this.#attendance.json('/checkins/batch', {
      method: 'POST',
      json: { scans: [wire(scan, false)] },
      signal: abort.signal,
    });
    asked.catch(() => {});
    try {
      return (await Promise.race([asked, tooLate])).results[0];
    } catch (error) {
      if (error instanceof ApiError && !error.isTemporary && error.status !== 401) return { detail: error.message };
      if (!(error instanceof ApiError || error instanceof NoAnswer || error instanceof SessionEnded)) throw error;
      this.#connection.lost(error);
      return null;
    } finally {
      clearTimeout(timer);
      abort.abort();
    }
  }

  async #settle(scan, verdict, record) {
    const { event, ticket } = scan;
    if (verdict.state === 'in') {
      const admission = { by: record.checked_in_by, at: record.checked_in_at };
      const last = this.#lastAdmission(scan, verdict.guest);
      await this.#queue.settle(scan, { [admissionName(event, ticket)]: admission, [LAST_ADMISSION]: last });
      this.#setAdmission(last);
    } else await this.#queue.settle(scan);
    this.#show({ ...verdict, ticket }, SHOWN_MS);
  }

  async #decideHere(scan, known = {}) {
    const verdict = { ...(await this.#knowledge.verdict(scan.ticket, known)), ticket: scan.ticket };
    if (verdict.state === 'in-unsynced') return this.#admitUnsynced(scan, verdict, verdict.state);
    if (verdict.state === 'unsure') return this.#leaveOpen(scan, verdict);
    await this.#queue.reject(scan, verdict.state);
    this.#show(verdict, SHOWN_MS);
  }

  async #admitUnsynced(scan, verdict, said) {
    const last = this.#lastAdmission(scan, null);
    await this.#queue.decide(scan, 'in', said, { [LAST_ADMISSION]: last });
    this.#setAdmission(last);
    this.#show(verdict, SHOWN_MS);
    this.#connection.queued();
  }

  #leaveOpen(scan, verdict) {
    this.#open = { scan, verdict };
    this.#show(verdict);
  }

  #showAlready(ticket, { scannedAt, sentBy }) {
    const by = sentBy.at(-1) ?? this.#user;
    this.#show({ state: 'already', ticket, by, at: scannedAt, here: true }, SHOWN_MS);
  }

  #showJustNow(ticket) {
    this.#show({ state: 'just-now', ticket }, SHOWN_MS);
  }

  #showConflict() {
    const conflict = this.#conflicts.shift();
    if (conflict) this.#show(conflict, CONFLICT_SHOWN_MS);
    return Boolean(conflict);
  }

  /** Shows a verdict for some time, or until something else is to be shown. */
  #show(verdict, milliseconds) {
    clearTimeout(this.#timer);
    const before = this.#shown;
    this.#shown = verdict;
    const isSame = verdict.state === 'just-now' && before.state === 'just-now' && verdict.ticket === before.ticket;
    if (!isSame) this.#onVerdict(verdict);
    const next = () => this.#showConflict() || this.#show({ state: 'ready' });
    if (milliseconds) this.#timer = setTimeout(next, milliseconds);
  }

  /** Undoes an admission that the server has. There is none where it came to a conflict, or was undone by others. */
  async #undoRecord(admission) {
    const record = await this.#store.get(admissionName(admission.event, admission.ticket));
    if (record) await this.#queue.undoRecord(admission, record);
    return Boolean(record);
  }

  #lastAdmission({ event, ticket, gate, scannedAt, listVersion, key }, guest) {
    return { event, ticket, gate, scannedAt, listVersion, key, guest, at: Date.now() };
  }

  #setAdmission(admission) {
    const canBeUndone = admission && admission.event === this.#knowledge.event && Date.now() - admission.at < UNDO_MS;
    this.admission = canBeUndone ? admission : null;
    this.#onAdmission();
  }

  async #forgetAdmission() {
    this.#setAdmission(null);
    await this.#store.write({ remove: [LAST_ADMISSION] });
  }
}
