// The report of an event: numbers to look at and print, and files for a spreadsheet.

import { path } from '../shared/attendance.js';
import { element } from '../shared/dom.js';
import { text } from '../shared/language.js';
import { absent, byGate, byHour, byKind } from './counts.js';
import { writeCsv } from './csv.js';
import { stateNow } from './live.js';
import { readRecords, reportRows } from './service-csv.js';
import { allTickets } from './ticket-list.js';
import { clock, dayAndTime, number } from './times.js';
import { actionButton, card, fileName, heading, keepFile, loadInto, nothing, table } from './ui.js';
import { zoneName } from './zones.js';

const SHOWN_ABSENT = 500;

export function open(view) {
  const { desk, root, event } = view;
  const zone = zoneName(desk.zone);
  const body = element('div', { id: 'report' });
  const load = () => loadInto(view, body, () => gather(view), (report) => show(view, body, report));
  const name = (part) => `${fileName(desk.titleOf(event))}-${text(`desk.report.${part}`)}.csv`;
  const download = actionButton(desk, text('desk.report.download', { zone }), async () => {
    const columns = [
      ...['ticket_id', 'name', 'kind'].map((column) => text(`desk.columns.${column}`)),
      text('desk.report.checkedInAt', { zone }),
      text('desk.report.checkedInBy'),
    ];
    const records = readRecords(await (await serviceCsv(view)).text());
    keepFile(name('file'), writeCsv(reportRows(records, desk.zone, columns)), 'text/csv');
  }, { id: 'report-download', class: 'primary' });
  const original = actionButton(
    desk,
    text('desk.report.serviceCsv'),
    async () => keepFile(name('serviceFile'), await (await serviceCsv(view)).blob()),
    { id: 'report-service-csv' },
  );
  const print = element('button', { type: 'button', onclick: () => window.print() }, text('desk.print'));
  const renew = element('button', { type: 'button', onclick: load }, text('desk.report.renew'));
  root.append(
    heading(
      text('desk.report.title'),
      text('desk.report.about', { title: desk.titleOf(event), zone }),
      download,
      original,
      print,
      renew,
    ),
    body,
  );
  load();
}

function serviceCsv({ desk, event }) {
  return desk.attendance.response(`${path`/attendance/${event}`}?format=csv`, { milliseconds: 60_000 });
}

/** `{records, registered, tickets, at}`: `tickets` is the list, for admins, or `null`. */
async function gather(view) {
  const { desk, event, signal } = view;
  const { registered } = await stateNow(desk, event, signal);
  const records = readRecords(await (await serviceCsv(view)).text());
  const tickets = registered !== null && desk.isAdmin ? await allTickets(desk, event) : null;
  return { records, registered, tickets, at: new Date().toISOString() };
}

function show(view, body, report) {
  const { records, registered, tickets, at } = report;
  const { zone } = view.desk;
  body.replaceChildren(
    totals(view, report),
    records.length === 0 ? nothing(text('desk.report.nobody')) : element(
      'div',
      { class: 'cards' },
      hours(records, zone),
      gates(records),
      tickets && kinds(tickets),
    ),
    registered === null ? '' : absentCard(view, tickets),
    element('p', { class: 'soft small' }, text('desk.report.asOf', { time: dayAndTime(at, zone) })),
  );
}

function totals({ desk }, { records, registered, tickets }) {
  const figure = (label, value) => element(
    'div',
    {},
    element('dt', {}, label),
    element('dd', { class: 'number' }, value),
  );
  const gone = tickets ? absent(tickets).length : null;
  const moments = records.length > 0 && {
    first: clock(records[0].checked_in_at, desk.zone),
    last: clock(records.at(-1).checked_in_at, desk.zone),
  };
  return card(
    text('desk.report.totals'),
    element(
      'dl',
      { class: 'figures' },
      figure(text('desk.report.in'), number(records.length)),
      registered !== null && figure(text('desk.report.registered'), number(registered)),
      gone !== null && figure(text('desk.report.absent'), number(gone)),
    ),
    moments && element('p', { class: 'soft' }, text('desk.report.firstLast', moments)),
  );
}

function hours(records, zone) {
  const counts = byHour(records, zone);
  const label = (hour) => `${hour.slice(8, 10)}/${hour.slice(5, 7)} ${hour.slice(11)}.00–${hour.slice(11)}.59`;
  return countTable('byHour', 'hour', counts.map(({ hour, count }) => [label(hour), count]));
}

function gates(records) {
  const rows = byGate(records).map(({ name, count }) => [name, count]);
  return countTable('byGate', 'gate', rows, element('p', { class: 'soft' }, text('desk.report.byGateAbout')));
}

function countTable(title, column, rows, about = null) {
  const most = Math.max(...rows.map(([, count]) => count));
  const cells = rows.map(([name, count]) => [
    name,
    element(
      'span',
      { class: 'counted' },
      element('span', { class: 'number' }, number(count)),
      element('progress', { max: most, value: count, 'aria-hidden': 'true' }),
    ),
  ]);
  const made = table(text(`desk.report.${title}`), [text(`desk.report.${column}`), text('desk.report.count')], cells);
  made.className = 'dense';
  return card(text(`desk.report.${title}`), about, made);
}

function kinds(tickets) {
  const rows = byKind(tickets).map(({ kind, in: counted, of }) => [
    kind || text('desk.report.noKind'),
    text('desk.report.inOf', { in: number(counted), of: number(of) }),
  ]);
  const made = table(text('desk.report.byKind'), [text('desk.columns.kind'), text('desk.report.in')], rows);
  made.className = 'dense';
  return card(text('desk.report.byKind'), made);
}

function absentCard({ desk, event }, tickets) {
  const title = text('desk.report.absentTitle');
  if (!tickets) return card(title, element('p', { class: 'soft' }, text('desk.report.absentAdmin')));
  const gone = absent(tickets);
  if (gone.length === 0) return card(title, element('p', {}, text('desk.report.absentNone')));
  const columns = ['ticket_id', 'name', 'kind'].map((column) => text(`desk.columns.${column}`));
  const rows = gone.map(({ ticket_id, name, kind }) => [ticket_id, name ?? '', kind ?? '']);
  const keep = element('button', { id: 'absent-download', type: 'button' }, text('desk.report.absentDownload'));
  keep.addEventListener('click', () => {
    keepFile(
      `${fileName(desk.titleOf(event))}-${text('desk.report.absentFile')}.csv`,
      writeCsv([columns, ...rows]),
      'text/csv',
    );
  });
  const made = table(title, columns, rows.slice(0, SHOWN_ABSENT));
  made.className = 'dense';
  const more = rows.length - SHOWN_ABSENT;
  return card(
    `${title} (${number(rows.length)})`,
    element('div', { class: 'buttons above' }, keep),
    made,
    more > 0 && element('p', { class: 'soft' }, text('desk.report.absentMore', { count: number(more) })),
  );
}
