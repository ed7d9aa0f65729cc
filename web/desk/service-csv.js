// The CSV of the service, and the report that is made of it.

import { readCsv, withFormula } from './csv.js';
import { localTime } from './zones.js';

/** The check-ins in the CSV of the service: `{ticket_id, name, kind, checked_in_by, checked_in_at}`, oldest first. */
export function readRecords(csv) {
  return readObjects(csv);
}

/** The list of tickets in the CSV of the service, as `Ticket` of its JSON. */
export function readTickets(csv) {
  return readObjects(csv).map(({ ticket_id, name, kind, revoked, checked_in_at, checked_in_by }) => ({
    ticket_id,
    name: name || null,
    kind: kind || null,
    revoked: revoked === 'true',
    checked_in_at: checked_in_at || null,
    checked_in_by: checked_in_by || null,
  }));
}

function readObjects(csv) {
  const { rows } = readCsv(csv);
  const names = rows[0]?.cells ?? [];
  return rows.slice(1).map(({ cells }) => Object.fromEntries(names.map((name, index) => [
    name,
    withFormula(cells[index] ?? ''),
  ])));
}

/**
 * The rows of the report, with times as the clocks of `zone` showed them.
 *
 * @param {string[]} columns what stands above id, name, kind, time and gate
 */
export function reportRows(records, zone, columns) {
  const rows = records.map(({ ticket_id, name, kind, checked_in_at, checked_in_by }) => [
    ticket_id,
    name,
    kind,
    localTime(Date.parse(checked_in_at), zone).replace('T', ' '),
    checked_in_by,
  ]);
  return [columns, ...rows];
}
