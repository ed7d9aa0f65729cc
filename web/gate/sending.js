// Who decides and sends: one at a time, and as whom.

import { path } from '../shared/attendance.js';
import { sendForJson } from '../shared/http.js';
import { claims } from '../shared/jwt.js';

/** Runs `work` while nobody else on this device does, in no other tab. A page over plain HTTP has no locks to ask for. */
function onlyOne(name, work) {
  return navigator.locks ? navigator.locks.request(`tixgo.gate.${name}`, work) : work();
}

/** Runs `work`, which sends the queue. */
export function sendingAlone(work) {
  return onlyOne('queue', work);
}

/** Runs `work`, which decides about a ticket. Another tab that reads the same one waits for what becomes of it. */
export function decidingAlone({ event, ticket }, work) {
  return onlyOne(`scan/${event}/${ticket}`, work);
}

/** How Flush asks attendance-service, as whoever is logged in on the page. */
export function pageApi(attendance) {
  return {
    async checkIn(scans) {
      return (await attendance.json('/checkins/batch', { method: 'POST', json: { scans } })).results;
    },
    undo: (event, ticket) => attendance.json(path`/attendance/${event}/tickets/${ticket}`, { method: 'DELETE' }),
  };
}

/** The same with a token alone, for the service worker; `null` without one. It is not renewed: the page does that. */
export function tokenApi(token) {
  const user = claims(token ?? '')?.sub;
  if (!user) return null;
  const attendance = { json: (url, options) => sendForJson(url, { ...options, token }) };
  return { ...pageApi(attendance), user };
}
