// Looking a guest up: check in by hand, undo, what happened to a ticket, and who was let in twice.

import { path } from '../shared/attendance.js';
import { element } from '../shared/dom.js';
import { ApiError } from '../shared/http.js';
import { text } from '../shared/language.js';
import { newUuid } from '../shared/uuid.js';
import { confirm } from './confirm.js';
import { conflictCard } from './conflicts.js';
import { entriesOf, historyOf } from './history.js';
import { stateNow } from './live.js';
import { say } from './status.js';
import { revokeTicket, stateText } from './tickets.js';
import { number } from './times.js';
import { actionButton, field, heading, loadInto, nothing } from './ui.js';

const LIMIT = 50;
const UNDO_MS = 120_000;

export function open(view) {
  const { desk, root, event } = view;
  const search = field({
    id: 'search',
    name: 'search',
    type: 'search',
    label: text('desk.search.what'),
    autocomplete: 'off',
    spellcheck: false,
    enterKeyHint: 'search',
    hint: text('desk.search.hint'),
  });
  const results = element('div', { id: 'results', 'aria-live': 'polite' });
  const form = element('form', { role: 'search', class: 'card' }, search);
  root.append(heading(text('desk.search.title'), desk.titleOf(event)), form, results, conflictCard(view));

  const input = search.querySelector('input');
  view.q = () => input.value.trim();
  view.keys = new Map();
  let timer = null;
  const find = () => {
    clearTimeout(timer);
    if (view.q() === '') results.replaceChildren();
    else loadInto(
      view,
      results,
      () => lookUp(view, view.q()),
      (found) => found.q === view.q() && show(view, results, found),
    );
  };
  input.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(find, 250);
  });
  form.addEventListener('submit', (submitted) => {
    submitted.preventDefault();
    find();
  });
  // After a change of language what was typed is back in the field by then.
  queueMicrotask(find);
  if (matchMedia('(pointer: fine)').matches) setTimeout(() => input.isConnected && input.focus());
}

/** What is found for `q`: tickets of the list, or, where the event has none, the ticket that is called so. */
async function lookUp(view, q) {
  const { desk, event } = view;
  if (await hasList(view)) {
    const query = new URLSearchParams({ q, limit: LIMIT });
    return { q, ...(await desk.attendance.json(`${path`/events/${event}/tickets`}?${query}`)) };
  }
  return { q, total: 1, tickets: [await ticketWithoutList(view, q)], isWithoutList: true };
}

/** Whether the event has a list of tickets. That does not change often, and never back. */
async function hasList(view) {
  const { desk, event, signal } = view;
  if (!desk.events.some(({ id }) => id === event)) return false;
  view.hasList = view.hasList || (await stateNow(desk, event, signal)).registered !== null;
  return view.hasList;
}

/** Its history says it: the ticket itself would be a 404, which looks like a fault in the console of the browser. */
async function ticketWithoutList(view, ticket_id) {
  const last = (await entriesOf(view, ticket_id)).filter(({ kind }) => kind !== 'conflict').at(-1);
  const standing = last?.kind === 'checked_in' ? last : null;
  return {
    ticket_id,
    name: null,
    kind: null,
    revoked: false,
    checked_in_at: standing?.at ?? null,
    checked_in_by: standing?.by ?? null,
  };
}

function show(view, results, { q, total, tickets, isWithoutList }) {
  if (total === 0) {
    results.replaceChildren(nothing(text('desk.search.none', { q })));
    return;
  }
  const more = total - tickets.length;
  results.replaceChildren(
    element(
      'p',
      { class: 'soft' },
      isWithoutList ? text('desk.search.noList') : text('desk.search.found', { count: number(total) }),
    ),
    element('ul', { class: 'results' }, tickets.map((ticket) => result(view, ticket))),
    more > 0 ? element('p', { class: 'soft' }, text('desk.search.more', { count: number(more) })) : '',
  );
}

function result(view, ticket) {
  const item = element('li', { class: 'card' });
  fill(view, item, ticket);
  return item;
}

/** Shows `ticket` in its place, and keeps the focus there when it has changed. */
function fill(view, item, ticket) {
  const { desk } = view;
  const { ticket_id, name, kind, revoked, checked_in_at, checked_in_by } = ticket;
  const isIn = checked_in_at !== null;
  const isOwn = checked_in_by === desk.user.name && Date.now() - Date.parse(checked_in_at) < UNDO_MS;
  const mayUndo = desk.isAdmin || isOwn;
  const again = (changed) => {
    fill(view, item, { ...ticket, ...changed });
    item.querySelector('button')?.focus();
  };
  const named = name ?? ticket_id;
  const button = (action, label, run, kindOfButton) =>
    actionButton(desk, label, run, { 'data-action': action, class: kindOfButton, 'aria-label': `${label}: ${named}` });
  const buttons = [
    !isIn && !revoked && button('check-in', text('desk.search.checkIn'), () => checkIn(view, ticket, again), 'primary'),
    isIn && mayUndo && button('undo', text('desk.search.undo'), () => undo(view, ticket, again)),
    button('history', text('desk.search.history'), () => historyOf(view, ticket)),
    desk.isAdmin && !revoked && view.hasList && button(
      'revoke',
      text('desk.tickets.revoke'),
      () => revoke(view, ticket, again),
    ),
  ];
  item.replaceChildren(
    element(
      'div',
      { class: 'who' },
      element('strong', {}, named),
      element('span', { class: 'soft' }, [name && ticket_id, kind].filter(Boolean).join(' · ')),
      element(
        'span',
        { class: `state ${revoked ? 'bad' : isIn ? 'good' : ''}` },
        isIn || revoked ? stateText(view, ticket) : text('desk.search.notIn'),
      ),
      isIn && !mayUndo && element('span', { class: 'soft small' }, text('desk.search.adminUndoes')),
    ),
    element('div', {}, element('div', { class: 'buttons' }, buttons.filter(Boolean))),
  );
}

async function checkIn(view, { ticket_id, name }, again) {
  const { desk, event, keys } = view;
  // The same key until there is an answer: a second try is not a second check-in.
  if (!keys.has(ticket_id)) keys.set(ticket_id, newUuid());
  const isListed = desk.events.some(({ id }) => id === event);
  const request = isListed ? [path`/events/${event}/checkins`, { ticket_id }] : [
    '/checkins',
    { event_id: event, ticket_id },
  ];
  try {
    const headers = { 'Idempotency-Key': keys.get(ticket_id) };
    const { record } = await desk.attendance.json(request[0], { method: 'POST', json: request[1], headers });
    keys.delete(ticket_id);
    say(text('desk.search.checkedIn', { name: name ?? ticket_id }));
    again({ checked_in_at: record.checked_in_at, checked_in_by: record.checked_in_by });
  } catch (error) {
    if (error instanceof ApiError && !error.isTemporary && error.status !== 401) keys.delete(ticket_id);
    throw error;
  }
}

async function undo(view, { ticket_id, name }, again) {
  const question = text('desk.search.undoQuestion', { name: name ?? ticket_id });
  const isSure = await confirm({
    question,
    explanation: text('desk.search.undoExplanation', { ticket: ticket_id }),
    yes: text('desk.search.undo'),
  });
  if (!isSure) return;
  await view.desk.attendance.json(path`/attendance/${view.event}/tickets/${ticket_id}`, { method: 'DELETE' });
  say(text('desk.search.undone', { name: name ?? ticket_id }));
  again({ checked_in_at: null, checked_in_by: null });
}

async function revoke(view, ticket, again) {
  if (await revokeTicket(view, ticket)) again({ revoked: true });
}
