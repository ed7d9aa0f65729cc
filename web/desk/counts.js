// The numbers of an evening.

import { localTime } from './zones.js';

/** How many of `records` fall into each hour of `zone`: `[{hour: '2026-12-01T19', count}]`, hours between filled in. */
export function byHour(records, zone) {
  const counts = new Map();
  for (const { checked_in_at } of records) {
    const hour = localTime(Date.parse(checked_in_at), zone).slice(0, 13);
    counts.set(hour, (counts.get(hour) ?? 0) + 1);
  }
  const hours = [...counts.keys()].sort();
  if (hours.length === 0) return [];
  const filled = [];
  const last = Date.parse(`${hours.at(-1)}:00Z`);
  for (let at = Date.parse(`${hours[0]}:00Z`); at <= last; at += 3_600_000) {
    const hour = new Date(at).toISOString().slice(0, 13);
    const count = counts.get(hour) ?? 0;
    // Somebody who tried things out a week before makes no hundred empty rows.
    if (count > 0 || filled.at(-1)?.count !== 0) filled.push({ hour, count });
  }
  return filled;
}

/**
 * How many each gate let in, most first: `[{name, count, last}]`, `last` being when it did last. A gate is whoever
 * checked in: a pass, or a user. `records` are in order of time.
 */
export function byGate(records) {
  const gates = new Map();
  for (const { checked_in_by: name, checked_in_at } of records) {
    const gate = gates.get(name) ?? { name, count: 0, last: '' };
    gate.count += 1;
    gate.last = checked_in_at;
    gates.set(name, gate);
  }
  return [...gates.values()].sort((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1));
}

/** How many of each kind are in, of how many: `[{kind, in, of}]`. Revoked tickets count only where they are in. */
export function byKind(tickets) {
  const kinds = new Map();
  for (const { kind, revoked, checked_in_at } of tickets) {
    const entry = kinds.get(kind ?? '') ?? { kind: kind ?? '', in: 0, of: 0 };
    if (checked_in_at) entry.in += 1;
    if (checked_in_at || !revoked) entry.of += 1;
    kinds.set(entry.kind, entry);
  }
  return [...kinds.values()].sort((a, b) => b.of - a.of || (a.kind < b.kind ? -1 : 1));
}

/** The guests who could have come and did not. */
export function absent(tickets) {
  return tickets.filter(({ revoked, checked_in_at }) => !revoked && !checked_in_at);
}
