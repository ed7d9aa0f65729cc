// What happened to a ticket.

import { path } from '../shared/attendance.js';
import { element } from '../shared/dom.js';
import { text } from '../shared/language.js';
import { dayAndClock } from './times.js';
import { table } from './ui.js';

/** The entries of a ticket, oldest first. */
export async function entriesOf({ desk, event }, ticketId) {
  return (await desk.attendance.json(path`/attendance/${event}/tickets/${ticketId}/history`)).entries;
}

/** Shows what happened to `ticket` in a dialog. */
export async function historyOf(view, { ticket_id, name }) {
  const entries = await entriesOf(view, ticket_id);
  const dialog = element('dialog', { class: 'wide', 'aria-labelledby': 'history-title' });
  dialog.append(
    element(
      'h2',
      { id: 'history-title' },
      text('desk.history.title', { name: name ? `${name} (${ticket_id})` : ticket_id }),
    ),
    entries.length > 0 ? historyTable(view, entries) : element('p', { class: 'soft' }, text('desk.history.none')),
    element(
      'div',
      { class: 'buttons' },
      element('button', { type: 'button', onclick: () => dialog.close() }, text('desk.close')),
    ),
  );
  view.root.append(dialog);
  dialog.addEventListener('close', () => dialog.remove());
  view.signal.addEventListener('abort', () => dialog.remove());
  dialog.showModal();
}

/** A table of entries. */
export function historyTable({ desk }, entries) {
  const columns = ['when', 'what', 'by', 'scanned'].map((name) => text(`desk.history.${name}`));
  const rows = entries.map(({ kind, by, at, gate, scanned_at }) => [
    dayAndClock(at, desk.zone),
    text(`desk.history.kinds.${kind}`),
    gate && gate !== by ? `${by} · ${gate}` : by,
    scanned_at ? dayAndClock(scanned_at, desk.zone) : '–',
  ]);
  return table(text('desk.history.what'), columns, rows);
}
