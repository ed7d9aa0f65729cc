// The list of an event as a phone has it: digests of tickets, with neither names nor ids.

import { DIGEST_BYTES, fromBase64Url, ticketDigest } from '../shared/digest.js';

/** What `GET /events/{id}/offline` has answered. */
export class TicketList {
  #salt;

  /**
   * @param {{version: number, salt: Uint8Array, tickets: Uint8Array | null, revoked: Uint8Array, used: Uint8Array,
   *   etag: string | null}} stored as `of` makes it, and IndexedDB keeps it
   */
  constructor(stored) {
    this.stored = stored;
    this.#salt = stored.salt;
  }

  /** The list from the JSON of the answer. */
  static of({ version, salt, tickets, revoked, used }, etag) {
    return new TicketList({
      version,
      salt: fromBase64Url(salt),
      tickets: tickets === null ? null : fromBase64Url(tickets),
      revoked: fromBase64Url(revoked),
      used: fromBase64Url(used),
      etag,
    });
  }

  /** `ready`, or `open` if the event has no list, and any ticket is let in once. */
  get state() {
    return this.stored.tickets ? 'ready' : 'open';
  }

  /** The digest of a ticket. */
  digest(ticket) {
    return ticketDigest(this.#salt, ticket);
  }

  isRegistered(digest) {
    return this.stored.tickets !== null && contains(this.stored.tickets, digest);
  }

  isRevoked(digest) {
    return contains(this.stored.revoked, digest);
  }

  isUsed(digest) {
    return contains(this.stored.used, digest);
  }
}

/** Whether `digest` is among the sorted `digests`, one behind the other. */
export function contains(digests, digest) {
  let low = 0;
  let high = digests.length / DIGEST_BYTES;
  while (low < high) {
    const middle = (low + high) >> 1;
    const order = compare(digests, middle * DIGEST_BYTES, digest);
    if (order === 0) return true;
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return false;
}

function compare(digests, at, digest) {
  for (let index = 0; index < DIGEST_BYTES; index += 1) {
    const difference = digests[at + index] - digest[index];
    if (difference !== 0) return difference;
  }
  return 0;
}
