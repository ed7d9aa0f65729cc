// Short messages about what was done.

import { byId, element } from '../shared/dom.js';

const SHOWN_MS = 6_000;
const MOST = 2;

/** Shows `message` for some seconds, and has it read out. */
export function say(message) {
  const place = byId('status');
  const shown = element('p', {}, message);
  while (place.childElementCount >= MOST) place.firstElementChild.remove();
  place.append(shown);
  setTimeout(() => shown.remove(), SHOWN_MS);
}

/** Takes all messages away: they are about what is shown no more. */
export function clearStatus() {
  byId('status').replaceChildren();
}
