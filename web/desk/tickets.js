// The tickets of an event: bring a list in, make new ones, look at them, revoke some.

import { path } from '../shared/attendance.js';
import { element } from '../shared/dom.js';
import { text } from '../shared/language.js';
import { confirm } from './confirm.js';
import { writeCsv } from './csv.js';
import { importCard } from './import.js';
import { writeRoute } from './route.js';
import { say } from './status.js';
import { ticketCsv } from './ticket-list.js';
import { dayAndClock, number } from './times.js';
import { actionButton, card, field, fileName, heading, keepFile, loadInto, nothing, table, whenSent } from './ui.js';

const PAGE = 100;

export function open(view) {
  const { desk, root, event } = view;
  const list = element('div', { id: 'ticket-list' });
  const reload = () => loadList(view, list);
  const title = desk.titleOf(event);
  const download = actionButton(
    desk,
    text('desk.tickets.download'),
    () => downloadList(view),
    { id: 'tickets-download' },
  );
  const sheet = element('a', { class: 'button', href: writeRoute('sheet', event) }, text('desk.sheet.title'));
  root.append(
    heading(text('desk.tickets.title'), title, download, sheet),
    element('div', { class: 'cards' }, importCard(view, reload), generateCard(view, reload)),
    card(text('desk.tickets.list'), filter(view, reload), list),
  );
  reload();
}

function generateCard(view, onMade) {
  const { desk, event } = view;
  const form = generateForm();
  const made = element('div', { id: 'generate-result', role: 'status' });
  whenSent(desk, form, async (typed) => {
    const kind = typed.get('kind').trim();
    const json = { count: Number(typed.get('count')), ...(kind ? { kind } : {}) };
    const { tickets } = await desk.attendance.json(
      path`/events/${event}/tickets/generate`,
      { method: 'POST', json, milliseconds: 60_000 },
    );
    form.elements.namedItem('count').value = '';
    const keep = element('button', { type: 'button' }, text('desk.generate.download'));
    keep.addEventListener('click', () => keepGenerated(view, tickets));
    made.replaceChildren(
      element('p', { class: 'notice good' }, text('desk.generate.made', { count: number(tickets.length) })),
      keep,
    );
    onMade();
  });
  return card(text('desk.generate.title'), element('p', { class: 'soft' }, text('desk.generate.about')), form, made);
}

function generateForm() {
  return element(
    'form',
    { id: 'generate-form' },
    element(
      'div',
      { class: 'pair' },
      field({
        name: 'count',
        type: 'number',
        label: text('desk.generate.count'),
        min: '1',
        max: '10000',
        step: '1',
        required: true,
        inputMode: 'numeric',
        hint: text('desk.generate.countHint'),
      }),
      field({
        name: 'kind',
        label: text('desk.generate.kind'),
        maxLength: 200,
        autocomplete: 'off',
        hint: text('desk.generate.kindHint'),
      }),
    ),
    element('button', { class: 'primary' }, text('desk.generate.make')),
  );
}

function keepGenerated({ desk, event }, tickets) {
  const rows = tickets.map(({ ticket_id, kind }) => [ticket_id, '', kind ?? '']);
  keepFile(
    `${fileName(desk.titleOf(event))}-${text('desk.generate.file')}.csv`,
    writeCsv([['ticket_id', 'name', 'kind'], ...rows]),
    'text/csv',
  );
}

function filter(view, reload) {
  const made = field({
    id: 'ticket-filter',
    name: 'filter',
    type: 'search',
    label: text('desk.tickets.find'),
    autocomplete: 'off',
  });
  const input = made.querySelector('input');
  view.filter = () => input.value.trim();
  let timer = null;
  input.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(reload, 250);
  });
  return made;
}

function ask({ desk, event }, q, after) {
  return desk.attendance.json(`${path`/events/${event}/tickets`}?${new URLSearchParams({ q, after, limit: PAGE })}`);
}

function loadList(view, place) {
  const q = view.filter();
  return loadInto(view, place, () => ask(view, q, ''), (page) => {
    // A slower answer to what was looked for before.
    if (q === view.filter()) showList(view, place, page, q);
  });
}

function showList(view, place, { total, tickets }, q) {
  if (total === 0) {
    place.replaceChildren(nothing(text(q ? 'desk.tickets.noneFound' : 'desk.tickets.none', { q })));
    return;
  }
  const made = table(text('desk.tickets.list'), columnNames(), tickets.map((ticket) => row(view, ticket)));
  const shown = element('p', { class: 'soft', role: 'status' });
  const more = actionButton(view.desk, text('desk.tickets.more'), async () => {
    const next = await ask(view, q, last());
    tickets.push(...next.tickets);
    const rows = table('', columnNames(), next.tickets.map((ticket) => row(view, ticket)));
    made.tBodies[0].append(...rows.tBodies[0].rows);
    sayShown();
  });
  const last = () => tickets.at(-1).ticket_id;
  const sayShown = () => {
    shown.textContent = text('desk.tickets.shown', { shown: number(tickets.length), total: number(total) });
    more.hidden = tickets.length >= total;
  };
  sayShown();
  place.replaceChildren(shown, made, element('div', { class: 'buttons' }, more));
}

function columnNames() {
  return [
    ...['ticket_id', 'name', 'kind'].map((name) => text(`desk.columns.${name}`)),
    text('desk.tickets.state'),
    text('desk.events.actions'),
  ];
}

function row(view, ticket) {
  const { ticket_id, name, kind, revoked } = ticket;
  const state = element('span', {}, stateText(view, ticket));
  const properties = {
    class: 'danger',
    'data-action': 'revoke',
    'aria-label': `${text('desk.tickets.revoke')}: ${ticket_id}`,
    hidden: revoked,
  };
  const revoke = actionButton(
    view.desk,
    text('desk.tickets.revoke'),
    async (button) => {
      if (!(await revokeTicket(view, ticket))) return;
      ticket.revoked = true;
      state.textContent = stateText(view, ticket);
      state.tabIndex = -1;
      state.focus();
      button.hidden = true;
    },
    properties,
  );
  return [
    element('code', {}, ticket_id),
    name ?? '–',
    kind ?? '–',
    state,
    element('div', { class: 'buttons' }, revoke),
  ];
}

/** Revokes a ticket after a question. Whether it was. */
export async function revokeTicket({ desk, event }, { ticket_id, name }) {
  const isSure = await confirm({
    question: text('desk.tickets.revokeQuestion', { ticket: ticket_id }),
    explanation: text('desk.tickets.revokeExplanation', { name: name ?? ticket_id }),
    yes: text('desk.tickets.revoke'),
  });
  if (!isSure) return false;
  await desk.attendance.json(path`/events/${event}/tickets/${ticket_id}`, { method: 'DELETE' });
  say(text('desk.tickets.revoked', { ticket: ticket_id }));
  return true;
}

/** What is so of a ticket: revoked, in since when, or good. */
export function stateText({ desk }, { revoked, checked_in_at, checked_in_by }) {
  const isIn = checked_in_at && text(
    'desk.tickets.isIn',
    { time: dayAndClock(checked_in_at, desk.zone), by: checked_in_by },
  );
  return [revoked && text('desk.tickets.isRevoked'), isIn].filter(Boolean).join(' · ') || text('desk.tickets.isGood');
}

async function downloadList({ desk, event }) {
  const response = await ticketCsv(desk, event);
  keepFile(`${fileName(desk.titleOf(event))}-${text('desk.tickets.file')}.csv`, await response.blob());
}
