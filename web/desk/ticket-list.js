// The whole list of tickets of an event.

import { path } from '../shared/attendance.js';
import { readTickets } from './service-csv.js';

/** All tickets, for admins. As CSV, since that is one answer, whatever their number. */
export async function allTickets(desk, event) {
  const response = await ticketCsv(desk, event);
  return readTickets(await response.text());
}

/** The response with the list as CSV. */
export function ticketCsv(desk, event) {
  return desk.attendance.response(`${path`/events/${event}/tickets`}?format=csv`, { milliseconds: 60_000 });
}
