// The guests who were let in twice: two phones without a network took the same ticket.

import { path } from '../shared/attendance.js';
import { fromBase64Url, ticketDigest, toBase64Url } from '../shared/digest.js';
import { element } from '../shared/dom.js';
import { text } from '../shared/language.js';
import { entriesOf, historyTable } from './history.js';
import { inParallel } from './qr.js';
import { allTickets } from './ticket-list.js';
import { number } from './times.js';
import { actionButton, card, loadInto } from './ui.js';

const PAGE = 1000;
const SHOWN = 50;
const PARALLEL = 4;

/** What is known of each event: up to which entry, and the digests of tickets with a conflict. */
const known = new Map();

/** The card with the conflicts of an event. */
export function conflictCard(view) {
  const place = element('div', { id: 'conflicts' });
  const load = () => loadInto(view, place, () => conflictsOf(view), (conflicts) => show(view, place, conflicts));
  load();
  const again = actionButton(view.desk, text('desk.conflicts.again'), load);
  return card(
    text('desk.conflicts.title'),
    element('p', { class: 'soft' }, text('desk.conflicts.about')),
    place,
    element('div', { class: 'buttons' }, again),
  );
}

/** `{tickets: [{ticket_id, entries}], unknown, more}`: `unknown` tickets have no id to be told, `more` are left out. */
async function conflictsOf(view) {
  const { desk, event } = view;
  const digests = await conflictDigests(view);
  if (digests.size === 0) return { tickets: [], unknown: 0, more: 0 };
  // Without the salt of a created event nobody can tell which ticket a digest stands for.
  if (!desk.events.some(({ id }) => id === event)) return { tickets: [], unknown: digests.size, more: 0 };
  const { salt } = await desk.attendance.json(path`/events/${event}/offline`, { milliseconds: 30_000 });
  const { records } = await desk.attendance.json(path`/attendance/${event}`, { milliseconds: 60_000 });
  const found = named(digests, salt, records);
  // A ticket whose check-in was undone is in no record.
  if (found.length < digests.size && desk.isAdmin) {
    const missing = new Set([...digests].filter((digest) => !found.some((ticket) => ticket.digest === digest)));
    found.push(...named(missing, salt, await allTickets(desk, event)));
  }
  const tickets = found.slice(0, SHOWN);
  await inParallel(tickets, PARALLEL, async (ticket) => {
    ticket.entries = await entriesOf(view, ticket.ticket_id);
  });
  return { tickets, unknown: digests.size - found.length, more: found.length - tickets.length };
}

async function conflictDigests({ desk, event }) {
  let follower = known.get(event) ?? { after: 0, digests: new Set() };
  for (;;) {
    const query = new URLSearchParams({ after: follower.after, limit: PAGE });
    const { version, changes } = await desk.attendance.json(`${path`/attendance/${event}/changes`}?${query}`);
    // The store was restored from a backup, or has begun anew.
    if (version < follower.after) {
      follower = { after: 0, digests: new Set() };
      continue;
    }
    for (const { kind, digest } of changes) if (kind === 'conflict') follower.digests.add(digest);
    follower.after = changes.at(-1)?.seq ?? follower.after;
    known.set(event, follower);
    if (changes.length === 0 || follower.after >= version) return follower.digests;
  }
}

/** The tickets whose digest is among `digests`; `salt` as the service writes it. */
function named(digests, salt, tickets) {
  const saltBytes = fromBase64Url(salt);
  const found = new Map();
  for (const { ticket_id } of tickets) {
    const digest = toBase64Url(ticketDigest(saltBytes, ticket_id));
    if (digests.has(digest)) found.set(digest, { digest, ticket_id });
  }
  return [...found.values()];
}

function show(view, place, { tickets, unknown, more }) {
  if (tickets.length === 0 && unknown === 0) {
    place.replaceChildren(element('p', { role: 'status' }, text('desk.conflicts.none')));
    return;
  }
  place.replaceChildren(
    element(
      'p',
      { class: 'notice', role: 'status' },
      text('desk.conflicts.count', { count: number(tickets.length + unknown + more) }),
    ),
    ...tickets.map(({ ticket_id, entries }) => element(
      'div',
      {},
      element('h3', {}, ticket_id),
      historyTable(view, entries),
    )),
    more > 0 ? element('p', { class: 'soft' }, text('desk.conflicts.more', { count: number(more) })) : '',
    unknown > 0 ? element('p', { class: 'soft' }, text('desk.conflicts.unknown', { count: number(unknown) })) : '',
  );
}
