// The rules of the gate, without page or network: what a scan is, what is said of it, and what is kept.

/** Whether the scan of which a verdict is said was kept, by the server or on this phone. */
export function isKept({ state }) {
  return state === 'in' || state === 'in-unsynced';
}

/** The same ticket within this time is the same guest, who has not walked on yet. */
export const JUST_NOW_MS = 3000;

/** How long the server may take before the phone decides. */
export const ANSWER_MS = 1000;

/** How long an admission can be undone. */
export const UNDO_MS = 120_000;

/** How often the server is asked again to undo what it has refused to: an admin may have been there meanwhile. */
const NOT_UNDONE_EVERY_MS = 60_000;

/** attendance-service takes no longer id, in bytes of UTF-8. */
export const LONGEST_TICKET = 16 * 1024;

/**
 * What was read, as a ticket: `{ticket}`, `{ticket, problem}` if it cannot be one, or `null` if it is nothing. Any text
 * is the id of a ticket, a link as well.
 */
export function readTicket(text) {
  const ticket = text.trim();
  if (!ticket) return null;
  if (new TextEncoder().encode(ticket).length > LONGEST_TICKET) return { ticket, problem: 'tooLong' };
  // `.` and `..` can be no part of a URL, so what was checked in could not be undone.
  if (/^\.{1,2}$|\0/.test(ticket) || ticket !== wellFormed(ticket)) return { ticket, problem: 'noTicket' };
  return { ticket };
}

function wellFormed(text) {
  const pairsAndHalves = /[\uD800-\uDBFF][\uDC00-\uDFFF]|[\uD800-\uDFFF]/g;
  return text.replace(pairsAndHalves, (found) => (found.length === 2 ? found : '\uFFFD'));
}

/** Whether `ticket`, read at `now`, is the one that was read `last`: `{ticket, at}`. Times in milliseconds. */
export function isJustNow(last, ticket, now) {
  return last !== null && last.ticket === ticket && now - last.at < JUST_NOW_MS;
}

/**
 * What a result of `POST /checkins/batch`, asked for as `user`, says of a guest who is not in yet:
 * `{state, reason?, by?, at?, guest?}`, or `null` if the key has to be replaced, because what it did was undone since.
 */
export function verdictOfServer({ status, record, ticket }, user) {
  const guest = ticket ? { name: ticket.name, kind: ticket.kind } : null;
  const use = record ? { by: record.checked_in_by, at: record.checked_in_at } : {};
  switch (status) {
    case 'accepted':
      return { state: 'in', guest };
    case 'replayed':
      return record?.checked_in_by === user ? { state: 'in', guest } : null;
    // A conflict is known to the committee; the guest who asks now comes after another all the same.
    case 'duplicate':
    case 'conflict':
      return { state: 'already', guest, ...use };
    case 'key_reused':
      return null;
    case 'unregistered':
    case 'revoked':
    case 'forbidden':
      return { state: 'refused', reason: status, guest };
    default:
      throw new Error(`unknown status ${status}`);
  }
}

/**
 * What this phone says on its own.
 *
 * @param {{list: 'missing' | 'open' | 'ready', registered?: boolean, revoked?: boolean,
 *   use: {by?: string, at?: string, here?: boolean} | null}} known `use` is the check-in that this phone knows of, `here`
 *   if it was made here
 */
export function verdictOfPhone({ list, registered, revoked, use }) {
  // As the server does it: whether a ticket is valid is said before whether it was used.
  if (list === 'ready' && !registered) return { state: 'refused', reason: 'unregistered' };
  if (list === 'ready' && revoked) return { state: 'refused', reason: 'revoked' };
  if (use) return { state: 'already', ...use };
  if (list === 'ready') return { state: 'in-unsynced' };
  return { state: 'unsure', reason: list };
}

/** Whether the server has answered to an undo that the ticket is not checked in: an earlier answer was lost. */
export function saysNotCheckedIn({ status, detail }) {
  return status === 404 && detail === 'Ticket belum check-in';
}

/** Milliseconds before try number `failures` (1 for the first). The server's `retryAfter`, in seconds, is waited for. */
export function backoff(failures, { retryAfter = 0, random = Math.random } = {}) {
  const most = Math.min(5000, 500 * 2 ** failures);
  return Math.max(most * (0.5 + random() / 2), retryAfter * 1000);
}

/**
 * What a result says of a scan of the queue.
 *
 * @param {{fate: 'in' | 'undone' | 'out', sentBy: string[], checkedInAt?: string}} scan as it was before it was sent
 * @param {string} user who has sent it now
 * @param {object[]} refused as `refusedUndos` gives them
 * @returns {{do: 'settle', conflict?: string, instead?: number[]} | {do: 'undo'} | {do: 'insist'} | {do: 'hold', why: string}}
 *   `settle`: the server knows all there is to know; `conflict` says what the committee has to know; `instead` are orders of
 *   scans that are settled with it. `undo`: it stands, and must not. `insist`: to be sent again with `admitted`. `hold`:
 *   this user cannot settle it.
 */
export function outcomeOfQueued(scan, { status, record }, user, refused) {
  if (status === 'forbidden') return { do: 'hold', why: status };
  if (scan.fate !== 'in') return outcomeOfNotIn(scan, status, record, user);
  switch (status) {
    case 'accepted':
    case 'replayed':
      return { do: 'settle' };
    case 'duplicate': {
      // The guest was let in once more after an undo that the server has refused: the record stands for that.
      const instead = refused.filter((one) => isOfTicket(one, scan) && one.checkedInAt === record?.checked_in_at);
      if (instead.length > 0) return { do: 'settle', instead: instead.map(({ order }) => order) };
      // Or it was sent before under another name, where the key is another one: the record may be of that attempt.
      return { do: isRecordOf(scan, record, othersOf(scan, user)) ? 'settle' : 'insist' };
    }
    case 'conflict':
    case 'unregistered':
    case 'revoked':
      return { do: 'settle', conflict: status };
    default:
      return { do: 'hold', why: status };
  }
}

function outcomeOfNotIn(scan, status, record, user) {
  // What stands may be another check-in: this one was undone, and the guest has come in elsewhere.
  const stands =
    status === 'accepted' ||
    (status === 'replayed' && isRecordOf(scan, record, [user])) ||
    (status === 'duplicate' && isRecordOf(scan, record, othersOf(scan, user)));
  return { do: stands ? 'undo' : 'settle' };
}

/** The users but `user` under whom a scan was sent. */
function othersOf(scan, user) {
  return scan.sentBy.filter((name) => name !== user);
}

/** Whether `record` is what a scan has made, or, where its time is not known, what one of `users` may have made of it. */
function isRecordOf({ checkedInAt, sentBy }, record, users) {
  if (!record) return false;
  if (checkedInAt === undefined) return users.includes(record.checked_in_by);
  return sentBy.includes(record.checked_in_by) && record.checked_in_at === checkedInAt;
}

/** The scans that were undone here, and that the server has refused to undo. */
export function refusedUndos(scans) {
  return scans.filter(({ held }) => held?.why === 'notUndone');
}

function isOfTicket(scan, { event, ticket }) {
  return scan.event === event && scan.ticket === ticket;
}

/** Whether the guest is said to be in, whoever else is: what the queue sends as `admitted`. */
export function isAdmitted(scan, user, refused) {
  return scan.fate === 'in' && othersOf(scan, user).length === 0 && !refused.some((one) => isOfTicket(one, scan));
}

/**
 * The next scans to send at `now`, in order, at most `limit`: several that are alike, or one that takes more than one
 * request. Scans that are still asked about, that the server knows, or that are held, are left out.
 */
export function nextBatch(scans, user, limit, now) {
  const due = scans.filter(({ fate, held }) => ['in', 'undone', 'out'].includes(fate) && !isHeld(held, now));
  const refused = refusedUndos(scans);
  const isPlain = (scan) => isAdmitted(scan, user, refused);
  const plain = due.findIndex((scan) => !isPlain(scan));
  return due.slice(0, plain === -1 ? limit : Math.min(limit, Math.max(1, plain)));
}

function isHeld(held, now) {
  if (held?.why !== 'notUndone') return Boolean(held);
  // A clock that was put back holds nothing longer.
  return Math.abs(now - held.at) < NOT_UNDONE_EVERY_MS;
}

/** Whether the server will never take a scan as it is, so that all there is to do is to write it down. */
export function isHopeless({ held }) {
  return held !== undefined && held.why !== 'forbidden' && held.why !== 'notUndone';
}

/** How many scans of a guest that is in, or was, the server does not know of yet. */
export function countUnsynced(scans) {
  return scans.filter(({ fate }) => fate === 'in' || fate === 'undone').length;
}
