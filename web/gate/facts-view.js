// What the volunteer should know besides the verdict: network, queue, and how old the list is.

import { byId } from '../shared/dom.js';
import { language, text } from '../shared/language.js';

const main = document.querySelector('main');
const MINUTE_MS = 60_000;

/** Shows the facts, as words and as `data-…` of `main`. */
export function showFacts({ isOnline, unsynced, knowledge }) {
  const list = listState(knowledge, isOnline);
  Object.assign(main.dataset, { online: String(isOnline), queue: String(unsynced), list });
  byId('online').textContent = text(isOnline ? 'gate.online' : 'gate.offline');
  byId('queue').textContent = unsynced === 0 ? text('gate.queueEmpty') : text('gate.queue', { count: unsynced });
  byId('list-age').textContent = knowledge ? listText(list, knowledge.fetchedAt) : '';
}

function listState(knowledge, isOnline) {
  if (!knowledge) return 'missing';
  return knowledge.state === 'missing' && isOnline ? 'loading' : knowledge.state;
}

function listText(list, fetchedAt) {
  if (list !== 'ready') return text(`gate.list.${list}`);
  const age = Math.max(0, Date.now() - fetchedAt);
  return age < 2 * MINUTE_MS ? text('gate.list.fresh') : text('gate.list.ready', { age: ageText(age) });
}

function ageText(age) {
  const format = new Intl.RelativeTimeFormat(language(), { style: 'short' });
  const minutes = Math.floor(age / MINUTE_MS);
  return minutes < 60 ? format.format(-minutes, 'minute') : format.format(-Math.floor(minutes / 60), 'hour');
}
