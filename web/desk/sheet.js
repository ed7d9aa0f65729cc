// Tickets to print and cut: A4, each with its code, id and name.

import { element } from '../shared/dom.js';
import { text } from '../shared/language.js';
import { inParallel, qrCode } from './qr.js';
import { writeRoute } from './route.js';
import { allTickets } from './ticket-list.js';
import { number } from './times.js';
import { choice, field, heading, loadInto, nothing, onlyOnce } from './ui.js';

/** Codes that are asked for at once: a small box answers others meanwhile. */
const PARALLEL = 6;
/** Tickets on one sheet: more make a browser slow, and a printer too. */
const MOST = 600;
const LAYOUTS = ['2x5', '3x8', '4x10'];

export function open(view) {
  const { root, desk, event } = view;
  const back = element('a', { class: 'button', href: writeRoute('tickets', event) }, text('desk.sheet.back'));
  const body = element('div', {});
  root.append(heading(text('desk.sheet.title'), desk.titleOf(event), back), body);
  loadInto(view, body, () => allTickets(desk, event), (tickets) => {
    const good = tickets.filter(({ revoked }) => !revoked);
    body.replaceChildren(...(good.length === 0 ? [nothing(text('desk.sheet.none'))] : chooser(view, good)));
  });
}

function chooser(view, tickets) {
  const place = element('div', { class: 'sheet' });
  const form = chooserForm(tickets);
  const valueOf = (name) => form.elements.namedItem(name)?.value;
  const chosen = () => {
    const kind = valueOf('kind') ?? '*';
    return kind === '*' ? tickets : tickets.filter((ticket) => `=${ticket.kind ?? ''}` === kind);
  };
  const fillParts = () => form.elements.namedItem('part').replaceChildren(...parts(chosen().length));
  fillParts();
  form.elements.namedItem('kind')?.addEventListener('change', fillParts);
  form.addEventListener('submit', (submitted) => {
    submitted.preventDefault();
    onlyOnce(form.querySelector('button'), async () => {
      const start = Number(valueOf('part'));
      await make(view, place, chosen().slice(start, start + MOST), valueOf('layout'));
    });
  });
  view.signal.addEventListener('abort', () => place.replaceChildren());
  return [form, element('p', { class: 'soft small' }, text('desk.sheet.hint')), place];
}

function chooserForm(tickets) {
  const layouts = LAYOUTS.map((layout) => [
    layout,
    text('desk.sheet.perPage', { layout: layout.replace('x', ' × ') }),
  ]);
  const kinds = [...new Set(tickets.map(({ kind }) => kind ?? ''))].sort();
  const kindOptions = [
    ['*', text('desk.sheet.allKinds')],
    ...kinds.map((kind) => [`=${kind}`, kind || text('desk.sheet.noKind')]),
  ];
  return element(
    'form',
    { id: 'sheet-form', class: 'card' },
    element(
      'div',
      { class: 'pair' },
      field({ name: 'layout', label: text('desk.sheet.layout'), make: choice(layouts, '3x8') }),
      kinds.length > 1 && field({ name: 'kind', label: text('desk.columns.kind'), make: choice(kindOptions, '*') }),
      field({ name: 'part', label: text('desk.sheet.part'), make: choice([], '0') }),
    ),
    element('div', { class: 'buttons' }, element('button', { class: 'primary' }, text('desk.sheet.make'))),
  );
}

/** The options for which of `count` tickets are on the sheet; the value of each is where its part starts. */
function parts(count) {
  const starts = Array.from({ length: Math.ceil(count / MOST) }, (_, index) => index * MOST);
  return starts.map((start) => {
    const ends = { from: number(start + 1), to: number(Math.min(start + MOST, count)) };
    return element('option', { value: String(start) }, text('desk.sheet.fromTo', ends));
  });
}

async function make({ desk, event, signal }, place, tickets, layout) {
  const [columns, rows] = layout.split('x').map(Number);
  const bar = element('progress', { max: tickets.length, value: 0, 'aria-label': text('desk.sheet.making') });
  const said = element('p', { role: 'status' }, text('desk.sheet.making'));
  place.replaceChildren(said, bar);
  const cells = tickets.map(({ ticket_id, name, kind }) =>
    element(
      'article',
      {},
      element(
        'div',
        { class: 'words' },
        element('p', { class: 'of' }, desk.titleOf(event)),
        element('code', {}, ticket_id),
        name && element('p', { class: 'name' }, name),
        kind && element('p', {}, kind),
      ),
    ),
  );
  let done = 0;
  try {
    await inParallel(tickets, PARALLEL, async ({ ticket_id }, index) => {
      if (signal.aborted) return;
      cells[index].prepend(await qrCode(desk, ticket_id, text('desk.sheet.codeOf', { ticket: ticket_id })));
      done += 1;
      bar.value = done;
      said.textContent = text('desk.sheet.made', { done: number(done), total: number(tickets.length) });
    });
  } catch (error) {
    if (!signal.aborted) place.replaceChildren(element('p', { class: 'error', role: 'alert' }, desk.failed(error)));
    return;
  }
  if (signal.aborted) return;
  const pages = [];
  for (let at = 0; at < cells.length; at += columns * rows) {
    pages.push(element('section', { class: 'page', 'data-layout': layout }, cells.slice(at, at + columns * rows)));
  }
  const print = element(
    'button',
    { id: 'sheet-print', type: 'button', class: 'primary', onclick: () => window.print() },
    text('desk.print'),
  );
  const ready = text('desk.sheet.ready', { count: number(tickets.length), pages: number(pages.length) });
  place.replaceChildren(element('div', { class: 'heading' }, element('p', { role: 'status' }, ready), print), ...pages);
}
