// attendance-service as far as the queue knows it: check-ins, conflicts and undos with the keys of each user.

import { ApiError, NoAnswer } from '../../web/shared/http.js';

/** A server in memory. `network` may throw before a request arrives, `answers` before the answer does. */
export class GateServer {
  #keys = new Map();
  #standing = new Map();
  entries = [];
  requests = [];
  network = () => {};
  answers = () => {};

  /** How Flush asks it as `user`. */
  as(user) {
    return {
      checkIn: (scans) => this.#request('checkIn', scans, () => scans.map((scan) => this.#checkIn(user, scan))),
      undo: (event, ticket) => this.#request('undo', ticket, () => this.#undo(user, ticket)),
    };
  }

  kinds(ticket) {
    return this.entries.filter((entry) => entry.ticket === ticket).map(({ kind }) => kind);
  }

  isIn(ticket) {
    return this.#standing.has(ticket);
  }

  async #request(name, body, work) {
    this.requests.push([name, structuredClone(body)]);
    this.network(name, body);
    const answer = work();
    this.answers(name, body);
    return answer;
  }

  #checkIn(user, { ticket_id: ticket, idempotency_key: key, admitted }) {
    const standing = this.#standing.get(ticket);
    const used = this.#keys.get(`${user}/${key}`);
    const result = (status, record) => ({ ticket_id: ticket, status, ...(record ? { record } : {}) });
    if (used) {
      if (used.ticket !== ticket) return result('key_reused', standing?.record);
      return result(used.kind === 'conflict' ? 'conflict' : 'replayed', standing?.record);
    }
    if (ticket.startsWith('NONE')) return result('unregistered');
    if (standing && !admitted) return result('duplicate', standing.record);
    const entry = { kind: standing ? 'conflict' : 'checked_in', ticket, user };
    this.entries.push(entry);
    this.#keys.set(`${user}/${key}`, entry);
    if (standing) return result('conflict', standing.record);
    const record = { event_id: 'e', ticket_id: ticket, checked_in_by: user, checked_in_at: `${this.entries.length}` };
    this.#standing.set(ticket, { record, user });
    return result('accepted', record);
  }

  #undo(user, ticket) {
    const standing = this.#standing.get(ticket);
    if (!standing) throw new ApiError(404, 'Ticket belum check-in');
    if (standing.user !== user) throw new ApiError(403, 'Check-in ini hanya dapat dibatalkan oleh admin');
    this.#standing.delete(ticket);
    this.entries.push({ kind: 'undone', ticket, user });
  }
}

/** Throws as often as `times` says when a request comes, of that `name` where there is one. */
export function failing(times, error = new NoAnswer('cut'), name = null) {
  let left = times;
  return (requested) => {
    if (left <= 0 || (name !== null && requested !== name)) return;
    left -= 1;
    throw error;
  };
}
